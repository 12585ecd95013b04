"""Pictures that come again: a target in two lines, a reference that was taken out of its own target.

A model that may paste learns to paste: a reference has to be another picture of the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from core.scoring.hashes import likeness, look
from core.training.matching import Pixels, best_match

Picture = Image.Image

SIDE = 96
"""Pixels of the target's longer side at which a crop is looked for in it."""
SCALES = tuple(round(0.2 * 1.07**step, 4) for step in range(25))
"""Sizes at which it is looked for, as shares of the one that fills the target."""
FINER = (0.97, 0.98, 0.99, 1.01, 1.02, 1.03)
SAME_LOOK = 0.97
"""From here on two whole pictures are one."""
CORRELATED = 0.92
"""From here on a piece of the target is the reference; drawn anew on another ground, things stay below 0.8."""
ALIGNED, NEAR, ALIKE = 48, 12.0, 0.97
"""Pixels a side at which whole pictures are compared, levels by which pixels of one picture may differ, and the
share of them that has to differ by no more."""


@dataclass
class Looks:
    """The looks of the targets that were seen, with the line of each."""

    lines: dict[tuple[int, bytes], int] = field(default_factory=dict)

    def seen(self, picture: Picture, line: int) -> int | None:
        """The line that showed this picture before; None, and it is remembered."""
        small = np.asarray(picture.convert("RGB").resize((8, 8), Image.Resampling.BOX)) // 4
        before = self.lines.setdefault((look(picture), small.tobytes()), line)
        return None if before == line else before


def copied_from(reference: Picture, target: Picture) -> str:
    """How a reference was taken out of its target, in words; empty where it was not.

    Found are the whole picture, and a crop of it at any size. A thing that was cut out along its edge, turned,
    mirrored or lit otherwise is not told from another picture of it.
    """
    if likeness(look(reference), look(target)) >= SAME_LOOK and alike(reference, target) >= ALIKE:
        return "is the target itself"
    return "is a crop of the target" if correlation(reference, target) >= CORRELATED else ""


def pixels(picture: Picture, size: tuple[int, int] = (ALIGNED, ALIGNED)) -> Pixels:
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0), np.float32)


def alike(one: Picture, other: Picture) -> float:
    """The share of pixels that differ by no more than `NEAR` levels."""
    return float((np.abs(pixels(one) - pixels(other)).max(axis=2) <= NEAR).mean())


def correlation(piece: Picture, target: Picture) -> float:
    """The best normalised correlation of the piece with any part of the target, -1 to 1."""
    scale = min(1.0, SIDE / max(target.size))
    size = (max(1, round(target.width * scale)), max(1, round(target.height * scale)))
    ground_HWC, fill = pixels(target, size), min(size[0] / piece.width, size[1] / piece.height)
    best, at = max(correlations(piece, ground_HWC, fill, SCALES), default=(-1.0, 1.0))
    finer = tuple(at * factor for factor in FINER if at * factor <= 1)
    return max([best, *(found for found, _ in correlations(piece, ground_HWC, fill, finer))])


def correlations(
    piece: Picture, ground_HWC: Pixels, fill: float, scales: tuple[float, ...]
) -> Iterator[tuple[float, float]]:
    """The best correlation at each scale, with it; pieces too small or too plain to tell are passed over."""
    for share in scales:
        size = (round(piece.width * fill * share), round(piece.height * fill * share))
        if share > 1 or min(size) < 10:
            continue
        small_HWC = pixels(piece, size)
        if small_HWC.std(axis=(0, 1)).max() >= NEAR:
            yield best_match(ground_HWC, small_HWC), share
