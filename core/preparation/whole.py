"""Pictures that are kept whole: resized to the reference's area, refused when there is too little to see."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.images import fit, on_white
from core.requests import Method

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

KEEP_WHOLE = Method("keep-background", "1")

NARROWEST = 8
"""A picture's longer side is at most so many times the shorter one."""


def keep_whole(picture: Picture, area: int, multiple: int, source: str) -> Picture:
    """The picture over white, resized to `area`; RGB.

    Raises:
        BadInput: it is narrower than 1 to 8, or would have to be enlarged more than four times along a side.
    """
    _hold_to_limits(picture, isqrt(area) // 4, source)
    return fit(on_white(picture), area, multiple)


def keep_square(picture: Picture, side: int, source: str) -> Picture:
    """The picture over white, resized into the middle of a white square of `side` pixels; RGB.

    Raises:
        BadInput: as `keep_whole`.
    """
    from PIL import Image

    _hold_to_limits(picture, side // 4, source)
    longer = max(picture.size)
    width, height = (max(1, round(length * side / longer)) for length in picture.size)
    resized = on_white(picture).resize((width, height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), "white")
    square.paste(resized, ((side - width) // 2, (side - height) // 2))
    return square


def _hold_to_limits(picture: Picture, least: int, source: str) -> None:
    width, height = picture.size
    if max(width, height) > NARROWEST * min(width, height):
        mend = f"Crop it: one side may be at most {NARROWEST} times the other"
        raise BadInput.at(source, f"is too narrow ({width} x {height} pixels)", mend)
    if max(width, height) < least:
        mend = f"Give a picture that is at least {least} pixels wide or high"
        raise BadInput.at(source, f"is too small ({width} x {height} pixels)", mend)
