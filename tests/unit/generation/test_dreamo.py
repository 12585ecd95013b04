"""The generator: images are functions of their requests, whatever shares the batch or ran before."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import BadInput, OutOfMemory, Stopped, WeightsMissing
from core.generation import denoising
from core.generation.dreamo import DreamO
from core.generation.model import load_model
from core.requests import Role
from core.settings import Settings


def bytes_of(images):
    return [image.picture.tobytes() for image in images]


def four(ask):
    """Seeds, prompts, guidance, and references of other proportions with as many tokens."""
    shapes = [[(64, 32), (48, 48)], [(32, 64), (48, 48)], [(48, 48), (128, 16)], [(64, 32), (48, 48)]]
    prompts = ["a dog from [ref#1]", "a cat", "a toy [ref#2]", "a dog from [ref#1]"]
    return [
        ask(*sizes, prompt=prompt, seed=seed, guidance=3.5 + seed, first_step_guidance=1.0 + seed)
        for seed, (sizes, prompt) in enumerate(zip(shapes, prompts, strict=True))
    ]


def test_four_in_one_batch_are_what_they_are_alone(ask, dreamo):
    asked = four(ask)
    together = dreamo.latents(*zip(*asked, strict=True))
    apart = [dreamo.latents([request], [references])[0] for request, references in asked]
    for one, other in zip(together, apart, strict=True):
        assert (one - other).abs().max() <= 1e-4
    images = zip(*(dreamo.generate(*zip(*part, strict=True)) for part in (asked,)), strict=True)
    for (image,), (request, references) in zip(images, asked, strict=True):
        alone = np.asarray(next(dreamo.generate([request], [references])).picture, dtype=int)
        difference = np.abs(np.asarray(image.picture, dtype=int) - alone)
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 1e-3


def test_four_of_one_shape_go_through_the_transformer_at_once(ask, dreamo, monkeypatch):
    sizes = []
    whole = denoising.denoise
    monkeypatch.setattr(denoising, "denoise", lambda jobs, *more: sizes.append(len(jobs)) or whole(jobs, *more))
    dreamo.latents(*zip(*four(ask), strict=True))
    assert sizes == [4]


def test_mixed_requests_come_back_in_order(ask, dreamo):
    asked = [
        ask(width=64, height=64, seed=1),
        ask((32, 32), width=96, height=48, seed=2),
        ask(width=64, height=64, seed=3, steps=2),
        ask((32, 32), width=96, height=48, seed=4),
        ask(width=64, height=64, seed=5),
        ask(width=64, height=64, seed=6, true_cfg=2.0, negative_prompt="a cat"),
    ]
    images = list(dreamo.generate(*zip(*asked, strict=True)))
    assert [image.request for image in images] == [request for request, _ in asked]
    for image, (request, references) in zip(images, asked, strict=True):
        assert image.picture.size == (request.width, request.height)
        assert image.picture.mode == "RGB"
        alone = next(dreamo.generate([request], [references]))
        assert np.abs(np.asarray(image.picture, int) - np.asarray(alone.picture, int)).max() <= 1


def test_the_same_batch_twice_gives_the_same_bytes(ask, dreamo):
    asked = [*zip(*four(ask), strict=True)]
    first = bytes_of(dreamo.generate(*asked))
    torch.rand(3)
    dreamo.latents(*zip(*[ask(seed=99, prompt="a mug")], strict=True))
    assert bytes_of(dreamo.generate(*asked)) == first


PROGRAM = """
import hashlib, sys
from pathlib import Path
import numpy as np, torch
from PIL import Image
from core.cards import load_card
from core.generation.dreamo import DreamO
from core.requests import Preparation, Reference, Request
from core.settings import Settings
torch.set_num_threads(1)
settings = Settings(home=Path(sys.argv[1]), models=Path(sys.argv[2]), device="cpu")
levels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
reference = (Reference("r", "subject", "0" * 64),)
requests = [Request("dreamo-v1.1", "a dog from [ref#1]", reference, 64, 64, seed, 3, 4.5) for seed in range(3)]
prepared = [[Preparation(Image.fromarray(levels))]] * 3
images = DreamO(load_card("dreamo-v1.1", settings), settings, "cpu").generate(requests, prepared)
print(hashlib.sha256(b"".join(image.picture.tobytes() for image in images)).hexdigest())
"""


def test_two_processes_give_the_same_bytes(tmp_path, models):
    """The first makes everything, the second finds its caches: neither changes a byte."""
    found = []
    for home in ("a", "a", "b"):
        run = [sys.executable, "-c", PROGRAM, str(tmp_path / home), str(models)]
        found.append(subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout)
    assert len(set(found)) == 1
    assert len(found[0].strip()) == 64


def test_the_second_image_runs_no_encoder_and_caches_change_no_byte(ask, own_settings, card):
    generator = DreamO(card, own_settings, "cpu")
    without = DreamO(card, replace(own_settings, cache_gb=0.0, home=own_settings.home / "other"), "cpu")
    request, references = ask((64, 48), (32, 32), true_cfg=1.5, negative_prompt="a cat")
    counts = {"clip": 0, "t5": 0, "vae": 0}
    model = generator.model
    for name, module in (("clip", model.text.clip), ("t5", model.text.t5), ("vae", model.vae.encoder)):
        module.register_forward_hook(lambda *_, name=name: counts.update({name: counts[name] + 1}))
    first = bytes_of(generator.generate([request], [references]))
    assert counts == {"clip": 2, "t5": 2, "vae": 2}
    second = bytes_of(generator.generate([replace(request, seed=9)], [references]))
    assert counts == {"clip": 2, "t5": 2, "vae": 2}
    assert first == bytes_of(without.generate([request], [references]))
    assert second == bytes_of(without.generate([replace(request, seed=9)], [references]))
    fresh = DreamO(card, own_settings, "cpu")
    assert second == bytes_of(fresh.generate([replace(request, seed=9)], [references]))
    assert fresh.model.text.encoded == 0
    assert (fresh.encoder.prompts.hits, fresh.encoder.prompts.misses) == (2, 0)
    assert (fresh.encoder.references.hits, fresh.encoder.references.misses) == (2, 0)


@pytest.mark.parametrize(
    ("free", "expected"),
    [(100e9, ["t5", "step", "step", "t5", "step", "step"]), (1e9, ["t5", "t5", "step", "step", "step", "step"])],
)
def test_prompts_are_encoded_when_their_batch_is_due_unless_memory_is_scarce(
    free, expected, ask, own_settings, card, monkeypatch
):
    monkeypatch.setattr("core.generation.memory.free_bytes", lambda device: free)
    generator = DreamO(card, replace(own_settings, batch_size=1), "cpu")
    happened = []
    generator.model.text.t5.register_forward_hook(lambda *_: happened.append("t5"))
    given = [ask(prompt=prompt, steps=2) for prompt in ("a dog", "a cat")]
    generator.latents(*zip(*given, strict=True), lambda *_: happened.append("step"))
    assert happened == expected


def test_each_step_is_told_and_a_cancelled_job_stops_within_one(ask, dreamo):
    told = []
    list(dreamo.generate(*zip(*[ask(), ask(steps=2)], strict=True), lambda *step: told.append(step)))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    calls = []
    hook = dreamo.model.transformer.single_blocks[0].register_forward_hook(lambda *_: calls.append(1))

    def stop(step, steps):
        raise Stopped("not wanted any more")

    try:
        with pytest.raises(Stopped):
            list(dreamo.generate(*zip(*[ask(steps=9)], strict=True), stop))
    finally:
        hook.remove()
    assert len(calls) == 1


def test_out_of_memory_halves_the_batch_and_changes_no_picture(ask, own_settings, card, monkeypatch):
    generator = DreamO(card, own_settings, "cpu")
    asked = [*zip(*[ask((32, 32), seed=seed) for seed in range(5)], strict=True)]
    expected = generator.latents(*asked)
    whole, sizes = denoising.denoise, []

    def small(jobs, *more):
        sizes.append(len(jobs))
        for step, latents in enumerate(whole(jobs, *more)):
            if len(jobs) > 1 and step == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            yield latents

    monkeypatch.setattr(denoising, "denoise", small)
    told = []
    found = generator.latents(*asked, lambda step, steps: told.append((step, steps)))
    assert sizes == [5, 2, 1, 1, 3, 1, 2, 1, 1]
    assert all((one - other).abs().max() < 1e-4 for one, other in zip(found, expected, strict=True))
    assert told[-1][0] == told[-1][1]


def test_one_image_that_does_not_fit_is_a_clear_error(ask, dreamo, monkeypatch):
    def never(*given):
        raise torch.OutOfMemoryError("CUDA out of memory")
        yield

    monkeypatch.setattr(denoising, "denoise", never)
    with pytest.raises(OutOfMemory, match=r"one image of 64x64 with 1 references.*smaller size"):
        dreamo.latents(*zip(*[ask((32, 32))], strict=True))


def test_what_can_not_be_encoded_beside_the_text_encoders_is_encoded_without(ask, own_settings, card, monkeypatch):
    monkeypatch.setattr("core.generation.memory.free_bytes", lambda device: 100e9)
    asked = [*zip(*[ask((32, 32), seed=seed) for seed in range(2)], strict=True)]
    expected = DreamO(card, own_settings, "cpu").latents(*asked)
    generator = DreamO(card, own_settings, "cpu")
    whole, happened = generator.encoder.encode, []

    def crowded(orders, **more):
        happened.append((len(orders), more))
        if len(happened) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(orders, **more)

    monkeypatch.setattr(generator.encoder, "encode", crowded)
    monkeypatch.setattr(generator, "_has_text_beside", lambda: True)
    monkeypatch.setattr(generator.model.text, "to", happened.append)
    found = generator.latents(*asked)
    assert happened == [(2, {}), (2, {"first": True}), "cpu", "cpu"]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    generator.latents(*asked)
    assert happened[4:] == [(2, {"first": True}), "cpu"], "they leave after their work in later calls, too"


def test_batches_share_what_holds_the_queue_short(ask, own_settings, card, monkeypatch):
    made, whole = [], denoising.waiter
    monkeypatch.setattr(denoising, "waiter", lambda device: made.append(device) or whole(device))
    DreamO(card, replace(own_settings, batch_size=1), "cpu").latents(*zip(ask(), ask(), strict=True))
    assert made == ["cpu"]


def test_another_error_is_not_taken_for_a_lack_of_memory(ask, dreamo, monkeypatch):
    def broken(*given):
        raise RuntimeError("a bug")
        yield

    monkeypatch.setattr(denoising, "denoise", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        dreamo.latents(*zip(*[ask()], strict=True))


def test_decoding_beside_the_next_batch_changes_no_byte(ask, own_settings, card):
    asked = [*zip(*[ask((32, 32), seed=seed, width=64 + 16 * (seed % 2)) for seed in range(4)], strict=True)]
    one_after_another = bytes_of(DreamO(card, own_settings, "cpu", overlap=False).generate(*asked))
    beside = DreamO(card, own_settings, "cpu", overlap=True)
    assert bytes_of(beside.generate(*asked)) == one_after_another
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_an_image_is_handed_out_while_the_next_batch_is_being_made(ask, own_settings, card):
    generator = DreamO(card, replace(own_settings, batch_size=1), "cpu", overlap=False)
    steps = []
    asked = [*zip(*[ask(seed=1), ask(seed=2)], strict=True)]
    images = generator.generate(*asked, lambda step, steps_: steps.append(step))
    next(images)
    assert steps == [1, 2, 3]


def test_building_a_generator_is_cheap_and_its_id_needs_no_weights(tmp_path):
    program = (
        "import sys\n"
        "from core.cards import load_card\nfrom core.settings import Settings\nfrom core import registry\n"
        "settings = Settings()\n"
        "made = registry.load(settings).generator(load_card('dreamo-v1.1', settings), settings, 'auto')\n"
        "assert made.id == 'dreamo/1'\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'numpy', 'PIL'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, env={"DREAMLINE_PLUGINS": "generation"})
    assert done.returncode == 0, done.stderr


def test_fp8_has_an_id_of_its_own(card):
    assert DreamO(card, Settings(memory="fp8"), "cpu").id == "dreamo/1+fp8"


def test_missing_weights_are_named_with_what_to_do(card, tmp_path):
    settings = Settings(home=tmp_path, device="cpu")
    with pytest.raises(WeightsMissing) as caught:
        load_model(card, settings, "cpu")
    text = str(caught.value)
    for part in (
        "dreamo_dpo_lora.safetensors",
        str(tmp_path / "models/ByteDance/DreamO"),
        "accept its licence at https://huggingface.co/black-forest-labs/FLUX.1-dev",
        "dreamline models fetch dreamo-v1.1",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("change", "sizes", "said"),
    [
        ({"width": 72}, [], "a side is 72 pixels"),
        ({"steps": 0}, [], "has 0 steps"),
        ({}, [(32, 32)] * 10, "has 10 references"),
        ({}, [(40, 32)], "a prepared reference is RGB"),
        ({"references": ()}, [(32, 32)], "0 references and 1 preparations"),
    ],
)
def test_what_the_model_can_not_make_is_refused_before_it_starts(change, sizes, said, ask, dreamo):
    request, references = ask(*sizes)
    with pytest.raises(BadInput, match=said):
        dreamo.latents([replace(request, **change)], [references])


def test_a_prompt_that_is_cut_is_told_in_the_facts(ask, dreamo):
    request, _ = ask(prompt="a " * 80)
    facts = next(dreamo.generate([request], [[]])).facts
    assert "tokens of the prompt" in facts["warnings"][0]
    assert facts["generator"] == "dreamo/1"


def test_a_base_without_guidance_embedding_ignores_guidance(ask, tmp_path, golden, settings, card):
    """As schnell: no guidance is passed, a first-step guidance included."""
    import json
    import shutil

    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(golden / "base", base)
    config = base / "transformer/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"guidance_embeds": False}))
    weights = base / "transformer/diffusion_pytorch_model.safetensors"
    kept = {name: tensor for name, tensor in load_file(weights).items() if "guidance_embedder" not in name}
    save_file(kept, weights)
    generator = DreamO(replace(card, base=str(base)), replace(settings, home=tmp_path / "home"), "cpu")
    request, references = ask((32, 32), first_step_guidance=2.0)
    found = generator.latents([request], [references])[0]
    assert torch.equal(found, generator.latents([replace(request, guidance=9.0)], [references])[0])
    assert not generator.model.guided


def test_a_kind_with_role_vectors_for_this_base_uses_them(ask, tmp_path, dreamo):
    from safetensors.torch import save_file

    file = tmp_path / "role.safetensors"
    request, references = ask((32, 32))
    plain = dreamo.latents([request], [references])[0]
    save_file({"dreamo_task_embedding.weight": dreamo.model.roles.task_2W[:1].clone()}, file)
    same = [replace(references[0], role=Role({"flux-dev": file}))]
    assert torch.equal(dreamo.latents([request], [same])[0], plain)
    other = tmp_path / "other.safetensors"
    save_file({"dreamo_task_embedding.weight": torch.ones(1, 64)}, other)
    own = [replace(references[0], role=Role({"flux-dev": other}))]
    assert (dreamo.latents([request], [own])[0] - plain).abs().max() > 1e-3
    steps: list[int] = []
    foreign = [replace(references[0], role=Role({"flux-schnell": file}))]
    with pytest.raises(BadInput, match="no role for the base 'flux-dev'"):
        dreamo.latents(
            [replace(request, steps=1), request], [references, foreign], lambda step, _: steps.append(step)
        )
    assert not steps
    save_file({"dreamo_task_embedding.weight": torch.ones(1, 8)}, tmp_path / "bad.safetensors")
    bad = replace(references[0], role=Role({"flux-dev": tmp_path / "bad.safetensors"}))
    with pytest.raises(BadInput, match="of another width"):
        dreamo.latents([request], [[bad]])


def test_bfloat16_is_at_least_as_close_to_float32_as_diffusers_own_pipeline(ask, own_settings, card, golden):
    """Both from the same noise, with the same fused weights and without references."""
    from diffusers import FluxPipeline, FluxTransformer2DModel

    from core.generation.model import fuse_card
    from core.generation.schedule import starting_noise
    from core.generation.sequence import pack

    plain = replace(card, embeddings="")
    rough = DreamO(plain, replace(own_settings, precision="bfloat16"), "cpu")
    exact = DreamO(plain, own_settings, "cpu")
    fused = fuse_card(plain, own_settings, torch.bfloat16)
    transformer = FluxTransformer2DModel.from_pretrained(fused, torch_dtype=torch.bfloat16)
    pipeline = FluxPipeline.from_pretrained(golden / "base", transformer=transformer).to(torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)
    ours = theirs = 0.0
    for seed in range(6):
        request, _ = ask(seed=seed)
        target = exact.latents([request], [[]])[0]
        found = rough.latents([request], [[]])[0]
        assert found.dtype == torch.float32
        ours += float((found - target).abs().mean())
        made = pipeline(
            request.prompt,
            width=64,
            height=64,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            max_sequence_length=64,
            latents=pack(starting_noise(seed, 64, 64, 16)).bfloat16(),
            output_type="latent",
        )
        theirs += float((made.images[0].float() - target).abs().mean())
    assert ours <= theirs
    print(f"mean distance from float32: ours {ours / 6:.4f}, diffusers {theirs / 6:.4f}")


def test_a_digest_of_the_golden_latent_is_not_all_zeros(cases):
    """Guards the fixture: identical bytes above mean something only where images are not blank."""
    images = {hashlib.sha256(case.image.tobytes()).hexdigest() for case in cases.values()}
    assert len(images) == len(cases)


@pytest.mark.parametrize(
    ("part", "said"), [("encode", "encoding prompts and references"), ("decode", "decoding an image")]
)
def test_a_vae_that_does_not_fit_is_a_clear_error(part, said, ask, own_settings, card, monkeypatch):
    generator = DreamO(card, own_settings, "cpu")

    def never(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(generator.model.vae, part, never)
    with pytest.raises(OutOfMemory, match=f"{said}.* does not fit into memory"):
        list(generator.generate(*zip(*[ask((32, 32))], strict=True)))


def test_text_encoders_leave_before_a_batch_is_halved(ask, own_settings, card, monkeypatch):
    """And have encoded by then what later batches need, for which they do not come back."""
    monkeypatch.setattr("core.generation.memory.free_bytes", lambda device: 100e9)
    asked = [ask((32, 32), seed=seed, prompt=f"a dog {steps}", steps=steps) for steps in (2, 3) for seed in (1, 2)]
    expected = DreamO(card, own_settings, "cpu").latents(*zip(*asked, strict=True))
    generator = DreamO(card, replace(own_settings, cache_gb=0.0), "cpu")
    whole, happened = denoising.denoise, []

    def crowded(jobs, *more):
        happened.append(f"{len(jobs)} images")
        if happened.count("2 images") == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(jobs, *more)

    monkeypatch.setattr(denoising, "denoise", crowded)
    monkeypatch.setattr(generator, "_has_text_beside", lambda: True)
    generator.model.text.t5.register_forward_hook(lambda *_: happened.append("T5"))
    monkeypatch.setattr(generator.model.text, "to", lambda device: happened.append(f"to {device}"))
    generator.model.plan = replace(generator.model.plan, text="cpu:0")
    found = generator.latents(*zip(*asked, strict=True))
    begun = ["to cpu:0", "T5", "2 images"]
    assert happened == [*begun, "to cpu:0", "T5", "to cpu", "to cpu", "2 images", "2 images"]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
