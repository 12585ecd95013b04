"""Where weights are placed, and that no placement changes an image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import BadInput
from core.generation.decoding import stream_of
from core.generation.dreamo import DreamO
from core.generation.memory import choose, resolve_device
from core.generation.precision import vae_precision

GB = 10**9


@pytest.mark.parametrize(
    ("free", "mode"),
    [(140 * GB, "resident"), (37 * GB, "resident"), (32 * GB, "model"), (12 * GB, "group"), (6 * GB, "group")],
)
def test_auto_takes_what_fits_and_says_why(free, mode):
    plan = choose("auto", "cuda:0", free, transformer=24 * GB, others=9 * GB)
    assert plan.mode == mode
    assert f"{free / 1e9:.1f} GB free" in plan.why


def test_text_works_on_the_cpu_where_t5_does_not_fit():
    assert choose("auto", "cuda:0", 8 * GB, 24 * GB, 9 * GB).text == "cpu"
    assert choose("auto", "cuda:0", 12 * GB, 24 * GB, 9 * GB).text == "cuda:0"
    assert "T5" in choose("auto", "cuda:0", 8 * GB, 24 * GB, 9 * GB).why


def test_auto_never_chooses_the_approximate_mode():
    modes = {choose("auto", "cuda:0", free * GB, 24 * GB, 9 * GB).mode for free in range(1, 150)}
    assert modes == {"resident", "model", "group"}


def test_what_is_asked_for_is_taken():
    assert choose("group", "cuda:0", 140 * GB, GB, GB).mode == "group"
    assert choose("fp8", "cuda:0", 140 * GB, GB, GB).mode == "fp8"
    assert choose("fp8", "cpu", GB, GB, GB).mode == "fp8"


def test_a_mode_that_is_not_there_is_named():
    with pytest.raises(BadInput, match="DREAMLINE_MEMORY"):
        choose("much", "cpu", GB, GB, GB)


@pytest.mark.parametrize("asked", ["cuda:3", "tpu"])
def test_a_device_that_is_not_here_is_named(asked, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match=asked):
        resolve_device(asked)


def test_blocks_that_come_one_by_one_change_nothing_but_the_last_bits(ask, own_settings, card):
    asked = [*zip(*[ask((32, 32), seed=1), ask((32, 32), seed=2)], strict=True)]
    resident = DreamO(card, own_settings, "cpu").latents(*asked)
    moved = DreamO(card, replace(own_settings, memory="group"), "cpu").latents(*asked)
    assert all((one - other).abs().max() <= 1e-5 for one, other in zip(resident, moved, strict=True))


def test_models_that_come_one_after_another_change_no_byte(ask, own_settings, card):
    asked = [*zip(*[ask((32, 32), seed=1), ask((32, 32), seed=2)], strict=True)]
    resident = DreamO(card, own_settings, "cpu").latents(*asked)
    generator = DreamO(card, own_settings, "cpu")
    generator.model.device, generator.model.plan = "cpu:0", choose("model", "cpu:0", GB, 0, 0)
    assert generator.model.plan.mode == "model"
    moved = generator.latents(*asked)
    assert all(torch.equal(one, other) for one, other in zip(resident, moved, strict=True))


def test_a_precision_that_is_none_is_named(ask, own_settings, card):
    with pytest.raises(BadInput, match=r"DREAMLINE_PRECISION.*half"):
        DreamO(card, replace(own_settings, precision="half"), "cpu").latents(*zip(*[ask()], strict=True))


@pytest.mark.parametrize(
    ("stored", "computed"),
    [(torch.float32, torch.float32), (torch.float16, torch.float32), (torch.bfloat16, torch.bfloat16)],
)
def test_an_autoencoder_that_was_not_written_in_bfloat16_is_not_rounded_to_it(tmp_path, golden, stored, computed):
    tensors = load_file(golden / "base" / "vae" / "diffusion_pytorch_model.safetensors")
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor.to(stored) for name, tensor in tensors.items()}, path)
    assert vae_precision(tmp_path, torch.bfloat16) == computed
    assert vae_precision(tmp_path, torch.float32) == torch.float32


def test_one_model_after_another_is_on_the_device(ask, own_settings, card, monkeypatch):
    """In the mode `model` each part comes for its work and leaves; a CPU makes the moves for show."""
    generator = DreamO(card, replace(own_settings, memory="model", cache_gb=0.0), "cpu")
    model = generator.model
    model.plan = choose("model", "cpu:0", GB, 0, 0)
    moves = []
    parts = (("transformer", model.transformer), ("vae", model.vae), ("t5", model.text.t5))
    for name, module in parts:
        move = module.to
        monkeypatch.setattr(module, "to", lambda to, name=name, move=move: moves.append((name, to)) or move(to))
    model.device = "cpu:0"
    list(generator.generate(*zip(*[ask((32, 32))], strict=True)))
    expected = [("t5", "cpu:0"), ("t5", "cpu"), ("vae", "cpu:0"), ("vae", "cpu")]
    expected += [("transformer", "cpu:0"), ("transformer", "cpu"), ("vae", "cpu:0"), ("vae", "cpu")]
    assert moves == expected


@pytest.mark.parametrize(("free", "expected"), [(GB, ["cpu:0", "cpu"]), (100 * GB, ["cpu:0"])])
def test_text_encoders_leave_when_not_needed_and_memory_is_scarce(
    free, expected, ask, own_settings, card, monkeypatch
):
    monkeypatch.setattr("core.generation.memory.free_bytes", lambda device: free)
    generator = DreamO(card, replace(own_settings, cache_gb=0.0), "cpu")
    moves = []
    move = generator.model.text.to
    monkeypatch.setattr(generator.model.text, "to", lambda to: moves.append(to) or move(to))
    generator.model.plan = choose("resident", "cpu:0", GB, 0, 0)
    for seed in (1, 2):
        list(generator.generate(*zip(*[ask(seed=seed)], strict=True)))
    assert moves == expected


def test_all_pictures_of_a_device_are_decoded_in_one_stream(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: [device])
    stream_of.cache_clear()
    try:
        assert stream_of("cuda:0") is stream_of("cuda:0")
        assert stream_of("cuda:1") == ["cuda:1"]
    finally:
        stream_of.cache_clear()
