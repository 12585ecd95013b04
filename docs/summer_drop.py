"""Draws the README's picture: `dreamline demo`, then `python -m docs.summer_drop outputs/summer-drop`.

A row for each product, its picture and its square images of seed 0 and 1 in every scene: all of them, none chosen.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

EXAMPLE = Path(__file__).parents[1] / "examples" / "summer-drop"
PLACE = Path(__file__).parent / "images" / "summer-drop.webp"
SCENES = ("on the beach", "in the city at night", "in a studio")
SEEDS = (0, 1)
SIDE, GAP, TOP, LABEL = 128, 12, 44, 170
PAPER, INK, GREY = (247, 246, 242), (38, 36, 43), (120, 116, 128)


def main() -> None:
    """Lays out what is in the folder that is named."""
    folder = Path(sys.argv[1])
    with (EXAMPLE / "products.csv").open(encoding="utf-8") as file:
        products = list(csv.DictReader(file))
    scene_width = len(SEEDS) * (SIDE + GAP) + GAP
    left = GAP + SIDE + GAP + LABEL
    size = (left + len(SCENES) * scene_width, TOP + len(products) * (SIDE + GAP))
    sheet = Image.new("RGB", size, PAPER)
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(17), ImageFont.load_default(12)
    pen.text((GAP, GAP), "products.csv", INK, large)
    for column, scene in enumerate(SCENES):
        pen.text((left + column * scene_width, GAP), scene, INK, large)
    for row, product in enumerate(products):
        top = TOP + row * (SIDE + GAP)
        sheet.paste(whole(EXAMPLE / product["image"]), (GAP, top))
        pen.text((GAP + SIDE + GAP, top + SIDE // 2 - 20), product["noun"], INK, large)
        pen.text((GAP + SIDE + GAP, top + SIDE // 2 + 4), product["sku"], GREY, small)
        for column, scene in enumerate(SCENES):
            for number, seed in enumerate(SEEDS):
                name = f"{product['sku']}-{scene.replace(' ', '-')}-square-s{seed}.png"
                sheet.paste(whole(folder / name), (left + column * scene_width + number * (SIDE + GAP), top))
    sheet.save(PLACE, quality=92, method=6)


def whole(path: Path) -> Image.Image:
    """The picture at the sheet's size."""
    return Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
