"""The easel that products are drawn on: parts in shares of the thing's size, drawn thrice as large and reduced.

Points are (x, y) with x in shares of the width and y in shares of the height, from the upper left. Radii and line
widths are shares of the height alone, so that round things stay round and lines even whatever the proportion.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from functools import cache

from PIL import Image, ImageDraw

from core.training.world import strokes
from core.training.world.palette import COLOURS, RGB, darker, lighter, shade
from core.training.world.patterns import check_look, fabric
from core.training.world.truth import Look

Point = tuple[float, float]
Outline = list[Point]

OVERSAMPLING = 3
EDGE = 0.017
"""Width of the darker outline, as a share of the height."""

BEND = [((1 - t) * (1 - t), 2 * (1 - t) * t, t * t) for t in (step / 5 for step in range(6))]
"""Weights of a rounded corner's start, corner and end along its curve."""

INK: RGB = (46, 44, 52)
STEEL: RGB = (176, 182, 192)
PAPER: RGB = (236, 234, 228)
RUBBER: RGB = (70, 70, 80)
WOOD: RGB = (196, 146, 92)
COFFEE: RGB = (74, 46, 34)
GLASS: RGB = (58, 84, 128)
BRASS: RGB = (214, 176, 92)


class Easel:
    """One product in the making: parts are laid over each other in the order of the calls.

    Attributes:
        tone: the look's colour, darkened: for the small parts that belong to the thing (handles, lids).
    """

    def __init__(self, width: int, height: int, look: Look, rng: random.Random) -> None:
        """Takes the finished picture's size in pixels; raises BadInput for an unknown look."""
        check_look(look)
        self.width, self.height = width * OVERSAMPLING, height * OVERSAMPLING
        self.look, self.rng = look, rng
        self.edge = max(2, round(EDGE * self.height))
        self.canvas = Image.new("RGBA", (self.width, self.height))
        self.draw = ImageDraw.Draw(self.canvas)
        self.tone = _toned(COLOURS[look.colour])

    def polygon(self, corners: Sequence[Point], radius: float | Sequence[float] = 0.04) -> Outline:
        """A polygon in pixels with rounded corners: one radius for all or one for each; 0 keeps it sharp."""
        radii = [radius] * len(corners) if isinstance(radius, (int, float)) else radius
        points = [self._at(corner) for corner in corners]
        outline: Outline = []
        for index, corner in enumerate(points):
            before, after = points[index - 1], points[(index + 1) % len(points)]
            outline += _bend(before, corner, after, radii[index] * self.height)
        return outline

    def curve(self, points: Sequence[Point], closed: bool = False, steps: int = 6) -> Outline:
        """A smooth line in pixels through all the points (Catmull-Rom spline)."""
        knots = [self._at(point) for point in points]
        knots = [knots[-1], *knots, knots[0], knots[1]] if closed else [knots[0], *knots, knots[-1]]
        line: Outline = []
        shares = [step / steps for step in range(steps)]
        for first, second, third, fourth in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
            line += _spline(first, second, third, fourth, shares)
        return line if closed else [*line, knots[-1]]

    def disc(self, middle: Point, radius: float, steps: int = 32) -> Outline:
        """A circle in pixels; `radius` is a share of the height."""
        reach = radius * self.height
        return _ellipse(self._at(middle), reach, reach, steps)

    def oval(self, middle: Point, across: float, high: float, steps: int = 32) -> Outline:
        """An ellipse in pixels; its half axes are shares of the width and of the height."""
        return _ellipse(self._at(middle), across * self.width, high * self.height, steps)

    def dress(self, *outlines: Outline, scale: float = 0.3, period_of: float | None = None) -> None:
        """Lay the part that carries the look: pattern, emblem, light from the left, darker outline.

        Args:
            outlines: polygons in pixels that are one part together.
            scale: one period of the pattern as a share of the part's smaller side.
            period_of: take the period as this share of the whole thing's height instead.
        """
        shape = Image.new("1", self.canvas.size)
        draw = ImageDraw.Draw(shape)
        for outline in outlines:
            draw.polygon(outline, fill=1)
        box = shape.getbbox()
        if box is None:
            return
        if period_of is not None:
            scale = period_of * self.height / min(box[2] - box[0], box[3] - box[1])
        part = shape.crop(box)
        painted = fabric(part, self.look, self.rng, scale=scale)
        _shine(painted)
        self.canvas.paste(painted, box[:2], part)
        for outline in outlines:
            self.stroke(outline, self.tone, EDGE, closed=True)

    def fill(self, outline: Outline, rgb: RGB, outlined: bool = True) -> None:
        """Lay a part of one colour, with a darker outline unless told otherwise."""
        colour = shade(rgb, self.rng)
        self.draw.polygon(outline, fill=colour)
        if outlined:
            self.stroke(outline, darker(colour, 0.4), EDGE, closed=True)

    def stroke(self, line: Outline, rgb: RGB, width: float, closed: bool = False) -> None:
        """Lay a line of even width (share of the height)."""
        points = [*line, line[0], line[1]] if closed else line
        # Round joints cost as much as all the rest and show on thick lines alone.
        thick = max(2, round(width * self.height))
        if width > 2 * EDGE:
            strokes.stroke(self.draw, points, rgb, thick)
        else:
            self.draw.line(points, fill=rgb, width=thick)

    def tube(self, line: Outline, rgb: RGB, width: float) -> None:
        """Lay a round bar along a line: a darker one below, then its own colour."""
        colour = shade(rgb, self.rng)
        for ink, thick in ((darker(colour, 0.4), width + 2 * EDGE * 0.8), (colour, width)):
            self.stroke(line, ink, thick)
            reach = max(0.0, thick * self.height / 2 - 0.5)
            for x, y in (line[0], line[-1]):
                self.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=ink)

    def gleam(self, outline: Outline, strength: float = 0.45) -> None:
        """Lay a highlight: white through a polygon."""
        veil = Image.new("L", self.canvas.size)
        ImageDraw.Draw(veil).polygon(outline, fill=round(255 * strength))
        box = veil.getbbox()
        if box is None:
            return
        bright = Image.new("RGBA", (box[2] - box[0], box[3] - box[1]), (255, 255, 255, 255))
        self.canvas.paste(bright, box[:2], veil.crop(box))

    def finish(self, height: int) -> Image.Image:
        """The picture: cut to what was drawn and brought to `height` pixels, at least one pixel wide."""
        box = self.canvas.getbbox() or (0, 0, self.width, self.height)
        width = max(1, round((box[2] - box[0]) * height / (box[3] - box[1])))
        return self.canvas.resize((width, height), Image.Resampling.BOX, box=box)

    def _at(self, point: Point) -> Point:
        """From shares to pixels, an outline's half inside all borders."""
        margin = self.edge / 2 + 1
        return (
            margin + point[0] * (self.width - 1 - 2 * margin),
            margin + point[1] * (self.height - 1 - 2 * margin),
        )


def mirrored(points: Iterable[Point]) -> list[Point]:
    """The points and, in reverse, their likenesses about x = 0.5: the right half makes the whole outline."""
    half = list(points)
    return [*half, *((1.0 - x, y) for x, y in reversed(half))]


def _toned(colour: RGB) -> RGB:
    """For outlines and handles: darker and a little warmer; lighter where the colour is nearly black."""
    if max(colour) < 60:
        return lighter(colour, 0.22)
    if max(colour) - min(colour) < 20:
        return darker(colour, 0.3)
    red, green, blue = colour
    return round(red * 0.76), round(green * 0.66), round(blue * 0.7)


def _ellipse(middle: Point, across: float, high: float, steps: int) -> Outline:
    turns = (math.tau * step / steps for step in range(steps))
    return [(middle[0] + across * math.cos(turn), middle[1] + high * math.sin(turn)) for turn in turns]


def _bend(before: Point, corner: Point, after: Point, radius: float) -> Outline:
    """A corner as a quadratic curve from `radius` pixels before it to as many after, half an edge at most."""
    if radius <= 0:
        return [corner]
    ends = []
    for end in (before, after):
        length = math.hypot(end[0] - corner[0], end[1] - corner[1]) or 1.0
        share = min(radius / length, 0.5)
        ends.append((corner[0] + (end[0] - corner[0]) * share, corner[1] + (end[1] - corner[1]) * share))
    (ax, ay), (bx, by), (x, y) = *ends, corner
    return [(one * ax + two * x + three * bx, one * ay + two * y + three * by) for one, two, three in BEND]


def _spline(first: Point, second: Point, third: Point, fourth: Point, shares: Sequence[float]) -> Outline:
    """Points at these shares of the way from `second` to `third`."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = first, second, third, fourth
    slope_x, bow_x, twist_x = cx - ax, 2 * ax - 5 * bx + 4 * cx - dx, 3 * (bx - cx) + dx - ax
    slope_y, bow_y, twist_y = cy - ay, 2 * ay - 5 * by + 4 * cy - dy, 3 * (by - cy) + dy - ay
    return [
        (
            bx + 0.5 * t * (slope_x + t * (bow_x + t * twist_x)),
            by + 0.5 * t * (slope_y + t * (bow_y + t * twist_y)),
        )
        for t in shares
    ]


def _shine(painted: Image.Image) -> None:
    """Light on the left third, shadow on the right: a soft gradient across, over all."""
    wide, high = painted.size
    middle = round(wide * 0.5)
    veil = _ramp().resize((wide, 1), Image.Resampling.BILINEAR).resize((wide, high), Image.Resampling.NEAREST)
    painted.paste((255, 255, 255), (0, 0, middle, high), veil.crop((0, 0, middle, high)))
    painted.paste((20, 16, 40), (middle, 0, wide, high), veil.crop((middle, 0, wide, high)))


@cache
def _ramp() -> Image.Image:
    """How much light or shadow lies on a thing from left to right (5 x 1, L)."""
    return Image.frombytes("L", (5, 1), bytes((40, 10, 0, 16, 48)))
