"""The drawn world's colours: one fixed value a name, and how far a drawing may stray from it.

The values lie well apart, so that a name can be told from a picture even after `shade` has moved it. White is not
pure and black not complete: both stay visible on white paper and in dark places.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

RGB = tuple[int, int, int]

COLOURS: Mapping[str, RGB] = {
    "red": (214, 36, 46),
    "yellow": (246, 208, 44),
    "green": (46, 158, 64),
    "blue": (34, 88, 212),
    "purple": (124, 52, 172),
    "pink": (246, 136, 186),
    "white": (240, 240, 238),
    "black": (31, 30, 34),
    "orange": (244, 122, 26),
    "teal": (18, 166, 168),
    "brown": (122, 72, 38),
    "grey": (140, 144, 150),
}

SKINS: Mapping[str, RGB] = {
    "light": (250, 214, 184),
    "tan": (222, 166, 118),
    "brown": (158, 102, 64),
    "dark": (92, 56, 38),
}

HAIR_COLOURS: Mapping[str, RGB] = {
    "black": (34, 30, 34),
    "brown": (106, 64, 36),
    "blond": (238, 200, 104),
    "red": (196, 78, 34),
    "grey": (162, 162, 168),
}

EYES: Mapping[str, RGB] = {
    "brown": (98, 56, 26),
    "blue": (48, 118, 218),
    "green": (48, 150, 74),
}

BRIGHTEST = 248


def shade(rgb: RGB, rng: random.Random, amount: float = 0.05) -> RGB:
    """The same hue a little brighter or darker: all channels times one factor in 1 - amount .. 1 + amount.

    No channel rises above `BRIGHTEST` (or its own value, where that is brighter), so white keeps an edge on paper.
    """
    factor = rng.uniform(1.0 - amount, 1.0 + amount)
    peak = max(rgb)
    if peak > 0:
        factor = min(factor, max(BRIGHTEST, peak) / peak)
    return _times(rgb, factor)


def darker(rgb: RGB, share: float) -> RGB:
    """`rgb` moved towards black by `share` (0 leaves it, 1 is black)."""
    return _times(rgb, 1.0 - share)


def lighter(rgb: RGB, share: float) -> RGB:
    """`rgb` moved towards white by `share` (0 leaves it, 1 is white)."""
    red, green, blue = (round(channel + (255 - channel) * share) for channel in rgb)
    return red, green, blue


def _times(rgb: RGB, factor: float) -> RGB:
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in rgb)
    return red, green, blue
