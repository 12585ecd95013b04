"""Masks on the token grid: the share of each token's pixels that a thing covers.

Area means, not nearest neighbours: a small thing would vanish otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from core.generation.sequence import PIXELS_PER_TOKEN, Grid

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def token_mask(mask: Picture, grid: Grid) -> Tensor:
    """A mask of 0 to 255 at the target's size → (tokens,), 0 to 1, row by row as `sequence.pack` orders them.

    Raises:
        ValueError: the sizes do not fit.
    """
    wanted = (grid.columns * PIXELS_PER_TOKEN, grid.rows * PIXELS_PER_TOKEN)
    if mask.size != wanted:
        raise ValueError(f"a mask of {mask.size} pixels does not fit a grid of {wanted}")
    share_HW = torch.from_numpy(np.array(mask.convert("L"))).float() / 255
    cells = share_HW.reshape(grid.rows, PIXELS_PER_TOKEN, grid.columns, PIXELS_PER_TOKEN)
    return cells.mean((1, 3)).flatten()
