"""Published data sets, laid out as they are published: read, checked, and refused where they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from core.errors import BadInput
from core.settings import Settings
from core.training.data.checking import check_folder
from core.training.data.entries import read_entries
from core.training.data.importing import Order, import_layout
from core.training.data.parse_maps import DRESS_CODE_PARTS, LIP, LIP_PARTS, part_mask, read_numbers
from core.training.data.two_panels import both, texts_of, with_placeholder
from core.training.world.samples import Canvas, draw_sample
from core.training.world.truth import SMALL
from orchestrator.cli import cli


def person(number: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Somebody, the garment alone, and a mask of where it is worn."""
    sample = draw_sample(SMALL, "tryon", number, Canvas(96, 128), Canvas(96, 128))
    return sample.target, sample.references[0].picture, sample.masks[0].point([0] * 128 + [255] * 128)


def labelled(mask: Image.Image, part: int) -> Image.Image:
    return mask.point([0] * 255 + [part])


def save(picture: Image.Image, path: Path, **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **how)


@pytest.fixture
def viton(tmp_path: Path) -> Path:
    folder = tmp_path / "VITON-HD"
    for number in range(3):
        worn, garment, mask = person(number)
        name = f"{number:05}_00"
        save(worn, folder / "train" / "image" / f"{name}.jpg", quality=95)
        save(garment, folder / "train" / "cloth" / f"{name}.jpg", quality=95)
        save(labelled(mask, LIP_PARTS["upper clothes"]), folder / "train" / "image-parse-v3" / f"{name}.png")
        white = garment.convert("L").point([255] * 245 + [0] * 11)
        save(white, folder / "train" / "cloth-mask" / f"{name}.jpg")
    (folder / "train_pairs.txt").write_text(
        "00000_00.jpg 00000_00.jpg\n00001_00.jpg 00001_00.jpg\n00002_00.jpg 00000_00.jpg\n"
    )
    return folder


@pytest.fixture
def dress_code(tmp_path: Path) -> Path:
    folder = tmp_path / "DressCode"
    parts = {"upper_body": "upper clothes", "lower_body": "trousers", "dresses": "dress"}
    for number, (category, part) in enumerate(parts.items()):
        worn, garment, mask = person(number)
        save(worn, folder / category / "images" / f"{number:06}_0.jpg")
        save(garment, folder / category / "images" / f"{number:06}_1.jpg")
        save(labelled(mask, DRESS_CODE_PARTS[part]), folder / category / "label_maps" / f"{number:06}_4.png")
        (folder / category / "train_pairs.txt").write_text(f"{number:06}_0.jpg\t{number:06}_1.jpg\n")
    return folder


def order(folder: Path, output: Path, **more: Any) -> Order:
    return replace(Order(folder, output), **more)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "samples.jsonl").read_text().splitlines()]


def test_viton_hd_gives_people_with_their_own_garments_and_where_they_wear_them(
    viton: Path, tmp_path: Path
) -> None:
    told = import_layout("viton-hd", order(viton, tmp_path / "out", placeholders=1.0))
    assert told == [f"2 samples of viton-hd in {tmp_path / 'out'}"]
    first = lines(tmp_path / "out")[0]
    assert first["target"] == "../VITON-HD/train/image/00000_00.jpg"
    assert first["caption"] == "a person wearing a top from [ref#1]"
    (reference,) = first["references"]
    assert reference["kind"] == "tryon"
    assert reference["mask"] == "../VITON-HD/train/cloth-mask/00000_00.jpg"
    with Image.open(tmp_path / "out" / reference["governs"]) as mask:
        assert np.array_equal(np.asarray(mask) > 127, np.asarray(person(0)[2]) > 127)
    report = check_folder(tmp_path / "out", {"tryon"})
    assert (report.errors, report.warnings, report.masked) == (0, 0, 2)


def test_dress_code_gives_all_categories_in_both_of_its_lists(dress_code: Path, tmp_path: Path) -> None:
    import_layout("dress-code", order(dress_code, tmp_path / "one", placeholders=0.0))
    captions = [line["caption"] for line in lines(tmp_path / "one")]
    assert captions == ["a person wearing a top", "a person wearing trousers", "a person wearing a dress"]
    (dress_code / "train_pairs.txt").write_text("000002_0.jpg\t000002_1.jpg\t2\n000001_0.jpg\t000001_1.jpg\t1\n")
    import_layout("dress-code", order(dress_code, tmp_path / "two", number=1))
    (only,) = lines(tmp_path / "two")
    assert only["target"].endswith("dresses/images/000002_0.jpg")
    assert check_folder(tmp_path / "one", {"tryon"}).errors == 0
    (dress_code / "train_pairs.txt").write_text("000002_0.jpg\t000002_1.jpg\t7\n")
    with pytest.raises(BadInput, match=r"1 rows were left out.*train_pairs\.txt, line 1: .* names no category"):
        import_layout("dress-code", order(dress_code, tmp_path / "three"))


def test_bad_rows_of_pairs_are_left_out_and_told(
    dress_code: Path, viton: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (dress_code / "train_pairs.txt").write_text(
        "000002_0.jpg\n000002_0.jpg\t000002_1.jpg\t7\n\n000002_0.jpg\t000002_1.jpg\t2\n"
    )
    told = import_layout("dress-code", order(dress_code, tmp_path / "dresses"))
    assert told == [f"1 samples of dress-code in {tmp_path / 'dresses'}", "2 were left out"]
    assert "train_pairs.txt, line 1: '000002_0.jpg' is no pair" in caplog.text
    assert "train_pairs.txt, line 2: " in caplog.text
    (viton / "train_pairs.txt").write_bytes(b"\xff\xfe\n00000_00.jpg 00000_00.jpg\n")
    assert import_layout("viton-hd", order(viton, tmp_path / "tops"))[1:] == ["1 were left out"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("skirt",), "a person wearing a skirt"),
        (("trousers",), "a person wearing trousers"),
        (("skirt", "trousers"), "a person wearing bottoms"),
        ((), "a person wearing bottoms"),
    ],
)
def test_what_the_lower_body_wears_is_called_as_its_label_map_tells(
    parts: tuple[str, ...], said: str, dress_code: Path, tmp_path: Path
) -> None:
    path = dress_code / "lower_body" / "label_maps" / "000001_4.png"
    path.unlink()
    if parts:
        numbers = np.zeros((128, 96), np.uint8)
        for column, part in enumerate(parts):
            numbers[60:110, 20 + 20 * column : 40 + 20 * column] = DRESS_CODE_PARTS[part]
        Image.fromarray(numbers).save(path)
    for category in ("dresses", "upper_body"):
        (dress_code / category / "train_pairs.txt").unlink()
    import_layout("dress-code", order(dress_code, tmp_path / "out", placeholders=1.0))
    (only,) = lines(tmp_path / "out")
    assert only["caption"] == f"{said} from [ref#1]"
    assert ("governs" in only["references"][0]) == bool(parts)


def two_panels(side: int, border: int, between: int) -> Image.Image:
    picture = Image.new("RGB", (2 * side + 2 * border + between, side + 2 * border), "white")
    picture.paste("red", (border, border, border + side, border + side))
    second = border + side + between
    picture.paste("blue", (second, border, second + side, border + side))
    return picture


@pytest.mark.parametrize(
    ("side", "border", "between"), [(512, 0, 0), (512, 16, 16), (512, 8, 8), (512, 8, 16), (1024, 16, 16)]
)
def test_panels_are_found_whatever_border_they_have(side: int, border: int, between: int) -> None:
    left, right = both(two_panels(side, border, between), None, "here")
    assert left.size == right.size == (side, side)
    assert left.getextrema() == ((255, 255), (0, 0), (0, 0))
    assert right.getextrema() == ((0, 0), (0, 0), (255, 255))


def test_a_picture_that_is_no_pair_is_refused() -> None:
    with pytest.raises(BadInput, match="no two panels of 1024 or 512"):
        both(Image.new("RGB", (640, 480)), None, "here")
    assert both(two_panels(64, 4, 4), 64, "here")[1].size == (64, 64)


DESCRIPTION = {
    "item": "Enamel Mug",
    "description_0": "The enamel mug stands on a shelf.",
    "description_1": "It is held by a hiker.",
}


def rated(*ratings: int) -> dict[str, int]:
    return dict(zip(("compositeStructure", "objectConsistency", "imageQuality"), ratings, strict=True))


def subjects(folder: Path) -> list[dict[str, Any]]:
    rows = [
        {"description": DESCRIPTION, "quality_assessment": rated(5, 5, 5)},
        {"description": DESCRIPTION, "quality_assessment": rated(5, 3, 5)},
        {"description": {"item": "Mug"}, "quality_assessment": rated(5, 5, 5)},
    ]
    for number, row in enumerate(rows):
        save(two_panels(512, 16, 16), folder / f"{number}.png")
        row["file_name"] = f"{number}.png"
    return rows


def test_subjects200k_gives_each_panel_the_other_one_as_its_reference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "set"
    rows = subjects(folder)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = import_layout("subjects200k", order(folder, tmp_path / "out", placeholders=1.0))
    assert told == [f"2 samples of subjects200k in {tmp_path / 'out'}", "1 were left out"]
    assert "2.png: has no description.description_0" in caplog.text
    right, left = lines(tmp_path / "out")
    assert left["caption"] == "The enamel mug from [ref#1] stands on a shelf."
    assert right["caption"] == "Enamel Mug from [ref#1]. It is held by a hiker."
    assert (right["target"], right["references"][0]["picture"]) == (
        "pictures/000000-right.webp",
        "pictures/000000-left.webp",
    )
    assert check_folder(tmp_path / "out", {"subject"}).errors == 0
    import_layout("subjects200k", order(folder, tmp_path / "more", quality=3))
    assert len(lines(tmp_path / "more")) == 4


def test_bad_rows_of_metadata_are_left_out_and_only_newlines_end_a_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "set"
    row = subjects(folder)[0]
    said = "The enamel mug\u2028stands\u0085on a\u2029shelf."
    row = {**row, "description": {**DESCRIPTION, "description_0": said}}
    bad: list[Any] = [{"description": DESCRIPTION}, 7, {**row, "description": "a mug"}]
    told = [
        json.dumps(one, ensure_ascii=False).encode() for one in (*bad, row, {**row, "quality_assessment": "good"})
    ]
    (folder / "metadata.jsonl").write_bytes(b"\n".join([b"{", b'{"file_name": "\xff"}', b"", *told, b""]))
    counted = import_layout("subjects200k", order(folder, tmp_path / "out", placeholders=1.0))
    assert counted == [f"4 samples of subjects200k in {tmp_path / 'out'}", "5 were left out"]
    for number, what in ((1, "is not JSON"), (2, "is not JSON"), (4, "has no file_name"), (5, "has no file_name")):
        assert f"metadata.jsonl, line {number}: {what}" in caplog.text
    entries, problems = read_entries(tmp_path / "out")
    assert not problems
    assert entries[1].caption == said.replace("mug", "mug from [ref#1]")


def test_subjects200k_is_read_from_parquet_as_it_is_published(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").Table.from_pylist
    folder = tmp_path / "set"
    rows = subjects(folder)
    for row in rows:
        row["image"] = {"bytes": (folder / row.pop("file_name")).read_bytes(), "path": None}
    (folder / "data").mkdir()
    parquet.write_table(table(rows), folder / "data" / "train-00000.parquet")
    import_layout("subjects200k", order(folder, tmp_path / "out"))
    assert len(lines(tmp_path / "out")) == 2


def test_a_placeholder_follows_the_first_mention() -> None:
    assert with_placeholder("A red Mug, a mug", "mug") == "A red Mug from [ref#1], a mug"


def test_a_placeholder_never_parts_a_word() -> None:
    assert with_placeholder("Of its category, the cat.", "cat") == "Of its category, the cat from [ref#1]."
    assert with_placeholder("The category.", "Cat") == "Cat from [ref#1]. The category."
    assert with_placeholder("A 7.5 (C++) mug", "7.5 (C++)") == "A 7.5 (C++) from [ref#1] mug"
    told = {"description": {"item": "Cat", "description_0": "In a category.", "description_1": "A cat."}}
    assert [spoken for _, spoken in texts_of(told, "here")] == ["Cat. In a category.", "A cat."]


def test_parse_maps_are_read_by_number_by_palette_and_by_colour(tmp_path: Path) -> None:
    numbers = np.array([[0, 5, 6], [7, 13, 19]], np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(numbers).save(tmp_path / "grey.png")
    palette = Image.fromarray(numbers, "L").convert("P")
    palette.putdata(list(numbers.flatten()))
    palette.putpalette([level for colour in LIP for level in colour])
    palette.save(tmp_path / "palette.png")
    palette.convert("RGB").save(tmp_path / "colours.png")
    palette.convert("RGB").save(tmp_path / "colours.jpg", quality=95, subsampling=0)
    for name in ("grey.png", "palette.png", "colours.png"):
        assert np.array_equal(read_numbers(tmp_path / name), numbers), name
    assert np.mean(read_numbers(tmp_path / "colours.jpg") == numbers) > 0.95
    mask = np.asarray(part_mask(tmp_path / "palette.png", (5, 7)))
    assert np.array_equal(mask > 0, np.isin(numbers, [5, 7]))
    Image.effect_noise((40, 40), 90).convert("RGB").save(tmp_path / "photo.png")
    with pytest.raises(BadInput, match="colours that no part is painted in"):
        read_numbers(tmp_path / "photo.png")


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["train", "data", "import", *map(str, words)], obj=Settings())


def test_the_command_says_what_was_made_and_what_is_missing(viton: Path, tmp_path: Path) -> None:
    done = command("viton-hd", viton, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "2 samples of viton-hd" in done.output
    assert "is not empty" in str(command("viton-hd", viton, "-o", tmp_path / "out").exception)
    assert "test_pairs.txt: can't be read" in str(
        command("viton-hd", viton, "--split", "test", "-o", tmp_path / "t").exception
    )
    assert "has neither parquet files nor" in str(command("subjects200k", viton, "-o", tmp_path / "s").exception)
    (viton / "train" / "image" / "00001_00.jpg").unlink()
    assert "1 were left out" in command("viton-hd", viton, "-o", tmp_path / "less").output
