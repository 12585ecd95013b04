"""The canvas on which a place of the drawn world is painted: large shapes, gradients, and the light of the hour.

Positions are shares of the width and height, radii shares of the shorter side, so that one description of a place
serves every canvas. It is painted at twice the size and halved at the end, which smooths the edges.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageOps

Colour = tuple[int, int, int]

ENLARGED = 2
LIGHT: dict[str, tuple[tuple[float, float, float], Colour, float]] = {
    "day": ((1.0, 1.0, 1.0), (255, 255, 255), 0.0),
    "night": ((0.42, 0.5, 0.72), (24, 30, 88), 0.28),
    "sunset": ((1.0, 0.78, 0.70), (255, 120, 70), 0.24),
}
"""Of each hour: what it multiplies red, green and blue by, its own colour, and how much of that is mixed in."""


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """The colour that is `share` of the way from `one` to `other`."""
    return (
        round(one[0] + (other[0] - one[0]) * share),
        round(one[1] + (other[1] - one[1]) * share),
        round(one[2] + (other[2] - one[2]) * share),
    )


def lit(colour: Colour, time: str) -> Colour:
    """What a surface of this colour looks like at `time`."""
    factor, own, share = LIGHT[time]
    dimmed = (round(colour[0] * factor[0]), round(colour[1] * factor[1]), round(colour[2] * factor[2]))
    return mixed(dimmed, own, share)


@cache
def halo() -> Image.Image:
    """A round mask (256 x 256), full in the middle and fading to nothing at its rim."""
    return ImageOps.invert(Image.radial_gradient("L")).point(lambda value: max(0, value - 76) * 255 // 179)


@lru_cache(maxsize=64)
def glare(reach: int, strength: float) -> Image.Image:
    """A halo that reaches so many pixels, of which the middle has `strength` (0 to 1)."""
    return halo().resize((2 * reach, 2 * reach)).point([round(value * strength) for value in range(256)])


@lru_cache(maxsize=256)
def run(colours: tuple[Colour, ...], count: int) -> Image.Image:
    """A column of `count` pixels through the colours, evenly."""
    stops = np.array(colours, dtype=np.float32)
    where = np.linspace(0, len(colours) - 1, count)
    knots = np.arange(len(colours))
    column_H13 = np.stack([np.interp(where, knots, stops[:, band]) for band in range(3)], axis=-1)[:, None]
    return Image.fromarray(column_H13.round().astype(np.uint8))


class Backdrop:
    """A canvas being painted.

    Attributes:
        time: day, night or sunset; colours are lit by it unless `glowing`.
        random: the source of everything that no word says.
    """

    def __init__(self, time: str, width: int, height: int, seed: int) -> None:
        self.time = time
        self.random = random.Random(seed)
        self.size = (width * ENLARGED, height * ENLARGED)
        self.short = min(self.size)
        self.image = Image.new("RGB", self.size)
        self.pen = ImageDraw.Draw(self.image)
        warmth, brightness = self.random.uniform(-0.04, 0.04), self.random.uniform(-0.05, 0.03)
        self.tint = (1 + brightness + warmth, 1 + brightness, 1 + brightness - warmth)

    def between(self, low: float, high: float) -> float:
        """A number that the seed decides."""
        return self.random.uniform(low, high)

    def side(self) -> bool:
        """True for left-handed, False for right-handed pictures; the seed decides."""
        return self.random.random() < 0.5

    def colour(self, colour: Colour, *, glowing: bool = False) -> Colour:
        """`colour` under the light of the hour and the tint of the seed; a glowing one gives its own light."""
        if glowing:
            return colour
        red, green, blue = lit(colour, self.time)
        return (
            min(255, round(red * self.tint[0])),
            min(255, round(green * self.tint[1])),
            min(255, round(blue * self.tint[2])),
        )

    def fade(self, top: float, bottom: float, colours: Sequence[Colour], *, glowing: bool = False) -> None:
        """Fills the full width from `top` to `bottom` with colours that run evenly into each other."""
        first, last = round(top * self.size[1]), round(bottom * self.size[1])
        count = max(last - first, 1)
        strip = run(tuple(self.colour(colour, glowing=glowing) for colour in colours), count)
        self.image.paste(strip.resize((self.size[0], count), Image.Resampling.NEAREST), (0, first))

    def shape(self, points: Iterable[tuple[float, float]], colour: Colour, *, glowing: bool = False) -> None:
        """Fills the polygon through `points`."""
        corners = [(x * self.size[0], y * self.size[1]) for x, y in points]
        self.pen.polygon(corners, fill=self.colour(colour, glowing=glowing))

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, *, glowing: bool = False
    ) -> None:
        """Fills a rectangle; one of no extent is drawn a pixel wide."""
        wide, high = self.size
        low_x, low_y = left * wide, top * high
        corners = (low_x, low_y, max(low_x, right * wide - 1), max(low_y, bottom * high - 1))
        self.pen.rectangle(corners, fill=self.colour(colour, glowing=glowing))

    def oval(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, *, glowing: bool = False
    ) -> None:
        """Fills the ellipse that fits the rectangle."""
        wide, high = self.size
        corners = (left * wide, top * high, right * wide, bottom * high)
        self.pen.ellipse(corners, fill=self.colour(colour, glowing=glowing))

    def disc(self, x: float, y: float, radius: float, colour: Colour, *, glowing: bool = False) -> None:
        """Fills a circle; `radius` is a share of the shorter side."""
        across, down = self.reach(radius)
        self.oval(x - across, y - down, x + across, y + down, colour, glowing=glowing)

    def reach(self, length: float) -> tuple[float, float]:
        """What `length`, a share of the shorter side, is as a share of the width and of the height."""
        return length * self.short / self.size[0], length * self.short / self.size[1]

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Light that falls off around a point; `strength` (0 to 1) is how much of `colour` its middle has."""
        reach = max(round(radius * self.short), 1)
        corner = (round(x * self.size[0]) - reach, round(y * self.size[1]) - reach)
        self.image.paste(colour, corner, glare(reach, strength))

    def finished(self) -> Image.Image:
        """The picture at its own size."""
        return self.image.reduce(ENLARGED)
