"""A head out of an aligned square: everything but face and hair is painted white.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.preparation.edges import soften, whiten

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]


def keep_face_and_hair(aligned: Picture, seed: int) -> tuple[Picture, Picture]:
    """Paints everything else in an aligned square white: GrabCut from ellipses of face and hair.

    Returns:
        The picture (RGB), and a soft mask (`L`) of what was kept.
    """
    import cv2
    import numpy as np
    from PIL import Image

    rgb_HWC = np.asarray(aligned)
    working = Image.fromarray(rgb_HWC).resize((256, 256), Image.Resampling.BICUBIC)
    seeds_HW, face_HW = _seeds(256)
    cv2.setRNGSeed(seed & 0x7FFFFFFF)
    bgr_HWC = np.ascontiguousarray(np.asarray(working)[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr_HWC, seeds_HW, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    kept_HW = _one_piece(np.isin(seeds_HW, (cv2.GC_FGD, cv2.GC_PR_FGD)), face_HW)
    return keep_head(aligned, Image.fromarray(kept_HW.astype(np.uint8) * 255))


def keep_head(aligned: Picture, head: Picture, *, exact: bool = False) -> tuple[Picture, Picture]:
    """Paints white what is under the dark half of a mask of the square.

    Args:
        aligned: RGB, square.
        head: `L`, of any size, 255 where face and hair are.
        exact: the mask was made by a person, so that its edge is looked for within 2 pixels of 512 only.

    Returns:
        The picture (RGB), and a soft mask (`L`) of what was kept.
    """
    import numpy as np
    from PIL import Image

    hard_HW = np.asarray(head.resize(aligned.size, Image.Resampling.BILINEAR)) >= 128
    band = -(-aligned.width // 256) if exact else 1 + -(-aligned.width // 128)
    alpha_HW, colour_HWC = soften(np.asarray(aligned), hard_HW, band)
    mask = Image.fromarray(np.rint(alpha_HW * 255).astype(np.uint8))
    return Image.fromarray(whiten(colour_HWC, alpha_HW)), mask


def middle_piece(head: Picture) -> Picture | None:
    """Of a mask of an aligned square, the piece that the face in its middle belongs to; None where none is there.

    Others' heads beside it are left out.
    """
    import cv2
    import numpy as np
    from PIL import Image

    hard_HW = (np.asarray(head) >= 128).astype(np.uint8)
    count, part_HW = cv2.connectedComponents(hard_HW, connectivity=8)
    _, face_HW = _seeds(hard_HW.shape[0])
    inside = np.bincount(part_HW[face_HW], minlength=count)
    inside[0] = 0
    if inside.max() < 0.5 * face_HW.sum():
        return None
    return Image.fromarray((part_HW == inside.argmax()).astype(np.uint8) * 255)


def _seeds(side: int) -> tuple[Bytes, Flags]:
    """What is surely, probably and surely not face or hair in an aligned square; and the sure face."""
    import cv2
    import numpy as np

    y_HW, x_HW = (np.mgrid[0:side, 0:side] + 0.5) / side

    def ellipse(y: float, height: float, width: float) -> Flags:
        return np.asarray(((x_HW - 0.5) / width) ** 2 + ((y_HW - y) / height) ** 2 <= 1, bool)

    face_HW, jaw_HW = ellipse(0.56, 0.27, 0.17), ellipse(0.50, 0.42, 0.27)
    seeds_HW = np.full((side, side), cv2.GC_PR_BGD, np.uint8)
    seeds_HW[ellipse(0.46, 0.42, 0.34)] = cv2.GC_PR_FGD
    seeds_HW[~ellipse(0.50, 0.50, 0.49)] = cv2.GC_BGD
    seeds_HW[(y_HW > 0.62) & (np.abs(x_HW - 0.5) < 0.27) & ~jaw_HW] = cv2.GC_BGD
    seeds_HW[y_HW > 0.93] = cv2.GC_BGD
    seeds_HW[face_HW] = cv2.GC_FGD
    return seeds_HW, face_HW


def _one_piece(kept_HW: Flags, face_HW: Flags) -> Flags:
    """The piece that holds the face, without holes, its edge smoothed."""
    import cv2
    import numpy as np

    smooth = cv2.medianBlur((kept_HW | face_HW).astype(np.uint8), 7)
    outlines, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    return np.asarray(cv2.drawContours(np.zeros_like(smooth), [largest], -1, 1, cv2.FILLED), bool)
