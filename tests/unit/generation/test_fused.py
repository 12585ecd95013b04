"""The transformer that makes images: the same numbers as the one that is trained, in fewer passes."""

from __future__ import annotations

import gc
import os
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sympy
import torch
from torch._dynamo.utils import counters

from core.errors import BadInput
from core.generation import compiling
from core.generation.dreamo import DreamO
from core.generation.fused import FusedTransformer
from core.generation.sequence import Grid, Layout, position_ids
from core.generation.transformer import DreamOTransformer

SHAPE = {
    "num_layers": 2,
    "num_single_layers": 3,
    "num_attention_heads": 4,
    "attention_head_dim": 32,
    "joint_attention_dim": 24,
    "pooled_projection_dim": 16,
    "axes_dims_rope": (8, 12, 12),
}
STEPS = 3


def build(guided=True):
    torch.manual_seed(0)
    model = DreamOTransformer(guidance_embeds=guided, **SHAPE).eval().double()
    return model.requires_grad_(requires_grad=False)


def given(model, layouts, *, roles=True, guided=True):
    """What a batch of these layouts begins with, and its noisy tokens."""
    draw = torch.Generator().manual_seed(1)
    batch, one = len(layouts), layouts[0]

    def rand(*shape):
        return torch.randn(batch, *shape, generator=draw, dtype=torch.float64)

    shown = layouts if len(set(layouts)) > 1 else layouts[:1]
    steps = torch.tensor([900.0, 500.0, 20.0], dtype=torch.float64)[:, None].expand(STEPS, batch)
    told = {
        "text_BTE": rand(one.text, 24),
        "pooled_BP": rand(16),
        "references_BRD": rand(one.reference_tokens, 64) if one.references else None,
        "rotation": model.rotation(torch.stack([position_ids(layout) for layout in shown])),
        "roles_BLW": rand(one.noisy.tokens + one.reference_tokens, 128) if roles else None,
        "timestep_IB": steps,
        "guidance_IB": 3.5 + torch.rand(STEPS, batch, generator=draw).double() if guided else None,
    }
    return told, rand(one.noisy.tokens, 64)


WIDE, HIGH = Grid(1, 6), Grid(3, 2)
CASES = {
    "no references": ([Layout(5, Grid(3, 4))], False, True),
    "one reference, roles": ([Layout(7, Grid(3, 4), (Grid(2, 3),))], True, True),
    "two, without guidance embedding": ([Layout(7, Grid(3, 4), (Grid(2, 3), Grid(1, 2)))], True, False),
    "a batch of one layout": ([Layout(7, Grid(3, 4), (WIDE,))] * 3, True, True),
    "a batch of two layouts": ([Layout(7, Grid(3, 4), (WIDE,)), Layout(7, Grid(3, 4), (HIGH,))], True, True),
}


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_every_step_is_that_of_diffusers_blocks(case):
    layouts, roles, guided = CASES[case]
    model = build(guided)
    told, noisy = given(model, layouts, roles=roles, guided=guided)
    predict = model.begin(**told)
    expected = [predict(step, noisy) for step in range(STEPS)]
    predict = FusedTransformer(model).begin(**told)
    for step in range(STEPS):
        assert torch.allclose(predict(step, noisy), expected[step], rtol=0, atol=1e-12)


def test_it_takes_the_weights_over():
    model = build()
    weights = sum(weight.numel() for weight in model.parameters())
    fused = FusedTransformer(model)
    assert sum(weight.numel() for weight in fused.parameters()) == weights
    assert not len(model.transformer_blocks)
    assert not len(model.single_transformer_blocks)


@torch.no_grad()
def test_blocks_compile_whole_and_never_again_after_one_image_and_several():
    """Three kinds of block, each once for one image and once for several, whatever sizes and references."""
    model = build()
    sizes = [Grid(3, 4), Grid(4, 3), Grid(5, 5), Grid(2, 7)]
    shapes = [Layout(7, size, references) for size in sizes for references in [(), (WIDE,), (HIGH, Grid(2, 3))]]
    batches = [[layout] * count for layout in shapes for count in (1, 2, 3)]
    batches += [[Layout(7, size, (WIDE,)), Layout(7, size, (HIGH,))] for size in sizes]
    all_told = [given(model, layouts) for layouts in batches]
    expected = [model.begin(**told)(0, noisy) for told, noisy in all_told]
    fused = FusedTransformer(model)
    torch._dynamo.reset()
    counters.clear()
    fused.compile_blocks(backend="eager")
    for (told, noisy), known in list(zip(all_told, expected, strict=True))[3:5]:
        assert torch.allclose(fused.begin(**told)(0, noisy), known, rtol=0, atol=1e-12)
    assert counters["stats"]["unique_graphs"] == 6
    with torch.compiler.set_stance("fail_on_recompile"):
        for (told, noisy), known in zip(all_told, expected, strict=True):
            assert torch.allclose(fused.begin(**told)(1, noisy), fused.begin(**told)(1, noisy), rtol=0, atol=0)
            assert torch.allclose(fused.begin(**told)(0, noisy), known, rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_model_that_is_dropped_is_freed_at_once_compiled_or_not():
    model = build()
    told, noisy = given(model, [Layout(7, Grid(3, 4), (WIDE,))])
    fused = FusedTransformer(model)
    fused.compile_blocks(backend="eager")
    fused.begin(**told)(0, noisy)
    gone = weakref.ref(fused.double_blocks[0].image.qkv.weight)
    gc.collect()
    gc.disable()
    try:
        del fused
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("row", "held"), [(640, True), (3072, True), (16384, True), (16385, False)])
def test_the_compiler_holds_rows_in_registers_that_fit(row, held, monkeypatch):
    from torch._inductor.choices import InductorChoices

    monkeypatch.setattr(InductorChoices, "should_use_persistent_reduction", staticmethod(lambda *_: False))
    row_of = SimpleNamespace(reduction_numel=sympy.Integer(row))
    assert compiling.choices().should_use_persistent_reduction(row_of, False) is held


@pytest.mark.parametrize("row", [sympy.Integer(128), sympy.Symbol("tokens", integer=True) * 3072])
def test_the_compiler_decides_itself_about_short_rows_and_such_of_unknown_length(row, monkeypatch):
    from torch._inductor.choices import InductorChoices

    asked = []
    monkeypatch.setattr(
        InductorChoices, "should_use_persistent_reduction", staticmethod(lambda *given: asked.append(given))
    )
    compiling.choices().should_use_persistent_reduction(SimpleNamespace(reduction_numel=row), False)
    assert len(asked) == 1


@pytest.fixture
def kept_in(monkeypatch, tmp_path):
    """The environment's folder for compiled code, put back afterwards."""
    monkeypatch.setenv(compiling.KEPT_IN, str(tmp_path))
    monkeypatch.delenv(compiling.KEPT_IN)


def test_a_campaign_with_compiled_blocks_makes_the_same_images(ask, own_settings, card, monkeypatch, kept_in):
    asked = [*zip(*[ask((32, 32), seed=1), ask((32, 32), seed=2)], strict=True)]
    expected = DreamO(card, own_settings, "cpu").latents(*asked)
    compile_blocks = FusedTransformer.compile_blocks
    compile_decoder = compiling.compile_decoder
    monkeypatch.setattr(
        FusedTransformer, "compile_blocks", lambda self, **_: compile_blocks(self, backend="eager")
    )
    monkeypatch.setattr(compiling, "compile_decoder", lambda vae: compile_decoder(vae, backend="eager"))
    monkeypatch.setattr(compiling, "try_compiler", lambda *_: "")
    found = DreamO(card, replace(own_settings, compile="on"), "cpu").latents(*asked)
    assert all((one - other).abs().max() < 1e-5 for one, other in zip(found, expected, strict=True))
    assert os.environ[compiling.KEPT_IN] == str(own_settings.home / "cache" / "compiled")


def test_compiling_blocks_that_come_one_by_one_is_refused(ask, own_settings, card):
    settings = replace(own_settings, compile="on", memory="group")
    with pytest.raises(BadInput, match="DREAMLINE_COMPILE"):
        DreamO(card, settings, "cpu").latents(*zip(*[ask()], strict=True))


def test_without_a_compiler_images_are_made_all_the_same(ask, own_settings, card, monkeypatch, caplog, kept_in):
    monkeypatch.setattr(compiling, "_pays", lambda transformer, device: True)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    DreamO(card, own_settings, "cpu").latents(*zip(*[ask()], strict=True))
    assert "nothing can be compiled for cpu" in caplog.text
    with pytest.raises(BadInput, match="there is no compiler"):
        DreamO(card, replace(own_settings, compile="on"), "cpu").latents(*zip(*[ask()], strict=True))


def test_a_compiler_that_fails_is_told(monkeypatch, kept_in):
    def broken(work, backend):
        raise RuntimeError("Python.h: No such file or directory\nand more")

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compiling, "has_compiler", lambda kind: True)
    assert compiling.try_compiler("cpu", "inductor") == "RuntimeError: Python.h: No such file or directory"


def test_a_compiler_that_computes_something_else_is_told(monkeypatch, kept_in):
    monkeypatch.setattr(compiling, "has_compiler", lambda kind: True)
    wrong = compiling.try_compiler("cpu", lambda graph, inputs: lambda *given: [given[-1] * 2])
    assert wrong == "1 + 3072 became 2.0"


def test_a_backend_that_fails_says_why(monkeypatch, kept_in):
    def broken(graph, inputs):
        raise ImportError("no such hook")

    monkeypatch.setattr(compiling, "has_compiler", lambda kind: True)
    assert compiling.try_compiler("cpu", broken) == "ImportError: no such hook"


def test_where_the_compiler_takes_no_advice_it_decides_itself(monkeypatch, kept_in, own_settings, caplog):
    taken = []
    transformer = SimpleNamespace(compile_blocks=lambda backend: taken.append(backend))
    monkeypatch.setattr(compiling, "compile_decoder", lambda vae: None)
    failing = {compiling.rows_in_registers: "ImportError: no such hook", "inductor": ""}
    monkeypatch.setattr(compiling, "try_compiler", lambda device, backend: failing[backend])
    compiling.prepare(transformer, None, replace(own_settings, compile="on"), "cpu")
    assert taken == ["inductor"]
    assert "no such hook" in caplog.text
    failing[compiling.rows_in_registers] = ""
    compiling.prepare(transformer, None, replace(own_settings, compile="on"), "cpu")
    assert taken == ["inductor", compiling.rows_in_registers]


def test_pictures_of_any_size_are_decoded_by_one_compiled_decoder(golden):
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(golden / "base" / "vae", local_files_only=True).eval()
    latents = [
        torch.randn(1, vae.config.latent_channels, *sides) for sides in ((18, 20), (20, 18), (19, 19), (24, 28))
    ]
    torch._dynamo.reset()
    with torch.no_grad():
        expected = [vae.decode(latent).sample for latent in latents]
        compiling.compile_decoder(vae, backend="eager", fullgraph=True)
        vae.decode(latents[2])
        vae.decode(latents[0])
        with torch.compiler.set_stance("fail_on_recompile"):
            found = [vae.decode(latent).sample for latent in latents]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
