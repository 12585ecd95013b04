"""Pictures of a run: fixed samples, made as generation makes them, and where references respond."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.generation.sequence import Grid
from core.training.adapter import Adapter
from core.training.autoencoder import PatchEncoder
from core.training.base_model import Base
from core.training.data.writing import write_samples
from core.training.drawing import Drawing
from core.training.loop import empty_texts
from core.training.preview import EACH, Preview, maps_of
from core.training.recipes import Recipe
from core.training.runs import Run
from core.training.trainee import Trainee
from core.training.world.samples import Canvas, draw_sample
from core.training.world.truth import SMALL


def preview(base: Base, adapter: Adapter | None, recipe: Recipe, folder: Path, nano_base: Path) -> Preview:
    stage = recipe.stage("base" if adapter is None else "full")
    encoder = PatchEncoder.read(base.vae)
    drawing = Drawing.of(recipe, stage.tasks, nano_base, 40, encoder, Path("unused"))
    return Preview(Trainee(base, adapter, empty_texts(base.tokenizers)), stage, drawing, encoder, folder)


def opened(path: Path | None) -> Image.Image:
    assert path is not None
    with Image.open(path) as picture:
        return picture.convert("RGB")


def test_a_preview_shows_references_what_was_made_and_what_was_asked_for(
    base: Base, recipe: Recipe, nano_base: Path, tmp_path: Path
) -> None:
    one = preview(base, None, recipe, tmp_path, nano_base)
    before = {name: value.clone() for name, value in one.trainee.state_dict().items()}
    picture = opened(one.draw(7))
    first = one.samples[0][0]
    assert picture.crop((0, 0, 48, 48)).tobytes() == first.references[0].picture.reduce(2).tobytes()
    target = 48 + 6 + 128 + 6
    assert picture.crop((0, target, 128, target + 128)).tobytes() == first.target.tobytes()
    assert picture.width == sum(EACH * 134 for _ in one.samples)
    assert opened(one.draw(8)).tobytes() == picture.tobytes()
    assert all(torch.equal(value, before[name]) for name, value in one.trainee.state_dict().items())


def test_with_roles_masks_and_responses_stand_below(
    base: Base, recipe: Recipe, nano_base: Path, tmp_path: Path
) -> None:
    plain = opened(preview(base, None, recipe, tmp_path, nano_base).draw(1))
    adapter = Adapter(base.transformer, 32, 4)
    adapted = opened(preview(base, adapter, recipe, tmp_path, nano_base).draw(2))
    assert adapted.height >= plain.height + 64


def test_damaged_pictures_of_a_folder_end_no_preview(
    base: Base, recipe: Recipe, nano_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    square, small = Canvas(64, 64), Canvas(48, 48)
    data = tmp_path / "data"
    write_samples([draw_sample(SMALL, "subject", number, square, small) for number in range(EACH + 1)], data)
    told = replace(
        recipe, canvases=((square.size, 1.0),), references=((small.size, 1.0),), data=((str(data), 1.0),)
    )
    drawing = Drawing.of(told, (("subject", 1.0),), nano_base, 40, PatchEncoder.read(base.vae), Path("unused"))
    stage = replace(recipe.stage("base"), tasks=(("subject", 1.0),))
    trainee = Trainee(base, None, empty_texts(base.tokenizers))

    def damage(number: int) -> None:
        path = data / "targets" / f"{number:06}.png"
        path.write_bytes(path.read_bytes()[:200])

    def shown() -> Image.Image | None:
        made = Preview(trainee, stage, drawing, None, tmp_path).draw(0)
        return opened(made) if made else None

    damage(0)
    sheet = shown()
    assert sheet is not None
    assert sheet.width == EACH * (64 + 6)
    assert "000000.png" in caplog.text
    for number in range(1, EACH + 1):
        damage(number)
    assert shown() is None


def test_a_map_is_palest_and_darkest_where_a_reference_responds_least_and_most() -> None:
    mask, answer = maps_of(torch.tensor([[0.0, 1.0, 0.0, 0.0]]), torch.tensor([[3.0, 5.0, 4.0, 3.5]]), Grid(2, 2))
    assert mask.size == answer.size == (16, 16)
    assert answer.getpixel((0, 0)) == mask.getpixel((0, 0)) == (245, 245, 245)
    assert answer.getpixel((15, 0)) == mask.getpixel((15, 0)) == (214, 94, 0)


def test_a_run_leaves_a_picture_of_every_stage_but_that_of_words(tmp_path: Path, recipe: Recipe) -> None:
    Run(recipe, tmp_path).train()
    for stage in recipe.stages:
        pictures = list((tmp_path / stage.name / "previews").glob("step-*.png"))
        assert bool(pictures) == (stage.trains != "words"), stage.name


def test_latents_without_a_decoder_come_back_softened(base: Base) -> None:
    encoder = PatchEncoder.read(base.vae)
    assert encoder is not None
    latent = torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(encoder(encoder.inverse(latent)), latent, atol=1e-3)
    assert encoder.inverse(latent).shape == (2, 3, 32, 32)
