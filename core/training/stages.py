"""One stage of any run, a recipe's or a kind's: its devices, and the loop over its batches with its previews."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.generation.attention import kernels_for_training
from core.training.autoencoder import PatchEncoder
from core.training.computing import autocast
from core.training.drawing import Drawing
from core.training.loop import Length, Loop, Progress
from core.training.preview import Preview
from core.training.recipes import Recipe, Stage
from core.training.streaming import stream
from core.training.trainee import Trainee
from core.training.words import Speaker

Shown = Callable[[Progress, Length, dict[str, float]], None]


def accelerator_for(recipe: Recipe, device: str) -> Any:
    """accelerate's, of the recipe's precision; parameters that a batch does not use are no mistake."""
    from accelerate import Accelerator, DistributedDataParallelKwargs

    return Accelerator(
        cpu=device == "cpu",
        mixed_precision=autocast(recipe.precision, device),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def train_in(
    folder: Path,
    recipe: Recipe,
    stage: Stage,
    trainee: Trainee,
    source: Drawing | Speaker,
    encoder: PatchEncoder | None,
    accelerator: Any,
    shown: Shown,
    stop: Callable[[], bool],
) -> None:
    """Trains to the stage's end, from the newest checkpoint in its folder; the weights are then the average.

    Raises:
        Stopped: somebody asked for it; a checkpoint is written.
    """
    preview = (
        Preview(trainee, stage, source, encoder, folder / "previews") if isinstance(source, Drawing) else None
    )
    loop = Loop(
        recipe,
        stage,
        trainee,
        folder,
        lambda first, stride: stream(source, first, recipe.drawers, stride),
        accelerator,
        shown,
        stop,
        preview.draw if preview else lambda step: None,
    )
    with kernels_for_training(accelerator.device.type):
        loop.run()
