"""Cloth and glaze of the drawn world: fills a shape with a look's colour, pattern and emblem.

Patterns are bold on purpose: three to five periods over a thing, so that they survive at 40 pixels. They are
centred on the shape and lie the same way for the same shape; only the shades of the two colours vary.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from core.errors import BadInput
from core.training.world.palette import COLOURS, darker, shade
from core.training.world.truth import FULL, Look

Box = tuple[int, int, int, int]
Points = list[tuple[float, float]]
Ink = tuple[int, int, int, int]

EMBLEM_SHARE = 0.5
PATCH_SHARE = 0.72


def fabric(
    shape: Image.Image, look: Look, rng: random.Random, *, scale: float, mode: str = "RGB", alpha: int = 255
) -> Image.Image:
    """A sheet of the look, laid out for the shape that it is to be pasted through.

    Args:
        shape: L mask; pattern and emblem are as large as its bounding box wants them.
        look: what is drawn.
        rng: moves the shades of the two colours a little, nothing else.
        scale: one period of the pattern, as a share of the smaller side of the shape's bounding box.
        mode: RGB, or one with alpha.
        alpha: the same everywhere.

    Returns:
        A picture of the size of `shape`; the ground colour alone where the shape is empty.

    Raises:
        BadInput: for a colour, pattern or emblem that the drawn world does not have.
    """
    check_look(look)
    ground, second = shade(COLOURS[look.colour], rng), shade(COLOURS[look.second], rng)
    painted = Image.new(mode, shape.size, (*ground, alpha))
    box = shape.getbbox()
    if box is None:
        return painted
    draw, ink = ImageDraw.Draw(painted), (*second, alpha)
    period = max(3.0, scale * min(box[2] - box[0], box[3] - box[1]))
    PATTERNS[look.pattern](draw, box, period, ink)
    if look.emblem != "none":
        x, y, side = _middle(shape, box)
        patch = side * PATCH_SHARE / 2
        if look.pattern != "plain":
            disc = (x - patch, y - patch, x + patch, y + patch)
            rim = (*darker(ground, 0.3), alpha)
            draw.ellipse(disc, fill=(*ground, alpha), outline=rim, width=max(1, round(side * 0.025)))
        half = side * EMBLEM_SHARE / 2
        draw.polygon([(x + half * u, y + half * v) for u, v in EMBLEMS[look.emblem]()], fill=ink)
    return painted


def check_look(look: Look) -> None:
    """Raises BadInput naming the value, where the drawn world has no such colour, pattern or emblem."""
    for field, value, known in (
        ("colour", look.colour, FULL.colours),
        ("second", look.second, FULL.colours),
        ("pattern", look.pattern, FULL.patterns),
        ("emblem", look.emblem, FULL.emblems),
    ):
        if value not in known:
            raise BadInput.at(f"look.{field}", f"there is no {value!r}", f"use one of {', '.join(known)}")


def _middle(shape: Image.Image, box: Box) -> tuple[float, float, float]:
    """Where an emblem sits: the shape's centre of mass, and the side of the room around it.

    The room is the smaller of the bounding box's sides and of the runs through the centre, so that an emblem on a
    narrow part of a wide shape (a dress, a guitar) stays on it.
    """
    covered = np.asarray(shape.convert("L")) > 127
    columns, rows = covered.sum(axis=0), covered.sum(axis=1)
    total = int(columns.sum())
    if total == 0:
        return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, float(min(box[2] - box[0], box[3] - box[1]))
    x = float(columns @ np.arange(columns.size)) / total
    y = float(rows @ np.arange(rows.size)) / total
    across, down = _run(covered[round(y)], x), _run(covered[:, round(x)], y)
    room = [float(box[2] - box[0]), float(box[3] - box[1])]
    room += [run[1] - run[0] for run in (across, down) if run]
    return (sum(across) / 2 if across else x), y, min(room)


def _run(line: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], at: float) -> tuple[float, float] | None:
    """First and last pixel (exclusive) of the covered run through `at`; None where it is bare."""
    middle = round(at)
    if not line[middle]:
        return None
    gaps = np.flatnonzero(~line)
    split = int(np.searchsorted(gaps, middle))
    first = int(gaps[split - 1]) + 1 if split > 0 else 0
    last = int(gaps[split]) if split < gaps.size else line.size
    return float(first), float(last)


Painter = Callable[[ImageDraw.ImageDraw, Box, float, Ink], None]


def _plain(draw: ImageDraw.ImageDraw, box: Box, period: float, ink: Ink) -> None:
    """Leave the ground as it is."""


def _steps(first: float, last: float, period: float) -> tuple[list[float], int]:
    """Places a period apart that cover first..last, one of them its middle, and the middle's index."""
    around = math.ceil((last - first) / 2 / period) + 1
    middle = (first + last) / 2
    return [middle + step * period for step in range(-around, around + 1)], around


def _stripes(draw: ImageDraw.ImageDraw, box: Box, period: float, ink: Ink) -> None:
    """Upright bars, half a period wide."""
    for x in _steps(box[0], box[2], period)[0]:
        draw.rectangle((x - period * 0.25, box[1], x + period * 0.25 - 1, box[3]), fill=ink)


def _dots(draw: ImageDraw.ImageDraw, box: Box, period: float, ink: Ink) -> None:
    """Round dots in rows, every other row shifted by half a period."""
    radius = period * 0.32
    rows, start = _steps(box[1], box[3], period * 0.8)
    for index, y in enumerate(rows):
        shift = period / 2 if (index - start) % 2 else 0.0
        for x in _steps(box[0], box[2], period)[0]:
            middle = x + shift
            draw.ellipse((middle - radius, y - radius, middle + radius, y + radius), fill=ink)


def _checks(draw: ImageDraw.ImageDraw, box: Box, period: float, ink: Ink) -> None:
    """A chessboard of fields 0.6 periods wide."""
    field = period * 0.6
    columns, left = _steps(box[0], box[2], field)
    rows, top = _steps(box[1], box[3], field)
    for row, y in enumerate(rows):
        for column, x in enumerate(columns):
            if (row - top + column - left) % 2 == 0:
                draw.rectangle((x - field / 2, y - field / 2, x + field / 2 - 1, y + field / 2 - 1), fill=ink)


def _band(draw: ImageDraw.ImageDraw, box: Box, period: float, ink: Ink) -> None:
    """One broad level band over the middle."""
    middle, half = (box[1] + box[3]) / 2, max(period * 0.62, (box[3] - box[1]) * 0.15)
    draw.rectangle((box[0], middle - half, box[2], middle + half), fill=ink)


def _zigzags(draw: ImageDraw.ImageDraw, box: Box, period: float, ink: Ink) -> None:
    """Level zigzag lines, one period long and about one apart."""
    half, rise, thick = period * 0.55, period * 0.26, period * 0.24
    columns, left = _steps(box[0], box[2], half)
    heights = [rise if (index - left) % 2 else -rise for index in range(len(columns))]
    for y in _steps(box[1], box[3], period * 1.0)[0]:
        upper = [(x, y + height - thick) for x, height in zip(columns, heights, strict=True)]
        lower = [(x, y + height + thick) for x, height in zip(columns, heights, strict=True)]
        draw.polygon([*upper, *reversed(lower)], fill=ink)


def _triangles(draw: ImageDraw.ImageDraw, box: Box, period: float, ink: Ink) -> None:
    """Rows of upright triangles, every other row shifted by half a period."""
    half, rise = period * 0.42, period * 0.38
    rows, start = _steps(box[1], box[3], period * 0.95)
    for index, y in enumerate(rows):
        shift = period / 2 if (index - start) % 2 else 0.0
        for x in _steps(box[0], box[2], period)[0]:
            middle = x + shift
            draw.polygon([(middle, y - rise), (middle + half, y + rise), (middle - half, y + rise)], fill=ink)


PATTERNS: Mapping[str, Painter] = {
    "plain": _plain,
    "stripes": _stripes,
    "dots": _dots,
    "checks": _checks,
    "band": _band,
    "zigzags": _zigzags,
    "triangles": _triangles,
}


@cache
def _star() -> Points:
    """Five points, one of them up; -1..1 both ways."""
    points = []
    for corner in range(10):
        reach = 1.08 if corner % 2 == 0 else 0.46
        turn = math.pi * corner / 5
        points.append((reach * math.sin(turn), 0.06 - reach * math.cos(turn)))
    return points


@cache
def _heart() -> Points:
    """The usual curve x = sin^3, y = a sum of cosines, brought to -1..1."""
    points = []
    for step in range(32):
        turn = math.tau * step / 32
        rise = 13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)
        points.append((math.sin(turn) ** 3, -rise / 16.2 - 0.08))
    return points


@cache
def _circle() -> Points:
    """A full disc."""
    return [(0.92 * math.sin(math.tau * step / 28), 0.92 * math.cos(math.tau * step / 28)) for step in range(28)]


@cache
def _moon() -> Points:
    """A crescent, open to the right: an outer arc and a shifted inner one back."""
    outer = [(-math.cos(turn), math.sin(turn)) for turn in _arc(2.2, 20)]
    tip_x, tip_y = outer[-1]
    reach = math.hypot(tip_x - 0.42, tip_y)
    limit = math.atan2(tip_y, 0.42 - tip_x)
    inner = [(0.42 - reach * math.cos(turn), reach * math.sin(turn)) for turn in _arc(limit, 16)]
    return [(x + 0.16, y) for x, y in [*outer, *reversed(inner)]]


def _arc(limit: float, steps: int) -> list[float]:
    return [limit * (2 * step / steps - 1) for step in range(steps + 1)]


@cache
def _leaf() -> Points:
    """A pointed blade leaning right, with a stalk at its lower left."""
    side = [(0.62 * math.sin(math.pi * step / 12) ** 0.9, -1.05 + 1.75 * step / 12) for step in range(13)]
    blade = [*side, (0.1, 0.72), (0.1, 1.1), (-0.1, 1.1), (-0.1, 0.72), *((-x, y) for x, y in reversed(side))]
    cosine, sine = math.cos(0.6), math.sin(0.6)
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in blade]


@cache
def _bolt() -> Points:
    """A flash of lightning."""
    return [(0.2, -1.1), (-0.68, 0.14), (-0.1, 0.14), (-0.3, 1.1), (0.68, -0.24), (0.08, -0.24), (0.5, -1.1)]


EMBLEMS: Mapping[str, Callable[[], Points]] = {
    "star": _star,
    "heart": _heart,
    "circle": _circle,
    "moon": _moon,
    "leaf": _leaf,
    "bolt": _bolt,
}
