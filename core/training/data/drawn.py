"""The drawn world's samples by their numbers, for folders: every task of the trainer, and kinds beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.errors import BadInput
from core.training.learnable import Learnable
from core.training.world.samples import TASKS, draw_sample
from core.training.world.scenes import Canvas
from core.training.world.swatches import PALETTE, draw_palette_sample
from core.training.world.truth import WORLDS

DRAWN = (*(task for task in TASKS if task != "panels"), PALETTE)


def draw_samples(
    world: str, task: str, numbers: Iterable[int], canvas: Canvas, reference: Canvas, split: str
) -> Iterator[Learnable]:
    """One after the other.

    Raises:
        BadInput: no such task or split, or sides that are no multiples of 16.
    """
    if task not in DRAWN:
        raise BadInput.at("option --task", f"{task!r} can't be drawn", f"Known are: {', '.join(DRAWN)}")
    draw = draw_palette_sample if task == PALETTE else draw_sample
    for number in numbers:
        yield draw(WORLDS[world], task, number, canvas, reference, split)
