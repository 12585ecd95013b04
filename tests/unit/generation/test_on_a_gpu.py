"""What only a GPU shows: the same images in every exact mode, beside decoding, and against a CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core.errors import Stopped
from core.generation.denoising import denoise
from core.generation.dreamo import DreamO
from core.generation.encoding import Encoder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


def asked(ask, count=3):
    return [*zip(*[ask((64, 48), (32, 32), seed=seed) for seed in range(count)], strict=True)]


def on_gpu(card, settings, **changes):
    overlap = changes.pop("overlap", None)
    return DreamO(card, replace(settings, device="cuda", **changes), "cuda", overlap=overlap)


def test_float32_agrees_with_the_cpu(ask, own_settings, card):
    expected = DreamO(card, own_settings, "cpu").latents(*asked(ask))
    found = on_gpu(card, own_settings, precision="float32").latents(*asked(ask))
    assert all((one - other.cpu()).abs().max() < 1e-2 for one, other in zip(expected, found, strict=True))


def test_the_same_batch_twice_gives_the_same_bytes(ask, own_settings, card):
    generator = on_gpu(card, own_settings)
    first, second = (list(generator.generate(*asked(ask))) for _ in range(2))
    assert [one.picture.tobytes() for one in first] == [one.picture.tobytes() for one in second]


@pytest.mark.parametrize(("mode", "most"), [("model", 0.0), ("group", 1e-3)])
def test_exact_modes_give_the_same_latents(mode, most, ask, own_settings, card):
    given = {"precision": "float32"}
    resident = on_gpu(card, own_settings, memory="resident", **given).latents(*asked(ask))
    moved = on_gpu(card, own_settings, memory=mode, **given).latents(*asked(ask))
    assert all((one - other).abs().max() <= most for one, other in zip(resident, moved, strict=True))


def test_compiled_blocks_give_the_same_latents_to_rounding(ask, own_settings, card):
    given = {"precision": "float32"}
    eager = on_gpu(card, own_settings, compile="off", **given).latents(*asked(ask))
    compiled = on_gpu(card, own_settings, compile="on", **given).latents(*asked(ask))
    assert all((one - other).abs().max() <= 1e-3 for one, other in zip(eager, compiled, strict=True))


def test_decoding_beside_the_next_batch_changes_no_byte(ask, own_settings, card):
    made = []
    for beside in (False, True):
        generator = on_gpu(card, own_settings, batch_size=1, overlap=beside)
        made.append([image.picture.tobytes() for image in generator.generate(*asked(ask))])
    assert made[0] == made[1]


def test_decoding_beside_the_next_batch_takes_memory_once(ask, own_settings, card):
    generator = on_gpu(card, own_settings, batch_size=1, overlap=True)
    torch.cuda.empty_cache()
    before = {segment["stream"] for segment in torch.cuda.memory_snapshot()}
    list(generator.generate(*asked(ask, 6)))
    assert len({segment["stream"] for segment in torch.cuda.memory_snapshot()} - before) <= 2


def test_a_cancelled_job_queues_no_further_step(ask, own_settings, card):
    generator = on_gpu(card, own_settings)
    calls = []
    generator.model.transformer.single_blocks[0].register_forward_hook(lambda *_: calls.append(1))

    def stop(step, steps):
        raise Stopped("enough")

    with pytest.raises(Stopped):
        list(generator.generate(*asked(ask, 1), stop))
    assert len(calls) == 1


def test_a_batch_is_encoded_and_begun_without_waiting_for_the_one_before(ask, own_settings, card):
    generator = on_gpu(card, own_settings, cache_gb=0.0)
    generator.latents(*asked(ask))
    requests, references = asked(ask)
    again = [replace(request, prompt=f"{request.prompt} again") for request in requests], references
    encoder = Encoder(generator.model, generator.settings)
    torch.cuda.set_sync_debug_mode("error")
    try:
        *_, found = denoise(encoder.encode(encoder.orders(*again)), generator.model)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    known = on_gpu(card, own_settings, cache_gb=0.0).latents(*again)
    assert all(torch.equal(one, other) for one, other in zip(found, known, strict=True))
