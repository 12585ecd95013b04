"""The drawn styles: the same size, the same large colours, and each one unlike the others."""

from __future__ import annotations

import colorsys
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.errors import BadInput
from core.training.world.places import draw_place
from core.training.world.styles import draw_in
from core.training.world.truth import FULL

PATCHES = {(0, 0): (214, 50, 48), (1, 0): (240, 200, 40), (0, 1): (40, 160, 70), (1, 1): (50, 80, 210)}
"""Four quarters of a picture in the order of their hues."""


def quarters() -> Image.Image:
    picture = Image.new("RGB", (128, 128))
    pen = ImageDraw.Draw(picture)
    for (x, y), fill in PATCHES.items():
        pen.rectangle((x * 64, y * 64, x * 64 + 63, y * 64 + 63), fill=fill)
    return picture


def turned_away(one: float, other: float) -> float:
    """How far two hues (0 to 1, around a circle) lie apart."""
    return abs((one - other + 0.5) % 1 - 0.5)


@pytest.mark.parametrize("style", FULL.styles)
@pytest.mark.parametrize("size", [(96, 96), (128, 128), (160, 97), (101, 202), (320, 160)])
def test_a_style_keeps_the_size_and_depends_on_the_picture_alone(style: str, size: tuple[int, int]) -> None:
    picture = draw_place("garden", "day", *size, seed=5)
    before = picture.tobytes()
    drawn = draw_in(style, picture)
    assert (drawn.mode, drawn.size) == ("RGB", size)
    assert drawn.tobytes() == draw_in(style, picture).tobytes()
    assert picture.tobytes() == before
    assert (drawn.tobytes() == before) == (style == "plain")


@pytest.mark.parametrize("style", FULL.styles)
def test_large_colours_keep_their_hue(style: str) -> None:
    drawn = np.asarray(draw_in(style, quarters()), dtype=float) / 255
    for (x, y), fill in PATCHES.items():
        mean = drawn[y * 64 + 14 : y * 64 + 50, x * 64 + 14 : x * 64 + 50].mean(axis=(0, 1))
        hue = colorsys.rgb_to_hsv(*mean)[0]
        away = [
            turned_away(hue, colorsys.rgb_to_hsv(*(band / 255 for band in other))[0]) for other in PATCHES.values()
        ]
        assert list(PATCHES.values())[int(np.argmin(away))] == fill, (style, fill, mean)


def test_no_two_styles_look_alike() -> None:
    for place, time in (("beach", "day"), ("city", "night"), ("kitchen", "day"), ("forest", "sunset")):
        picture = draw_place(place, time, 128, 128, seed=2)
        drawn = {style: np.asarray(draw_in(style, picture), dtype=float) for style in FULL.styles}
        for one, other in combinations(FULL.styles, 2):
            assert np.abs(drawn[one] - drawn[other]).mean() > 4, (place, time, one, other)


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(BadInput, match="fresco"):
        draw_in("fresco", quarters())
