"""From pictures to what a reader looks at: the whole, or the column in which a thing stands; hard or softened.

A picture of `count` things is cut into as many columns, each somewhat wider than its share. Products stand on the
ground, so that of several only the lower part is looked at; people reach over the whole height.

Shape suffixes: B pictures, H and W rows and columns.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from core.training.world.reading import PERSON, PRODUCT, SCENE

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge as shares of a picture."""

SIZES = {
    SCENE: ((96, 96),),
    PRODUCT: ((96, 96), (80, 96), (64, 96)),
    PERSON: ((128, 128), (80, 128), (56, 128)),
}
"""Width and height in pixels of what a reader looks at, for one, two and three things."""
WIDER = 1.25
"""How much wider than its share a column is."""
LOWER = {PRODUCT: (1.0, 0.75, 0.6), PERSON: (1.0, 1.0, 1.0), SCENE: (1.0,)}
"""The share of the height that is looked at, from below."""
SWAY, GROWTH = 0.04, 0.08
"""How far a box is moved (share of the picture) and resized when readers learn."""
JPEG = 0.15


def column(subject: str, index: int, count: int) -> Box:
    """Where the thing number `index` (from the left) of `count` is looked for."""
    width = min(1.0, WIDER / count)
    left = min(max((index + 0.5) / count - width / 2, 0.0), 1 - width)
    return left, 1 - LOWER[subject][count - 1], left + width, 1.0


def swayed(box: Box, chance: Random) -> Box:
    """A box moved and resized a little, within the picture."""
    left, upper, right, lower = box
    grown = 1 + chance.uniform(-GROWTH, GROWTH)
    width, height = min((right - left) * grown, 1.0), min((lower - upper) * grown, 1.0)
    across, down = chance.uniform(-SWAY, SWAY), chance.uniform(-SWAY, SWAY)
    left = min(max((left + right - width) / 2 + across, 0.0), 1 - width)
    upper = min(max((upper + lower - height) / 2 + down, 0.0), 1 - height)
    return left, upper, left + width, upper + height


def cut(picture: Image.Image, box: Box, size: tuple[int, int]) -> Any:
    """That part of a picture at `size`, as uint8 (H, W, 3)."""
    width, height = picture.size
    edges = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=edges))


def columns(pictures: Sequence[Image.Image], subject: str, count: int) -> Tensor:
    """All things of all pictures, (pictures x count, 3, H, W), -1 to 1, picture by picture."""
    size = SIZES[subject][count - 1]
    boxes = [column(subject, index, count) for index in range(count)]
    return numbers([cut(picture.convert("RGB"), box, size) for picture in pictures for box in boxes])


def numbers(cuts: Sequence[Any]) -> Tensor:
    """uint8 pictures as a tensor, (B, 3, H, W), -1 to 1."""
    stacked_BHWC = torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2)
    return stacked_BHWC.float() / 127.5 - 1


def compressed(levels: Any, chance: Random) -> Any:
    """Written as JPEG and read again."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=chance.randrange(40, 90))
    return np.asarray(Image.open(buffer))


def softened(picture_B3HW: Tensor, chance: Random) -> Tensor:
    """As a generator might have made them: half blurred by resizing, some by a filter, noisy, tinted."""
    height, width = picture_B3HW.shape[2:]
    noise = torch.Generator().manual_seed(chance.randrange(2**31))
    half = len(picture_B3HW) // 2
    scale = chance.uniform(0.35, 0.85)
    small = functional.interpolate(
        picture_B3HW[:half], (round(height * scale), round(width * scale)), mode="bilinear", antialias=True
    )
    wide = functional.interpolate(small, (height, width), mode="bilinear")
    soft_B3HW = torch.cat([wide, picture_B3HW[half:]])
    if chance.random() < 0.3:
        soft_B3HW = functional.avg_pool2d(soft_B3HW, 3, 1, 1, count_include_pad=False)
    gain = 1 + 0.06 * (2 * torch.rand(len(soft_B3HW), 3, 1, 1, generator=noise) - 1)
    offset = 0.05 * (2 * torch.rand(len(soft_B3HW), 3, 1, 1, generator=noise) - 1)
    grain = chance.uniform(0, 0.12) * torch.randn(soft_B3HW.shape, generator=noise)
    return (soft_B3HW * gain + offset + grain).clamp(-1, 1)
