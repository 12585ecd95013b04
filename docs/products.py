"""Draws the pictures of examples/summer-drop: `python -m docs.products`. Products of the drawn world."""

from __future__ import annotations

from pathlib import Path
from random import Random

from PIL import Image

from core.training.world.products import draw_product
from core.training.world.truth import Look, Product

PLACE = Path(__file__).parents[1] / "examples" / "summer-drop" / "images"
SIDE, HEIGHT = 512, 330
GROUND = (240, 238, 233)
PRODUCTS = {
    "mug": Product("mug", Look("red", "yellow", "dots", "none"), 0.5),
    "sneaker": Product("sneaker", Look("blue", "white", "stripes", "none"), 0.5),
    "tote-bag": Product("bag", Look("green", "yellow", "plain", "heart"), 0.5),
    "lamp": Product("lamp", Look("pink", "purple", "checks", "none"), 0.5),
}


def main() -> None:
    """One file for each row of products.csv."""
    for name, product in PRODUCTS.items():
        cut = draw_product(product, HEIGHT, Random(name))
        if cut.width > SIDE * 0.8:
            cut = cut.resize((round(SIDE * 0.8), round(cut.height * SIDE * 0.8 / cut.width)))
        picture = Image.new("RGB", (SIDE, SIDE), GROUND)
        picture.paste(cut, ((SIDE - cut.width) // 2, (SIDE - cut.height) // 2), cut.getchannel("A"))
        picture.save(PLACE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
