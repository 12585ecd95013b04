"""Draws the picture of docs/delivery.md: `python -m docs.delivered`: one photo for three channels.

What a channel covers with its own buttons is hatched here; files have none of it.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from orchestrator.delivering.destinations import Destination, presets
from orchestrator.delivering.rendering.copy import Copy
from orchestrator.delivering.rendering.images import fit
from orchestrator.delivering.rendering.lettering import letter
from orchestrator.delivering.rendering.typesetting import inter

PHOTO = Path(__file__).parents[1] / "tests" / "data" / "photos" / "coffee.jpg"
PLACE = Path(__file__).parent / "images" / "delivered.webp"
SHOWN = ("instagram-portrait", "instagram-story", "google-ads-landscape")
HIGH, GAP, FOOT = 560, 20, 34
PAPER, GREY = (247, 246, 242), (120, 116, 128)


def main() -> None:
    """One beside the other, equally high but for the wide one."""
    copy = Copy("Slow mornings, freshly roasted", "12,50 €", "Image made with AI", logo())
    made = [draw(presets()[name], copy) for name in SHOWN]
    heights = [HIGH, HIGH, 330]
    shown = [
        one.resize((round(one.width * height / one.height), height), Image.Resampling.LANCZOS)
        for one, height in zip(made, heights, strict=True)
    ]
    sheet = Image.new("RGB", (GAP + sum(one.width + GAP for one in shown), HIGH + GAP + FOOT), PAPER)
    pen, left = ImageDraw.Draw(sheet), GAP
    for name, one in zip(SHOWN, shown, strict=True):
        sheet.paste(one, (left, GAP))
        size = "x".join(map(str, presets()[name].size))
        pen.text((left, GAP + one.height + 8), f"{name}, {size}", GREY, ImageFont.load_default(15))
        left += one.width + GAP
    sheet.save(PLACE, quality=88, method=6)


def draw(there: Destination, copy: Copy) -> Image.Image:
    """The photo as it goes there, with what the channel covers hatched."""
    picture = fit(Image.open(PHOTO).convert("RGB"), there.size)
    picture = letter(picture, copy, there.margins, there.name)
    width, height = picture.size
    covered = Image.new("L", picture.size, 70)
    margins = there.margins
    free = (margins.left, margins.top, width - margins.right - 1, height - margins.bottom - 1)
    ImageDraw.Draw(covered).rectangle(free, fill=0)
    stripes = Image.new("L", picture.size)
    pen = ImageDraw.Draw(stripes)
    for start in range(-height, width, 28):
        pen.line((start, height, start + height, 0), fill=255, width=5)
    mask = Image.composite(covered, Image.new("L", picture.size), stripes)
    return Image.composite(Image.new("RGB", picture.size, "white"), picture, mask)


def logo() -> bytes:
    """A ring and a name, white on nothing."""
    font = ImageFont.truetype(io.BytesIO(inter()), 84)
    font.set_variation_by_axes([32, 800])
    picture = Image.new("RGBA", (560, 120))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((4, 14, 96, 106), outline="white", width=26)
    pen.text((124, 60), "NORDIK", "white", font, "lm")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
