"""Masks on the token grid, and what routing takes out of attention."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageDraw

from core.generation.sequence import Grid, Layout, pack, position_ids
from core.generation.transformer import split
from core.training.attention import RoutingTap, tapped
from core.training.base import Base
from core.training.drawing import Batch
from core.training.losses import response, routing_p
from core.training.masks import token_mask


@pytest.mark.parametrize(("width", "height"), [(48, 112), (160, 128), (128, 160)])
def test_a_mask_lights_the_tokens_that_the_sequence_has_there(width: int, height: int) -> None:
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rectangle((width - 16, 32, width - 1, 47), fill=255)
    grid = Grid.of_pixels(width, height)
    latent = torch.zeros(1, 1, height // 8, width // 8)
    latent[0, 0, 4:6, -2:] = 1
    assert torch.equal(token_mask(mask, grid), pack(latent)[0].mean(-1))


def test_a_thing_smaller_than_a_token_counts_its_share() -> None:
    mask = Image.new("L", (32, 32))
    ImageDraw.Draw(mask).rectangle((0, 0, 3, 7), fill=255)
    assert token_mask(mask, Grid(2, 2)).tolist() == pytest.approx([32 / 256, 0, 0, 0])


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        token_mask(Image.new("L", (32, 16)), Grid(2, 2))


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


def test_a_tap_sees_each_layers_queries_and_keys_and_changes_nothing(base: Base) -> None:
    watching = Watching()
    before = call(base, LAYOUT)
    with tapped(base.transformer, watching):  # type: ignore[arg-type]
        after = call(base, LAYOUT)
    assert torch.equal(before, after)
    assert [query.shape[1] for query, _ in watching.seen] == [LAYOUT.tokens] * 2


def test_what_the_tap_sees_is_what_the_weights_give(base: Base) -> None:
    watching = Watching()
    inputs = {}
    attention = base.transformer.single_transformer_blocks[0].attn
    hook = attention.register_forward_pre_hook(lambda module, args, told: inputs.update(told), with_kwargs=True)
    with tapped(base.transformer, watching):  # type: ignore[arg-type]
        call(base, LAYOUT)
    hook.remove()
    rotation = base.transformer.rotation(position_ids(LAYOUT)[None])
    by_hand = rotation(attention.norm_q(split(attention.to_q(inputs["hidden_states"]), attention.head_dim)))
    assert torch.allclose(watching.seen[1][0], by_hand, atol=1e-5)


def test_processors_come_back_even_after_an_error(base: Base) -> None:
    before = [block.attn.processor for block in base.transformer.transformer_blocks]

    def broken(query: torch.Tensor, key: torch.Tensor) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), tapped(base.transformer, broken):  # type: ignore[arg-type]
        call(base, LAYOUT)
    assert [block.attn.processor for block in base.transformer.transformer_blocks] == before


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


def test_placeholders_count_only_where_all_of_them_are_said(base: Base) -> None:
    told = torch.tensor([[1, 3], [2, -1]])
    tap = RoutingTap(LAYOUT, (), torch.rand(2, 2, 6), told, placeholders=True)
    alone = RoutingTap(LAYOUT, (), torch.rand(1, 2, 6), told[:1], placeholders=True)
    query, key = torch.randn(2, LAYOUT.tokens, 2, 16), torch.randn(2, LAYOUT.tokens, 2, 16)
    tap(query, key)
    alone(query[:1], key[:1])
    assert float(tap.losses()["placeholder"]) == pytest.approx(float(alone.losses()["placeholder"]), rel=1e-5)
