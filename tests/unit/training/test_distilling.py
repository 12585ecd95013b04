"""Distillation: the teacher stays as it was, the learner is held to where it leads, a run of it ends in a card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.cards import read_card
from core.errors import BadInput
from core.training.adapter import Adapter, adapter_tensors, save_adapter
from core.training.base_model import Base, read_base
from core.training.batches import Batch
from core.training.distilling import Teacher, distil_losses, walked
from core.training.loop import empty_texts
from core.training.optimising import trainable
from core.training.recipes import Distil, NewBase, Recipe
from core.training.runs import Run
from core.training.shipped_recipes import mini_turbo
from core.training.trainee import Chances, Trainee

BatchOf = Callable[[str], Batch]


@pytest.fixture
def trainee(base: Base, recipe: Recipe) -> Trainee:
    """With an adapter that does something."""
    adapter = Adapter(base.transformer, base.t5.get_input_embeddings().weight.shape[1], recipe.rank)
    chance = torch.Generator().manual_seed(3)
    made = Trainee(base, adapter, empty_texts(base.tokenizers))
    with torch.no_grad():
        for parameter in trainable(made, mini_turbo().stages[0]).values():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=chance))
    return made


def losses(trainee: Trainee, teacher: Teacher, told: Distil, batch: Batch) -> dict[str, torch.Tensor]:
    weight_BS = torch.ones(len(batch.target_BCHW), batch.grid.tokens)
    return distil_losses(trainee, teacher, told, batch, weight_BS, Chances.of(0, 0))


@pytest.mark.parametrize("task", ["two-subjects", "text"])
def test_a_learner_that_is_its_teacher_has_nothing_to_learn_from_single_unguided_steps(
    trainee: Trainee, batch_of: BatchOf, task: str
) -> None:
    teacher, batch = Teacher(trainee), trainee.encoded(batch_of(task))

    def loss(told: Distil) -> float:
        return losses(trainee, teacher, told, batch)["loss"].item()

    assert loss(Distil(4, 1, 1.0)) == pytest.approx(0, abs=1e-9)
    assert loss(Distil(4, 3, 1.0)) > 1e-9
    assert loss(Distil(4, 1, 3.0)) > 1e-9


def test_the_teacher_stays_as_it_was_while_the_learner_moves(trainee: Trainee, batch_of: BatchOf) -> None:
    batch, told = trainee.encoded(batch_of("subject")), Distil(2, 2, 2.0)
    parameters = trainable(trainee, mini_turbo().stages[0])
    teacher = Teacher(trainee)
    noisy_BSD = Chances.of(1, 1).normal_like(torch.empty(len(batch.target_BCHW), batch.grid.tokens, 64))

    def lesson() -> torch.Tensor:
        with teacher.teaching():
            assert not torch.is_grad_enabled()
            return walked(noisy_BSD, 1.0, 0.5, told, trainee, batch)

    before = lesson()
    found = losses(trainee, teacher, told, batch)["loss"]
    found.backward()
    assert all(parameter.grad is not None for name, parameter in parameters.items() if "lora_B" in name)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.1 * torch.ones_like(parameter))
    moved = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    assert torch.equal(lesson(), before)
    assert all(torch.equal(parameter, moved[name]) for name, parameter in parameters.items())


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_in_half_precision_neither_of_them_answers_with_the_numbers_of_the_other(
    trainee: Trainee, batch_of: BatchOf
) -> None:
    batch, told = trainee.encoded(batch_of("subject")), Distil(2, 2, 2.0)
    parameters = trainable(trainee, mini_turbo().stages[0])
    teacher = Teacher(trainee)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.1 * torch.ones_like(parameter))

    def learnt(*, cached: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        trainee.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=cached):
            loss = losses(trainee, teacher, told, batch)["loss"]
        loss.backward()
        return loss, {name: one.grad.clone() for name, one in parameters.items() if one.grad is not None}

    (expected, right), (loss, found) = learnt(cached=False), learnt(cached=True)
    assert torch.equal(loss, expected)
    assert found.keys() == right.keys()
    assert any("lora_A" in name for name in found)


def test_steps_of_the_teacher_are_euler_steps_with_true_cfg(trainee: Trainee, batch_of: BatchOf) -> None:
    """One guided step against the formula, from velocities taken by hand."""
    from core.training.distilling import negative, positive

    batch = trainee.encoded(batch_of("subject"))
    noisy_BSD = Chances.of(1, 1).normal_like(torch.empty(len(batch.target_BCHW), batch.grid.tokens, 64))
    with torch.no_grad():
        ahead, back = positive(trainee, batch)(noisy_BSD, 0.8), negative(trainee, batch)(noisy_BSD, 0.8)
        expected = noisy_BSD + (0.5 - 0.8) * (back + 2.5 * (ahead - back))
        assert torch.allclose(walked(noisy_BSD, 0.8, 0.5, Distil(4, 1, 2.5), trainee, batch), expected, atol=1e-6)


@pytest.fixture
def turbo(recipe: Recipe) -> Recipe:
    """The stage of mini-turbo on nano's base, three steps long."""
    small = replace(recipe, canvases=(((64, 64), 1.0),), references=(((48, 48), 1.0),), batch=2, pool=4)
    return replace(small, name="turbo", stages=mini_turbo().stages, steps=3)


def test_a_run_from_a_model_ends_in_a_card_of_few_steps_without_a_second_pass(
    turbo: Recipe, nano_base: Path, tmp_path: Path
) -> None:
    from core.training.export import export_model

    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "base").symlink_to(nano_base)
    assert isinstance(turbo.base, NewBase)
    base = read_base(nano_base, turbo.base.text.length)
    adapter = Adapter(base.transformer, turbo.base.text.t5_width, turbo.rank)
    save_adapter(adapter_tensors(base.transformer, adapter), weights / "adapter" / "dreamo.safetensors")
    run = Run(turbo, tmp_path / "run")
    run.begin_with(weights)
    run.train()
    card = read_card(export_model(run, tmp_path / "model", "turbo"))
    assert (card.steps, card.true_cfg) == (4, 1.0)


def test_without_a_model_there_is_nobody_to_learn_from(turbo: Recipe, nano_base: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--start kept"):
        Run(turbo, tmp_path / "nothing").train()
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "base").symlink_to(nano_base)
    run = Run(turbo, tmp_path / "base-only")
    run.begin_with(weights)
    with pytest.raises(BadInput, match="no adapter to learn from"):
        run.train()
