"""From a hard mask to a soft one, and onto white without a halo.

A pixel on the edge of a product is a mixture of the product's colour and the ground's. Within a narrow band
both are taken from the nearest pixels that are surely one or the other, the share of the product follows by
projection, and on white the product's own colour is mixed anew.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]


TOLD_APART = 12.0
"""RGB distance under which product and ground are too alike to tell their mixtures apart."""

ASIDE = 24.0
"""RGB distance from the line between product and ground past which a pixel is a colour of its own; 0.35 of
the line's length where that is more, for JPEG stores colour more coarsely than light."""


FLAT = 8.0
"""Difference within one channel up to which neighbours are of one colour."""


def soften(rgb_HWC: Bytes, hard_HW: Flags, band: int) -> tuple[Floats, Floats]:
    """Shares of the product within `band` pixels on both sides of a mask's edge.

    Args:
        rgb_HWC: the picture.
        hard_HW: where the product is.
        band: how far the true edge may be from the mask's.

    Returns:
        alpha_HW: 0-1; and colour_HWC: the product's colour without the ground's, 0-255, right wherever
        alpha is not 0.
    """
    import numpy as np

    colour_HWC = rgb_HWC.astype(np.float32)
    core_HW, around_HW = _shrunk(hard_HW, band), _shrunk(~hard_HW, band)
    if not core_HW.any() or not around_HW.any():
        return hard_HW.astype(np.float32), colour_HWC
    unsure_HW = ~(core_HW | around_HW)
    product_HWC, far_HW = _nearest(colour_HWC, core_HW)
    ground_HWC, _ = _nearest(colour_HWC, around_HW)
    product_NC, ground_NC, seen_NC = product_HWC[unsure_HW], ground_HWC[unsure_HW], colour_HWC[unsure_HW]
    across_NC = product_NC - ground_NC
    length_N = np.linalg.norm(across_NC, axis=1)
    share_N = np.clip(((seen_NC - ground_NC) * across_NC).sum(axis=1) / np.maximum(length_N, 1e-3) ** 2, 0, 1)
    beside_N = np.linalg.norm(seen_NC - ground_NC - share_N[:, None] * across_NC, axis=1)
    far_N, flat_N, hard_N = far_HW[unsure_HW], _flat(colour_HWC)[unsure_HW], hard_HW[unsure_HW]
    mixture_N = (length_N > TOLD_APART) & (beside_N < np.maximum(ASIDE, 0.35 * length_N)) & (far_N <= 2 * band)
    own_N = flat_N & (np.linalg.norm(seen_NC - ground_NC, axis=1) > TOLD_APART)
    mixture_N &= ~(own_N & hard_N)
    alpha_HW = core_HW.astype(np.float32)
    alpha_HW[unsure_HW] = np.where(mixture_N, share_N, hard_N)
    clean_HWC = colour_HWC.copy()
    clean_HWC[unsure_HW] = np.where((mixture_N & (share_N < 0.95))[:, None], product_NC, seen_NC)
    return alpha_HW, clean_HWC


def whiten(colour_HWC: Floats, alpha_HW: Floats) -> Bytes:
    """The product's colours over white."""
    import numpy as np

    over_HWC = colour_HWC * alpha_HW[..., None] + 255 * (1 - alpha_HW[..., None])
    return np.asarray(np.clip(np.rint(over_HWC), 0, 255), np.uint8)


def _flat(colour_HWC: Floats) -> Flags:
    """Pixels within some square of 3 x 3 that is all of one colour: on an edge there are none."""
    import cv2
    import numpy as np

    square = np.ones((3, 3), np.uint8)
    spread_HW = np.asarray(cv2.morphologyEx(colour_HWC, cv2.MORPH_GRADIENT, square)).max(axis=2)
    return np.asarray(cv2.dilate((spread_HW < FLAT).astype(np.uint8), square) > 0)


def _shrunk(flags_HW: Flags, by: int) -> Flags:
    """Takes `by` pixels off; the picture's frame takes nothing off."""
    import cv2
    import numpy as np

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    padded = cv2.copyMakeBorder(flags_HW.astype(np.uint8), by, by, by, by, cv2.BORDER_REPLICATE)
    inner = cv2.erode(padded, disc)[by:-by, by:-by]
    return np.asarray(inner, bool)


def _nearest(colour_HWC: Floats, known_HW: Flags) -> tuple[Floats, Floats]:
    """For each pixel the colour of the nearest known one, averaged with that one's known neighbours; how far."""
    import cv2
    import numpy as np

    weight_HW = cv2.blur(known_HW.astype(np.float32), (3, 3))
    mean_HWC = cv2.blur(colour_HWC * known_HW[..., None].astype(np.float32), (3, 3))
    mean_HWC = mean_HWC / np.maximum(weight_HW, 1e-6)[..., None]
    unknown = (~known_HW).astype(np.uint8)
    far_HW, label_HW = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label_C = np.zeros((int(label_HW.max()) + 1, 3), np.float32)
    of_label_C[label_HW[known_HW]] = mean_HWC[known_HW]
    return np.asarray(of_label_C[label_HW], np.float32), np.asarray(far_HW, np.float32)
