"""Thick lines of the drawn world: the same pixels as Pillow's own."""

from __future__ import annotations

import random

import pytest
from PIL import Image, ImageDraw

from core.training.world.strokes import stroke


@pytest.mark.parametrize("width", [1, 4, 5, 8, 9, 16, 31])
@pytest.mark.parametrize(("mode", "ink"), [("1", 1), ("L", 200), ("RGB", (9, 8, 7)), ("RGBA", (9, 8, 7, 120))])
def test_a_line_with_round_joints_is_pillows(mode: str, ink: int | tuple[int, ...], width: int) -> None:
    chance = random.Random(width)
    for count in (2, 3, 9):
        points = [(chance.uniform(-20, 120), chance.uniform(-20, 120)) for _ in range(count)]
        points += [points[0], points[0], (points[0][0] + 7, points[0][1])]
        ours, theirs = Image.new(mode, (100, 100)), Image.new(mode, (100, 100))
        stroke(ImageDraw.Draw(ours), points, ink, width)
        ImageDraw.Draw(theirs).line(points, fill=ink, width=width, joint="curve")
        assert ours.tobytes() == theirs.tobytes()
