"""How true an image is to a reference's colours: main colours of the cut-out, and where the image shows them.

Colours are CIELAB; distances are CIEDE2000 (Sharma, Wu, Dalal: "The CIEDE2000 color-difference formula", Color
Research and Application 30, 2005): about 1 can just be seen, 10 is another shade, 50 another colour.

Shapes: H rows, W columns, C channels, N pixels, K colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from typing import TYPE_CHECKING, Any

from core.requests import Score
from core.scoring.whole import lab_of, small_lab

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from core.scoring.references import Shown

MOST_COLOURS = 4

LEAST_SHARE = 0.05
"""A colour that fewer of a cut-out's pixels have is no main colour."""

ALIKE = 7.0
"""Colours nearer to each other than this (CIE76) are one."""

SIDE = 96
"""Pixels of the longer side of reference and image at which colours are compared."""

SOLID = 192
"""From this value of a mask on, a pixel is surely the thing's."""

WINDOWS = (0.2, 0.3, 0.45, 0.65, 1.0)
"""Shares of the image's sides that a region may have."""

NEARLY = 0.97
"""Of the regions that show the colours about as well as the best does, the largest is taken."""

SEEN, MEASURED = 0.6, 0.25
"""Shares of a region that the thing has to fill to be seen there, and that its distance is measured on."""

SOFT = 12.0
"""CIE76 distance at which a pixel counts half when regions are looked for."""


@dataclass(frozen=True, slots=True)
class Colour:
    """A main colour, CIELAB, and its share of the cut-out; shares add up to 1."""

    lab: tuple[float, float, float]
    share: float


def true_to_colours(image: Picture, about: Shown) -> Score | None:
    """`colour:NAME`, 0 upwards, lower is better; None for a reference without a mask."""
    if about.prepared.mask is None:
        return None
    colours = main_colours(cut_out_lab(about))
    if not colours:
        return None
    distance, crop = nearest_region(small_lab(image, SIDE), colours)
    palette = ", ".join(f"{hexadecimal(one)} {one.share:.0%}" for one in colours)
    compared = f"the main colours of {about.name} ({palette}) with the region that shows them best, CIEDE2000"
    return Score(f"colour:{about.name}", round(distance, 3), compared, higher_is_better=False, crop=crop)


def cut_out_lab(about: Shown) -> Any:
    """CIELAB of the pixels (N, 3) that are surely the thing's."""
    import numpy as np
    from PIL import Image

    picture, mask = about.prepared.picture, about.prepared.mask
    assert mask is not None
    scale = min(1.0, 2 * SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    lab_HWC = lab_of(picture.resize(size, Image.Resampling.BOX))
    return lab_HWC[np.asarray(mask.resize(size, Image.Resampling.BOX)) >= SOLID]


def main_colours(lab_NC: Any) -> tuple[Colour, ...]:
    """Up to four colours by k-means, the largest first, always the same of the same pixels; none of no pixels."""
    import numpy as np

    if not len(lab_NC):
        return ()
    lab_NC = lab_NC[:: max(1, len(lab_NC) // 4096)].astype(np.float64)
    centres_KC = _seeds(lab_NC)
    for _ in range(8):
        owner_N = ((lab_NC[:, None] - centres_KC) ** 2).sum(2).argmin(1)
        centres_KC = np.array(
            [lab_NC[owner_N == k].mean(0) if (owner_N == k).any() else old for k, old in enumerate(centres_KC)]
        )
    shares_K = np.bincount(owner_N, minlength=len(centres_KC)) / len(owner_N)
    pairs = sorted(zip(shares_K, centres_KC, strict=True), key=lambda pair: -pair[0])
    kept = _merged([(float(share), centre_C) for share, centre_C in pairs])
    kept = [pair for pair in kept if pair[0] >= LEAST_SHARE] or kept[:1]
    total = sum(share for share, _ in kept)
    return tuple(
        Colour((float(lab_C[0]), float(lab_C[1]), float(lab_C[2])), share / total) for share, lab_C in kept
    )


def nearest_region(lab_HWC: Any, colours: tuple[Colour, ...]) -> tuple[float, tuple[float, float, float, float]]:
    """The distance to the colours in the region that shows them best, and the region as shares of the sides.

    Each colour is held against the mean of the pixels there that are nearest to it (by CIE76, which is cheap):
    texture cancels out.
    """
    import numpy as np

    height, width = lab_HWC.shape[:2]
    far_KHW = np.stack([np.linalg.norm(lab_HWC - np.array(one.lab, np.float32), axis=2) for one in colours])
    left, top, right, bottom = _region(1 / (1 + (far_KHW / SOFT) ** 2), [one.share for one in colours])
    area = (right - left) * (bottom - top)
    distance = 0.0
    for one, far_HW in zip(colours, far_KHW, strict=True):
        count = max(1, round(one.share * MEASURED * area))
        nearest_N = np.argpartition(far_HW[top:bottom, left:right], count - 1, axis=None)[:count]
        shown_C = lab_HWC[top:bottom, left:right].reshape(-1, 3)[nearest_N].mean(0, dtype=np.float64)
        distance += one.share * float(ciede2000(shown_C, one.lab))
    crop = (left / width, top / height, right / width, bottom / height)
    return distance, (round(crop[0], 4), round(crop[1], 4), round(crop[2], 4), round(crop[3], 4))


def _region(near_KHW: Any, shares: list[float]) -> tuple[int, int, int, int]:
    """The window (left, top, right, bottom) with enough of every colour; sums come from integral images."""
    import cv2
    import numpy as np

    height, width = near_KHW.shape[1:]
    sums_KHW = [cv2.integral(np.ascontiguousarray(near_HW, np.float64)) for near_HW in near_KHW]
    best: list[tuple[float, tuple[int, int, int, int]]] = []
    for size in WINDOWS:
        down, across = max(1, round(height * size)), max(1, round(width * size))
        shown_HW: Any = 0.0
        for share, sum_HW in zip(shares, sums_KHW, strict=True):
            inside_HW = sum_HW[down:, across:] - sum_HW[:-down, across:] - sum_HW[down:, :-across]
            inside_HW = (inside_HW + sum_HW[:-down, :-across]) / (down * across)
            shown_HW = shown_HW + share * np.minimum(inside_HW / (share * SEEN), 1)
        top, left = (int(at) for at in np.unravel_index(int(shown_HW.argmax()), shown_HW.shape))
        best.append((float(shown_HW[top, left]), (left, top, left + across, top + down)))
    enough = NEARLY * max(shown for shown, _ in best)
    return next(box for shown, box in reversed(best) if shown >= enough)


def ciede2000(lab_HWC: Any, other: tuple[float, float, float]) -> Any:
    """CIEDE2000 distances of colours (..., 3) to one colour, with the weights of the standard (1, 1, 1)."""
    import numpy as np

    light, a, b = (lab_HWC[..., k].astype(np.float32) for k in range(3))
    light_2, a_2, b_2 = (np.float32(value) for value in other)
    mean_7 = ((np.hypot(a, b) + np.hypot(a_2, b_2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(mean_7 / (mean_7 + np.float32(25.0**7)))
    a, a_2 = a * stretch, a_2 * stretch
    chroma, chroma_2 = np.hypot(a, b), np.hypot(a_2, b_2)
    hue, hue_2 = np.degrees(np.arctan2(b, a)) % 360, np.degrees(np.arctan2(b_2, a_2)) % 360
    grey = chroma * chroma_2 == 0
    turn = np.where(grey, 0, (hue_2 - hue + 180) % 360 - 180)
    mean = np.where(grey, hue + hue_2, (hue + turn / 2) % 360)
    d_hue = 2 * np.sqrt(chroma * chroma_2) * np.sin(np.radians(turn / 2))
    mean_light, mean_chroma = (light + light_2) / 2 - 50, (chroma + chroma_2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(mean - 30))
        + 0.24 * np.cos(np.radians(2 * mean))
        + 0.32 * np.cos(np.radians(3 * mean + 6))
        - 0.20 * np.cos(np.radians(4 * mean - 63))
    )
    of_light = (light_2 - light) / (1 + 0.015 * mean_light**2 / np.sqrt(20 + mean_light**2))
    of_chroma = (chroma_2 - chroma) / (1 + 0.045 * mean_chroma)
    of_hue = d_hue / (1 + 0.015 * mean_chroma * weight)
    chroma_7 = mean_chroma**7
    tilt = radians(60) * np.exp(-(((mean - 275) / 25) ** 2))
    crossed = -2 * np.sqrt(chroma_7 / (chroma_7 + np.float32(25.0**7))) * np.sin(tilt)
    return np.sqrt(np.maximum(of_light**2 + of_chroma**2 + of_hue**2 + crossed * of_chroma * of_hue, 0))


def hexadecimal(colour: Colour) -> str:
    """`#e4002b`."""
    import cv2
    import numpy as np

    rgb_C = cv2.cvtColor(np.array([[colour.lab]], np.float32), cv2.COLOR_LAB2RGB)[0, 0]
    return "#" + "".join(f"{round(255 * min(max(float(value), 0.0), 1.0)):02x}" for value in rgb_C)


def _seeds(lab_NC: Any) -> Any:
    """Well-filled cells of the colour space, each far from those before it: where k-means begins, (K, 3)."""
    import numpy as np

    keys_N = np.floor(lab_NC / 10).astype(np.int64) @ np.array([1, 1000, 1000000])
    _, where_N, counts = np.unique(keys_N, return_inverse=True, return_counts=True)
    means_KC = np.stack([np.bincount(where_N, lab_NC[:, k]) for k in range(3)], 1) / counts[:, None]
    chosen = [int(counts.argmax())]
    while len(chosen) < min(MOST_COLOURS, len(counts)):
        apart_K = ((means_KC[:, None] - means_KC[chosen]) ** 2).sum(2).min(1)
        chosen.append(int((counts * apart_K).argmax()))
    return means_KC[sorted(set(chosen))]


def _merged(pairs: list[tuple[float, Any]]) -> list[tuple[float, Any]]:
    """Colours that are alike as one, with the sum of their shares; the largest first."""
    import numpy as np

    kept: list[tuple[float, Any]] = []
    for share, lab_C in pairs:
        for k, (share_2, lab_2_C) in enumerate(kept):
            if np.linalg.norm(lab_C - lab_2_C) < ALIKE:
                both = share + share_2
                kept[k] = (both, (share * lab_C + share_2 * lab_2_C) / both)
                break
        else:
            kept.append((share, lab_C))
    return sorted(kept, key=lambda pair: -pair[0])
