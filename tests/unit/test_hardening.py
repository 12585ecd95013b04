"""Files that anybody may have written, and cards and prompts that can't work, are refused before any work."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from core import prompts
from core.asking import combination_problems
from core.cards import load_card, read_card
from core.errors import BadInput
from core.formats import native_size
from core.generation.files import file_hash
from core.recipes import KEY, read_recipe
from core.requests import Reference, Request
from core.settings import Settings

REQUEST = Request("storyboard", "a mug", (Reference("mug", "subject", "a" * 64),), 512, 512, 0, 8, 3.5)


def png(told: Any) -> bytes:
    information, file = PngImagePlugin.PngInfo(), io.BytesIO()
    information.add_itxt(KEY, json.dumps(told))
    Image.new("RGB", (8, 8)).save(file, format="PNG", pnginfo=information)
    return file.getvalue()


def test_a_sound_recipe_is_read() -> None:
    assert read_recipe(png(REQUEST.as_dict()), "a.png") == REQUEST


@pytest.mark.parametrize(
    "change",
    [
        {"steps": "12"},
        {"steps": 10**9},
        {"prompt": 7},
        {"seed": -(2**70)},
        {"width": True},
        {"guidance": float("nan")},
        {"references": [{**REQUEST.references[0].as_dict(), "name": "x/../../outside"}]},
        {"references": [{**REQUEST.references[0].as_dict(), "sha256": "../../etc/passwd"}]},
        {"references": "none"},
    ],
    ids=str,
)
def test_a_recipe_with_odd_values_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"a\.png.*recipe that can't be read"):
        read_recipe(png({**REQUEST.as_dict(), **change}), "a.png")


@pytest.mark.parametrize(
    "line",
    [
        "guidance = nan",
        "guidance = -5",
        "sides = [72, 79]",
        "grid = 64\nreference_area = 1000",
        'generator = "dreamo"',
        'base = "b"\n[[adapters]]\nrepository = "r"\nfile = "f"\nscale = nan',
    ],
)
def test_a_card_that_cannot_work_is_refused_with_its_key(tmp_path: Path, line: str) -> None:
    told = 'name = "odd"\ntitle = "Odd"\n' + ('generator = "fake"\n' if "generator" not in line else "")
    (tmp_path / "odd.toml").write_text(told + line + "\n")
    with pytest.raises(BadInput, match=r"odd\.toml"):
        read_card(tmp_path / "odd.toml")


def test_native_sizes_lie_on_the_grid_though_the_least_side_does_not(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('name = "odd"\ntitle = "Odd"\ngenerator = "fake"\nsides = [72, 100]\n')
    assert native_size((1080, 1080), read_card(tmp_path / "odd.toml")) == (96, 96)


def test_a_model_without_embeddings_takes_no_references(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('name = "odd"\ntitle = "Odd"\ngenerator = "dreamo"\nbase = "b"\n')
    card = read_card(tmp_path / "odd.toml")
    assert list(combination_problems(card, {}, ["subject"], "references"))
    assert not list(combination_problems(card, {}, [], "references"))
    assert not list(combination_problems(load_card("dreamo-v1.1", Settings()), {}, ["subject"], "references"))


@pytest.mark.parametrize("word", ["ref#1", "ref#9", "res"])
def test_brackets_that_would_mean_a_placeholder_are_refused(word: str) -> None:
    assert prompts.problems(f"a [[{word}]]", [], "prompt")
    assert not prompts.problems("a [[note]]", [], "prompt")


def test_another_file_of_the_same_size_and_time_has_another_hash(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a" * 64)
    other.write_bytes(b"b" * 64)
    os.utime(one, ns=(0, 0))
    os.utime(other, ns=(0, 0))
    before = file_hash(one, tmp_path / "notes")
    other.replace(one)
    assert file_hash(one, tmp_path / "notes") != before
