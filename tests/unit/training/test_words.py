"""Before any picture T5 learns which word belongs to which thing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.training.base_model import Base, read_base
from core.training.loop import empty_texts
from core.training.optimising import trainable
from core.training.recipes import Recipe
from core.training.runs import Run
from core.training.trainee import Chances, Trainee
from core.training.words import UNTOLD, Listener, Sayings, Speaker, Texts, numbers_of
from core.training.world.sayings import ALONE, SLOTS, SOURCE, THING, Saying, say, values_told
from core.training.world.truth import FULL, SMALL

KINDS = SMALL.products
SAID = tuple(
    Saying(f"a {left} on the left and a {right} on the right", {"left": {THING: left}, "right": {THING: right}})
    for left, right in permutations(KINDS, 2)
)
"""Every pair of products both ways: the same words in another order."""


def batch_of(base: Base, said: tuple[Saying, ...]) -> Sayings:
    clip_BT, t5_BT = base.tokenizers.ids(*(one.text for one in said))
    return Sayings(Texts(t5_BT, clip_BT), numbers_of(said, SMALL))


def listening(base: Base) -> Trainee:
    trainee = Trainee(base, None, empty_texts(base.tokenizers))
    trainee.listener = Listener(SMALL, base.t5.config.d_model)
    return trainee


def without_order(trainee: Trainee) -> None:
    """Takes T5's sense of where a word stands."""
    with torch.no_grad():
        trainee.t5.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.zero_()
    trainee.t5.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.requires_grad_(False)


@pytest.mark.parametrize("ordered", [True, False])
def test_it_learns_from_the_order_of_words_alone_which_thing_stands_where(
    base: Base, recipe: Recipe, ordered: bool
) -> None:
    trainee, stage, batch = listening(base), recipe.stage("words"), batch_of(base, SAID)
    parameters = trainable(trainee, stage)
    if not ordered:
        without_order(trainee)
    optimiser = torch.optim.AdamW(parameters.values(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0)
    read = 0.0
    for _ in range(250):
        losses = trainee(batch, stage, Chances.of(0, 0))
        losses["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
        read = float(losses["read"])
    assert (read > 0.95) == ordered
    assert ordered or read == pytest.approx(0.5, abs=0.1)


def test_t5_alone_learns(base: Base, recipe: Recipe) -> None:
    trainee, stage = listening(base), recipe.stage("words")
    trainable(trainee, stage)
    trainee(batch_of(base, SAID), stage, Chances.of(0, 0))["loss"].backward()
    assert {name.split(".")[0] for name, one in trainee.named_parameters() if one.grad is not None} == {
        "t5",
        "listener",
    }


def test_what_is_not_told_costs_nothing(base: Base) -> None:
    trainee = listening(base)
    batch = batch_of(base, SAID[:4])
    alone = trainee.listener.losses(torch.randn(4, 40, base.t5.config.d_model), batch) if trainee.listener else {}
    assert alone["loss"] > 0
    assert all((told_BP == UNTOLD).all() for name, told_BP in batch.told.items() if name != THING)
    assert (batch.told[THING][:, [1, 3]] == UNTOLD).all()


def test_pads_are_not_listened_to(base: Base) -> None:
    listener = Listener(SMALL, base.t5.config.d_model)
    words_BT = torch.arange(10)[None] < 6
    text_BTE = torch.randn(1, 10, base.t5.config.d_model)
    other_BTE = torch.where(words_BT[..., None], text_BTE, torch.randn_like(text_BTE))
    first, second = listener(text_BTE, words_BT), listener(other_BTE, words_BT)
    assert all(torch.equal(first[name], second[name]) for name in first)


@given(
    task=st.sampled_from(("text", "subject", "two-subjects", "two-people", "three-subjects", "tryon", "style")),
    seed=st.integers(0, 2**40),
    world=st.sampled_from((SMALL, FULL)),
)
def test_what_is_told_of_a_thing_is_said_and_is_a_value_of_the_world(task: str, seed: int, world: object) -> None:
    assert world in (SMALL, FULL)
    known = values_told(world)  # type: ignore[arg-type]
    saying = say(world, task, seed)  # type: ignore[arg-type]
    assert saying == say(world, task, seed)  # type: ignore[arg-type]
    assert set(saying.slots) <= set(SLOTS)
    for slot, told in saying.slots.items():
        assert slot == ALONE or slot in saying.text
        assert all(value in known[name] for name, value in told.items())
        assert SOURCE not in told or f"[ref#{told[SOURCE]}]" in saying.text
        assert all(told[name] in saying.text for name in ("colour", "garment_colour", "skin") if name in told)


def test_captions_of_a_turn_are_the_same_whoever_says_them(nano_base: Path, recipe: Recipe) -> None:
    speaker, again = (Speaker.of(recipe, recipe.stage("words").tasks, nano_base, 40) for _ in range(2))
    assert len(speaker[3]) == 8 * recipe.batch
    assert torch.equal(speaker[3].caption.t5_BT, again[3].caption.t5_BT)
    assert not torch.equal(speaker[3].caption.t5_BT, speaker[4].caption.t5_BT)


def weights_of(folder: Path) -> Mapping[str, torch.Tensor]:
    tensors: Mapping[str, torch.Tensor] = read_base(folder, 40).t5.state_dict()
    return tensors


def test_a_run_begins_with_words_and_keeps_them_for_its_pictures(tmp_path: Path, recipe: Recipe) -> None:
    words = replace(recipe, steps=2, stages=(replace(recipe.stage("words"), share=1.0),))
    run = Run(words, tmp_path / "run")
    run.train()
    line = json.loads((tmp_path / "run" / "words" / "journal.jsonl").read_text().splitlines()[-1])
    assert line["samples"] == 2 * recipe.together * 8 * recipe.batch
    assert 0 <= line["read"] <= 1
    before = weights_of(run.base_folder)
    base, adapter = run.parts(recipe.stage("base"))
    assert adapter is None
    assert all(torch.equal(before[name], tensor) for name, tensor in base.t5.state_dict().items())
    _, adapter = run.parts(recipe.stage("warm-up"))
    assert adapter is not None
    assert torch.equal(adapter.placeholders, before["shared.weight"][-10:])


def test_a_run_that_goes_on_from_weights_learns_no_words_again(
    tmp_path: Path, recipe: Recipe, nano_base: Path
) -> None:
    run = Run(recipe, tmp_path / "run")
    run.begin_with(nano_base)
    assert [run.finished(stage) for stage in recipe.stages] == [True, False, False, False, False, False]
