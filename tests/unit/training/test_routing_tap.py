"""What routing takes out of attention, and the masks that it is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from core.generation.sequence import Grid, Layout, position_ids
from core.training.adapter import Adapter
from core.training.attention import RoutingTap, tapped
from core.training.base_model import Base
from core.training.batches import Batch
from core.training.loop import empty_texts
from core.training.losses import response, routing_p
from core.training.recipes import Recipe
from core.training.trainee import Chances, Trainee


def test_masks_of_a_batch_stand_on_what_its_references_show(batch_of: Callable[[str], Batch]) -> None:
    batch = batch_of("two-subjects")
    assert batch.mask_BNS.shape == (len(batch.target_BCHW), 2, batch.grid.tokens)
    assert (batch.mask_BNS.amax(-1) > 0.3).all()
    assert (batch.mask_BNS.sum(1) <= 1.05).all()


class Watching:
    def __init__(self) -> None:
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, query: torch.Tensor, key: torch.Tensor) -> None:
        self.seen.append((query, key))


def call(base: Base, layout: Layout) -> torch.Tensor:
    chance = torch.Generator().manual_seed(0)
    width, pooled = base.t5.config.d_model, base.clip.config.hidden_size
    answer: torch.Tensor = base.transformer(
        torch.randn(2, layout.noisy.tokens, 64, generator=chance),
        torch.randn(2, layout.reference_tokens, 64, generator=chance),
        torch.randn(2, layout.text, width, generator=chance),
        torch.randn(2, pooled, generator=chance),
        torch.tensor([300.0, 700.0]),
        None,
        base.transformer.rotation(position_ids(layout)[None]),
        None,
    )
    return answer


LAYOUT = Layout(5, Grid(2, 3), (Grid(1, 2), Grid(2, 2)))


def test_routing_is_the_mean_over_layers_and_references_and_reaches_no_text(base: Base) -> None:
    mask = torch.rand(2, 2, 6)
    tap = RoutingTap(LAYOUT, (("P", 1.0),), mask, torch.full((2, 2), -1), placeholders=True)
    watching = Watching()
    with tapped(base.transformer, watching):  # type: ignore[arg-type]
        call(base, LAYOUT)
    layers = []
    for query, key in watching.seen:
        key.retain_grad()
        tap(query, key)
        for n, span in enumerate((slice(11, 13), slice(13, 17))):
            layers.append(routing_p(response(query[:, span], key[:, 5:11]), mask[:, n]).mean())
    losses = tap.losses()
    assert set(losses) == {"route P"}
    assert losses["route P"].item() == pytest.approx(torch.stack(layers).mean().item(), rel=1e-5)
    losses["route P"].backward()
    key = watching.seen[1][1]
    assert key.grad is not None
    assert key.grad[:, :5].abs().sum() == 0
    assert key.grad[:, 5:11].abs().sum() > 0
    assert tap.response_map().shape == (2, 2, 6)
    assert set(tap.contrast()) == {"response inside", "response outside"}


def test_placeholders_count_only_where_all_of_them_are_said(base: Base) -> None:
    told = torch.tensor([[1, 3], [2, -1]])
    tap = RoutingTap(LAYOUT, (), torch.rand(2, 2, 6), told, placeholders=True)
    alone = RoutingTap(LAYOUT, (), torch.rand(1, 2, 6), told[:1], placeholders=True)
    query, key = torch.randn(2, LAYOUT.tokens, 2, 16), torch.randn(2, LAYOUT.tokens, 2, 16)
    tap(query, key)
    alone(query[:1], key[:1])
    assert float(tap.losses()["placeholder"]) == pytest.approx(float(alone.losses()["placeholder"]), rel=1e-5)


def test_a_stage_asks_as_many_batches_for_routing_as_it_says(
    base: Base, batch_of: Callable[[str], Batch], recipe: Recipe
) -> None:
    adapter = Adapter(base.transformer, base.t5.config.d_model, 4)
    trainee = Trainee(base, adapter, empty_texts(base.tokenizers))
    stage = replace(recipe.stage("joint"), alone=0.0, drop_references=0.0, drop_both=0.0, routed=0.25)
    batch = batch_of("two-subjects")
    with torch.no_grad():
        losses = [trainee(batch, stage, Chances.of(0, step)) for step in range(80)]
    asked = [one for one in losses if "route P" in one]
    assert 10 <= len(asked) <= 30
    assert all(one["loss"] > one["diffusion"] for one in asked)
    assert all(one["loss"] == one["diffusion"] for one in losses if "route P" not in one)
