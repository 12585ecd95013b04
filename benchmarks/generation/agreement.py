"""How far bfloat16 strays from a float32 run of the same job, step by step: ours beside plain diffusers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.generation.sizes import Size, build_model, free, job_of, square
from benchmarks.generation.ways import Shape, diffusers_transformer, plain_steps, prepare
from core.generation.model import Model
from core.generation.sequence import RoleVectors


def without_roles(model: Model) -> Model:
    """The model with role vectors of 0: diffusers' own transformer has none."""
    assert model.roles is not None
    model.roles = RoleVectors(torch.zeros_like(model.roles.task_2W), torch.zeros_like(model.roles.index_KW))
    return model


Shown = Callable[[str, int, float | None], None]
"""Is told which way is done with which step, and how far from float32 it is by then."""


def strays(size: Size, device: str, ways: list[str], references: int, shown: Shown) -> dict[str, list[float]]:
    """For each way, ‖latents - float32's‖ / ‖float32's‖ after each step."""
    theirs = diffusers_transformer(size, device, torch.float32)
    model = without_roles(build_model(size, device, "resident", Shape(theirs)))
    model.precision = torch.float32
    job = job_of(size, square(size, references), model)
    exact: list[Tensor] = []
    for latent in plain_steps(theirs, model, job):
        exact.append(latent.cpu().double())
        shown("float32", len(exact), None)
    del theirs, model
    free()
    found: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways:
        model, steps = prepare(way, size, device)
        job = job_of(size, square(size, references), without_roles(model))
        for latent, known in zip(steps(job), exact, strict=True):
            found[way].append(relative(latent, known))
            shown(way, len(found[way]), found[way][-1])
        del model, steps
        free()
    return found


def relative(found: Tensor, known: Tensor) -> float:
    return float((found.cpu().double() - known).norm() / known.norm())
