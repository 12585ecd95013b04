"""The model that ships, through the generator that everybody uses, read by the readers that ship beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.cards import load_card
from core.settings import Settings
from core.training.answers import DRAWINGS, MODEL
from core.training.evaluation import Plan, Report, evaluate
from core.training.world.readers import SHIPPED, load_readers
from core.training.world.truth import SMALL

COUNT = 40


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    tasks = ("subject", "tryon", "two-subjects")
    plan = Plan("dreamo-mini", SMALL, COUNT, tasks=tasks, sources=(MODEL, DRAWINGS))
    found, _ = evaluate(plan, settings, load_readers(SHIPPED / "small"))
    return found


def rate(report: Report, source: str, task: str, name: str) -> float:
    (row,) = (row for row in report.rows if (row.source, row.task) == (source, task))
    return row.rates[name].mean


@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", ["subject", "tryon"])
def test_references_decide_looks_and_words_the_place(report: Report, task: str) -> None:
    # The captions say nothing of looks: by chance an eighth of the colours would be right.
    assert rate(report, MODEL, task, "fidelity") >= {"subject": 0.75, "tryon": 0.68}[task]
    prefix = "garment_" if task == "tryon" else ""
    assert rate(report, MODEL, task, f"{prefix}colour") >= 0.75
    assert rate(report, MODEL, task, "place") >= 0.8


@pytest.mark.timeout(600)
def test_two_products_stand_where_the_words_say_with_the_looks_of_their_references(report: Report) -> None:
    both, sides, swapped = (rate(report, MODEL, "two-subjects", name) for name in ("both", "sides", "swapped"))
    assert both >= 0.55
    assert sides >= 0.7
    assert swapped <= 0.15


@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", ["subject", "tryon"])
def test_the_readers_read_drawings(report: Report, task: str) -> None:
    assert rate(report, DRAWINGS, task, "fidelity") >= {"subject": 0.85, "tryon": 0.75}[task]
    assert rate(report, DRAWINGS, task, "place") >= 0.95


def test_the_card_says_what_it_knows_and_fits_a_laptop(tmp_path: Path) -> None:
    card = load_card("dreamo-mini", Settings(home=tmp_path))
    assert "drawn world alone" in card.notice
    assert card.sides == (128, 160)
    files = [path for path in (card.source.parent / card.base).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 32_000_000
