"""Evaluation: the arithmetic on hand-made readings, and all of it once with a model that has learnt nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import BadInput
from core.settings import Settings
from core.training.adapter import Adapter, adapter_tensors, save_adapter
from core.training.answers import BASE, DRAWINGS, MODEL, PASTE, Made
from core.training.base_model import build_base, save_base
from core.training.contact_sheet import save_sheet, wrapped
from core.training.evaluation import Plan, Report, Row, cell, evaluate, tables
from core.training.measures import Interval, Seen, gathered, interval, measure
from core.training.pasting import cut_from_white, paste, pasted
from core.training.recipes import NewBase
from core.training.shipped_recipes import nano
from core.training.world.captions import caption_words
from core.training.world.readers import new_readers
from core.training.world.reading import truth_of, truth_of_scene
from core.training.world.samples import Canvas, Drawn, Sample, draw_sample
from core.training.world.scenes import draw_scene
from core.training.world.truth import FULL, SMALL, Look, Placed, Product, Scene

MUG = Product("mug", Look("red", "white", "stripes", "star"), 0.5)
BOTTLE = Product("bottle", Look("blue", "green", "dots", "none"), 0.5)
BLANK = Image.new("RGB", (16, 16))


def sample_of(*products: Product, caption: str) -> Sample:
    """A scene in which every product has a reference."""
    things = tuple(Placed(product, 0.3 + 0.4 * i, 0.9, 0.5) for i, product in enumerate(products))
    references = tuple(Drawn("subject", BLANK, i) for i in range(len(products)))
    scene = Scene("beach", "night", "plain", things, 0)
    return Sample("subject", scene, BLANK, caption, caption, references, ())


def seen_of(sample: Sample, *changes: Mapping[str, str | None], **scene: str) -> Seen:
    """Everything read right but for the changes."""
    truths = [truth_of(placed.thing) for placed in sample.scene.things]
    things = [{**truth, **change} for truth, change in zip(truths, changes or [{}] * len(truths), strict=True)]
    return Seen({**truth_of_scene(sample.scene), **scene}, things)


ONE = sample_of(MUG, caption="a mug from [ref#1] on the beach at night")
TWO = sample_of(MUG, BOTTLE, caption="a mug on the left and a bottle on the right on the beach")


def test_everything_right_is_1_throughout() -> None:
    measured = measure(ONE, seen_of(ONE))
    assert set(measured.values()) == {1.0}
    assert {"fidelity", "kept", "adherence", "colours", "place", "time", "kind", "emblem"} <= set(measured)


def test_fidelity_counts_what_the_reference_decides() -> None:
    measured = measure(ONE, seen_of(ONE, {"second": "black", "emblem": "none"}))
    assert measured["fidelity"] == 0.5
    assert measured["kept"] == 0
    assert measured["colours"] == 0
    assert measured["adherence"] == 1


def test_adherence_counts_what_the_caption_tells() -> None:
    measured = measure(ONE, seen_of(ONE, {"kind": "lamp"}, place="forest"))
    assert measured["fidelity"] == 1
    # Told are place, time, style, count and kind.
    assert measured["adherence"] == pytest.approx(3 / 5)
    assert (measured["place"], measured["kind"]) == (0, 0)


def test_untold_times_do_not_count() -> None:
    silent = replace(ONE, caption="a mug from [ref#1] on the beach")
    assert "time" not in measure(silent, seen_of(silent))


def test_a_second_colour_that_cannot_show_does_not_count() -> None:
    plain = sample_of(replace(MUG, look=Look("red", "white", "plain", "none")), caption="a mug on the beach")
    assert measure(plain, seen_of(plain, {"colour": "blue"}))["fidelity"] == pytest.approx(2 / 3)


def test_without_references_there_is_no_fidelity() -> None:
    text = replace(ONE, references=(), caption="a red mug with white stripes and a white star on the beach")
    measured = measure(text, seen_of(text, {"colour": "blue"}))
    assert "fidelity" not in measured
    assert measured["adherence"] == pytest.approx(7 / 8)


def test_style_references_decide_the_style_alone() -> None:
    style = replace(ONE, references=(Drawn("style", BLANK, -1),), caption="a red mug on the beach")
    measured = measure(style, seen_of(style, style="pixel"))
    assert measured["fidelity"] == 0
    assert measured["adherence"] == 1


def test_exchanged_looks_are_swapped_owners_and_not_swapped_places() -> None:
    truths = [truth_of(MUG), truth_of(BOTTLE)]
    looks = [{**truths[1], "kind": "mug"}, {**truths[0], "kind": "bottle"}]
    measured = measure(TWO, seen_of(TWO, *looks))
    assert measured["swapped"] == 1
    assert measured["sides"] == 0
    assert measured["fidelity"] == 0
    assert measured["kind"] == 1


def test_exchanged_places_are_not_swapped_owners() -> None:
    measured = measure(TWO, seen_of(TWO, truth_of(BOTTLE), truth_of(MUG)))
    assert measured["swapped"] == 0
    assert measured["sides"] == 0


def test_one_wrong_colour_swaps_nothing() -> None:
    measured = measure(TWO, seen_of(TWO, {"colour": "blue"}, {}))
    assert (measured["swapped"], measured["sides"], measured["kept"]) == (0, 1, 0)
    assert measured["colours"] == 0.5


def test_both_are_right_where_each_product_has_its_kind_and_colours() -> None:
    assert measure(TWO, seen_of(TWO, {"emblem": "none"}, {"pattern": "stripes"}))["both"] == 1
    assert measure(TWO, seen_of(TWO, {}, {"second": "red"}))["both"] == 0
    assert measure(TWO, seen_of(TWO, truth_of(BOTTLE), truth_of(MUG)))["both"] == 0
    assert "both" not in measure(ONE, seen_of(ONE))


def test_what_was_pasted_is_told_from_what_was_drawn_anew() -> None:
    canvas, reference = Canvas(128, 128), Canvas(96, 96)
    drawn, laid = [], []
    for seed in range(12):
        sample = draw_sample(SMALL, "two-subjects", seed, canvas, reference, "new")
        pictures = [one.picture for one in sample.references]
        empty = draw_scene(replace(sample.scene, things=()), canvas).picture
        drawn.append(pasted(sample.target, pictures))
        laid.append(pasted(paste(sample, empty), pictures))
    assert min(laid) > 0.7
    assert np.mean(drawn) < np.mean(laid) - 0.2


def test_white_inside_a_product_is_not_its_ground() -> None:
    picture = Image.new("RGB", (40, 60), "white")
    picture.paste((200, 30, 30), (10, 10, 30, 50))
    picture.paste("white", (15, 20, 25, 30))
    cut = cut_from_white(picture)
    assert cut.size == (20, 40)
    assert cut.getchannel("A").getextrema() == (255, 255)


def test_bootstrap_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        found = interval([float(value) for value in rng.random(80) < 0.7], seed)
        assert found.low <= found.mean <= found.high
        covered += found.low <= 0.7 <= found.high
    assert 50 <= covered <= 60


def test_bootstrap_intervals_repeat_and_shrink_with_the_count() -> None:
    few, many = interval([0.0, 1.0] * 10), interval([0.0, 1.0] * 200)
    assert few == interval([0.0, 1.0] * 10)
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert interval([1.0, 1.0]) == Interval(1.0, 1.0, 1.0, 2)


def test_rates_count_the_images_that_have_them() -> None:
    rates = gathered([{"fidelity": 1.0, "time": 0.0}, {"fidelity": 0.0}])
    assert list(rates) == ["fidelity", "time"]
    assert (rates["fidelity"].count, rates["fidelity"].mean, rates["time"].count) == (2, 0.5, 1)


def test_tables_leave_out_columns_that_nobody_fills() -> None:
    rows = (
        Row(MODEL, "subject", "new", {"fidelity": Interval(0.5, 0.4, 0.625, 9), "hair": Interval(1, 1, 1, 9)}),
    )
    said = tables(Report("mini", "A title", "small", 9, 8, {"scene place": 0.987}, rows))
    assert "| subject | DreamO | 50 (40-62) |" in said
    assert "swapped" not in said
    assert "| scene place | 98.7 |" in said
    assert cell(None) == ""


def test_long_captions_end_in_an_ellipsis() -> None:
    from PIL import ImageFont

    lines = wrapped("a red mug " * 60, ImageFont.load_default(11), 300)
    assert len(lines) == 3
    assert lines[-1].endswith("…")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of a nano DreamO that has learnt nothing."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder, recipe = tmp_path_factory.mktemp("nano"), nano()
    assert isinstance(recipe.base, NewBase)
    pictures = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    base = build_base(recipe.base, caption_words(SMALL), pictures, folder / "base")
    save_base(base, folder / "base", torch.float32)
    adapter = Adapter(base.transformer, recipe.base.text.t5_width, recipe.rank)
    save_adapter(adapter_tensors(base.transformer, adapter), folder / "adapter" / "dreamo.safetensors")
    path = folder / "nano.toml"
    path.write_text(
        'name = "nano"\ntitle = "Untrained"\ngenerator = "dreamo"\nbase = "base"\nsteps = 2\n'
        'embeddings = "dreamo.safetensors"\nsides = [64, 160]\nmax_references = 1\n'
        '[[adapters]]\nrepository = "adapter"\nfile = "dreamo.safetensors"\nnaming = "published"\n'
    )
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", device="cpu", cache_gb=0)


TASKS = ("subject", "two-subjects", "identity-tryon", "style", "text")


def test_an_untrained_model_is_evaluated_to_the_end(card: Path, settings: Settings, tmp_path: Path) -> None:
    """Its card takes one reference; tasks with two are measured all the same."""
    plan = Plan(str(card), SMALL, 2, tasks=TASKS, splits=("new", "held-out"), canvas=Canvas(64, 64))
    told: list[tuple[int, int, str]] = []
    report, made = evaluate(plan, settings, new_readers(SMALL), progressed=lambda *progress: told.append(progress))
    whole = [row for row in report.rows if "away" not in row.split]
    assert [(row.split, row.task, row.source) for row in whole] == [
        (split, task, source)
        for split in ("new", "held-out")
        for task in TASKS
        for source in (MODEL, BASE, PASTE, DRAWINGS)
        if source != PASTE or task not in ("style", "text")
    ]
    away = {row.split for row in report.rows} - {"new", "held-out"}
    assert away <= {"held-out, one factor away", "held-out, two factors away"}
    assert away
    assert all("adherence" in row.rates for row in report.rows)
    assert all(("fidelity" in row.rates) == (row.task != "text") for row in report.rows)
    assert all(("sides" in row.rates) for row in report.rows if row.task == "two-subjects")
    assert len(made) == 3 * 2 * len(TASKS) * 2 + 2 * 2 * 3
    assert all("pasted" in row.rates for row in report.rows if row.task == "subject")
    assert (10, 10, "made by the model") in told
    assert all(one.picture.size == (64, 64) for one in made)
    report.write(tmp_path)
    assert Report.from_dict(json.loads((tmp_path / "report.json").read_text())) == report
    assert "held-out" in (tmp_path / "report.md").read_text()
    save_sheet(made, tmp_path / "sheet.png", each=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.getpixel((0, 0)) == (255, 255, 255)
        assert min(sheet.size) > 600


def test_drawings_alone_need_no_generator(card: Path, settings: Settings) -> None:
    plan = Plan(str(card), SMALL, 1, tasks=("subject",), sources=(DRAWINGS,), canvas=Canvas(64, 64))
    report, made = evaluate(plan, settings, new_readers(SMALL))
    assert [row.source for row in report.rows] == [DRAWINGS]
    assert made[0].picture == made[0].sample.target


def test_the_lot_decides_what_a_sheet_shows(tmp_path: Path) -> None:
    samples = [draw_sample(SMALL, "subject", seed, Canvas(32, 32), Canvas(32, 32), "new") for seed in range(8)]
    made = [Made(MODEL, "new", sample, sample.target) for sample in samples]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_sheet(made, tmp_path / name, each=2, seed=seed)
    contents = [(tmp_path / name).read_bytes() for name in ("a", "b", "c")]
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ("panels",)}, "panels"),
        ({"sources": ("magic",)}, "magic"),
        ({"count": 0}, "count"),
        ({"world": FULL}, "small, not full"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    card: Path, settings: Settings, changes: dict[str, object], said: str
) -> None:
    plan = replace(Plan(str(card), SMALL, 1, tasks=("subject",)), **changes)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=said):
        evaluate(plan, settings, new_readers(SMALL))
