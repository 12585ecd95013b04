"""Folders of samples: what is written is what is read, what is wrong is named, and they train as drawings do."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadInput
from core.preparation.masks import cut_by_mask
from core.preparation.matting import crop_to_product
from core.settings import Settings
from core.training.adapter import Adapter
from core.training.autoencoder import PatchEncoder
from core.training.base_model import Base
from core.training.batches import Batch
from core.training.data.checking import Report, check_folder
from core.training.data.copies import copied_from
from core.training.data.entries import (
    Entry,
    Shown,
    entry_from,
    kinds_of,
    line_of,
    problems_of_line,
    read_entries,
    task_of,
    without_placeholders,
    write_entries,
)
from core.training.data.fitting import contained, cut, fitted_reference, fitted_target, nearest
from core.training.data.folder import DataFolder, size_of
from core.training.data.joining import join_folder
from core.training.data.pictures import open_example
from core.training.data.writing import write_samples
from core.training.drawing import Drawing
from core.training.loop import empty_texts
from core.training.recipe_files import changed, plain_recipe, recipe_from
from core.training.recipes import NewBase, Recipe, Shares
from core.training.runs import Run
from core.training.trainee import Chances, Trainee
from core.training.world.samples import REFERENCES, TASKS, Canvas, Sample, draw_sample
from core.training.world.truth import SMALL
from orchestrator.cli import cli
from plugins.subject import SubjectOptions

SQUARE, REFERENCE = Canvas(128, 128), Canvas(96, 96)


def drawn(task: str, numbers: range) -> list[Sample]:
    return [draw_sample(SMALL, task, number, SQUARE, REFERENCE) for number in numbers]


@pytest.fixture(scope="session")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "subjects"
    write_samples(drawn("subject", range(12)), folder)
    return folder


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "mixed"
    tasks = ("subject", "two-subjects", "style", "text")
    write_samples([sample for task in tasks for sample in drawn(task, range(4))], folder)
    return folder


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["train", "data", *map(str, words)], obj=Settings())


@pytest.mark.parametrize("task", [task for task in TASKS if task != "panels"])
def test_a_sample_that_was_written_is_read_as_it_was(task: str, tmp_path: Path) -> None:
    (sample,) = drawn(task, range(3, 4))
    write_samples([sample], tmp_path / "one")
    (entry,), problems = read_entries(tmp_path / "one")
    assert not problems
    again = open_example(entry, SQUARE, [REFERENCE] * len(sample.references))
    assert (again.task, again.caption, again.spoken) == (sample.task, sample.caption, sample.spoken)
    assert again.target.tobytes() == sample.target.tobytes()
    assert [mask.tobytes() for mask in again.masks] == [mask.tobytes() for mask in sample.masks]
    assert [one.picture.tobytes() for one in again.references] == [
        one.picture.tobytes() for one in sample.references
    ]


def test_losses_from_a_folder_are_those_of_the_drawings(
    tmp_path: Path, base: Base, nano_base: Path, recipe: Recipe
) -> None:
    assert isinstance(recipe.base, NewBase)
    samples = drawn("two-subjects", range(4))
    write_samples(samples, tmp_path / "data")
    sizes = {"canvases": ((SQUARE.size, 1.0),), "references": ((REFERENCE.size, 1.0),)}
    plan = replace(recipe, data=((str(tmp_path / "data"), 1.0),), **sizes)  # type: ignore[arg-type]
    encoder, full = PatchEncoder.read(base.vae), recipe.stage("full")
    drawing = Drawing.of(plan, (("two-subjects", 1.0),), nano_base, recipe.base.text.length, encoder, tmp_path)
    adapter = Adapter(base.transformer, recipe.base.text.t5_width, 4)
    trainee = Trainee(base, adapter, empty_texts(base.tokenizers))
    read = drawing[5]
    order = random.Random(f"{plan.seed} turn 5")
    ((folder, _),) = drawing.folders
    assert drawing.folder(order) is folder
    order.choices(["two-subjects"], [1.0])
    captions = [example.caption for example in folder.batch("two-subjects", plan.batch, order)]
    same = drawing.tensors([next(one for one in samples if one.caption == caption) for caption in captions])
    assert sorted(captions) == sorted(sample.caption for sample in samples)

    def losses(batch: Batch) -> dict[str, float]:
        with torch.no_grad():
            return {name: float(loss) for name, loss in trainee(batch, full, Chances.of(0, 2)).items()}

    assert losses(read) == losses(same)
    assert {"loss", "diffusion", "route P", "route R"} <= losses(read).keys()


def test_a_run_trains_from_a_folder_and_from_the_world_by_shares(
    tmp_path: Path, subjects: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    batch = DataFolder.batch
    monkeypatch.setattr(DataFolder, "batch", lambda self, *told: (seen.append(True), batch(self, *told))[1])
    drawn_batches: list[str] = []
    draw = Drawing.draw

    def drawing(self: Drawing, task: str, number: int) -> Batch:
        drawn_batches.append(task)
        return draw(self, task, number)

    monkeypatch.setattr(Drawing, "draw", drawing)
    short = replace(
        recipe,
        stages=tuple(replace(recipe.stage(name), share=0.5) for name in ("base", "warm-up")),
        steps=8,
        data=((str(subjects), 0.5),),
        checkpoint_minutes=100.0,
    )
    Run(short, tmp_path / "run").train()
    assert 6 <= len(seen) <= 26
    assert drawn_batches
    assert (tmp_path / "run" / "adapter" / "dreamo.safetensors").is_file()
    Run(short, tmp_path / "run").train()


def test_a_batch_is_a_function_of_its_turn(mixed: Path, nano_base: Path, recipe: Recipe) -> None:
    plan = replace(recipe, data=((str(mixed), 1.0),))
    one, again = (Drawing.of(plan, recipe.stage("full").tasks, nano_base, 40, None, mixed) for _ in range(2))
    for turn in (3, 11):
        assert torch.equal(one[turn].target_BCHW, again[turn].target_BCHW)
    assert {one[turn].task for turn in range(12)} <= {"subject", "two-subjects", "style", "text"}


def test_folders_without_a_stages_tasks_leave_their_shares_to_the_other_folders(
    subjects: Path, tmp_path: Path, recipe: Recipe
) -> None:
    for task in ("tryon", "style"):
        write_samples(drawn(task, range(2)), tmp_path / task)
    data = ((str(subjects), 0.15), (str(tmp_path / "style"), 0.45), (str(tmp_path / "tryon"), 0.2))

    def shares(given: Shares, *tasks: str) -> dict[str, float]:
        even = tuple((task, 1 / len(tasks)) for task in tasks)
        drawing = Drawing.of(replace(recipe, data=given), even, Path(), 40, None, Path())
        chosen = (drawing.folder(random.Random(turn)) for turn in range(4000))
        found = Counter(folder.path.name if folder else "drawn" for folder in chosen)
        return {name: count / 4000 for name, count in found.items()}

    near = partial(pytest.approx, abs=0.03)
    assert shares(data, "subject") == near({"subjects": 0.8, "drawn": 0.2})
    assert shares(data, "subject", "style") == near({"subjects": 0.2, "style": 0.6, "drawn": 0.2})
    assert shares(((str(subjects), 0.4), (str(tmp_path / "style"), 0.6)), "subject") == {"subjects": 1}


def test_tasks_that_nobody_has_are_refused_before_anything_is_trained(subjects: Path, recipe: Recipe) -> None:
    plan = replace(recipe, data=((str(subjects), 1.0),))
    with pytest.raises(BadInput, match=r"no samples of the tasks tryon\. Here are subject"):
        Drawing.of(plan, (("tryon", 1.0),), Path(), 40, None, Path())
    with pytest.raises(BadInput, match="shares of"):
        recipe_from(plain_recipe(replace(plan, data=((str(subjects), 0.7), (str(subjects), 0.6)))))
    told = changed(recipe, [f'data=[["{subjects}", 0.25]]'])
    assert told.data == ((str(subjects), 0.25),)


def test_a_run_of_before_data_could_be_given_goes_on(tmp_path: Path, recipe: Recipe) -> None:
    Run(recipe, tmp_path)
    path = tmp_path / "recipe.json"
    told = json.loads(path.read_text())
    del told["data"]
    path.write_text(json.dumps(told))
    assert Run(recipe, tmp_path).recipe == recipe


def test_a_damaged_picture_is_left_out_of_a_batch_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_samples(drawn("subject", range(4)), tmp_path / "data")
    damaged = tmp_path / "data" / "targets" / "000002.png"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    folder = DataFolder.read(tmp_path / "data", [SQUARE], [REFERENCE])
    assert len(folder.batch("subject", 4, random.Random(1))) == 4
    assert str(damaged) in caplog.text
    damaged.write_bytes(b"")
    with pytest.raises(BadInput, match="is empty"):
        DataFolder.read(tmp_path / "data", [SQUARE], [REFERENCE])


@pytest.mark.parametrize("fate", ["refused", "left out", "taken"])
def test_training_does_with_bad_samples_what_the_help_says(
    fate: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    write_samples(drawn("subject", range(4)), data)
    target, mask = data / "targets" / "000002.png", data / "masks" / "000002-1.png"
    whole, shown, lines = target.read_bytes(), mask.read_bytes(), (data / "samples.jsonl").read_text()
    told = " ".join(command("check", "--help").output.split())

    def batch() -> list[str]:
        folder = DataFolder.read(data, [SQUARE], [REFERENCE])
        return [example.caption for example in folder.batch("subject", 8, random.Random(1))]

    if fate == "refused":
        assert "Training refuses a folder that has lines, or pictures' headers, that can't be read" in told
        target.unlink()
        with pytest.raises(BadInput, match=r"000002\.png"):
            batch()
        target.write_bytes(whole)
        (data / "samples.jsonl").write_text(lines + "{\n")
        with pytest.raises(BadInput, match="line 5"):
            batch()
    elif fate == "left out":
        assert "damaged pictures, or with masks that are missing, empty or of another shape, it leaves out" in told
        (caption,) = (json.loads(line)["caption"] for line in lines.splitlines() if "000002" in line)
        assert caption in batch()
        for damage in (
            partial(target.write_bytes, whole[: len(whole) // 2]),
            mask.unlink,
            partial(Image.new("L", (128, 128)).save, mask),
            partial(Image.new("L", (128, 64), 255).save, mask),
        ):
            damage()
            caplog.clear()
            assert caption not in batch()
            assert "000002" in caplog.text
            target.write_bytes(whole)
            mask.write_bytes(shown)
    else:
        assert "small pictures it takes as they are" in told
        Image.open(target).resize((40, 40)).save(target)
        Image.open(mask).resize((40, 40)).save(mask)
        assert len(set(batch())) == 4


def broken(folder: Path) -> Report:
    """A folder with one of everything that can be wrong."""
    write_samples(drawn("subject", range(6)), folder)
    lines = [json.loads(text) for text in (folder / "samples.jsonl").read_text().splitlines()]
    lines[0]["references"][0]["picture"] = "references/nowhere.png"
    Image.new("L", (128, 128)).save(folder / "masks" / "000001-1.png")
    Image.new("L", (128, 64), 255).save(folder / "masks" / "000002-1.png")
    Image.new("L", (128, 128), 255).save(folder / "masks" / "000003-1.png")
    Image.open(folder / "targets" / "000004.png").crop((10, 30, 110, 120)).save(
        folder / "references" / "000004-1.png"
    )
    lines[5] |= {"target": lines[4]["target"]}
    lines[5]["references"] = [{**lines[5]["references"][0], "kind": "pet", "governs": None}]
    lines += [
        {**lines[3], "caption": "a mug from [ref#2]"},
        {**lines[3], "caption": "a mug", "spoken": "a [ref#1]"},
        {**lines[3], "references": [*lines[3]["references"]] * 2, "caption": "mugs"},
        {**lines[3], "colour": "red"},
    ]
    Image.new("RGB", (40, 200), "red").save(folder / "small.png")
    lines.append({"target": "small.png", "caption": "nothing", "references": []})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "samples.jsonl").write_text(text + "{\n")
    return check_folder(folder, {"subject"})


def test_the_check_names_what_is_wrong_and_in_which_line(tmp_path: Path) -> None:
    report = broken(tmp_path / "data")
    found = {(finding.line, finding.code, finding.level) for finding in report.findings}
    assert {
        (1, "unreadable", "error"),
        (2, "mask-empty", "error"),
        (3, "mask-shape", "error"),
        (4, "mask-full", "warning"),
        (5, "copy", "warning"),
        (6, "kind", "warning"),
        (6, "unmasked", "warning"),
        (6, "twice", "warning"),
        (7, "line", "error"),
        (8, "line", "error"),
        (9, "unnamed", "warning"),
        (10, "line", "error"),
        (11, "small", "error"),
        (12, "line", "error"),
    } <= found
    words = {str(finding) for finding in report.findings}
    assert "line 7, key caption: [ref#2] names no reference. It has 1: say [ref#1] for the first" in words
    assert "line 10, key colour: has no meaning. Known are: target, caption, spoken, task, references" in words
    assert report.samples == 8
    assert report.tasks["subject"] == 5
    assert report.sides == {"under 256": 8}


def test_the_command_exits_with_1_for_errors_and_0_for_warnings(tmp_path: Path, subjects: Path) -> None:
    broken(tmp_path / "data")
    done = command("check", tmp_path / "data")
    assert done.exit_code == 1
    assert "error: line 1, reference 1" in done.output
    assert "has errors: 8 samples" in done.output
    assert command("check", subjects).exit_code == 0
    told: dict[str, Any] = json.loads(command("check", subjects, "--json").output)
    assert (told["samples"], told["errors"], told["kinds"]) == (12, 0, {"subject": 12})
    nowhere = command("check", tmp_path / "nowhere")
    assert "samples.jsonl: can't be read" in str(nowhere.exception)


def test_drawn_samples_pass_the_check_without_a_warning(mixed: Path) -> None:
    report = check_folder(mixed, {"subject", "style"})
    assert [finding for finding in report.findings if finding.code not in ("unmasked",)] == []
    assert report.tasks == {"subject": 4, "two-subjects": 4, "style": 4, "text": 4}


def test_the_command_draws_any_task_and_refuses_what_it_cant(tmp_path: Path) -> None:
    done = command("draw", "--task", "tryon", "-n", "2", "--size", "96x128", "-o", tmp_path / "drawn")
    assert done.exit_code == 0, done.output
    assert size_of(tmp_path / "drawn" / "targets" / "000001.png") == (96, 128)
    again = command("draw", "--task", "tryon", "-n", "2", "-o", tmp_path / "drawn")
    assert "is not empty" in str(again.exception)
    odd = command("draw", "--task", "pets", "-o", tmp_path / "pets")
    assert "'pets' can't be drawn" in str(odd.exception)
    assert "is no size" in str(command("draw", "--task", "text", "--size", "big", "-o", tmp_path / "x").exception)


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
def test_crops_of_a_target_are_told_from_other_pictures_of_its_thing(share: float) -> None:
    (sample,) = drawn("subject", range(7, 8))
    side = round(128 * share)
    piece = sample.target.crop((20, 20, 20 + side, 20 + side)) if share < 1 else sample.target
    assert copied_from(piece.resize((90, 90)), sample.target)
    assert not copied_from(sample.references[0].picture, sample.target)


def test_two_samples_of_one_subject_become_one_of_two(subjects: Path) -> None:
    joined = [*join_folder(subjects, 3, seed=1)]
    for sample in joined:
        assert sample.target.size in {(128, 128), (160, 128)}
        assert "[ref#1]" in sample.caption
        assert "[ref#2]" in sample.caption
        left, right = (mask.getbbox() for mask in sample.masks)
        assert left is not None
        assert right is not None
        assert left[2] <= sample.target.width / 2 <= right[0]
    assert len({sample.target.tobytes() for sample in joined}) == 3
    with pytest.raises(BadInput, match="gave"):
        [*join_folder(subjects, 10_000)]


@given(st.integers(16, 900), st.integers(16, 900), st.integers(1, 12), st.integers(1, 12), st.data())
@settings(max_examples=60, deadline=None)
def test_a_cut_lies_in_its_picture_has_the_canvas_shape_and_takes_all_that_it_can(
    width: int, height: int, across: int, down: int, data: st.DataObject
) -> None:
    canvas = Canvas(16 * across, 16 * down)
    focus = data.draw(st.tuples(st.floats(0, width), st.floats(0, height)))
    left, top, right, bottom = cut((width, height), canvas, focus)
    assert -1e-6 <= left < right <= width + 1e-6
    assert -1e-6 <= top < bottom <= height + 1e-6
    assert (right - left) / (bottom - top) == pytest.approx(across / down)
    assert right - left == pytest.approx(width) or bottom - top == pytest.approx(height)


def test_what_references_govern_stays_in_a_target_that_is_cut() -> None:
    target, mask = Image.new("RGB", (400, 100), "white"), Image.new("L", (400, 100))
    target.paste("red", (300, 20, 380, 80))
    mask.paste(255, (300, 20, 380, 80))
    picture, (seen,) = fitted_target(target, [mask], Canvas(96, 96))
    assert picture.size == seen.size == (96, 96)
    assert picture.getpixel((60, 48)) == (255, 0, 0)
    assert sum(seen.histogram()[200:]) == pytest.approx(0.8 * 0.6 * 96 * 96, rel=0.05)


def test_references_keep_their_whole_on_the_colour_of_their_border() -> None:
    picture = Image.new("RGB", (100, 50), "navy")
    picture.paste("red", (10, 10, 90, 40))
    laid = contained(picture, Canvas(96, 96))
    assert laid.getpixel((2, 2)) == laid.getpixel((48, 90)) == (0, 0, 128)
    assert laid.getpixel((48, 48)) == (255, 0, 0)
    assert nearest((100, 50), [Canvas(96, 96), Canvas(128, 64)]) == Canvas(128, 64)


@pytest.mark.parametrize("width", [4, 60])
def test_a_reference_with_a_mask_is_cropped_as_the_kinds_crop_it(width: int) -> None:
    picture, mask = Image.new("RGB", (100, 200), "white"), Image.new("L", (100, 200))
    picture.paste("navy", (20, 20, 20 + width, 180))
    mask.paste(255, (20, 20, 20 + width, 180))
    cut_out = crop_to_product(cut_by_mask(picture, mask, "here"), SubjectOptions().margin)
    canvas = Canvas(*cut_out.picture.size)
    seen = fitted_reference(picture, mask, "subject", canvas)
    assert np.abs(np.asarray(seen, int) - np.asarray(cut_out.picture, int)).mean() < 0.5


def test_a_photo_that_lies_on_its_side_counts_as_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30)).save(tmp_path / "lying.jpg", exif=exif)
    assert size_of(tmp_path / "lying.jpg") == (30, 60)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "panels"])
def test_tasks_and_kinds_lead_to_one_another(task: str) -> None:
    assert kinds_of(task) == REFERENCES[task]
    assert kinds_of(task_of(REFERENCES[task])) == REFERENCES[task]


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)


@given(
    st.lists(st.tuples(NAMES, NAMES, st.booleans(), st.booleans()), max_size=4),
    st.text("abc xyz,.", min_size=1, max_size=30).filter(str.strip),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_lines_come_back_as_they_were_written(
    shown: list[tuple[str, str, bool, bool]], words: str, placeholders: bool
) -> None:
    folder = Path("somewhere")
    references = tuple(
        Shown(
            folder / f"{name}.png", kind, folder / "g.png" if governs else None, folder / "m.png" if mask else None
        )
        for name, kind, governs, mask in shown
    )
    kinds = [one.kind for one in references]
    named = "".join(f" from [ref#{number}]" for number in range(1, len(kinds) + 1)) if placeholders else ""
    caption = f"{words.strip()}{named}"
    entry = Entry(4, folder / "t.png", caption, without_placeholders(caption), references, task_of(kinds))
    line = line_of(entry, folder)
    assert [*problems_of_line(line, "here")] == []
    assert entry_from(json.loads(line), 4, folder) == entry


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["target", "caption", "references", "picture", "kind", "spoken"]), inner
            )
        ),
        max_leaves=8,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_line_is_read_or_refused_with_a_mend(value: Any) -> None:
    text = json.dumps(value)
    problems = [*problems_of_line(text, "samples.jsonl, line 1")]
    assert all(problem.where.startswith("samples.jsonl, line 1") and problem.mend for problem in problems)
    if not problems:
        assert entry_from(value, 1, Path()).caption


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    caption = "a\u2028mug\u2029on\u0085a desk"
    entry = Entry(1, tmp_path / "a.png", caption, caption, (), "text")
    write_entries([entry, replace(entry, line=2)], tmp_path)
    assert read_entries(tmp_path) == ([entry, replace(entry, line=2)], [])
    text = (tmp_path / "samples.jsonl").read_text()
    (tmp_path / "samples.jsonl").write_bytes(text.replace("\n", "\r\n").encode())
    assert [one.caption for one in read_entries(tmp_path)[0]] == [caption, caption]


def test_files_of_another_place_are_named_from_the_folder_that_is_written(tmp_path: Path) -> None:
    picture = tmp_path / "set" / "a.png"
    picture.parent.mkdir()
    Image.new("RGB", (80, 80)).save(picture)
    write_entries([Entry(1, picture, "a thing", "a thing", (), "text")], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "samples.jsonl").read_text())["target"] == "../set/a.png"
    (entry,), _ = read_entries(tmp_path / "out")
    assert size_of(entry.target) == (80, 80)
