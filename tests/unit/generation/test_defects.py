"""Each known defect of the published code (numbered as in docs/generation.md), and that ours has it not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from core.errors import BadInput
from core.generation.decoding import encode
from core.generation.dreamo import DreamO


def test_1_several_images_of_one_prompt_with_references_are_made(ask, dreamo):
    asked = [ask((64, 48), (32, 32), seed=seed) for seed in range(4)]
    images = list(dreamo.generate(*zip(*asked, strict=True)))
    assert len({image.picture.tobytes() for image in images}) == 4


def test_2_a_reference_latent_is_no_draw_from_the_global_random_state(ask, dreamo):
    _, (reference,) = ask((64, 48))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = encode(reference.picture, dreamo.model)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(encode(reference.picture, dreamo.model), first)


def test_2_an_image_is_a_function_of_its_seed(ask, own_settings, card):
    request, references = ask((64, 48))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        generator = DreamO(card, replace(own_settings, home=own_settings.home / str(seed)), "cpu")
        found.append(next(generator.generate([request], [references])).picture.tobytes())
    assert found[0] == found[1]


def test_3_a_picture_that_can_not_serve_is_a_clear_error_before_any_weight_is_loaded(settings, card):
    """What an identity without a face comes to: the kind's own words, with the file's name."""
    from core.conditions import ConditionType
    from core.preparing import prepare_reference
    from core.requests import Reference

    def prepare(picture, options, bench):
        raise BadInput.at(bench.source, "no face was found", "Give a picture of one face")

    kind = ConditionType(name="identity", title="", prepare=prepare)
    reference = Reference("boss", "identity", "ab" * 32, "team/boss.png", plugin="identity 1")
    with pytest.raises(BadInput, match=r"team/boss\.png: no face was found"):
        prepare_reference(png(), reference, kind, card, settings)


FACELESS = """
import sys
from orchestrator import cli
asked = ["--model", "dreamo-v1.1", "--identity", sys.argv[1], "--prompt", "a", "-o", sys.argv[2]]
sys.argv = ["dreamline", "generate", *asked]
try:
    cli.main()
finally:
    assert "torch" not in sys.modules
"""


def test_3_an_identity_without_a_face_is_told_by_file_and_no_weight_is_touched(tmp_path, models):
    (tmp_path / "wall.png").write_bytes(png())
    run = [sys.executable, "-c", FACELESS, "wall.png", "out"]
    told = {"DREAMLINE_HOME": str(tmp_path / "home"), "DREAMLINE_MODELS": str(models)}
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=os.environ | told)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: wall.png: shows no face")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def png():
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "PNG")
    return file.getvalue()


def test_4_version_1_is_another_model_than_version_1_1(ask, generators):
    request, references = ask((64, 48))
    found = [generators(name).latents([request], [references])[0] for name in ("dreamo-v1", "dreamo-v1.1")]
    assert (found[0] - found[1]).abs().max() > 1e-2


UNTOUCHED = """
import sys
from pathlib import Path
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from diffusers.models.transformers import transformer_flux
from PIL import Image
torch.set_num_threads(1)
base, home, models = map(Path, sys.argv[1:])
before = {name: vars(FluxTransformer2DModel)[name] for name in vars(FluxTransformer2DModel)}
processor = vars(transformer_flux.FluxAttnProcessor)["__call__"]

def plain():
    pipeline = FluxPipeline.from_pretrained(base)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline("a dog", width=64, height=64, num_inference_steps=2, max_sequence_length=32, output_type="pt",
                    generator=torch.Generator("cpu").manual_seed(3))
    return made.images

first = plain()
from core.cards import load_card
from core.generation.dreamo import DreamO
from core.requests import Preparation, Reference, Request
from core.settings import Settings
settings = Settings(home=home, models=models, device="cpu")
request = Request("dreamo-v1.1", "a dog", (Reference("r", "subject", "0"),), 64, 64, 3, 2, 4.5)
generator = DreamO(load_card("dreamo-v1.1", settings), settings, "cpu")
ours = generator.latents([request], [[Preparation(Image.new("RGB", (32, 32), "red"))]])
assert torch.equal(plain(), first)
assert {name: vars(FluxTransformer2DModel)[name] for name in vars(FluxTransformer2DModel)} == before
assert vars(transformer_flux.FluxAttnProcessor)["__call__"] is processor
print("untouched")
"""


def test_5_flux_is_unchanged_for_whoever_shares_the_process(tmp_path, golden, models):
    run = [sys.executable, "-c", UNTOUCHED, str(golden / "base"), str(tmp_path), str(models)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("untouched"), done.stderr


def test_6_nothing_is_encoded_twice_and_no_cache_of_the_gpu_is_emptied(ask, own_settings, card, monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    generator = DreamO(card, own_settings, "cpu")
    encoded = []
    generator.model.vae.encoder.register_forward_hook(lambda *_: encoded.append(1))
    for seed in range(3):
        request, references = ask((32, 32), seed=seed)
        list(generator.generate([request], [references]))
    assert len(encoded) == 1
    assert generator.model.text.encoded == 1
    assert not emptied
