"""Where in a picture the product stands, told by its ground and, where that is unsure, by GrabCut.

GrabCut (Rother, Kolmogorov, Blake: "GrabCut", SIGGRAPH 2004) is OpenCV's; what colours say for themselves is
given to it as sure, so that it decides on narrow seams only.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.preparation.ground import Ground, border

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

SPECK = 0.02
"""Parts smaller than this share of the largest are dust."""

HOLE = 0.005
"""Share of the picture from which on an enclosed part of the ground's colour is a hole (a mug's handle)."""

SHARP = 3.5
"""Lab difference within 3 pixels that no soft shadow has, in a picture of 512 pixels."""

RIPPLED = 0.3
"""Lab distance by which the ground trembles beside edges from which on it is JPEG's doing."""

SMALL = 384
"""Pixels of the longer side up to which JPEG's blocks of 8 are large beside the product."""


def find_product(rgb_HWC: Bytes, ground: Ground, seed: int) -> Flags:
    """Pixels of the product; none where nothing stands out.

    Args:
        rgb_HWC: the picture, at a size of some hundred pixels.
        ground: as learned from it.
        seed: for OpenCV's random generator, which GrabCut draws from.
    """
    import cv2
    import numpy as np

    ripples = _ripples(ground.distance_HW) if max(ground.distance_HW.shape) <= SMALL else 0.0
    noise = max(ground.noise, 1.5, 2 * ripples) if ripples > RIPPLED else ground.noise
    low, high = max(1.5, 2 * noise), max(4.5, 4 * noise)
    alike_HW = ground.distance_HW < low
    rippled_HW = _rippled(ground.distance_HW) if ripples > RIPPLED else np.zeros_like(alike_HW)
    differs_HW = (ground.distance_HW >= high) & ~rippled_HW
    outside_HW = _reached_from_border(alike_HW & ~ground.off_HW)
    outside_HW |= _shadow(rgb_HWC, ground, outside_HW, differs_HW)
    hole_HW = _holes(~differs_HW & ~outside_HW, ground.distance_HW, low)
    sure_HW, away_HW = differs_HW & ~outside_HW, outside_HW | (hole_HW & alike_HW)
    if not sure_HW.any() or not away_HW.any():
        return sure_HW
    seeds_HW = np.full(alike_HW.shape, cv2.GC_PR_FGD, np.uint8)
    seeds_HW[rippled_HW] = cv2.GC_PR_BGD
    seeds_HW[away_HW] = cv2.GC_BGD
    seeds_HW[sure_HW] = cv2.GC_FGD
    if not (sure_HW | away_HW).all():
        cv2.setRNGSeed(seed & 0x7FFFFFFF)
        bgr_HWC = np.ascontiguousarray(rgb_HWC[..., ::-1])
        cv2.grabCut(bgr_HWC, seeds_HW, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found_HW = np.isin(seeds_HW, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return without_specks(_filled(found_HW, away_HW))


def _ripples(distance_HW: Floats) -> float:
    """How much the ground trembles beside strong edges, where JPEG leaves ripples that the border lacks."""
    import cv2
    import numpy as np

    square, wide = np.ones((3, 3), np.uint8), np.ones((17, 17), np.uint8)
    beside_HW = cv2.dilate((distance_HW > 20).astype(np.uint8), wide)
    calm_HW = cv2.erode((distance_HW < 5.5).astype(np.uint8), square) & beside_HW
    if not calm_HW.any():
        return 0.0
    trembling_HW = np.abs(distance_HW - cv2.blur(distance_HW, (3, 3)))
    return float(np.percentile(trembling_HW[calm_HW > 0], 90))


def _rippled(distance_HW: Floats) -> Flags:
    """Where a difference is likely a ripple: weak beside what is near, and rising from the bare ground.

    A pale part of the product is weak too, but it is a plateau.
    """
    import cv2
    import numpy as np

    strongest_HW = cv2.dilate(distance_HW, np.ones((17, 17), np.uint8))
    weakest_HW = cv2.erode(distance_HW, np.ones((7, 7), np.uint8))
    return np.asarray((distance_HW < 0.2 * strongest_HW) & (weakest_HW < 2.5), bool)


def _reached_from_border(alike_HW: Flags) -> Flags:
    """The parts of `alike_HW` that are connected with the border."""
    import cv2
    import numpy as np

    _, part_HW = cv2.connectedComponents(alike_HW.astype(np.uint8), connectivity=4)
    reached = np.unique(part_HW[border(*alike_HW.shape) & alike_HW])
    return np.isin(part_HW, reached) & alike_HW


def _shadow(rgb_HWC: Bytes, ground: Ground, outside_HW: Flags, differs_HW: Flags) -> Flags:
    """The product's soft shadow: the ground's own colour, darker, reached from outside without a sharp edge.

    Where that would take more than half of what differs from the ground, it is a pale product's shading.
    """
    import cv2
    import numpy as np

    rgb_HWC = cv2.GaussianBlur(rgb_HWC.astype(np.float32), (3, 3), 0)
    ground_HWC = np.maximum(ground.colour_HWC, 1)
    light_HW = (rgb_HWC * ground_HWC).sum(axis=2) / (ground_HWC**2).sum(axis=2)
    aside_HW = np.linalg.norm(rgb_HWC - light_HW[..., None] * ground_HWC, axis=2)
    darker_HW = (light_HW > 0.5) & (light_HW < 1.02) & (aside_HW < 6)
    square = np.ones((3, 3), np.uint8)
    sharp = SHARP * (512 / max(outside_HW.shape)) ** 0.5
    step_HW = cv2.morphologyEx(ground.distance_HW, cv2.MORPH_GRADIENT, square)
    soft_HW = outside_HW | (darker_HW & (step_HW < sharp))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    wide_HW = cv2.erode((soft_HW & ~ground.off_HW).astype(np.uint8), disc) > 0
    reached_HW = cv2.dilate(_reached_from_border(wide_HW).astype(np.uint8), disc) > 0
    shadow_HW = reached_HW & darker_HW & ~outside_HW
    if (shadow_HW & differs_HW).sum() > 0.5 * differs_HW.sum():
        return np.zeros_like(shadow_HW)
    return np.asarray(shadow_HW, bool)


def _holes(inner_HW: Flags, distance_HW: Floats, low: float) -> Flags:
    """Enclosed parts through which the ground shows: large enough, and of its very colour.

    Small ones, and those a shade off, are the product's own (a dot, a highlight, the white of an eye).
    """
    import cv2
    import numpy as np

    count, part_HW, stats, _ = cv2.connectedComponentsWithStats(inner_HW.astype(np.uint8), connectivity=4)
    through = [
        part
        for part in range(1, count)
        if stats[part, cv2.CC_STAT_AREA] >= HOLE * inner_HW.size and np.median(distance_HW[part_HW == part]) < low
    ]
    return np.isin(part_HW, through)


def _filled(found_HW: Flags, away_HW: Flags) -> Flags:
    """Closes the gaps inside of what was found, but for what is surely ground."""
    closed_HW = ~_reached_from_border(~found_HW)
    return closed_HW & (found_HW | ~away_HW)


def without_specks(found_HW: Flags) -> Flags:
    """What was found, but for parts that are dust beside the largest."""
    import cv2
    import numpy as np

    count, part_HW, stats, _ = cv2.connectedComponentsWithStats(found_HW.astype(np.uint8), connectivity=8)
    if count < 2:
        return found_HW
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = [part for part in range(1, count) if areas[part] >= max(4, SPECK * areas[1:].max())]
    return np.isin(part_HW, kept)
