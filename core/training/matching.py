"""A piece looked for in a picture.

Shape suffixes: H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]
"""Levels 0 to 255, as bytes or as float32."""


def best_match(ground_HWC: Pixels, piece_HWC: Pixels, mask_HW: Pixels | None = None) -> float:
    """The best normalised correlation of the piece with any part of the ground, -1 to 1.

    Args:
        ground_HWC: what is looked through.
        piece_HWC: no larger than the ground, and of its type.
        mask_HW: bytes, 255 where the piece counts; None: everywhere.

    Returns:
        -1 also where the ground is too plain to tell anything.
    """
    import cv2

    found = cv2.matchTemplate(
        np.ascontiguousarray(ground_HWC), np.ascontiguousarray(piece_HWC), cv2.TM_CCOEFF_NORMED, mask=mask_HW
    )
    found = found[np.isfinite(found)]
    return min(1.0, float(found.max())) if found.size else -1.0
