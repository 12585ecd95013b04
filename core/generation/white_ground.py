"""The white ground of references: which of their tokens may be left out of the sequence.

An approximation, off unless `DREAMLINE_REFERENCE_TOKENS` is `not-white`. Preparation lays what a reference shows
on white, and the plain white around it tells the model little: the last stage of training keeps a twentieth of
all reference tokens (docs/dreamo.md).

Shape suffixes: R and C rows and columns of one picture's tokens, H and W its pixels, K tokens of all references.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.generation.sequence import PIXELS_PER_TOKEN
from core.requests import Preparation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

WHITE = 250
"""The least that each channel of a white pixel has: painted grounds are 255, resampling takes a level or two."""

STEP = 64
"""References of 512 tokens or more keep a multiple of this many together, so that few lengths occur."""


def kept_tokens(references: Sequence[Preparation]) -> tuple[int, ...] | None:
    """Which tokens of all references, counted one after another, have to stay; None: all of them.

    Left out are tokens that lie with their eight neighbours, which the VAE's latents reach into, on white that no
    mask keeps. A reference without a mask counts as a whole and keeps all. One that is nothing but white keeps its
    middle. Tokens are added, nearest first and then in their order, up to the next multiple of `step_of` their
    number.
    """
    import numpy as np

    if not references:
        return None
    far_K = np.concatenate([rings(needed(one)).ravel() for one in references])
    step = step_of(len(far_K))
    count = -(-int((far_K == 0).sum()) // step) * step
    if count >= len(far_K):
        return None
    nearest = np.argsort(far_K, kind="stable")[:count]
    return tuple(sorted(nearest.tolist()))


def step_of(tokens: int) -> int:
    """What the number of kept ones is a multiple of: `STEP`, of fewer than 512 at most an eighth of them."""
    return min(STEP, 1 << max(0, (tokens // 8).bit_length() - 1))


def needed(reference: Preparation) -> Flags:
    """Of each token whether it is needed, (R, C)."""
    import numpy as np

    width, height = reference.picture.size
    rows, columns = height // PIXELS_PER_TOKEN, width // PIXELS_PER_TOKEN
    if reference.mask is None:
        return np.ones((rows, columns), bool)
    shown_HW = (np.asarray(reference.picture) < WHITE).any(-1) | (np.asarray(reference.mask) >= 128)
    cells = shown_HW.reshape(rows, PIXELS_PER_TOKEN, columns, PIXELS_PER_TOKEN)
    needed_RC = grown(np.asarray(cells.any((1, 3)), bool))
    if not needed_RC.any():
        needed_RC[rows // 2, columns // 2] = True
    return needed_RC


def grown(flags_RC: Flags) -> Flags:
    """Each flag and its eight neighbours."""
    import numpy as np

    rows, columns = flags_RC.shape
    padded = np.pad(flags_RC, 1)
    around = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.asarray(np.logical_or.reduce(around), bool)


def rings(needed_RC: Flags) -> NDArray[np.int64]:
    """How many tokens each one is away from the nearest that is needed, diagonals counting as one, (R, C)."""
    import numpy as np

    far_RC = np.zeros(needed_RC.shape, np.int64)
    reached = needed_RC
    while not reached.all():
        far_RC += ~reached
        reached = grown(reached)
    return far_RC
