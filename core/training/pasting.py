"""Pasting: a reference laid into a picture as it is, and how far an image looks as if that had been done.

Shares are of the picture's sides, from its upper left corner.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from core.training.matching import best_match
from core.training.world.samples import Sample

WHITE, SOFT = 244, 6
"""Levels from which on a reference's ground is white, and in which its edge may differ from that."""
MIDDLES = {1: (0.5,), 2: (0.26, 0.74), 3: (0.18, 0.5, 0.82)}
HEIGHTS = {1: 0.6, 2: 0.44, 3: 0.32}
"""Where things stand in the drawn world, and how high they are: shares of the width and of the shorter side."""
BOTTOM = 0.88
SCALES = tuple(0.28 * 1.07**k for k in range(17))
"""Heights at which a reference is looked for, as shares of the shorter side."""
SHORTER = 48
"""Pixels of the shorter side at which is compared: so few that a size or a place between two steps still fits."""
LEAST = 8
"""Pixels of a side below which nothing can be told."""


def paste(sample: Sample, picture: Image.Image) -> Image.Image:
    """The picture with the references that show a thing, cut out of their white, where the caption wants them."""
    made = picture.copy()
    count = len(sample.scene.things)
    for drawn in sample.references:
        if drawn.owner < 0:
            continue
        cut = cut_from_white(drawn.picture)
        height = max(1, round(HEIGHTS[count] * min(made.size)))
        width = max(1, round(cut.width * height / cut.height))
        cut = cut.resize((width, height), Image.Resampling.LANCZOS)
        left = round(MIDDLES[count][drawn.owner] * made.width - width / 2)
        made.paste(cut, (left, round(BOTTOM * made.height) - height), cut.getchannel("A"))
    return made


def cut_from_white(picture: Image.Image) -> Image.Image:
    """What stands on a white ground, cropped to it (RGBA); white inside of it stays. All where nothing stands."""
    rgb = np.asarray(picture.convert("RGB"))
    near = np.ascontiguousarray(np.where((rgb >= WHITE).all(2), 255, 0).astype(np.uint8))
    # A white frame joins what the thing divides.
    near = cv2.copyMakeBorder(near, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    ground = np.zeros((near.shape[0] + 2, near.shape[1] + 2), np.uint8)
    cv2.floodFill(near, ground, (0, 0), 128, SOFT, SOFT)
    alpha = np.where(near[1:-1, 1:-1] == 128, 0, 255).astype(np.uint8)
    kept = Image.fromarray(np.dstack([rgb, alpha]))
    box = kept.getchannel("A").getbbox()
    return kept.crop(box) if box else kept


def pasted(picture: Image.Image, references: Sequence[Image.Image]) -> float:
    """How much of the references is in the picture as they are, 0 to 1; the mean over references.

    The normalised correlation of each cut-out with its best place and size. A reference that was pasted has 1; one
    that was drawn anew at another angle, size and shade has less, and how much less the real drawings tell.
    """
    scale = SHORTER / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    image = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX))
    return float(np.mean([correlation(image, cut_from_white(reference)) for reference in references]))


def correlation(image: np.ndarray, cut: Image.Image) -> float:
    """The best normalised correlation under the cut-out's mask, over places and sizes; 0 at least."""
    best = 0.0
    for scale in SCALES:
        height = round(scale * min(image.shape[:2]))
        width = round(cut.width * height / cut.height)
        if not (LEAST <= height <= image.shape[0] and LEAST <= width <= image.shape[1]):
            continue
        small_HWC = np.asarray(cut.resize((width, height), Image.Resampling.BOX))
        mask_HW = np.where(small_HWC[..., 3] > 127, 255, 0).astype(np.uint8)
        best = max(best, best_match(image, small_HWC[..., :3], mask_HW))
    return best
