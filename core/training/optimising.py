"""What a stage trains and how fast: parameter groups, the rate's course, the average of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from core.training.adapter import lora_parameters
from core.training.muon import Muon
from core.training.recipes import Stage
from core.training.trainee import Trainee

BETAS = (0.9, 0.95)
"""AdamW's, for runs this short."""


def trainable(trainee: Trainee, stage: Stage) -> dict[str, nn.Parameter]:
    """The parameters of a stage by name; all others stop asking for gradients."""
    wanted: set[int] = set()
    base = [trainee.transformer, trainee.t5, trainee.clip]
    if stage.trains == "words" and trainee.listener is not None:
        wanted |= {id(parameter) for part in (trainee.t5, trainee.listener) for parameter in part.parameters()}
    lora = {id(parameter) for parameter in lora_parameters(trainee.transformer).values()}
    if stage.trains in ("base", "everything"):
        wanted |= {id(parameter) for part in base for parameter in part.parameters()} - lora
    if stage.trains in ("adapter", "everything") and trainee.adapter is not None:
        wanted |= lora | {id(parameter) for parameter in trainee.adapter.learnt()}
    for parameter in trainee.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
    return {name: parameter for name, parameter in trainee.named_parameters() if parameter.requires_grad}


def optimisers(parameters: Mapping[str, nn.Parameter], stage: Stage) -> list[torch.optim.Optimizer]:
    """Matrices of blocks and LoRA by the stage's optimiser and rate, the rest by AdamW at its own rates."""
    matrices, roles, others = [], [], []
    for name, parameter in parameters.items():
        if name.startswith("adapter."):
            roles.append(parameter)
        elif parameter.ndim == 2 and "blocks." in name and "norm" not in name:
            matrices.append(parameter)
        else:
            others.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": roles, "lr": stage.embedding_rate, "most": stage.embedding_rate},
        {"params": others, "lr": stage.other_rate, "most": stage.other_rate},
    ]
    main = {"params": matrices, "lr": stage.rate, "most": stage.rate}
    made: list[torch.optim.Optimizer] = []
    if stage.optimiser == "muon":
        made.append(Muon([main], stage.rate))
    else:
        groups.append(main)
    groups = [group for group in groups if group["params"]]
    if groups:
        made.append(torch.optim.AdamW(groups, betas=BETAS, weight_decay=0.0))
    return made


def rate_factor(step: int, progress: float, stage: Stage) -> float:
    """What the rates are multiplied with: rising over the first steps, 1, falling to 0 over the last part.

    Args:
        step: of this stage, from 0; after a restart from bare weights it begins again, so that the rate rises
            anew.
        progress: 0 to 1, by time or by steps.
        stage: says how long it rises and falls.
    """
    rising = min(1.0, (step + 1) / max(1, stage.warm_up))
    falling = 1.0 if stage.decay <= 0 else min(1.0, max(0.0, (1 - progress) / stage.decay))
    return rising * falling


class Average:
    """The exponential moving average of parameters; it starts short and grows to `decay`."""

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.values = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, parameters: Mapping[str, Tensor]) -> None:
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        values, fresh = list(self.values.values()), [parameters[name].detach() for name in self.values]
        torch._foreach_lerp_(values, fresh, 1 - decay)


def exchange(parameters: Mapping[str, Tensor], average: Average) -> None:
    """Swaps weights and average: for evaluation with the average, and back."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            held = parameter.detach().clone()
            parameter.copy_(average.values[name])
            average.values[name].copy_(held)
