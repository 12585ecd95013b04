"""What can be said of an image without any reference: how sharp it is, how blank, how rich in contrast.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.requests import Score

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

GLANCE_SIDE = 512
"""Pixels of the longer side at which images are looked at; smaller ones are looked at as they are."""

REBLUR = 9
"""Pixels of the box that blurs once more (Crete et al. use nine)."""

GRAIN = 4.0
"""Grey levels between neighbours that are taken for grain and not for edges."""

LAB_SIDE = 128
"""Pixels of the longer side at which colours are looked at."""

ONE_COLOUR = 5.0
"""CIE76 distance up to which pixels count as one colour."""


def glance(picture: Picture) -> Picture:
    """What all scores without weights look at: RGB, reduced to 512 pixels, so that sizes can be compared."""
    return reduced(picture.convert("RGB"), GLANCE_SIDE)


def whole(image: Picture) -> list[Score]:
    """`sharpness`, `blankness` and `contrast` of an image at a glance."""
    lab_HWC = small_lab(image)
    return [
        Score("sharpness", sharpness(image), "the image with itself blurred once more"),
        Score("blankness", blankness(lab_HWC), "all pixels with the most frequent colour", higher_is_better=False),
        Score("contrast", contrast(lab_HWC), "the lightest with the darkest twentieth of the pixels"),
    ]


def sharpness(image: Picture) -> float:
    """0 (no edge is left) to 1: how much of the edges a blur takes away; it takes little from what is blurred.

    1 - the blur of Crete, Dolmiere, Ladret and Nicolas, "The blur effect" (SPIE 6492, 2007), over both
    directions together, on steps above the grain.
    """
    import cv2
    import numpy as np

    grey_HW = np.asarray(image.convert("L"), np.float32)
    lost = steps = 0.0
    for turned_HW in (grey_HW, grey_HW.T):
        blurred_HW = cv2.blur(np.ascontiguousarray(turned_HW), (REBLUR, 1))
        step_HW, left_HW = (np.abs(np.diff(one_HW, axis=1)) for one_HW in (turned_HW, blurred_HW))
        lost += float(np.maximum(step_HW - left_HW - GRAIN, 0).sum(dtype=np.float64))
        steps += float(step_HW.sum(dtype=np.float64))
    return round(lost / steps, 4) if steps else 0.0


def blankness(lab_HWC: Any) -> float:
    """The share of the pixels within a just visible distance of the most frequent colour, 0 to 1."""
    import numpy as np

    lab_NC = lab_HWC.reshape(-1, 3)
    cells_NC = np.floor(lab_NC / (2 * ONE_COLOUR)).astype(np.int64)
    keys_N = (cells_NC + 64) @ np.array([1, 256, 65536])
    _, where_N, counts = np.unique(keys_N, return_inverse=True, return_counts=True)
    colour_C = np.median(lab_NC[where_N == int(counts.argmax())], axis=0)
    return round(float((np.linalg.norm(lab_NC - colour_C, axis=1) <= ONE_COLOUR).mean()), 4)


def contrast(lab_HWC: Any) -> float:
    """Between the 5th and the 95th percentile of lightness (L* / 100), 0 to 1; low: a flat, grey image."""
    import numpy as np

    dark, light = np.percentile(lab_HWC[..., 0], (5, 95))
    return round(float(light - dark) / 100, 4)


def small_lab(image: Picture, side: int = LAB_SIDE) -> Any:
    """CIELAB (D65; L* from 0 to 100) of an image reduced to `side`, as float32 HWC."""
    return lab_of(reduced(image.convert("RGB"), side))


def lab_of(picture: Any) -> Any:
    """CIELAB of an RGB picture or of levels from 0 to 255, as float32 HWC."""
    import cv2
    import numpy as np

    return cv2.cvtColor(np.asarray(picture, np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)


def reduced(picture: Picture, side: int) -> Picture:
    """With a longer side of `side` pixels at most, each the mean of those below it."""
    from PIL import Image

    longer = max(picture.size)
    if longer <= side:
        return picture
    width, height = (max(1, round(length * side / longer)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)
