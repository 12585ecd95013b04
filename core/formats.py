"""Shapes of images: what a campaign asks for, what the model makes, what has to be cut and scaled.

A model makes sides between two bounds on a grid, at most 4:3 in DreamO's case; the shapes that channels want
are wider. The native size is the one within the bounds whose proportions lose the least when it is cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.cards import ModelCard

FORMATS: Mapping[str, tuple[int, int]] = {
    "square": (1080, 1080),
    "portrait": (1080, 1350),
    "landscape": (1350, 1080),
    "story": (1080, 1920),
    "wide": (1920, 1080),
    "banner": (1200, 628),
}
"""Pixels wanted by the common placements: feed square 1:1, feed portrait 4:5, story 9:16, link banner 1.91:1."""


@dataclass(frozen=True, slots=True)
class Shape:
    """From what is generated to what is asked for, in pixels.

    `native` is made by the model; `crop` is the centred part of it with the wanted proportions; `wanted` is
    what delivery scales the crop to.
    """

    name: str
    native: tuple[int, int]
    crop: tuple[int, int]
    wanted: tuple[int, int]

    def __str__(self) -> str:
        made, cut, asked = ("x".join(map(str, size)) for size in (self.native, self.crop, self.wanted))
        steps = [made] + ([f"crop {cut}"] if self.crop != self.native else [])
        scale = self.wanted[0] / self.crop[0]
        return " → ".join(steps + ([f"scale {scale:.2f} to {asked}"] if self.wanted != self.crop else []))


def wanted_size(name: str) -> tuple[int, int] | None:
    """Pixels of a format by name (`square`) or written out (`1200x628`); None for neither."""
    written = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", name)
    return (int(written[1]), int(written[2])) if written else FORMATS.get(name)


def shape(name: str, card: ModelCard) -> Shape | None:
    """The way from the card's native size to the format; None for a name that is no format."""
    wanted = wanted_size(name)
    if wanted is None:
        return None
    native = native_size(wanted, card)
    return Shape(name, native, crop_size(native, wanted), wanted)


def crop_size(made: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """The largest part of what was made that has the proportions of `wanted`, pixels; at least one each way."""
    width, height = made
    across = wanted[0] / wanted[1]
    if across >= width / height:
        return width, max(1, round(width / across))
    return max(1, round(height * across)), height


def native_size(wanted: tuple[int, int], card: ModelCard) -> tuple[int, int]:
    """The size on the card's grid that keeps most of its pixels when cut to `wanted`'s proportions.

    Among equals, the one whose area is nearest to the card's.
    """
    low, high = card.sides
    across = wanted[0] / wanted[1]

    def loss(size: tuple[int, int]) -> tuple[float, int]:
        made = size[0] / size[1]
        return (round(1 - min(made / across, across / made), 2), abs(size[0] * size[1] - card.area))

    sides = range(-(-low // card.grid) * card.grid, high + 1, card.grid)
    return min(((width, height) for width in sides for height in sides), key=loss)
