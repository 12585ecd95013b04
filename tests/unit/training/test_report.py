"""Reports count what was kept of a run, and draw it so that people can read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadInput
from core.training.curves import Axes, Plot, draw_plots, label, limits, smoothed, ticks
from core.training.journal import read_journal, read_stages
from core.training.report import duration, write_report


def line(stage: str, step: int, **more: float) -> dict[str, Any]:
    return {"stage": stage, "step": step, "samples": 8 * step, "seconds": step / 2, **more}


def write(folder: Path, stage: str, lines: list[dict[str, Any]], end: str = "") -> Path:
    place = folder / stage
    place.mkdir(parents=True, exist_ok=True)
    path = place / "journal.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines) + end)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two stages, one of them finished, with losses that fall."""
    write(
        tmp_path,
        "zeroth",
        [line("zeroth", k, loss=2 / k, diffusion=1 / k, norm=1.0, rate=1.0) for k in range(1, 201)],
    )
    write(
        tmp_path,
        "adapter",
        [line("adapter", k, loss=0.5, **{"route R": 0.25 + 0.1 * (k % 2)}) for k in range(20, 101, 20)],
    )
    (tmp_path / "zeroth" / "finished").touch()
    (tmp_path / "recipe.json").write_text(json.dumps({"stages": [{"name": "zeroth"}, {"name": "adapter"}]}))
    return tmp_path


def test_a_torn_line_at_the_end_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "base", [line("base", 20, loss=1.0)], end='{"stage": "base", "step": 40, "sam')
    assert [one["step"] for one in read_journal(path)] == [20]


def test_lines_written_again_after_a_kill_replace_those_of_before(tmp_path: Path) -> None:
    lines = [line("base", step, loss=float(step)) for step in (20, 40, 60)]
    lines += [line("base", step, loss=-1.0) for step in (40, 60, 80)]
    found = read_journal(write(tmp_path, "base", lines))
    assert [(one["step"], one["loss"]) for one in found] == [(20, 20.0), (40, -1.0), (60, -1.0), (80, -1.0)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), max_size=40))
def test_a_journal_always_grows(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    path = write(tmp_path_factory.mktemp("run"), "base", [line("base", step) for step in steps])
    found = [one["step"] for one in read_journal(path)]
    assert found == sorted(set(found))
    assert found[-1:] == steps[-1:]


def test_stages_come_in_the_recipes_order_with_their_figures(run: Path) -> None:
    first, second = read_stages(run)
    assert (first.name, second.name) == ("zeroth", "adapter")
    assert (first.finished, second.finished) == (True, False)
    assert (first.steps, first.samples, first.seconds, first.speed) == (200, 1600, 100.0, 16.0)
    assert first.last["loss"] == pytest.approx(2 * np.mean([1 / k for k in range(181, 201)]))
    assert second.losses == ("loss", "route R")


def test_the_report_is_written_and_says_what_was_seen(run: Path) -> None:
    told = write_report(run).as_dict()
    text = (run / "report.md").read_text()
    assert "| zeroth | finished | 200 | 1,600 | 1 min 40 s | 16.0 |" in text
    assert "| adapter | route R | routing, share of the owner | 0.2500 |" in text
    assert "(losses.png)" in text
    assert told["samples"] == 2400
    assert json.loads(json.dumps(told))["stages"][0]["first"]["loss"] > told["stages"][0]["last"]["loss"]


def test_the_picture_shows_every_series_in_its_colour(run: Path) -> None:
    write_report(run)
    with Image.open(run / "losses.png") as picture:
        levels = np.asarray(picture.convert("RGB")).astype(int)
    for colour in ((0, 114, 178), (213, 94, 0)):
        assert (np.abs(levels - colour).sum(-1) < 30).sum() > 100
    assert (levels.sum(-1) > 750).mean() > 0.8


def test_a_folder_without_journals_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no journal"):
        write_report(tmp_path)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within(low: float, size: float) -> None:
    found = ticks(low, low + size)
    assert len(found) <= 9
    assert all(low - 1e-6 * size <= value <= low + size * (1 + 1e-6) for value in found)


def test_ticks_are_multiples_of_one_two_or_five() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(3, 52) == [10, 20, 30, 40, 50]
    assert [label(value) for value in (0, 0.25, 40_000, 1_500_000)] == ["0", "0.25", "40k", "1.5M"]


def test_smoothing_keeps_a_level_and_calms_noise() -> None:
    noise = list(enumerate(np.random.default_rng(0).standard_normal(600).tolist()))
    assert np.std([y for _, y in smoothed(noise)]) < 0.3 * np.std([y for _, y in noise])
    assert smoothed([(0.0, 2.0)] * 70) == [(0.0, 2.0)] * 70


def test_one_outlier_does_not_flatten_the_curve() -> None:
    points = [(float(k), 1.0 + k / 100) for k in range(100)]
    low, high = limits({"a": [*points, (100.0, 1e9)]})
    assert low < 1.1
    assert high < 3
    assert Axes((0, 0, 10, 10), (0, 1), (0, 1)).at(0.5, 7) == (5, 0)


def test_plots_of_one_point_or_none_can_be_drawn() -> None:
    assert draw_plots([Plot("loss", "samples", {"a": [(1.0, 2.0)]}), Plot("R", "samples", {})]).width > 500


def test_durations_are_said_in_two_units_at_most() -> None:
    assert [duration(one) for one in (12, 450, 7500)] == ["12 s", "7 min 30 s", "2 h 05 min"]
