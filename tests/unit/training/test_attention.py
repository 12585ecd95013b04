"""The tap: it sees the very queries and keys that attention multiplies, changes nothing and leaves no trace.

Shape suffixes as in `core.training.attention`; T text tokens, W model width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from core.generation.sequence import Grid, Layout, position_ids
from core.generation.transformer import DreamOTransformer, JointAttention, Rotation
from core.training.attention import RoutingTap, tapped
from core.training.losses import placeholder_loss, response, routing_p, routing_r, routing_s, spans_of

LAYOUT = Layout(5, Grid(2, 3), (Grid(2, 2), Grid(1, 3)))
TEXT, NOISY, ALL = 5, 6, 18
FORMS = (("P", 1.0), ("S", 0.1), ("R", 0.1))
PLACES = torch.tensor([[1, 3], [4, 0]])


def tiny() -> DreamOTransformer:
    torch.manual_seed(0)
    model: DreamOTransformer = DreamOTransformer(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=False,
        axes_dims_rope=(4, 6, 6),
    )
    return model


def given(model: DreamOTransformer, layout: Layout = LAYOUT, other: Layout | None = None) -> dict[str, Any]:
    """Two samples; the second may have positions of its own."""
    draw = torch.Generator().manual_seed(1)
    ids_BN3 = torch.stack([position_ids(layout), position_ids(other or layout)])
    return {
        "noisy_BSD": torch.randn(2, layout.noisy.tokens, 16, generator=draw),
        "references_BRD": torch.randn(2, layout.reference_tokens, 16, generator=draw),
        "text_BTE": torch.randn(2, layout.text, 32, generator=draw),
        "pooled_BP": torch.randn(2, 16, generator=draw),
        "timestep_B": torch.tensor([300.0, 800.0]),
        "guidance_B": None,
        "rotation": model.rotation(ids_BN3),
        "roles_BLW": None,
    }


def masks(references: int = 2) -> Tensor:
    return torch.rand(2, references, NOISY, generator=torch.Generator().manual_seed(2))


def tap(places: Tensor = PLACES, forms: Any = FORMS, placeholders: bool = True) -> RoutingTap:
    return RoutingTap(LAYOUT, forms, masks(), places, placeholders=placeholders)


@dataclass
class Seen:
    """Stands where a tap stands and keeps everything."""

    layers: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, query_BNHK: Tensor, key_BNHK: Tensor) -> None:
        self.layers.append((query_BNHK, key_BNHK))


def turned(x_BNHK: Tensor, rotation: Rotation) -> Tensor:
    """Each pair of channels as a complex number, turned by its angle."""
    angle = torch.complex(rotation.cos[..., ::2], rotation.sin[..., 1::2])
    pairs = torch.view_as_complex(x_BNHK.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * angle).flatten(-2)


def by_hand(attn: Any, image: Tensor, text: Tensor | None, rotation: Rotation) -> tuple[Tensor, Tensor]:
    """Queries and keys from a block's own weights: projection, root-mean-square norm for each head, rotation."""

    def heads(x_BLW: Tensor, linear: Any, norm: Any) -> Tensor:
        x_BLHK = (x_BLW @ linear.weight.T + linear.bias).unflatten(-1, (2, 16))
        size_BLH1 = (x_BLHK.square().mean(-1, keepdim=True) + norm.eps).sqrt()
        normed_BLHK: Tensor = x_BLHK / size_BLH1 * norm.weight
        return normed_BLHK

    query, key = heads(image, attn.to_q, attn.norm_q), heads(image, attn.to_k, attn.norm_k)
    if text is not None:
        query = torch.cat([heads(text, attn.add_q_proj, attn.norm_added_q), query], dim=1)
        key = torch.cat([heads(text, attn.add_k_proj, attn.norm_added_k), key], dim=1)
    return turned(query, rotation), turned(key, rotation)


def watched(model: DreamOTransformer, call: dict[str, Any], layers: str = "all") -> list[tuple[Tensor, Tensor]]:
    seen = Seen()
    with tapped(model, seen, layers):  # type: ignore[arg-type]
        model(**call)
    return seen.layers


@torch.no_grad()
def test_queries_and_keys_are_those_of_the_blocks_own_weights() -> None:
    model = tiny()
    for name, weight in model.named_parameters():
        if "norm_q" in name or "norm_k" in name or "norm_added" in name:
            weight.copy_(torch.rand(weight.shape) + 0.5)
    call = given(model, other=Layout(5, Grid(2, 3), (Grid(1, 4), Grid(3, 1))))
    inputs: list[dict[str, Any]] = []
    blocks = [*model.transformer_blocks, *model.single_transformer_blocks]
    for block in blocks:
        block.attn.register_forward_pre_hook(lambda _, __, told: inputs.append(told), with_kwargs=True)
    layers = watched(model, call)
    assert len(layers) == len(inputs) == 3
    for block, told, (query, key) in zip(blocks, inputs, layers, strict=True):
        expected = by_hand(block.attn, told["hidden_states"], told.get("encoder_hidden_states"), call["rotation"])
        assert query.shape == key.shape == (2, ALL, 2, 16)
        assert torch.allclose(query, expected[0], atol=1e-5)
        assert torch.allclose(key, expected[1], atol=1e-5)


def test_the_output_is_equal_to_the_bit_with_and_without_gradient() -> None:
    model = tiny()
    call = given(model)
    plain = model(**call)
    with tapped(model, tap()):
        assert torch.equal(model(**call), plain)
    with torch.no_grad(), tapped(model, tap()):
        assert torch.equal(model(**call), plain)


def test_losses_are_means_over_layers_of_the_slices_that_the_layout_names() -> None:
    model, collected = tiny(), tap()
    call = given(model)
    with tapped(model, collected):
        model(**call)
    spans, expected = spans_of(LAYOUT.references), dict.fromkeys(("P", "S", "R", "placeholder"), 0.0)
    maps = torch.zeros(2, 2, NOISY)
    for query, key in watched(model, call):
        image, references = key[:, 5:11], query[:, 11:]
        for n, span in enumerate((slice(0, 4), slice(4, 7))):
            told = response(references[:, span], image)
            maps[:, n] += told / 3
            expected["P"] += routing_p(told, masks()[:, n]).mean().item() / 6
            expected["S"] += routing_s(told, masks()[:, n]).mean().item() / 6
        expected["R"] += routing_r(query[:, 5:11], key[:, 11:], spans, masks()).mean().item() / 3
        means = torch.stack([references[:, span].mean(1) for span in spans], dim=1)
        words = torch.stack([key[0, [1, 3]], key[1, [4, 0]]])
        expected["placeholder"] += placeholder_loss(means, words).mean().item() / 3
    found = {name.removeprefix("route "): loss.item() for name, loss in collected.losses().items()}
    assert found == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(collected.response_map(), maps, atol=1e-5)


@pytest.mark.parametrize(("layers", "count"), [("all", 3), ("double", 1), ("single", 2)])
def test_only_the_layers_asked_for_are_watched(layers: str, count: int) -> None:
    model = tiny()
    assert len(watched(model, given(model), layers)) == count


def test_a_sample_without_its_placeholders_has_no_part_in_their_loss() -> None:
    model = tiny()
    call = given(model)
    seen = watched(model, call)
    half, whole = tap(torch.tensor([[1, 3], [-1, 0]])), tap()
    for query, key in seen:
        half(query, key)
        whole(query, key)
    alone = RoutingTap(LAYOUT, (), masks()[:1], PLACES[:1], placeholders=True)
    for query, key in seen:
        alone(query[:1], key[:1])
    assert torch.allclose(half.losses()["placeholder"], alone.losses()["placeholder"])
    assert not torch.allclose(whole.losses()["placeholder"], alone.losses()["placeholder"])


def test_without_placeholders_or_with_one_reference_there_is_no_such_loss() -> None:
    model = tiny()
    nowhere, unasked = tap(torch.full((2, 2), -1)), tap(placeholders=False)
    for collected in (nowhere, unasked):
        with tapped(model, collected):
            model(**given(model))
        assert set(collected.losses()) == {"route P", "route S", "route R"}
    layout = Layout(5, Grid(2, 3), (Grid(2, 2),))
    single = RoutingTap(layout, FORMS, masks(1), torch.full((2, 1), -1), placeholders=False)
    with tapped(model, single):
        model(**given(model, layout))
    assert set(single.losses()) == {"route P", "route S"}


def gradients(name: str) -> tuple[Tensor, Tensor]:
    """Of one loss, by queries and by keys of all tokens."""
    draw, collected = torch.Generator().manual_seed(3), tap()
    query = torch.randn(2, ALL, 2, 16, generator=draw).requires_grad_()
    key = torch.randn(2, ALL, 2, 16, generator=draw).requires_grad_()
    collected(query, key)
    to_query, to_key = torch.autograd.grad(collected.losses()[name], (query, key))
    return to_query, to_key


@pytest.mark.parametrize(
    ("name", "query_tokens", "key_tokens"),
    [
        ("route P", range(11, 18), range(5, 11)),
        ("route S", range(11, 18), range(5, 11)),
        ("route R", range(5, 11), range(11, 18)),
    ],
)
def test_routing_pulls_only_where_it_should(name: str, query_tokens: range, key_tokens: range) -> None:
    for gradient_BNHK, tokens in zip(gradients(name), (query_tokens, key_tokens), strict=True):
        pulled_N = (gradient_BNHK != 0).any(-1).any(-1).any(0)
        assert pulled_N.nonzero().flatten().tolist() == list(tokens)


def test_the_placeholder_loss_pulls_at_each_samples_own_placeholders() -> None:
    to_query, to_key = gradients("placeholder")
    for b, places in enumerate(PLACES.tolist()):
        assert (to_query[b] != 0).any(-1).any(-1).nonzero().flatten().tolist() == list(range(11, 18))
        assert (to_key[b] != 0).any(-1).any(-1).nonzero().flatten().tolist() == sorted(places)


def test_the_response_map_holds_no_graph() -> None:
    model, collected = tiny(), tap()
    with tapped(model, collected):
        model(**given(model))
    assert not collected.response_map().requires_grad
    assert collected.losses()["route P"].requires_grad


def test_routing_trains_the_blocks_that_come_before() -> None:
    model, collected = tiny(), tap()
    with tapped(model, collected, "single"):
        model(**given(model))
    sum(collected.losses().values()).backward()  # type: ignore[union-attr]
    first, last = model.transformer_blocks[0], model.single_transformer_blocks[1]
    assert first.attn.to_q.weight.grad.abs().sum() > 0
    assert last.attn.to_q.weight.grad.abs().sum() > 0
    assert last.attn.to_v.weight.grad is None


def test_processors_are_put_back_also_after_an_error() -> None:
    model, other = tiny(), tiny()
    before = dict(model.attn_processors)

    def fails(query: Tensor, key: Tensor) -> None:
        raise RuntimeError("the tap broke")

    with pytest.raises(RuntimeError, match="the tap broke"), tapped(model, fails):  # type: ignore[arg-type]
        model(**given(model))
    assert all(model.attn_processors[name] is processor for name, processor in before.items())
    with tapped(model, tap()):
        assert all(p.watch is None for p in other.attn_processors.values() if isinstance(p, JointAttention))
        assert all(model.attn_processors[name] is not processor for name, processor in before.items())
    assert all(model.attn_processors[name] is processor for name, processor in before.items())


def test_fused_projections_give_the_same_losses() -> None:
    model, separate, fused = tiny(), tap(), tap()
    with torch.no_grad():
        with tapped(model, separate):
            model(**given(model))
        for block in (*model.transformer_blocks, *model.single_transformer_blocks):
            block.attn.fuse_projections()
        with tapped(model, fused):
            model(**given(model))
    for name, loss in separate.losses().items():
        assert torch.allclose(fused.losses()[name], loss, atol=1e-5)


def test_lora_on_the_projections_is_seen_and_trained() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model = tiny()
    call = given(model)
    plain = watched(model, call)[0]
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False), model)
    adapted, collected = watched(model, call)[0], tap()
    assert not torch.allclose(plain[0][:, TEXT:], adapted[0][:, TEXT:])
    assert torch.allclose(plain[0][:, :TEXT], adapted[0][:, :TEXT])
    with tapped(model, collected):
        model(**call)
    collected.losses()["route P"].backward()
    touched = [name for name, weight in model.named_parameters() if weight.grad is not None]
    assert touched
    assert all("lora_" in name for name in touched)


# The blocks' own norms have float32 weights: torch says that it then has no fused kernel.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_bfloat16_autocast_gives_nearly_the_same_losses_in_float32() -> None:
    model, exact, cast = tiny(), tap(), tap()
    with tapped(model, exact):
        model(**given(model))
    with torch.autocast("cpu", torch.bfloat16), tapped(model, cast):
        model(**given(model))
    for name, loss in exact.losses().items():
        assert cast.losses()[name].dtype == torch.float32
        assert cast.losses()[name].item() == pytest.approx(loss.item(), rel=0.05)
