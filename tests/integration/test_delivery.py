"""Delivering from a real database and store: what is approved, all of it, nothing else, with its evidence."""

from __future__ import annotations

import csv
import io
import json
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from PIL import Image
from sqlalchemy import text

from benchmarks.seeding import Seeded, seed
from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator.cli import cli
from orchestrator.delivering.delivery import Delivery, deliver
from orchestrator.delivering.folder import Folder
from orchestrator.delivering.orders import Order, Wanted, read_order
from orchestrator.delivering.rendering.marking import MADE_BY_A_MODEL
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing.decisions import decide, set_two_step
from orchestrator.reviewing.people import Actor, Role
from orchestrator.reviewing.wishes import Wish

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
ANA, ADA = Actor("ana", Role.REVIEWER), Actor("ada", Role.APPROVER)

Say = Callable[..., None]
Deliver = Callable[..., Delivery]


@pytest.fixture
def drop(database: Database, store: Storage) -> Seeded:
    with database.begin() as connection:
        return seed(connection, store, "drop", 6, pictures=6, side=64)


@pytest.fixture
def say(database: Database, registry: Registry, drop: Seeded) -> Say:
    def say(verdict: Any, *items: int, actor: Actor = ANA) -> None:
        with database.begin() as connection:
            last = {
                row.id: row.decision_id for row in connection.execute(text("select id, decision_id from item"))
            }
        wishes = [Wish(id=uuid.uuid4(), item=one, version=1, seen=last[one], verdict=verdict) for one in items]
        assert all(answer.outcome == "recorded" for answer in decide(database, registry, actor, "drop", wishes))

    return say


@pytest.fixture
def deliver_to(database: Database, store: Storage, drop: Seeded) -> Deliver:
    def call(folder: Path, **wanted: Any) -> Delivery:
        with database.begin() as connection:
            order = read_order(connection, drop.campaign, "drop", Wanted(**wanted))
        return deliver(store, order, folder, "ana", lambda done, total: None)

    return call


def pictures(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and "manifest" not in path.name}


def manifest(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return told


def test_only_what_is_approved_is_delivered_with_who_said_so(
    tmp_path: Path, database: Database, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    say("approved", *drop.items[:2])
    say("rejected", drop.items[2])
    done = deliver_to(tmp_path / "out")
    assert (done.files, done.written) == (2, 2)
    told = manifest(tmp_path / "out")
    assert pictures(tmp_path / "out") == {line["file"] for line in told["files"]}
    assert [(line["approved_by"], line["decision"]) for line in told["files"]] == [("ana", 1), ("ana", 2)]
    assert [line["image"] for line in told["files"]] == drop.pictures[:2]
    assert all(line["prompt"] and len(line["references"][0].partition(":")[2]) == 64 for line in told["files"])
    with database.begin() as connection:
        head = connection.execute(text("select hash from decision order by number desc limit 1")).scalar_one()
    assert (told["decisions"], told["head"]) == (3, head)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "manifest.csv").read_text("utf-8-sig"))))
    assert [row["sha256"] for row in rows] == [line["sha256"] for line in told["files"]]


def test_nothing_is_delivered_where_nothing_is_approved(tmp_path: Path, drop: Seeded, deliver_to: Deliver) -> None:
    with pytest.raises(BadInput, match="none of its 6 images is approved"):
        deliver_to(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_proposal_is_no_approval(
    tmp_path: Path, database: Database, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    set_two_step(database, Actor("boss", Role.ADMIN), "drop", wanted=True)
    say("approved", *drop.items[:2])
    with pytest.raises(BadInput, match="is approved"):
        deliver_to(tmp_path / "out")
    say("approved", drop.items[0], actor=ADA)
    assert deliver_to(tmp_path / "out").files == 1


def test_the_second_delivery_writes_what_is_new_and_takes_away_what_nobody_stands_for(
    tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    say("approved", *drop.items[:3])
    deliver_to(folder)
    first = manifest(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert deliver_to(folder) == Delivery(3, 0)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    say("rejected", *drop.items[:2])
    say("approved", drop.items[3])
    changed, gone, stays = (folder / line["file"] for line in first["files"])
    changed.write_bytes(b"retouched")
    (folder / "logo.jpg").write_bytes(b"somebody's")
    done = deliver_to(folder)
    assert (done.files, done.written) == (2, 1)
    assert (done.removed, done.left) == ((gone.name,), (changed.name,))
    assert changed.read_bytes() == b"retouched"
    assert (folder / "logo.jpg").exists()
    assert stays.exists()
    assert {line["file"] for line in manifest(folder)["files"]} == pictures(folder) - {changed.name, "logo.jpg"}


def test_what_is_in_the_way_is_named_and_nothing_is_written(
    tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    say("approved", *drop.items[:2])
    deliver_to(tmp_path / "first")
    one, other = sorted(pictures(tmp_path / "first"))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / other).write_bytes(b"somebody's")
    with pytest.raises(BadInput, match=f"{other}: is there already"):
        deliver_to(folder)
    assert pictures(folder) == {other}
    (folder / other).unlink()
    assert deliver_to(folder).written == 2
    assert pictures(folder) == {one, other}


def test_a_delivery_that_was_cut_short_knows_its_own_files(
    tmp_path: Path, database: Database, store: Storage, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    say("approved", *drop.items[:3])

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with database.begin() as connection:
        order = read_order(connection, drop.campaign, "drop", Wanted())
    with pytest.raises(KeyboardInterrupt):
        deliver(store, order, folder, "ana", stop)
    first, second = sorted(path for path in folder.iterdir() if path.suffix == ".jpg")
    assert not (folder / "manifest.json").exists()
    say("rejected", drop.items[0])
    done = deliver_to(folder)
    assert (done.files, done.written, len(done.removed)) == (2, 1, 1)
    assert [first.exists(), second.exists()].count(True) == 1
    assert not (folder / ".delivery.jsonl").exists()
    assert pictures(folder) == {line["file"] for line in manifest(folder)["files"]}


def interrupted(store: Storage, order: Order, folder: Path, after: int) -> None:
    def stop(done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(store, order, folder, "ana", stop)


def test_a_first_delivery_that_was_cut_short_is_cleaned_up_once_nothing_is_approved(
    tmp_path: Path, database: Database, store: Storage, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    say("approved", *drop.items[:3])
    with database.begin() as connection:
        order = read_order(connection, drop.campaign, "drop", Wanted())
    interrupted(store, order, folder, 2)
    with pytest.raises(BadInput, match="holds a delivery of drop"):
        deliver(store, replace(order, campaign="winter"), folder, "ana", lambda done, total: None)
    assert len(list(folder.glob("*.jpg"))) == 2
    (folder / ".delivery.jsonl").write_bytes((folder / ".delivery.jsonl").read_bytes() + b'{"file": "a\xc3')
    interrupted(store, order, folder, 3)
    assert len(list(folder.glob("*.jpg"))) == 3
    say("rejected", *drop.items[:3])
    done = deliver_to(folder)
    assert (done.files, len(done.removed)) == (0, 3)
    assert pictures(folder) == set()


def test_what_went_elsewhere_before_an_interruption_stays(
    tmp_path: Path, database: Database, store: Storage, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    say("approved", *drop.items[:3])
    with database.begin() as connection:
        order = read_order(connection, drop.campaign, "drop", Wanted(to=("pinterest-pin",)))
    interrupted(store, order, folder, 2)
    done = deliver_to(folder)
    assert (done.files, done.written, done.removed) == (5, 3, ())
    gone, changed = sorted((folder / "pinterest-pin").iterdir())
    gone.unlink()
    changed.write_bytes(b"retouched")
    assert deliver_to(folder).left == (f"pinterest-pin/{changed.name}",)
    assert {line["file"] for line in manifest(folder)["files"]} == {path.name for path in folder.glob("*.jpg")}


def test_one_delivery_at_a_time_into_a_folder(tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver) -> None:
    folder = tmp_path / "out"
    say("approved", *drop.items[:2])
    with Folder.open(folder, "drop"), pytest.raises(BadInput, match="another delivery into it is at work"):
        deliver_to(folder)
    assert not folder.exists()
    assert deliver_to(folder).written == 2


def test_a_manifest_that_somebody_changed_is_not_written_over_and_a_lost_one_comes_back(
    tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    table = folder / "manifest.csv"
    table.write_text("my own notes")
    say("approved", *drop.items[:2])
    with pytest.raises(BadInput, match=r"manifest\.csv: is there already"):
        deliver_to(folder)
    assert [path.name for path in folder.iterdir()] == ["manifest.csv"]
    table.unlink()
    deliver_to(folder)
    made = table.read_bytes()
    table.unlink()
    assert deliver_to(folder).written == 0
    assert table.read_bytes() == made
    table.write_bytes(made + b"seen by Eva")
    say("approved", drop.items[2])
    with pytest.raises(BadInput, match=r"manifest\.csv: is there already"):
        deliver_to(folder)
    assert table.read_bytes().endswith(b"Eva")


def test_whatever_is_in_the_way_is_named(tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver) -> None:
    say("approved", drop.items[0])
    deliver_to(tmp_path / "first", to=("pinterest-pin",))
    (name,) = (line["file"] for line in manifest(tmp_path / "first")["files"])
    for place, here in (("a", "pinterest-pin"), ("b", name)):
        folder = tmp_path / place
        (folder / here).parent.mkdir(parents=True)
        (folder / here).mkdir() if here == name else (folder / here).touch()
        with pytest.raises(BadInput, match=f"{name}: is there already"):
            deliver_to(folder, to=("pinterest-pin",))
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="can't be written"):
        deliver_to(tmp_path / "file")


def test_a_folder_of_another_campaign_is_left_alone(
    tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    say("approved", drop.items[0])
    deliver_to(tmp_path)
    told = manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({**told, "campaign": "winter"}))
    with pytest.raises(BadInput, match="holds a delivery of winter"):
        deliver_to(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BadInput, match="is no manifest of a delivery"):
        deliver_to(tmp_path)


def test_a_manifest_that_was_tampered_with_removes_nothing_outside_its_folder(
    tmp_path: Path, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    folder = tmp_path / "out"
    say("approved", drop.items[0])
    deliver_to(folder)
    told = manifest(folder)
    outside = tmp_path / "precious.jpg"
    outside.write_bytes((folder / told["files"][0]["file"]).read_bytes())
    told["files"].append({**told["files"][0], "file": "../precious.jpg"})
    (folder / "manifest.json").write_text(json.dumps(told))
    (folder / "manifest.csv").unlink()
    assert deliver_to(folder).left == ("../precious.jpg",)
    assert outside.exists()


def test_files_have_the_pixels_of_their_format_and_say_that_a_model_made_them(
    tmp_path: Path, database: Database, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    say("approved", drop.items[0])
    for ending, kind in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
        deliver_to(tmp_path / kind, kind=ending)
        (line,) = manifest(tmp_path / kind)["files"]
        with Image.open(tmp_path / kind / line["file"]) as picture:
            assert (picture.format, picture.size) == (kind, (line["width"], line["height"]))
            assert picture.size != (64, 64)
            packet = picture.info.get("xmp", picture.info.get("XML:com.adobe.xmp"))
        told = packet.decode() if isinstance(packet, bytes) else str(packet)
        (described,) = ElementTree.fromstring(told.split("?>")[1].rpartition("<?")[0]).iter(f"{RDF}Description")
        assert described.attrib[f"{IPTC}DigitalSourceType"] == MADE_BY_A_MODEL
        assert described.attrib[f"{IPTC}AISystemUsed"] == line["model"]
        assert line["prompt"].encode() not in (tmp_path / kind / line["file"]).read_bytes()
    deliver_to(tmp_path / "native", native=True)
    (line,) = manifest(tmp_path / "native")["files"]
    with Image.open(tmp_path / "native" / line["file"]) as picture:
        assert picture.size == (64, 64)
    assert line["native"] == "64x64"


def test_a_broken_chain_delivers_nothing(
    tmp_path: Path, database: Database, drop: Seeded, say: Say, deliver_to: Deliver
) -> None:
    say("approved", *drop.items[:2])
    with database.begin() as connection:
        connection.execute(text("alter table decision disable trigger user"))
        connection.execute(text("update decision set actor = 'eve' where number = 1"))
    with pytest.raises(BadInput, match="is not what was signed with its hash"):
        deliver_to(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_delivers_into_a_folder_or_an_archive_and_leaves_a_record(
    tmp_path: Path, settings: Settings, database: Database, drop: Seeded, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    say("approved", *drop.items[:2])
    first = CliRunner().invoke(cli, ["deliver", "drop", "--json", "--by", "ben"], env=_env(settings))
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert (told["asked"], told["files"], told["written"]) == (6, 2, 2)
    assert Path(told["output"]) == tmp_path / "delivered" / "drop"
    assert manifest(tmp_path / "delivered" / "drop")["delivered_by"] == "ben"
    packed = CliRunner().invoke(cli, ["deliver", "drop", "-o", "drop.zip", "--format", "webp"], env=_env(settings))
    assert packed.exit_code == 0, packed.output
    with zipfile.ZipFile(tmp_path / "drop.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        lines = json.loads(archive.read("manifest.json"))["files"]
    assert names == [*(line["file"] for line in lines), "manifest.csv", "manifest.json"]
    assert all(name.endswith(".webp") for name in names[:2])
    with database.begin() as connection:
        facts = connection.execute(text("select facts from event where kind = 'campaign.delivered' order by id"))
        assert next((one["by"], one["files"]) for one in facts.scalars()) == ("ben", 2)
    unknown = CliRunner().invoke(cli, ["deliver", "winter"], env=_env(settings))
    assert isinstance(unknown.exception, BadInput)


def _env(settings: Settings) -> dict[str, str]:
    assert settings.database_url is not None
    return {"DREAMLINE_HOME": str(settings.home), "DREAMLINE_DATABASE_URL": settings.database_url}
