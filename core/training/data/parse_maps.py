"""Parse maps: pictures that say of each pixel which part of a person it shows, by number or by colour."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.errors import BadInput
from core.images import probe_file

Numbers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

LIP = (
    *((0, 0, 0), (128, 0, 0), (255, 0, 0), (0, 85, 0), (170, 0, 51), (255, 85, 0), (0, 0, 85), (0, 119, 221)),
    *((85, 85, 0), (0, 85, 85), (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 255), (51, 170, 221)),
    *((0, 255, 255), (85, 255, 170), (170, 255, 85), (255, 255, 0), (255, 170, 0)),
)
"""The colours in which the twenty parts of the LIP and CIHP sets are painted, by their numbers."""

LIP_NAMES = (
    *("background", "hat", "hair", "glove", "sunglasses", "upper clothes", "dress", "coat", "socks", "trousers"),
    *("torso", "scarf", "skirt", "face", "left arm", "right arm", "left leg", "right leg", "left shoe"),
    "right shoe",
)
LIP_PARTS: Mapping[str, int] = {name: number for number, name in enumerate(LIP_NAMES)}
"""As VITON-HD's `image-parse` numbers them."""

DRESS_CODE_NAMES = (
    *("background", "hat", "hair", "sunglasses", "upper clothes", "skirt", "trousers", "dress", "belt"),
    *("left shoe", "right shoe", "head", "left leg", "right leg", "left arm", "right arm", "bag", "scarf"),
)
DRESS_CODE_PARTS: Mapping[str, int] = {name: number for number, name in enumerate(DRESS_CODE_NAMES)}
"""As DressCode's `label_maps` number them."""

NEAR = 40
"""Levels by which a painted colour may be off; JPEG moves them."""


def read_numbers(path: Path, colours: Collection[tuple[int, int, int]] = LIP) -> Numbers:
    """Of each pixel the part's number, (H, W): from a palette's or a grey picture's values, else by colour.

    Raises:
        BadInput: it can't be read, or has a colour that no part has.
    """
    probe_file(path)
    try:
        with Image.open(path, formats=("PNG", "GIF", "BMP", "JPEG")) as opened:
            if opened.mode in ("P", "L"):
                return np.asarray(opened).astype(np.int64)
            rgb_HWC = np.asarray(opened.convert("RGB")).astype(np.int64)
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise BadInput.at(str(path), f"can't be read as a parse map ({error})", "Give a PNG") from error
    known_KC = np.array([*colours])
    apart_HWK = np.stack([np.abs(rgb_HWC - colour).max(axis=2) for colour in known_KC], axis=2)
    numbers_HW: Numbers = apart_HWK.argmin(axis=2)
    if np.mean(apart_HWK.min(axis=2) > NEAR) > 0.05:
        raise BadInput.at(str(path), "has colours that no part is painted in", "Give a map with numbers")
    return numbers_HW


def part_mask(path: Path, parts: Collection[int], colours: Collection[tuple[int, int, int]] = LIP) -> Image.Image:
    """White where the map shows one of the parts, L.

    Raises:
        BadInput: as `read_numbers`.
    """
    shown_HW = np.isin(read_numbers(path, colours), [*parts])
    return Image.fromarray(shown_HW.astype(np.uint8) * 255)
