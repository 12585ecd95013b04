"""`dreamline prepare`: sheets of real photos, masks from files, refusals with the mend, nothing written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw

from core.settings import Settings
from orchestrator.cli import cli

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMLINE_HOME", str(tmp_path / "home"))

    def run(*words: str | Path) -> Result:
        return CliRunner().invoke(
            cli, ["prepare", *map(str, words)], obj=Settings(home=tmp_path / "home"), standalone_mode=False
        )

    return run


def drawn(path: Path, ground: str = "#f4f4f2") -> Path:
    picture = Image.new("RGB", (400, 300), ground)
    ImageDraw.Draw(picture).ellipse((120, 60, 280, 240), fill="#c2185b")
    picture.save(path)
    return path


def busy(path: Path) -> Path:
    Image.effect_noise((400, 300), 90).convert("RGB").save(path)
    return path


def test_a_sheet_shows_a_row_for_each_picture_as_each_kind(prepare, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one, two = drawn(tmp_path / "one.png"), drawn(tmp_path / "two.png", "white")
    done = prepare(one, two, "--kind", "subject", "--kind", "style", "-o", "sheet.png", "--json")
    told = json.loads(done.output)
    assert [(Path(row["file"]).name, row["kind"]) for row in told["references"]] == [
        ("one.png", "subject"),
        ("one.png", "style"),
        ("two.png", "subject"),
        ("two.png", "style"),
    ]
    assert told["references"][0]["method"]["name"] == "alpha-or-grabcut"
    sheet = Image.open(told["sheet"])
    assert sheet.height > 4 * 240
    assert sheet.convert("L").getextrema()[0] < 60, "there is something on it"


def test_each_picture_may_name_its_own_kind(prepare, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one = drawn(tmp_path / "one.png")
    told = json.loads(prepare(f"subject={one}", f"style={one}", "--json").output)
    assert [row["kind"] for row in told["references"]] == ["subject", "style"]


@pytest.mark.parametrize(("ending", "written"), [("png", "PNG"), ("JPG", "JPEG"), ("webp", "WEBP")])
def test_the_folders_of_a_sheet_are_made(prepare, tmp_path: Path, ending: str, written: str) -> None:  # type: ignore[no-untyped-def]
    done = prepare(drawn(tmp_path / "one.png"), "--kind", "style", "-o", f"sheets/new/sheet.{ending}")
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "sheets" / "new" / f"sheet.{ending}") as sheet:
        assert sheet.format == written
    assert [path.name for path in (tmp_path / "sheets" / "new").iterdir()] == [f"sheet.{ending}"]


def test_a_refused_picture_is_shown_with_reason_and_mend(prepare, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = prepare(busy(tmp_path / "busy.png"), "--kind", "subject", "-o", "sheet.png")
    assert "refused" in done.output
    assert "busy background" in done.output
    assert "a mask's file" in done.output
    assert (tmp_path / "sheet.png").exists()
    assert isinstance(done.exception, SystemExit)
    assert done.exception.code == 2


def test_one_file_that_can_not_be_read_costs_only_its_own_row(prepare, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "half.png").write_bytes(drawn(tmp_path / "one.png").read_bytes()[:300])
    done = prepare("none.png", "half.png", "one.png", "--kind", "subject", "-o", "sheet.png", "--json")
    told = json.loads(done.output)
    assert [bool(row["refused"]) for row in told["references"]] == [True, True, False]
    assert "can't be read" in told["references"][0]["refused"][0]["what"]
    assert (tmp_path / "sheet.png").exists()


def test_a_mask_file_saves_a_picture_that_was_refused(prepare, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    picture = busy(tmp_path / "busy.png")
    mask = Image.new("L", (400, 300))
    ImageDraw.Draw(mask).ellipse((120, 60, 280, 240), fill=255)
    mask.save(tmp_path / "mask.png")
    told = json.loads(prepare(picture, "--kind", "subject", "--mask", tmp_path / "mask.png", "--json").output)
    (row,) = told["references"]
    assert not row["refused"]
    assert row["method"]["name"] == "mask"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["one.png"], "one.png: is to be prepared as nothing"),
        (["one.png", "--kind", "pet"], "there is no kind 'pet'"),
        (["one.png", "one.png", "--kind", "subject", "--mask", "one.png"], "can't belong to 2 pictures"),
        (["one.png", "--kind", "style", "--mask", "one.png"], "kind style takes no mask"),
        (["one.png", "--kind", "subject", "-o", "sheet.txt"], "is no picture's name"),
        (["one.png", "--kind", "subject", "-o", "one.png"], "would be written over"),
        (["one.png", "--kind", "subject", "--option", "margn=1"], "has no option 'margn'"),
        (["one.png"] * 64 + ["--kind", "style", "-o", "sheet.webp"], ".webp holds 63 pictures, not 64"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(prepare, tmp_path: Path, words, told: str) -> None:  # type: ignore[no-untyped-def]
    before = drawn(tmp_path / "one.png").read_bytes()
    done = prepare(*words)
    assert told in str(done.exception)
    assert (tmp_path / "one.png").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png"]


def test_the_photos_come_out_right_or_are_refused(prepare) -> None:  # type: ignore[no-untyped-def]
    wanted = {"toy": "subject", "dress": "tryon", "astronaut": "identity", "mountain": "style"}
    done = prepare(*(f"{kind}={PHOTOS / name}.jpg" for name, kind in wanted.items()), "--json")
    told = json.loads(done.output)
    assert not any(row["refused"] for row in told["references"])
