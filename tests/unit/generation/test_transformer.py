"""FLUX with references: at full size on the meta device, and against diffusers' own forward pass."""

from __future__ import annotations

import pytest
import torch

from core.generation.sequence import Grid, Layout, position_ids
from core.generation.transformer import DreamOTransformer


@pytest.fixture(scope="module")
def small(golden):
    return DreamOTransformer.from_pretrained(golden / "base/transformer").eval()


def inputs(layouts, seed=0):
    draw = torch.Generator().manual_seed(seed)
    batch, one = len(layouts), layouts[0]

    def rand(*shape):
        return torch.randn(batch, *shape, generator=draw)

    references = rand(one.reference_tokens, 64) if one.reference_tokens else None
    return rand(one.noisy.tokens, 64), references, rand(one.text, 32), rand(32)


@torch.no_grad()
def test_without_roles_it_is_diffusers_own_forward_pass(small, golden):
    from diffusers import FluxTransformer2DModel

    theirs = FluxTransformer2DModel.from_pretrained(golden / "base/transformer").eval()
    layout = Layout(7, Grid(3, 4), (Grid(2, 3), Grid(1, 2)))
    noisy, references, text, pooled = inputs([layout])
    ids = position_ids(layout)
    found = small(
        noisy,
        references,
        text,
        pooled,
        torch.tensor([613.0]),
        torch.tensor([4.5]),
        small.rotation(ids[None]),
        None,
    )
    expected = theirs(
        hidden_states=torch.cat([noisy, references], dim=1),
        encoder_hidden_states=text,
        pooled_projections=pooled,
        timestep=torch.tensor([0.613]),
        guidance=torch.tensor([4.5]),
        txt_ids=ids[:7],
        img_ids=ids[7:],
        return_dict=False,
    )[0][:, : layout.noisy.tokens]
    assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_images_of_a_batch_have_positions_of_their_own(small):
    layouts = [Layout(5, Grid(2, 2), (Grid(1, 6),)), Layout(5, Grid(2, 2), (Grid(3, 2),))]
    noisy, references, text, pooled = inputs(layouts)
    rotation = small.rotation(torch.stack([position_ids(layout) for layout in layouts]))
    time, guidance = torch.tensor([500.0, 500.0]), torch.tensor([3.0, 4.0])
    together = small(noisy, references, text, pooled, time, guidance, rotation, None)
    for k, layout in enumerate(layouts):
        own = small.rotation(position_ids(layout)[None])
        part = slice(k, k + 1)
        alone = small(
            noisy[part], references[part], text[part], pooled[part], time[part], guidance[part], own, None
        )
        assert torch.allclose(together[part], alone, atol=1e-5)


@torch.no_grad()
def test_fused_projections_change_nothing_but_rounding(golden):
    model = DreamOTransformer.from_pretrained(golden / "base/transformer").eval()
    layout = Layout(5, Grid(2, 3), (Grid(2, 2),))
    noisy, references, text, pooled = inputs([layout])
    given = (torch.tensor([500.0]), torch.tensor([3.0]), model.rotation(position_ids(layout)[None]), None)
    before = model(noisy, references, text, pooled, *given)
    for module in model.modules():
        if hasattr(module, "fuse_projections") and module is not model:
            module.fuse_projections()
    assert torch.allclose(model(noisy, references, text, pooled, *given), before, atol=1e-5)


def test_the_full_size_model_takes_three_references():
    """1024 x 1024 with three references of 512 x 512 on the meta device: 7680 tokens in, 4096 out."""
    with torch.device("meta"):
        model = DreamOTransformer(guidance_embeds=True).bfloat16()
        layout = Layout(512, Grid(64, 64), (Grid(32, 32),) * 3)
        made = model(
            torch.empty(1, 4096, 64, dtype=torch.bfloat16),
            torch.empty(1, 3072, 64, dtype=torch.bfloat16),
            torch.empty(1, 512, 4096, dtype=torch.bfloat16),
            torch.empty(1, 768, dtype=torch.bfloat16),
            torch.empty(1),
            torch.empty(1),
            model.rotation(torch.empty(1, layout.tokens, 3)),
            torch.empty(1, 7168, 3072, dtype=torch.bfloat16),
        )
    assert layout.tokens == 7680
    assert made.shape == (1, 4096, 64)
    assert made.dtype == torch.bfloat16
    assert sum(weight.numel() for weight in model.parameters()) == 11_901_408_320
