"""The drawn world's paper for people and what they wear: enlarged, with a role for each pixel.

Shapes are given in heads: a wearer's head is one unit high, (0, 0) is its middle, y runs downwards.
"""

from __future__ import annotations

import random
from functools import lru_cache

from PIL import Image, ImageDraw

from core.training.world.palette import RGB
from core.training.world.patterns import paint
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
        colours: RGB canvas.
        roles: L canvas of NOTHING, BODY, GARMENT or FACE; where it is NOTHING the picture is transparent.
        role: what is being drawn now.
    """

    def __init__(self, left: float, top: float, right: float, bottom: float, unit: float) -> None:
        self.left, self.top, self.unit = left, top, unit * ENLARGED
        size = (round((right - left) * self.unit), round((bottom - top) * self.unit))
        self.colours, self.roles = Image.new("RGB", size), Image.new("L", size)
        self._paint, self._mark = ImageDraw.Draw(self.colours), ImageDraw.Draw(self.roles)
        self.role = BODY

    def at(self, points: Outline) -> list[Point]:
        """Heads to pixels."""
        return [((x - self.left) * self.unit, (y - self.top) * self.unit) for x, y in points]

    def fill(self, points: Outline, colour: RGB, edge: RGB | None = None) -> None:
        """A polygon, with an outline where `edge` is given."""
        pixels = self.at(points)
        self._paint.polygon(pixels, fill=colour)
        self._mark.polygon(pixels, fill=self.role)
        if edge is not None:
            self.stroke((*points, points[0], points[1]), edge, LINE)

    def stroke(self, points: Outline, colour: RGB, width: float) -> None:
        """A line through the points, `width` heads thick."""
        pixels, thick = self.at(points), max(1, round(width * self.unit))
        self._paint.line(pixels, fill=colour, width=thick, joint="curve")
        self._mark.line(pixels, fill=self.role, width=thick, joint="curve")

    def disc(self, x: float, y: float, wide: float, high: float, colour: RGB) -> None:
        """An ellipse with these radii."""
        box = self.at(((x - wide, y - high), (x + wide, y + high)))
        self._paint.ellipse(box, fill=colour)
        self._mark.ellipse(box, fill=self.role)

    def ring(self, x: float, y: float, wide: float, high: float, colour: RGB, width: float) -> None:
        """The rim of an ellipse, drawn inwards; its middle is left as it is."""
        box = self.at(((x - wide, y - high), (x + wide, y + high)))
        self._paint.ellipse(box, outline=colour, width=max(1, round(width * self.unit)))

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
        painted = paint(shape, garment.look, random.Random(seed), scale=scale)
        self.colours.paste(painted.convert("RGB"), box, shape)
        self.roles.paste(self.role, box, shape)

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what was drawn, in pixels of the canvas."""
        return self.roles.getbbox() or (0, 0, *self.roles.size)

    def picture(self, height: int) -> Image.Image:
        """RGBA of what was drawn, cut tight, `height` pixels high."""
        image = self.colours.copy()
        image.putalpha(self.roles.point(_seen(NOTHING)))
        return image.resize(self._size(height), Image.Resampling.BOX, box=self.box())

    def shown(self, role: int, height: int) -> Image.Image:
        """L mask of one role in `picture(height)`."""
        mask = self.roles.point(_seen(role))
        return mask.resize(self._size(height), Image.Resampling.BOX, box=self.box())

    def _size(self, height: int) -> tuple[int, int]:
        left, top, right, bottom = self.box()
        return max(1, round((right - left) * height / (bottom - top))), height


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
