"""`dreamline generate --mask`: which reference it belongs to, and that a recipe finds it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw

from core.recipes import read_recipe
from core.settings import Settings
from orchestrator.cli import cli


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    noise = Image.effect_noise((300, 240), 90).convert("RGB")
    ImageDraw.Draw(noise).ellipse((90, 60, 210, 180), fill="#c2185b")
    noise.save("busy.png")
    mask = Image.new("L", (300, 240))
    ImageDraw.Draw(mask).ellipse((90, 60, 210, 180), fill=255)
    mask.save("mask.png")
    return tmp_path


def generate(place: Path, *words: str) -> Result:
    settings = Settings(home=place / "home")
    return CliRunner().invoke(cli, ["generate", *words], obj=settings, standalone_mode=False)


def test_an_image_with_a_mask_is_made_again_from_its_recipe(place: Path) -> None:
    asked = ("-m", "storyboard", "-p", "a [mug]", "--subject", "mug=busy.png")
    assert "busy background" in str(generate(place, *asked).exception)
    done = generate(place, *asked, "--mask", "mug=mask.png", "-o", "first")
    assert done.exception is None, done.exception
    (first,) = (place / "first").iterdir()
    request = read_recipe(first.read_bytes(), "first")
    assert request.references[0].method.name == "mask"
    done = generate(place, "--recipe", str(first), "-o", "again")
    assert done.exception is None, done.exception
    (again,) = (place / "again").iterdir()
    assert again.read_bytes() == first.read_bytes()
    (place / "mask.png").unlink()
    assert "the mask of reference 'mug'" in str(generate(place, "--recipe", str(first)).exception)


@pytest.mark.parametrize(
    ("masks", "told"),
    [
        (["vase=mask.png"], "names no reference"),
        (["mug=mask.png", "mug=mask.png"], "'mug' has two masks"),
        (["mug=none.png"], "none.png: can't be read"),
    ],
)
def test_masks_that_belong_to_nothing_are_told(place: Path, masks: list[str], told: str) -> None:
    words = [word for mask in masks for word in ("--mask", mask)]
    asked = ("-m", "storyboard", "-p", "a [mug] [cup]", "--subject", "mug=busy.png", "--subject", "cup=busy.png")
    assert told in str(generate(place, *asked, *words).exception)
