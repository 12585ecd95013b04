"""How alike two pictures are at a glance: difference hashes, and whether an image repeats its reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.requests import Score

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from core.scoring.references import Shown

TRIM_SIDE = 128
"""Pixels of both sides at which a picture's even border is looked for."""

TRIM_ABOVE = 16
"""Grey levels that content differs from an even border by, in its strongest channel."""


def look(picture: Picture) -> int:
    """A 64-bit difference hash: of 9 x 8 grey cells, whether each is brighter than its right neighbour.

    Near-duplicates differ in few bits. It is signed, as the database's bigint is.
    """
    from PIL import Image

    small = list(picture.convert("L").resize((9, 8), Image.Resampling.BOX).tobytes())
    bits = 0
    for row in range(8):
        for column in range(8):
            bits = bits << 1 | (small[row * 9 + column] > small[row * 9 + column + 1])
    return bits - (1 << 64) if bits >> 63 else bits


def likeness(one: int, other: int) -> float:
    """1 where two hashes are equal, 0 where half of the bits or more differ, as in unrelated pictures."""
    differing = ((one ^ other) & (1 << 64) - 1).bit_count()
    return max(0.0, 1 - differing / 32)


def copied(image: Picture, shown: Shown) -> Score:
    """`copy:NAME`: whether the image repeats the reference's picture; 1: the same picture once more.

    Both are compared whole, and once more without the even border around their content, so that a product
    pasted smaller onto a plain ground is seen too.
    """
    reference = shown.prepared.picture
    value = max(
        likeness(look(image), look(reference)),
        likeness(look(trimmed(image)), look(trimmed(reference))),
    )
    compared = f"the whole image with the reference {shown.name}, by 64 differences of neighbouring cells"
    return Score(f"copy:{shown.name}", round(value, 4), compared, higher_is_better=False)


def trimmed(picture: Picture) -> Picture:
    """Without an even border: the box of what differs from the border's median colour; else the whole picture."""
    import numpy as np
    from PIL import Image

    rgb = picture.convert("RGB")
    small_HWC = np.asarray(rgb.resize((TRIM_SIDE, TRIM_SIDE), Image.Resampling.BOX), np.int16)
    edges = (small_HWC[0], small_HWC[-1], small_HWC[:, 0], small_HWC[:, -1])
    ground_C = np.median(np.concatenate(edges), axis=0)
    content_HW = np.abs(small_HWC - ground_C).max(axis=2) > TRIM_ABOVE
    rows, columns = np.flatnonzero(content_HW.any(1)), np.flatnonzero(content_HW.any(0))
    if not rows.size:
        return rgb
    across, down = rgb.width / TRIM_SIDE, rgb.height / TRIM_SIDE
    left, right = int(columns[0] * across), -int(-(columns[-1] + 1) * across // 1)
    top, bottom = int(rows[0] * down), -int(-(rows[-1] + 1) * down // 1)
    return rgb.crop((left, top, max(left + 1, min(right, rgb.width)), max(top + 1, min(bottom, rgb.height))))
