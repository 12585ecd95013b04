"""Delivering to destinations from a real database and store: their pixels and rules, what stands on pictures."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from sqlalchemy import text

from benchmarks.seeding import Seeded, seed
from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator.cli import cli
from orchestrator.delivering.delivery import Delivery, deliver, deliver_archive
from orchestrator.delivering.orders import Wanted, read_order
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Role
from orchestrator.reviewing.wishes import Wish
from tests.unit.test_signing import KEYS, Authority, statement, told_by

ANA = Actor("ana", Role.REVIEWER)

Say = Callable[..., None]
Deliver = Callable[..., Delivery]


@pytest.fixture
def undecided(database: Database, store: Storage) -> Seeded:
    """Two rows of two scenes, each in portrait and, under the next number, in square."""
    with database.begin() as connection:
        made = seed(connection, store, "drop", 8, pictures=8, side=128)
        connection.execute(text("update item set format = case seed when 1 then 'portrait' else 'square' end"))
        connection.execute(text("update item set seed = 1"))
        return made


@pytest.fixture
def say(database: Database, registry: Registry) -> Say:
    def say(verdict: Any, *items: int) -> None:
        with database.begin() as connection:
            last = dict(connection.execute(text("select id, decision_id from item")).all())
        wishes = [Wish(id=uuid.uuid4(), item=one, version=1, seen=last[one], verdict=verdict) for one in items]
        assert all(answer.outcome == "recorded" for answer in decide(database, registry, ANA, "drop", wishes))

    return say


@pytest.fixture
def drop(undecided: Seeded, say: Say) -> Seeded:
    """All of them approved."""
    say("approved", *undecided.items)
    return undecided


@pytest.fixture
def deliver_to(database: Database, store: Storage, undecided: Seeded) -> Deliver:
    def call(folder: Path, *to: str, file: Path | None = None) -> Delivery:
        with database.begin() as connection:
            order = read_order(connection, undecided.campaign, "drop", Wanted(to=to, file=file))
        write = deliver_archive if folder.suffix == ".zip" else deliver
        return write(store, order, folder, "ana", lambda done, total: None)

    return call


@pytest.fixture
def delivery_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(told: str) -> Path:
        path = tmp_path / "delivery.yaml"
        path.write_text(told)
        return path

    return write


def lines(folder: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["files"]
    return told


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_each_destination_gets_the_format_of_which_least_is_cut(
    tmp_path: Path, drop: Seeded, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    done = deliver_to(folder, "instagram-portrait", "google-shopping")
    assert (done.files, done.written, done.refused) == (8, 8, ())
    told = lines(folder)
    assert {(line["destination"], line["format"]) for line in told} == {
        ("instagram-portrait", "portrait"),
        ("google-shopping", "square"),
    }
    for line in told:
        assert Path(line["file"]).parent == Path(line["destination"])
        size = {"instagram-portrait": (1080, 1350), "google-shopping": (1500, 1500)}[line["destination"]]
        assert size_of(folder / line["file"]) == size == (line["width"], line["height"])


def test_what_a_cut_would_spoil_is_left_out_and_said_and_the_others_go_on(
    tmp_path: Path, drop: Seeded, deliver_to: Deliver
) -> None:
    done = deliver_to(tmp_path / "out", "instagram-story", "instagram-square")
    assert done.files == 4
    (refused,) = done.refused
    assert refused.where == "destination instagram-story"
    assert "4 images of the format portrait would lose more than 40%" in refused.what
    with pytest.raises(BadInput, match="would lose more than 40%"):
        deliver_to(tmp_path / "other", "instagram-story")
    assert not (tmp_path / "other").exists()


def test_a_destination_that_is_not_asked_for_keeps_what_is_approved_still(
    tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    deliver_to(folder, "instagram-portrait")
    done = deliver_to(folder, "instagram-square")
    assert (done.files, done.written, done.removed) == (8, 4, ())
    before = (folder / "manifest.json").read_bytes()
    assert deliver_to(folder, "instagram-portrait").written == 0
    assert (folder / "manifest.json").read_bytes() == before
    say("rejected", drop.items[0])
    gone = next(line for line in lines(folder) if line["image"] == drop.pictures[0])
    done = deliver_to(folder, "instagram-square")
    assert gone["file"] in done.removed
    assert not (folder / gone["file"]).exists()


def test_a_delivery_file_says_where_pictures_go_and_what_stands_on_them(
    tmp_path: Path, drop: Seeded, deliver_to: Deliver, delivery_file: Callable[[str], Path]
) -> None:
    logo = io.BytesIO()
    Image.new("RGBA", (200, 80), "#d9822b").save(logo, "PNG")
    (tmp_path / "logo.png").write_bytes(logo.getvalue())
    told = """
    to:
      instagram-square:
        headline: "{{ row.noun | capitalize }} {{ scene }}"
        price: "19,90 EUR"
      google-shopping:
      lookbook: {size: 400x200, fit: pad, ground: "#f4efe6", kind: png, label: "", logo: ""}
    label: Image made with AI
    logo: logo.png
    """
    folder = tmp_path / "out"
    done = deliver_to(folder, file=delivery_file(told))
    assert (done.files, done.refused) == (12, ())
    by_name = {
        name: [line for line in lines(folder) if line["destination"] == name]
        for name in ("instagram-square", "google-shopping", "lookbook")
    }
    assert {line["copy"]["label"] for line in by_name["instagram-square"]} == {"Image made with AI"}
    assert all(line["copy"]["headline"].split()[0].istitle() for line in by_name["instagram-square"])
    assert [line["copy"] for line in by_name["google-shopping"] + by_name["lookbook"]] == [{}] * 8
    with Image.open(folder / by_name["lookbook"][0]["file"]) as picture:
        assert (picture.format, picture.size) == ("PNG", (400, 200))
        assert picture.convert("RGB").getpixel((3, 100)) == (0xF4, 0xEF, 0xE6)
    deliver_to(tmp_path / "plain", "instagram-square")
    name = by_name["instagram-square"][0]["file"]
    assert (folder / name).read_bytes() != (tmp_path / "plain" / name).read_bytes()
    again = deliver_to(folder, file=delivery_file(told.replace("19,90", "17,90")))
    assert again.written == 4, "another price makes new files, of the destination that shows it alone"


def test_all_mistakes_of_a_delivery_file_are_told_with_their_lines_and_nothing_is_written(
    tmp_path: Path, drop: Seeded, deliver_to: Deliver, delivery_file: Callable[[str], Path]
) -> None:
    told = """\
to:
  instagram-sqare: {}
  google-shopping: {headline: Sale}
  instagram-story: {headline: "{{ row.colour }}"}
  lookbook: {size: large, fit: pad}
  poster: {size: 500x500, ground: whitish, logo: gone.png}
  Shop: {size: 100x100}
  con: {size: 100x100}
  wall: {size: 99999x99999}
  shelf: {size: 100x100, white: true, fit: pad, ground: black}
  tag: {size: 100x100, white: true, label: made}
logo: drawing.svg
font: font.ttf
"""
    (tmp_path / "drawing.svg").write_text("<svg/>")
    (tmp_path / "font.ttf").write_text("no font")
    with pytest.raises(BadInput) as raised:
        deliver_to(tmp_path / "out", file=delivery_file(told))
    found = str(raised.value)
    for line, word in (
        (2, "there is no destination 'instagram-sqare'"),
        (3, "google-shopping allows nothing on its pictures"),
        (4, "names the column 'colour'"),
        (5, "size 'large' is no size"),
        (6, "ground 'whitish' is no colour"),
        (6, "gone.png can't be read"),
        (7, "'Shop' can't be the name of a folder"),
        (8, "'con' can't be the name of a folder"),
        (9, "size '99999x99999' is no size"),
        (10, "ground 'black' is not white, which shelf asks for"),
        (11, "tag allows nothing on its pictures"),
        (12, "drawing.svg is an SVG drawing"),
        (13, "the font can't be read"),
    ):
        assert any(f"line {line}," in one and word in one for one in found.splitlines()), (line, word, found)
    assert "Did you mean 'instagram-square'?" in found
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match=r"line 1, key to\.lookbook\.colour"):
        deliver_to(tmp_path / "out", file=delivery_file("to: {lookbook: {size: 10x10, colour: red}}"))
    with pytest.raises(BadInput, match=r'Put it into quotes: "19\.90"'):
        deliver_to(tmp_path / "out", file=delivery_file("to: {lookbook: {size: 10x10, price: 19.90}}"))
    with pytest.raises(BadInput, match="there is no destination 'nowhere'"):
        deliver_to(tmp_path / "out", "nowhere")


def test_a_row_that_lacks_what_a_text_names_is_told_before_anything_is_written(
    tmp_path: Path, database: Database, drop: Seeded, deliver_to: Deliver, delivery_file: Callable[[str], Path]
) -> None:
    with database.begin() as connection:
        connection.execute(
            text("update brief_row set data = jsonb_set(data, '{title}', 'null') where key = 'SKU-1001'")
        )
    file = delivery_file('to: {instagram-square: {headline: "{{ row.title }}"}}')
    with pytest.raises(BadInput, match=r"row SKU-1001, destination instagram-square.*title"):
        deliver_to(tmp_path / "out", file=file)
    assert not (tmp_path / "out").exists()


def test_a_text_that_does_not_fit_leaves_out_its_picture_alone(
    tmp_path: Path, database: Database, drop: Seeded, deliver_to: Deliver, delivery_file: Callable[[str], Path]
) -> None:
    with database.begin() as connection:
        connection.execute(
            text("update brief_row set data = jsonb_set(data, '{title}', :long) where key = 'SKU-1001'"),
            {"long": json.dumps("unspeakably long " * 40)},
        )
    done = deliver_to(
        tmp_path / "out", file=delivery_file('to: {instagram-square: {headline: "{{ row.title }}"}}')
    )
    assert (done.files, len(done.refused)) == (2, 2)
    assert all("sku-1001" in one.where for one in done.refused)


def test_what_was_delivered_stays_while_it_is_approved_and_can_not_be_made_anew(
    tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver, delivery_file: Callable[[str], Path]
) -> None:
    folder, told = tmp_path / "out", 'to: {instagram-square: {headline: "Hello"}}'
    deliver_to(folder, file=delivery_file(told))
    before = {line["file"]: (folder / line["file"]).read_bytes() for line in lines(folder)}
    say("rejected", drop.items[1])
    done = deliver_to(folder, file=delivery_file(told.replace("Hello", "Hello there " * 60)))
    assert (done.files, done.written, len(done.removed), len(done.refused)) == (3, 0, 1, 3)
    assert all("stays as it was delivered before" in one.what for one in done.refused)
    assert all((folder / line["file"]).read_bytes() == before[line["file"]] for line in lines(folder))


def test_what_a_new_size_would_cut_too_much_stays_as_it_was(
    tmp_path: Path, drop: Seeded, deliver_to: Deliver, delivery_file: Callable[[str], Path]
) -> None:
    folder, told = tmp_path / "out", "to: {shelf: {size: 400x400}, wall: {size: 300x300}}"
    deliver_to(folder, file=delivery_file(told))
    done = deliver_to(folder, file=delivery_file(told.replace("400x400", "400x100").replace("300x300", "200x200")))
    assert (done.files, done.written, done.removed) == (8, 4, ())
    assert {(line["destination"], line["width"]) for line in lines(folder)} == {("shelf", 400), ("wall", 200)}
    assert {size_of(path) for path in (folder / "shelf").iterdir()} == {(400, 400)}


def test_a_main_picture_for_amazon_is_on_pure_white_or_left_out(
    tmp_path: Path, database: Database, store: Storage, undecided: Seeded, say: Say, deliver_to: Deliver
) -> None:
    picture = Image.new("RGB", (128, 128), (250, 251, 249))
    ImageDraw.Draw(picture).ellipse((30, 30, 98, 98), fill="teal")
    file = io.BytesIO()
    picture.save(file, "PNG")
    with database.begin() as connection:
        connection.execute(
            text("update asset set sha256 = :new from item where item.job_id = asset.job_id and item.id = :item"),
            {"new": store.put(file.getvalue(), "white"), "item": undecided.items[1]},
        )
    say("approved", *undecided.items)
    done = deliver_to(tmp_path / "out", "amazon-main")
    assert (done.files, len(done.refused)) == (1, 3)
    assert all("of its rim, and the destination wants a white ground" in one.what for one in done.refused)
    with Image.open(tmp_path / "out" / lines(tmp_path / "out")[0]["file"]) as delivered:
        assert delivered.size == (1600, 1600)
        corners = [delivered.getpixel(at) for at in ((0, 0), (1599, 0), (0, 1599), (1599, 1599), (800, 40))]
        assert corners == [(255, 255, 255)] * 5
        assert delivered.getpixel((800, 800)) != (255, 255, 255)


def test_the_command_lists_destinations_and_delivers_to_them(
    tmp_path: Path, settings: Settings, drop: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(cli, ["destinations", "--json"], env=_env(settings))
    names = [one["name"] for one in json.loads(listed.stdout)]
    assert "instagram-story" in names
    assert "instagram-story" in CliRunner().invoke(cli, ["destinations"], env=_env(settings)).output
    done = CliRunner().invoke(
        cli, ["deliver", "drop", "--to", "instagram-square", "--to", "instagram-story"], env=_env(settings)
    )
    assert done.exit_code == 0, done.output
    assert "4 new files for instagram-square, instagram-story, 4 in all" in done.output
    assert "left out: destination instagram-story" in done.output
    packed = CliRunner().invoke(
        cli, ["deliver", "drop", "--to", "instagram-square", "-o", "drop.zip", "--json"], env=_env(settings)
    )
    assert json.loads(packed.stdout)["destinations"] == ["instagram-square"]
    for option in (["--native"], ["--format", "png"]):
        both = CliRunner().invoke(cli, ["deliver", "drop", *option, "--to", "link-banner"], env=_env(settings))
        assert both.exit_code == 2


def test_with_a_certificate_every_file_is_signed_last_of_all_and_made_once(
    tmp_path: Path, settings: Settings, drop: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    certificates, key = Authority().write(tmp_path, KEYS["Es256"]())
    signing = {"DREAMLINE_C2PA_CERTIFICATES": str(certificates), "DREAMLINE_C2PA_KEY": str(key)}

    def run(*more: str, **env: str) -> dict[str, Any]:
        command = ["deliver", "drop", "--to", "instagram-square", "--to", "link-banner", "--json", *more]
        done = CliRunner().invoke(cli, command, env=_env(settings) | env)
        assert done.exit_code == 0, done.output
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    told = run(**signing)
    assert (told["signed"], told["written"]) == (True, 4)
    for line in lines(tmp_path / "delivered" / "drop"):
        data = (tmp_path / "delivered" / "drop" / line["file"]).read_bytes()
        said = told_by(data, ".jpg")
        assert said["validation_state"] == "Valid"
        assert statement(said)["title"] == Path(line["file"]).name
        assert b"DigitalSourceType" in data
    assert run(**signing)["written"] == 0
    other = Authority().write(tmp_path, KEYS["Ed25519"]())
    assert run(DREAMLINE_C2PA_CERTIFICATES=str(other[0]), DREAMLINE_C2PA_KEY=str(other[1]))["written"] == 4
    assert (run("--unsigned", **signing)["signed"], run(**signing)["written"]) == (False, 4)
    half = CliRunner().invoke(cli, ["deliver", "drop"], env=_env(settings) | {"DREAMLINE_C2PA_KEY": str(key)})
    assert isinstance(half.exception, BadInput)
    assert "DREAMLINE_C2PA_CERTIFICATES is not" in str(half.exception)


def _env(settings: Settings) -> dict[str, str]:
    assert settings.database_url is not None
    return {"DREAMLINE_HOME": str(settings.home), "DREAMLINE_DATABASE_URL": settings.database_url}
