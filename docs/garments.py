"""Draws the pictures of examples/lookbook-tryon: `python -m docs.garments`. Garments of the drawn world."""

from __future__ import annotations

from pathlib import Path
from random import Random

from PIL import Image

from core.training.world.garments import draw_garment
from core.training.world.truth import Garment, Look

PLACE = Path(__file__).parents[1] / "examples" / "lookbook-tryon" / "images"
SIDE, HEIGHT = 512, 400
GROUND = (240, 238, 233)
GARMENTS = {
    "meadow-tee-green": Garment("t-shirt", Look("green", "yellow", "stripes", "none")),
    "meadow-tee-red": Garment("t-shirt", Look("red", "white", "stripes", "none")),
    "harbour-hoodie-blue": Garment("hoodie", Look("blue", "white", "plain", "star")),
    "harbour-hoodie-yellow": Garment("hoodie", Look("yellow", "red", "plain", "heart")),
    "confetti-dress": Garment("dress", Look("pink", "purple", "dots", "none")),
}
DETAIL = "confetti-dress"


def main() -> None:
    """A flat photo of each garment, and of one a detail, as shops have."""
    for name, garment in GARMENTS.items():
        picture = laid_flat(garment, HEIGHT, Random(name))
        picture.save(PLACE / f"{name}.png", optimize=True)
        if name == DETAIL:
            near = laid_flat(garment, HEIGHT * 2, Random(name))
            near.save(PLACE / f"{name}-detail.png", optimize=True)


def laid_flat(garment: Garment, height: int, rng: Random) -> Image.Image:
    """The garment in the middle of a plain ground; what is too large is cut off."""
    cut = draw_garment(garment, height, rng)
    if height == HEIGHT and cut.width > SIDE * 0.86:
        cut = cut.resize((round(SIDE * 0.86), round(cut.height * SIDE * 0.86 / cut.width)))
    picture = Image.new("RGB", (SIDE, SIDE), GROUND)
    picture.paste(cut, ((SIDE - cut.width) // 2, (SIDE - cut.height) // 2), cut.getchannel("A"))
    return picture


if __name__ == "__main__":
    main()
