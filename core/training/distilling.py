"""Few steps learnt from many: a learner whose one step goes where several guided steps of its teacher go.

The teacher is the adapter as the stage found it, sampled with true CFG; the learner's steps are those of the short
schedule, and need no second pass. This is progressive distillation (Salimans and Ho, arXiv 2202.00512) in one jump
together with guidance distillation (Meng et al., arXiv 2210.03142), for the velocity that FLUX predicts.

Shape suffixes: B batch, S noisy tokens, R reference tokens, D channels of a token, T text tokens, E T5's width,
P channels of the pooled text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from core.generation.schedule import Schedule, euler_step
from core.generation.sequence import Layout, pack, position_ids
from core.training.adapter import lora_parameters
from core.training.batches import Batch
from core.training.data.entries import kinds_of
from core.training.losses import diffusion_loss, mix
from core.training.recipes import Distil

if TYPE_CHECKING:
    from core.training.trainee import Chances, Trainee

Velocity = Callable[[Tensor, float], Tensor]
"""Of noisy tokens (B, S, D) at a noise level."""


class Teacher:
    """The adapter's numbers as they were. While it teaches they take the learner's place: no network is copied."""

    def __init__(self, trainee: Trainee) -> None:
        assert trainee.adapter is not None
        learnt = [*lora_parameters(trainee.transformer).values(), *trainee.adapter.parameters()]
        self.parameters: list[nn.Parameter] = learnt
        self.values = [parameter.detach().clone() for parameter in learnt]

    @contextmanager
    def teaching(self) -> Iterator[None]:
        """Without gradients."""
        self._exchange()
        try:
            with torch.no_grad():
                yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        # Autocast keeps its half-precision copies by parameter, whatever numbers that has by now.
        torch.clear_autocast_cache()
        for number, parameter in enumerate(self.parameters):
            self.values[number], parameter.data = parameter.data, self.values[number]


def distil_losses(
    trainee: Trainee, teacher: Teacher, told: Distil, batch: Batch, weight_BS: Tensor, chances: Chances
) -> dict[str, Tensor]:
    """The velocity of one step of the short schedule against where the teacher's steps lead.

    Args:
        trainee: the learner.
        teacher: of the same trainee.
        told: how many steps each of them takes.
        batch: latents; noised to one of the short schedule's levels.
        weight_BS: of each noisy token.
        chances: of this step.
    """
    sigmas = Schedule(dynamic=False, shift=trainee.shift).sigmas(told.steps, batch.grid.tokens)
    number = chances.below(told.steps)
    start, end = sigmas[number], sigmas[number + 1]
    target_BSD = pack(batch.target_BCHW)
    noise_BSD = chances.normal_like(target_BSD)
    time_B = torch.full((len(target_BSD),), start, device=target_BSD.device)
    noisy_BSD = mix(target_BSD, noise_BSD, time_B)
    with teacher.teaching():
        goal_BSD = (walked(noisy_BSD, start, end, told, trainee, batch) - noisy_BSD) / (end - start)
    loss = diffusion_loss(positive(trainee, batch)(noisy_BSD, start), goal_BSD, weight_BS)
    return {"loss": loss, "distil": loss.detach()}


def walked(noisy_BSD: Tensor, start: float, end: float, told: Distil, trainee: Trainee, batch: Batch) -> Tensor:
    """Where `substeps` guided Euler steps lead from noise level `start` to `end`, float32 (B, S, D)."""
    ahead, away = positive(trainee, batch), negative(trainee, batch)
    levels = [start + (end - start) * number / told.substeps for number in range(told.substeps + 1)]
    for level, following in pairwise(levels):
        velocity_BSD = ahead(noisy_BSD, level).float()
        if told.true_cfg > 1:
            back_BSD = away(noisy_BSD, level).float()
            velocity_BSD = back_BSD + told.true_cfg * (velocity_BSD - back_BSD)
        noisy_BSD = euler_step(noisy_BSD, velocity_BSD, level, following)
    return noisy_BSD


def positive(trainee: Trainee, batch: Batch) -> Velocity:
    """The pass with caption and references, as images are made."""
    nobody_B = torch.zeros(len(batch.target_BCHW), dtype=torch.bool)
    text_BTE, pooled_BP = trainee.read(batch.caption if batch.references else batch.spoken, nobody_B)
    layout = Layout(text_BTE.shape[1], batch.grid, batch.reference_grids)
    references_BRD = torch.cat([pack(latent) for latent in batch.references], dim=1) if batch.references else None
    roles_BLW = trainee.roles(layout, len(text_BTE), kinds_of(batch.task))
    return passing(trainee, layout, references_BRD, text_BTE, pooled_BP, roles_BLW)


def negative(trainee: Trainee, batch: Batch) -> Velocity:
    """True CFG's second pass: an empty prompt, no references, no roles."""
    everybody_B = torch.ones(len(batch.target_BCHW), dtype=torch.bool)
    text_BTE, pooled_BP = trainee.read(batch.spoken, everybody_B)
    return passing(trainee, Layout(text_BTE.shape[1], batch.grid), None, text_BTE, pooled_BP, None)


def passing(
    trainee: Trainee,
    layout: Layout,
    references_BRD: Tensor | None,
    text_BTE: Tensor,
    pooled_BP: Tensor,
    roles_BLW: Tensor | None,
) -> Velocity:
    """The transformer with everything given but noise and its level."""
    ids_N3 = position_ids(layout)

    def velocity(noisy_BSD: Tensor, level: float) -> Tensor:
        time_B = torch.full((len(noisy_BSD),), level, device=noisy_BSD.device)
        return trainee.velocity(noisy_BSD, time_B, references_BRD, text_BTE, pooled_BP, ids_N3, roles_BLW)

    return velocity
