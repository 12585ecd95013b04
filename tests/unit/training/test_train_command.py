"""`dreamline train`: a whole small run, stopped and resumed, reported and measured."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.cards import read_card
from core.training.loop import Loop
from core.training.recipes import NewBase, Recipe
from core.training.runs import Run
from core.training.shipped_recipes import RECIPES
from orchestrator import cli

Dreamline = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tiny(recipe: Recipe) -> Recipe:
    """Everything that nano does, on the smallest pictures."""
    assert isinstance(recipe.base, NewBase)
    return replace(
        recipe,
        base=replace(recipe.base, decoder_steps=2),
        stages=tuple(replace(stage, tasks=(("subject", 1.0),), share=0.25) for stage in recipe.stages),
        canvases=(((64, 64), 1.0),),
        references=(((32, 32), 1.0),),
        steps=8,
        batch=2,
        together=1,
        pool=2,
    )


@pytest.fixture
def dreamline(
    tmp_path: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Dreamline:
    """Calls the program with a tiny recipe in nano's place: exit code, output, errors."""

    def pictures(run: Run, first: int, count: int) -> Tensor:
        chance = torch.Generator().manual_seed(first)
        return torch.rand(min(count, 20), 3, 64, 64, generator=chance) * 2 - 1

    monkeypatch.setitem(RECIPES, "nano", lambda: tiny)
    monkeypatch.setattr(Run, "pictures", pictures)
    monkeypatch.setenv("DREAMLINE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dreamline", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return call


def test_a_run_ends_with_a_model_a_report_and_measurements(dreamline: Dreamline, tmp_path: Path) -> None:
    code, out, err = dreamline("train", "run", "nano", "--folder", "first", "--device", "cpu", "--threads", "1")
    assert code == 0, err
    assert "stage 3 of 6, warm-up: 100%" in err
    assert out.splitlines()[-1] == "first/model/dreamo-mini.toml"
    assert read_card(tmp_path / "first/model/dreamo-mini.toml").area == 64 * 64
    assert (tmp_path / "first/losses.png").is_file()

    code, out, err = dreamline(
        "train", "eval", "first", "--samples", "1", "--tasks", "subject,text", "--steps", "1"
    )
    assert code == 0, err
    assert out.splitlines() == [f"first/evaluation/{name}" for name in ("report.md", "report.json", "samples.png")]
    assert {
        row["task"] for row in json.loads((tmp_path / "first/evaluation/report.json").read_text())["rows"]
    } == {
        "subject",
        "text",
    }

    code, out, err = dreamline("train", "export", "first", "-o", "given", "--name", "mine")
    assert (code, out) == (0, "given/mine.toml\n"), err


def test_a_recipe_that_trains_no_base_leaves_its_decoder_as_it_was(
    dreamline: Dreamline, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(tiny, name="mini-turbo", stages=(replace(tiny.stage("full"), share=1.0),), steps=2)
    monkeypatch.setitem(RECIPES, "mini-turbo", lambda: plan)
    code, _, err = dreamline("train", "run", "nano", "--folder", "first", "--device", "cpu", "--threads", "1")
    assert code == 0, err
    told = ("--folder", "turbo", "--start", "first", "--device", "cpu", "--threads", "1")
    code, _, err = dreamline("train", "run", "mini-turbo", *told)
    assert code == 0, err
    assert "decoder" not in err
    first, turbo = (
        tmp_path / name / "base/vae/diffusion_pytorch_model.safetensors" for name in ("first", "turbo")
    )
    assert turbo.read_bytes() == first.read_bytes()
    assert (tmp_path / "turbo/model/dreamo-mini.toml").is_file()


def test_measurements_of_a_shipped_model_lie_where_one_is(dreamline: Dreamline, tmp_path: Path) -> None:
    told = ("--samples", "1", "--tasks", "subject", "--steps", "1", "--device", "cpu")
    code, out, err = dreamline("train", "eval", "dreamo-mini", *told)
    assert code == 0, err
    assert out.splitlines()[0] == "evaluation/dreamo-mini/report.md"
    assert (tmp_path / "evaluation/dreamo-mini/samples.png").is_file()


def test_json_prints_a_line_for_each_report_and_the_paths_at_last(dreamline: Dreamline) -> None:
    code, out, _ = dreamline("train", "run", "nano", "--folder", "first", "--device", "cpu", "--json")
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    stages = ["words", "base", "warm-up", "full", "joint", "quality"]
    assert [line["stage"] for line in lines[:-1]] == [*stages, "decoder"]
    assert all(line["share"] == 1 and line["seconds_left"] >= 0 for line in lines[:6])
    assert {"loss", "read", "samples_per_second"} <= lines[0].keys()
    assert {"loss", "diffusion", "samples_per_second"} <= lines[1].keys()
    assert lines[-1]["card"] == "first/model/dreamo-mini.toml"
    assert Path(lines[-1]["report"]).is_file()

    code, out, _ = dreamline("train", "report", "first", "--json")
    assert code == 0
    assert [(stage["stage"], stage["steps"]) for stage in json.loads(out)["stages"]] == [
        (name, 2) for name in stages
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_how_to_go_on_and_does(
    number: signal.Signals, dreamline: Dreamline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    step = Loop.step

    def interrupted(loop: Loop, *given: Any) -> dict[str, float]:
        if loop.stage.name == "warm-up" and loop.progress.step == 1:
            os.kill(os.getpid(), number)
        return step(loop, *given)

    before = signal.getsignal(number)
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "step", interrupted)
        code, _, err = dreamline("train", "run", "nano", "--folder", "first", "--device", "cpu")
    assert code == 130
    assert "`dreamline train resume first` goes on" in err
    assert signal.getsignal(number) is before
    assert (tmp_path / "first/base/finished").exists()
    assert not (tmp_path / "first/warm-up/finished").exists()

    written = (tmp_path / "first/base/journal.jsonl").read_text()
    code, out, err = dreamline("train", "resume", "first", "--device", "cpu")
    assert code == 0, err
    assert out.splitlines()[-1] == "first/model/dreamo-mini.toml"
    assert (tmp_path / "first/base/journal.jsonl").read_text() == written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "maxi"), "no recipe 'maxi'"),
        (("run", "nano", "--minutes", "1", "--steps", "2"), "Leave one of them out"),
        (("run", "nano", "--set", "batsch=2"), "no 'batsch'"),
        (("resume", "nowhere"), "recipe.json"),
        (("report", "nowhere"), "no journal"),
        (("eval", "."), "0 model cards"),
        (("eval", "nowhere"), "no model card 'nowhere'"),
        (("eval", "dreamo-v1"), "Say small or full"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    arguments: tuple[str, ...], said: str, dreamline: Dreamline, tmp_path: Path
) -> None:
    code, _, err = dreamline("train", *arguments)
    assert code == 2
    assert said in err
    assert not [path for path in tmp_path.iterdir() if path.name != "home"]


def test_another_recipe_is_refused_in_a_folder_that_has_one(
    dreamline: Dreamline, tiny: Recipe, tmp_path: Path
) -> None:
    Run(tiny, tmp_path / "first")
    code, _, err = dreamline("train", "run", "nano", "--folder", "first", "--seed", "3")
    assert code == 2
    assert "is of another recipe" in err


def test_the_help_names_every_recipe(dreamline: Dreamline) -> None:
    code, out, _ = dreamline("train", "--help")
    assert code == 0
    named = {line.split()[0] for line in out.splitlines() if line.strip()}
    assert set(RECIPES) <= named
    assert {"run", "resume", "report", "eval", "export"} <= named
