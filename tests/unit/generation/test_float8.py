"""fp8 linear layers: how far they round, that batch mates don't matter, and that the compiler takes them whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from core.errors import BadInput
from core.generation.dreamo import DreamO
from core.generation.float8 import LARGEST, Float8Linear, require_fp8, rounded, takes_fp8
from core.generation.fused import FusedTransformer
from tests.unit.generation.test_fused import build


def test_rows_are_rounded_by_their_own_scale():
    rows = torch.randn(5, 64) * torch.tensor([1e-3, 1.0, 30.0, 1e4, 0.0])[:, None]
    found, scale = rounded(rows)
    assert found.float().abs().amax(1)[:4].tolist() == pytest.approx([LARGEST] * 4)
    restored = found.float() * scale
    assert ((restored - rows).abs() <= rows.abs() / 16 + scale * 2**-10).all()
    assert restored[4].tolist() == [0.0] * 64


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_that_of_rounded_weights_and_inputs(precision, bias):
    torch.manual_seed(0)
    layer = nn.Linear(64, 96, bias=bias, dtype=precision)
    x = torch.randn(2, 7, 64, dtype=precision)
    w_NK, scale_N1 = rounded(layer.weight.detach())
    x_TK, scale_T1 = rounded(x.flatten(0, 1))
    expected = (x_TK.double() * scale_T1) @ (w_NK.double() * scale_N1).t() + (layer.bias.double() if bias else 0)
    found = Float8Linear(layer)(x)
    assert found.dtype == precision
    assert found.shape == (2, 7, 96)
    tolerance = 1e-5 if precision == torch.float32 else 1e-2
    torch.testing.assert_close(found.double().flatten(0, 1), expected, rtol=tolerance, atol=tolerance)
    assert (found - layer(x)).norm() / layer(x).norm() < 0.05


def test_a_token_is_the_same_whatever_stands_beside_it():
    torch.manual_seed(0)
    layer, x = Float8Linear(nn.Linear(64, 96)), torch.randn(1, 8, 64)
    beside = torch.cat([x, 1000 * torch.randn(1, 8, 64)])
    torch.testing.assert_close(layer(beside)[:1], layer(x))


def test_the_linear_layers_of_blocks_are_taken_and_no_others():
    fused = FusedTransformer(build())
    taken = [name for name, module in fused.named_modules() if takes_fp8(module, name)]
    assert len(taken) == 2 * 8 + 2 * 2 + 3
    assert not [name for name in taken if not name.startswith(("double_blocks.", "single_blocks."))]


def test_images_in_fp8_are_close_to_exact_ones_and_the_same_in_any_batch(ask, own_settings, card):
    asked = [*zip(*[ask((32, 32), seed=1), ask((32, 32), seed=2)], strict=True)]
    exact = DreamO(card, own_settings, "cpu").latents(*asked)
    generator = DreamO(card, replace(own_settings, memory="fp8"), "cpu")
    found = generator.latents(*asked)
    blocks = generator.model.transformer.double_blocks
    assert [module for module in blocks.modules() if isinstance(module, Float8Linear)]
    for one, other in zip(found, exact, strict=True):
        assert 0 < (one - other).norm() / other.norm() < 0.2
    alone = replace(own_settings, memory="fp8", batch_size=1)
    for one, other in zip(found, DreamO(card, alone, "cpu").latents(*asked), strict=True):
        assert (one - other).norm() / other.norm() < 0.02


def test_blocks_in_fp8_compile_whole(ask, own_settings, card):
    torch._dynamo.reset()
    generator = DreamO(card, replace(own_settings, memory="fp8"), "cpu")
    asked = [*zip(*[ask((32, 32), seed=1)], strict=True)]
    expected = generator.latents(*asked)
    generator.model.transformer.compile_blocks(backend="eager")
    for one, other in zip(generator.latents(*asked), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("device", "capability", "precision", "told"),
    [
        ("mps", None, torch.bfloat16, "does not go with mps"),
        ("cuda:0", (8, 6), torch.bfloat16, "8.6"),
        ("cuda:0", (9, 0), torch.float32, "DREAMLINE_PRECISION"),
    ],
)
def test_a_device_or_a_precision_without_fp8_is_refused(device, capability, precision, told, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    with pytest.raises(BadInput, match=told):
        require_fp8(device, precision)
