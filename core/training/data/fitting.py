"""Pictures of any size cut and scaled to the few sizes that a recipe trains on.

A target fills its canvas and loses what stands over, away from what its references govern; a reference is kept
whole. A picture that has the size already is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from core.images import on_white
from core.preparation.cut_outs import CutOut
from core.preparation.matting import crop_to_product
from core.training.data.entries import OF_ALL
from core.training.world.scenes import Canvas

Picture = Image.Image
Box = tuple[float, float, float, float]

MARGIN = 0.06
"""Around a thing that is cut out by its mask, as a share of its longer side; the kinds' own margin."""


def nearest(size: tuple[int, int], offered: Sequence[Canvas]) -> Canvas:
    """The canvas whose proportions come nearest; of several alike, the first."""
    shape = math.log(size[0] / size[1])
    return min(offered, key=lambda canvas: abs(math.log(canvas.width / canvas.height) - shape))


def cut(size: tuple[int, int], canvas: Canvas, focus: tuple[float, float] | None = None) -> Box:
    """The largest part of a picture of `size` with the canvas' proportions: left, top, right, bottom.

    Its middle lies as near to `focus` (pixels) as the picture's edges allow; None: in the middle.
    """
    scale = min(size[0] / canvas.width, size[1] / canvas.height)
    width, height = canvas.width * scale, canvas.height * scale
    across, down = focus or (size[0] / 2, size[1] / 2)
    left = min(max(across - width / 2, 0.0), size[0] - width)
    top = min(max(down - height / 2, 0.0), size[1] - height)
    return left, top, left + width, top + height


def middle_of(masks: Sequence[Picture]) -> tuple[float, float] | None:
    """The middle of all that masks of one size show together; None where they show nothing."""
    boxes = [box for box in (mask.point(LIGHT).getbbox() for mask in masks) if box]
    if not boxes:
        return None
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    return (left + max(box[2] for box in boxes)) / 2, (top + max(box[3] for box in boxes)) / 2


LIGHT = [0] * 128 + [255] * 128
"""Which values of a mask count when its thing is looked for."""


def covering(picture: Picture, canvas: Canvas, box: Box) -> Picture:
    """That part of the picture at the canvas' size."""
    whole = (0.0, 0.0, float(picture.width), float(picture.height))
    if picture.size == canvas.size and box == whole:
        return picture
    smaller = box[2] - box[0] > canvas.width
    resample = Image.Resampling.BOX if picture.mode == "L" and smaller else Image.Resampling.BICUBIC
    return picture.resize(canvas.size, resample, box)


def fitted_target(
    picture: Picture, masks: Sequence[Picture | None], canvas: Canvas
) -> tuple[Picture, list[Picture]]:
    """The target on its canvas, and each mask cut like it; no mask: white all over."""
    given = [mask for mask in masks if mask is not None]
    box = cut(picture.size, canvas, middle_of(given))
    whole = Image.new("L", canvas.size, 255)
    return covering(picture, canvas, box), [covering(mask, canvas, box) if mask else whole for mask in masks]


def fitted_reference(picture: Picture, mask: Picture | None, kind: str, canvas: Canvas) -> Picture:
    """A reference on its canvas: cut out by its mask where it has one, else whole."""
    if mask is not None:
        return contained(cropped(picture, mask), canvas)
    if kind in OF_ALL:
        return covering(picture, canvas, cut(picture.size, canvas))
    return contained(picture, canvas)


def cropped(picture: Picture, mask: Picture) -> Picture:
    """What the mask shows, on white, with a margin: as the kinds crop what they have cut out."""
    alone = picture.convert("RGBA")
    alone.putalpha(mask)
    return crop_to_product(CutOut(on_white(alone), mask), MARGIN).picture


def contained(picture: Picture, canvas: Canvas) -> Picture:
    """The whole picture in the middle of the canvas, on the colour of its own border."""
    if picture.size == canvas.size:
        return picture
    scale = min(canvas.width / picture.width, canvas.height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    resized = picture.resize(size, Image.Resampling.BICUBIC)
    laid = Image.new("RGB", canvas.size, border_of(picture))
    laid.paste(resized, ((canvas.width - size[0]) // 2, (canvas.height - size[1]) // 2))
    return laid


def border_of(picture: Picture) -> tuple[int, int, int]:
    """The median colour of a picture's edge."""
    rgb_HWC = np.asarray(picture.convert("RGB"))
    edge = np.concatenate([rgb_HWC[0], rgb_HWC[-1], rgb_HWC[:, 0], rgb_HWC[:, -1]])
    red, green, blue = (round(float(level)) for level in np.median(edge, axis=0))
    return red, green, blue
