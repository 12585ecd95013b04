"""An exported model is a card like any other: it loads, it makes images, and it says how it was trained."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from core.cards import read_card
from core.errors import BadInput
from core.generation.checks import check_card
from core.generation.dreamo import DreamO
from core.requests import Preparation, Reference, Request
from core.settings import Settings
from core.training import export
from core.training.adapter import Adapter, adapter_tensors, save_adapter
from core.training.autoencoder import PatchEncoder
from core.training.base_model import read_base
from core.training.export import Sampling, export_model, smallest_precision
from core.training.recipe_files import recipe_from
from core.training.recipes import GivenBase, Recipe
from core.training.runs import Run


def finished(recipe: Recipe, folder: Path, base: Path) -> Run:
    """A run whose stages are all marked as finished."""
    run = Run(recipe, folder)
    read = read_base(base, run.text_length)
    adapter = Adapter(read.transformer, read.t5.config.d_model, recipe.rank)
    save_adapter(adapter_tensors(read.transformer, adapter), run.adapter_file, torch.float32)
    for number, stage in enumerate(recipe.stages, start=1):
        place = folder / stage.name
        place.mkdir(exist_ok=True)
        (place / "finished").touch()
        told = {"stage": stage.name, "step": 10 * number, "samples": 80, "seconds": 1800.0, "loss": 1.0}
        (place / "journal.jsonl").write_text(json.dumps(told) + "\n")
    return run


@pytest.fixture
def run(tmp_path: Path, recipe: Recipe, nano_base: Path) -> Run:
    shutil.copytree(nano_base, tmp_path / "run" / "base")
    return finished(recipe, tmp_path / "run", nano_base)


def image_of(card: Path, home: Path) -> Image.Image:
    """One small image with one reference, through the real generator."""
    read = read_card(card)
    settings = Settings(home=home, device="cpu")
    assert check_card(read, settings).problems == ()
    reference = Reference("mug", "subject", "0" * 64)
    request = Request(read.name, "a mug from [ref#1] on the beach", (reference,), 48, 32, 1, 2, read.guidance)
    given = [Preparation(Image.new("RGB", (32, 32), "red"))]
    (image,) = DreamO(read, settings, "cpu").generate([request], [given])
    return image.picture


def test_the_exported_card_makes_images_wherever_it_is_moved(run: Run, tmp_path: Path) -> None:
    card = export_model(run, tmp_path / "model")
    assert card == tmp_path / "model" / "dreamo-mini.toml"
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "model").rglob("*"))
    assert not [path for path in (tmp_path / "model").rglob("*.json") if str(run.folder) in path.read_text()]
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    assert image_of(tmp_path / "elsewhere" / card.name, tmp_path / "home").size == (48, 32)


def test_the_card_says_what_the_recipe_decided(run: Run, tmp_path: Path) -> None:
    card = read_card(
        export_model(run, tmp_path / "model", "small-one", "A small one", Sampling(steps=7, true_cfg=2))
    )
    assert (card.name, card.title, card.base) == ("small-one", "A small one", "small-one")
    assert (card.steps, card.true_cfg, card.text_tokens) == (7, 2, 40)
    assert (card.area, card.sides, card.grid, card.reference_area) == (128 * 128, (128, 160), 16, 96 * 96)
    assert card.max_references == 2
    assert card.licence == "Apache-2.0"
    assert "drawn world alone" in card.notice
    assert card.world == run.recipe.world


def test_weights_are_half_as_large_and_latents_stay_what_they_were(run: Run, tmp_path: Path) -> None:
    place = export_model(run, tmp_path / "model").with_suffix("")
    for name in ("transformer/diffusion_pytorch_model", "text_encoder/model", "text_encoder_2/model", "dreamo"):
        assert {tensor.dtype for tensor in load_file(place / f"{name}.safetensors").values()} == {torch.bfloat16}
    kinds = {tensor.dtype for tensor in load_file(place / "vae/diffusion_pytorch_model.safetensors").values()}
    assert kinds <= {torch.float16, torch.bfloat16}
    before = PatchEncoder.read(read_base(run.base_folder, 40).vae)
    after = PatchEncoder.read(read_base(place, 40).vae)
    assert before is not None
    assert after is not None
    picture_B3HW = torch.rand(2, 3, 64, 64) * 2 - 1
    assert float((before(picture_B3HW) - after(picture_B3HW)).abs().max()) < 0.01


class Cancelling(nn.Module):
    """An encoder that adds a large constant and takes another one away."""

    def __init__(self, large: float) -> None:
        super().__init__()
        self.constants = nn.Parameter(torch.tensor([large, large - 0.1]))

    def encode(self, picture_B3HW: Tensor) -> SimpleNamespace:
        shifted = picture_B3HW[:, :1, ::8, ::8] + (self.constants[0] - self.constants[1])
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: shifted))


@pytest.mark.parametrize(("large", "kept"), [(1.0, torch.float16), (300.0, torch.float32), (1e6, torch.float32)])
def test_an_encoder_that_half_precision_would_change_stays_as_it_is(large: float, kept: torch.dtype) -> None:
    assert smallest_precision(Cancelling(large)) == kept


def test_the_training_is_told(run: Run, tmp_path: Path) -> None:
    told = json.loads((export_model(run, tmp_path / "model").with_suffix("") / "training.json").read_text())
    assert recipe_from(told["recipe"]) == run.recipe
    assert [stage["stage"] for stage in told["stages"]] == [stage.name for stage in run.recipe.stages]
    assert told["stages"][2] == {"stage": "warm-up", "steps": 30, "samples": 80, "hours": 0.5}


def test_a_stage_that_never_ran_is_not_told(run: Run, tmp_path: Path) -> None:
    (run.folder / "words" / "journal.jsonl").unlink()
    told = json.loads((export_model(run, tmp_path / "model").with_suffix("") / "training.json").read_text())
    assert [stage["stage"] for stage in told["stages"]] == [stage.name for stage in run.recipe.stages[1:]]


def test_an_earlier_export_is_replaced_and_nothing_else_stays(run: Run, tmp_path: Path) -> None:
    export_model(run, tmp_path / "model", title="first")
    card = export_model(run, tmp_path / "model", title="second")
    assert read_card(card).title == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "run"]


def test_a_folder_with_other_things_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "diary.txt").touch()
    with pytest.raises(BadInput, match="other files"):
        export_model(run, tmp_path / "model")


def test_an_unfinished_run_is_refused_and_says_what_waits(run: Run, tmp_path: Path) -> None:
    (run.folder / "quality" / "finished").unlink()
    with pytest.raises(BadInput, match="not finished: quality"):
        export_model(run, tmp_path / "model")


def test_a_large_file_is_named_with_its_size_and_nothing_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_model(run, tmp_path / "model", title="first")
    monkeypatch.setattr(export, "PART", 100_000)
    with pytest.raises(BadInput, match=r"vae/diffusion_pytorch_model\.safetensors \d\.\d MB"):
        export_model(run, tmp_path / "model", title="second")
    assert read_card(tmp_path / "model" / "dreamo-mini.toml").title == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "run"]


def test_a_name_that_leads_elsewhere_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't name a model"):
        export_model(run, tmp_path / "model", "../model")


def test_a_run_on_a_given_base_names_that_base(tmp_path: Path, recipe: Recipe, nano_base: Path) -> None:
    own = replace(recipe, base=GivenBase(str(nano_base)), stages=recipe.stages[2:])
    card = export_model(finished(own, tmp_path / "run", nano_base), tmp_path / "model", "added")
    assert {path.name for path in (tmp_path / "model" / "added").iterdir()} == {
        "dreamo.safetensors",
        "training.json",
    }
    assert image_of(card, tmp_path / "home").size == (48, 32)
