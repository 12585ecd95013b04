"""The drawn world's paper for people and what they wear: enlarged, with a role for each pixel.

Shapes are given in heads: a wearer's head is one unit high, (0, 0) is its middle, y runs downwards.
"""

from __future__ import annotations

import random
from functools import lru_cache

from PIL import Image, ImageDraw

from core.training.world.palette import RGB
from core.training.world.patterns import fabric
from core.training.world.strokes import stroke
from core.training.world.truth import Garment

Point = tuple[float, float]
Outline = tuple[Point, ...]

ENLARGED = 3
NOTHING, BODY, GARMENT, FACE = 0, 60, 120, 180
LINE = 0.045
PERIOD = 0.27


class Sheet:
    """A canvas in heads, `ENLARGED` times the final size, that remembers what each pixel shows.

    Attributes:
        canvas: RGBa, whose alpha is NOTHING, BODY, GARMENT or FACE; NOTHING is black.
        role: what is being drawn now.
    """

    def __init__(self, left: float, top: float, right: float, bottom: float, unit: float) -> None:
        self.left, self.top, self.unit = left, top, unit * ENLARGED
        size = (round((right - left) * self.unit), round((bottom - top) * self.unit))
        self.canvas = Image.new("RGBa", size)
        self.pen = ImageDraw.Draw(self.canvas)
        self.role = BODY

    def at(self, points: Outline) -> list[Point]:
        """Heads to pixels."""
        left, top, unit = self.left, self.top, self.unit
        return [((x - left) * unit, (y - top) * unit) for x, y in points]

    def fill(self, points: Outline, colour: RGB, edge: RGB | None = None) -> None:
        """A polygon, with an outline where `edge` is given."""
        pixels = self.at(points)
        self.pen.polygon(pixels, fill=(*colour, self.role))
        if edge is not None:
            self._line([*pixels, pixels[0], pixels[1]], edge, LINE)

    def stroke(self, points: Outline, colour: RGB, width: float) -> None:
        """A line through the points, `width` heads thick."""
        self._line(self.at(points), colour, width)

    def _line(self, pixels: list[Point], colour: RGB, width: float) -> None:
        stroke(self.pen, pixels, (*colour, self.role), max(1, round(width * self.unit)))

    def disc(self, x: float, y: float, wide: float, high: float, colour: RGB) -> None:
        """An ellipse with these radii."""
        box = self.at(((x - wide, y - high), (x + wide, y + high)))
        self.pen.ellipse(box, fill=(*colour, self.role))

    def ring(self, x: float, y: float, wide: float, high: float, colour: RGB, width: float) -> None:
        """The rim of an ellipse, drawn inwards; its middle is left as it is."""
        box = self.at(((x - wide, y - high), (x + wide, y + high)))
        self.pen.ellipse(box, outline=(*colour, self.role), width=max(1, round(width * self.unit)))

    def limb(self, points: Outline, width: float, colour: RGB) -> None:
        """An arm or a leg: a thick bent line, round at its start and its joints."""
        self.stroke(points, colour, width)
        for x, y in points[:-1]:
            self.disc(x, y, width / 2, width / 2, colour)

    def cloth(self, mask: Image.Image, garment: Garment, seed: float) -> None:
        """Fill a mask of the canvas's size with a garment's look; the same seed gives the same shades."""
        box = mask.getbbox()
        if box is None:
            return
        shape = mask.crop(box)
        scale = PERIOD * self.unit / min(shape.size)
        chance = random.Random(seed)
        painted = fabric(shape, garment.look, chance, scale=scale, mode="RGBa", alpha=self.role)
        self.canvas.paste(painted, box, shape)

    def cut(self, height: int, *roles: int) -> list[Image.Image]:
        """What was drawn, cut tight, `height` pixels high: a picture (RGBA), and of each role a mask (L)."""
        shown = self.canvas.getchannel("a")
        box = shown.getbbox() or (0, 0, *shown.size)
        size = (max(1, round((box[2] - box[0]) * height / (box[3] - box[1]))), height)
        alpha, *masks = (
            shown.point(_seen(role)).resize(size, Image.Resampling.BOX, box=box) for role in (NOTHING, *roles)
        )
        red, green, blue, _ = self.canvas.resize(size, Image.Resampling.BOX, box=box).split()
        return [Image.merge("RGBa", (red, green, blue, alpha)).convert("RGBA"), *masks]


@lru_cache
def _seen(role: int) -> list[int]:
    """Lookup table to 0 or 255: one role, or with NOTHING every role."""
    return [255 if (level == role if role else level > 0) else 0 for level in range(256)]


@lru_cache(maxsize=512)
def rounded(points: Outline, rounds: int = 2) -> Outline:
    """A closed outline with its corners cut, twice as many points a round (Chaikin's scheme)."""
    for _ in range(rounds):
        turned = (*points[1:], points[0])
        points = tuple(
            (a[0] * keep + b[0] * (1 - keep), a[1] * keep + b[1] * (1 - keep))
            for a, b in zip(points, turned, strict=True)
            for keep in (0.75, 0.25)
        )
    return points


def mirrored(right: Outline) -> Outline:
    """The closed outline whose right side is given from top to bottom."""
    return (*right, *((-x, y) for x, y in reversed(right)))
