"""Thick lines with round joints: what Pillow draws with `joint="curve"`, with less work in Python."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import atan2, ceil, cos, degrees, floor, radians, sin

from PIL import ImageDraw

Point = tuple[float, float]
Ink = int | tuple[int, ...]

THIN, WIDE = 4, 8
"""Up to which width a line has no joints, and up to which its joints leave no gaps."""


def stroke(pen: ImageDraw.ImageDraw, points: Sequence[Point], ink: Ink, width: int) -> None:
    """A line through the points, `width` pixels thick, round where it bends.

    A joint is a slice of a disc on the outer side of the bend, with a thin line along its straight edges.
    """
    canvas = pen.draw
    level = canvas.draw_ink(ink)
    canvas.draw_lines(points, level, width)
    if width <= THIN:
        return
    half, reach = width / 2, width / 2 - 1
    angles = [degrees(atan2(bx - ax, ay - by)) % 360 for (ax, ay), (bx, by) in pairwise(points)]
    for (x, y), before, after in zip(points[1:], angles, angles[1:], strict=False):
        if before == after:
            continue
        box = (x - half + 1, y - half + 1, x + half - 1, y + half - 1)
        if (after > before and after - 180 > before) or (after < before and after + 180 > before):
            near, far = before + 90 - 90, after + 90 - 90
            canvas.draw_pieslice(box, far, near, level, 1)
        else:
            near, far = before - 90 - 90, after - 90 - 90
            canvas.draw_pieslice(box, near, far, level, 1)
        if width > WIDE:
            (ax, ay), (bx, by) = _rim(reach, near), _rim(reach, far)
            canvas.draw_lines((x + ax, y + ay, x, y, x + bx, y + by), level, 3)


@lru_cache(maxsize=4096)
def _rim(reach: float, angle: float) -> tuple[int, int]:
    """Whole pixels from a circle's middle to its rim at `angle` degrees."""
    across, down = reach * cos(radians(angle)), reach * sin(radians(angle))
    return floor(across) if across > 0 else ceil(across), floor(down) if down > 0 else ceil(down)
