"""What may go and what is kept, against a real Postgres and a real store."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import event, text

from core.errors import Infrastructure
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns, retention
from orchestrator.doctor import examine
from orchestrator.planning.expand import read_brief
from orchestrator.planning.fetching.kept import Kept, Note
from orchestrator.planning.plan import make_plan
from orchestrator.previews import Previews
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.retention import Ages, clean

IMAGES = "images that no brief asks for"
EVENTS = "events of images and references"


@pytest.fixture
def record(
    tmp_path: Path, settings: Settings, database: Database, store: Storage, registry: Registry
) -> Callable[..., None]:
    """Plans a campaign of some words; every image that it asks for is made."""

    def plan(*words: str, name: str = "words") -> None:
        path = tmp_path / f"{name}.yaml"
        rows = "".join(f"\n  - {{sku: {word}}}" for word in words)
        path.write_text(
            f'campaign: {name}\nmodel: storyboard\nrows:{rows}\nprompt: "a {{{{ row.sku }}}}"\nseeds: 1\n'
            "formats: [square]\n"
        )
        plan = make_plan(read_brief(path, settings, registry), settings, registry)
        campaigns.record(database, store, registry, plan)
        for job in rows_of(database, "select id, request->>'prompt' from job where state = 'queued'"):
            sha256 = store.put(job[1].encode(), "x")
            change(database, f"update job set state = 'done' where id = {job[0]}")
            change(
                database,
                f"""
                insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
                values ({job[0]}, '{sha256}', {len(job[1])}, 1, 1, 'image/png', '{{}}', 1, gen_random_uuid(), 1)
                """,
            )

    return plan


def rows_of(database: Database, query: str) -> list[Any]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def change(database: Database, statement: str) -> None:
    with database.begin() as connection:
        connection.execute(text(statement))


def let_time_pass(database: Database, days: int) -> None:
    for table, columns in (
        ("job", ["changed_at"]),
        ("preparation", ["changed_at"]),
        ("campaign", ["changed_at"]),
        ("event", ["at"]),
        ("share", ["at"]),
        ("worker", ["seen_at", "stopped_at"]),
    ):
        for column in columns:
            change(database, f"update {table} set {column} = {column} - interval '{days} days'")


def found(settings: Settings, database: Database, store: Storage, *, delete: bool = False) -> dict[str, int]:
    return {one.what: one.count for one in clean(settings, database, store, Ages(), delete=delete) if one.count}


def test_images_of_rows_that_are_gone_go_with_their_files_after_a_while(
    settings: Settings, database: Database, store: Storage, record: Any
) -> None:
    record("ball", "cube")
    let_time_pass(database, 60)
    record("cube")
    assert found(settings, database, store) == {}, "the row has only just gone"
    let_time_pass(database, 31)
    assert found(settings, database, store) == {IMAGES: 1}
    assert len(list(store.all())) == 2, "looking changes nothing"
    assert found(settings, database, store, delete=True) == {IMAGES: 1}
    assert rows_of(database, "select row_key, obsolete from item") == [("cube", False)]
    assert rows_of(database, "select count(*) from job") == [(1,)]
    assert [size for _, size in store.all()] == [len("a cube")]
    assert found(settings, database, store) == {}


@pytest.mark.parametrize("verdict", ["approved", "rejected"])
def test_what_somebody_decided_about_is_kept_for_ever(
    settings: Settings, database: Database, store: Storage, record: Any, verdict: str
) -> None:
    record("ball", "cube")
    record("cube")
    change(
        database,
        f"""
        insert into decision
            (id, campaign_id, number, item_id, version, asset_sha256, verdict, actor, previous, hash)
        select gen_random_uuid(), campaign_id, 1, item.id, 1, asset.sha256, '{verdict}', 'ada', '', ''
        from item join asset on asset.job_id = item.job_id where obsolete
        """,
    )
    let_time_pass(database, 1000)
    assert IMAGES not in found(settings, database, store, delete=True)
    assert len(list(store.all())) == 2


def test_an_image_that_another_campaign_asks_for_is_kept(
    settings: Settings, database: Database, store: Storage, record: Any
) -> None:
    record("ball", "cube")
    record("ball", name="other")
    record("cube")
    let_time_pass(database, 100)
    assert IMAGES not in found(settings, database, store, delete=True)
    assert len(list(store.all())) == 2


def test_a_file_that_a_decision_names_is_kept_though_another_image_with_the_same_pixels_goes(
    settings: Settings, database: Database, store: Storage, record: Any
) -> None:
    record("ball", "cube")
    sha256 = store.put(b"a cube", "x")
    change(database, f"update asset set sha256 = '{sha256}'")
    record("cube")
    let_time_pass(database, 100)
    assert found(settings, database, store, delete=True)[IMAGES] == 1
    assert store.exists(sha256)


def test_references_that_no_image_needs_go_when_they_were_prepared_long_ago(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any, seed_preparations: Any
) -> None:
    needed, lonely = seed_preparations(2)
    seed_jobs(1, needs=[needed])
    for number, one in enumerate((needed, lonely)):
        result = store.put(b"prepared %d" % number, "x")
        change(database, f"update preparation set state = 'done', result = '{result}' where id = {one}")
    assert found(settings, database, store, delete=True) == {}
    let_time_pass(database, 100)
    assert found(settings, database, store, delete=True) == {"prepared references that no image needs": 1}
    assert rows_of(database, "select id from preparation") == [(needed,)]
    assert len(list(store.all())) == 1


def test_references_that_were_never_prepared_go_too_once_no_image_needs_them(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any, seed_preparations: Any
) -> None:
    held, leased, needed = seed_preparations(3)
    seed_jobs(1, needs=[needed])
    change(database, f"update preparation set held = true where id in ({held}, {needed})")
    change(database, f"update preparation set state = 'leased' where id = {leased}")
    let_time_pass(database, 100)
    assert found(settings, database, store, delete=True) == {"prepared references that no image needs": 1}
    assert rows_of(database, "select id from preparation order by id") == [(leased,), (needed,)]


def test_a_clean_up_goes_on_from_the_last_and_locks_only_to_delete(
    settings: Settings, database: Database, store: Storage, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FILES_AT_ONCE", 2)
    record("ball", "cube", "ring", "star", "mug", "cap")
    record("cap")
    let_time_pass(database, 40)
    searched: list[int] = []
    locked: list[int] = []

    def note(*given: Any) -> None:
        if "pg_advisory_xact_lock" in given[2]:
            locked.append(len(searched))
        elif "from job where" in given[2] and "last" in given[3]:
            searched.append(given[3]["last"])

    event.listen(database.engine(), "before_cursor_execute", note)
    assert found(settings, database, store, delete=True) == {IMAGES: 5}
    assert (len(searched), sorted(set(searched))) == (3, searched)
    assert locked == [1, 1, 2, 2, 3, 3]
    locked.clear()
    assert found(settings, database, store, delete=True) == {}
    event.remove(database.engine(), "before_cursor_execute", note)
    assert locked == [], "nobody waits for a search"


@pytest.mark.parametrize("kind", ["images", "preparations"])
def test_a_clean_up_that_breaks_off_leaves_no_row_without_its_file(
    settings: Settings,
    database: Database,
    store: Storage,
    record: Any,
    seed_preparations: Any,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    words = ("ball", "cube", "ring", "star", "mug", "cap")
    record(*words)
    record(*words[3:])
    if kind == "preparations":
        for number, one in enumerate(seed_preparations(3)):
            result = store.put(b"prepared %d" % number, "x")
            change(database, f"update preparation set state = 'done', result = '{result}' where id = {one}")
        change(database, "update item set obsolete = false")
    let_time_pass(database, 40)
    delete, deleted = store.delete, []

    def fail_later(sha256: str) -> None:
        if deleted:
            raise Infrastructure("the store is away")
        deleted.append(sha256)
        delete(sha256)

    monkeypatch.setattr(store, "delete", fail_later)
    with pytest.raises(Infrastructure):
        found(settings, database, store, delete=True)
    monkeypatch.undo()
    named = rows_of(database, "select sha256 from asset union select result from preparation where state = 'done'")
    assert deleted
    assert [sha256 for (sha256,) in named if not store.exists(sha256)] == []
    assert "store" in {one.check for one in examine(settings, fix=True) if one.mended == "deleted"}
    assert len(list(store.all())) == len(named)


def test_fetched_pictures_go_with_their_notes_when_no_plan_asked_for_them(
    settings: Settings, database: Database, store: Storage
) -> None:
    kept, old = Kept.of(settings), time.time() - 40 * 86_400
    for address, picture in (("http://a/old", b"old"), ("http://a/new", b"both"), ("http://a/same", b"both")):
        with kept.part(address) as part:
            part.write_bytes(picture)
            kept.keep(part, Note(address))
    (kept.folder / "parts" / "broken").write_bytes(b"half")
    for path in kept.folder.rglob("*"):
        os.utime(path, (old, old))
    kept.write(kept.note("http://a/new"))
    what = "fetched pictures, which are fetched again when a plan asks for them"
    assert found(settings, database, store) == {what: 4}
    assert found(settings, database, store, delete=True) == {what: 4}
    sizes = [kept.note(f"http://a/{name}").size for name in ("old", "new", "same")]
    assert sizes == [0, 4, 0], "two notes, the content of one, and what broke off"
    assert list(kept.folder.glob("parts/*.lock"))


def test_old_events_of_work_go_and_those_of_campaigns_stay(
    settings: Settings, database: Database, store: Storage, record: Any
) -> None:
    record("ball")
    change(
        database,
        "insert into event (kind, work_id) select kind, n "
        "from unnest(array['job.claimed', 'preparation.done']) kind, generate_series(1, 2500) n",
    )
    assert EVENTS not in found(settings, database, store)
    let_time_pass(database, 91)
    assert found(settings, database, store, delete=True)[EVENTS] == 5000
    assert rows_of(database, "select distinct kind from event") == [("campaign.planned",)]


def test_workers_that_are_gone_are_listed_no_more(settings: Settings, database: Database, store: Storage) -> None:
    insert = (
        "insert into worker (id, host, process, queue, pins, stopped_at) values ('{}', 'h', 1, 'cpu', '[]', {})"
    )
    change(database, insert.format(uuid.uuid4(), "now()"))
    change(database, insert.format(uuid.uuid4(), "null"))
    let_time_pass(database, 8)
    change(database, insert.format(uuid.uuid4(), "null"))
    assert found(settings, database, store, delete=True) == {"workers that are gone": 2}
    assert rows_of(database, "select count(*) from worker") == [(1,)]


def test_uploads_without_a_campaign_and_old_previews_go(
    settings: Settings, database: Database, store: Storage, record: Any
) -> None:
    record("ball")
    uploads, old = settings.home / "uploads", time.time() - 40 * 86_400
    for name in ("used", "unused", "fresh"):
        (uploads / name).mkdir(parents=True)
        (uploads / name / "campaign.yaml").write_text("campaign: x")
    change(database, f"update campaign set source = '{uploads / 'used' / 'campaign.yaml'}'")
    made = Previews(settings, store).make("0" * 64, Image.new("RGB", (8, 8)))
    previews = [path for path in (settings.home / "previews").rglob("*") if path.is_file()]
    assert len(previews) == len(made) == 2
    for path in (uploads / "used", uploads / "unused", previews[0]):
        os.utime(path, (old, old))
    gone = found(settings, database, store, delete=True)
    assert gone == {
        "uploads that became no campaign": 1,
        "previews, which are made again when they are looked at": 1,
    }
    assert sorted(path.name for path in uploads.iterdir()) == ["fresh", "used"]
    assert [path.exists() for path in previews] == [False, True]


def test_compiled_code_goes_when_no_process_has_loaded_it_for_long(
    settings: Settings, database: Database, store: Storage
) -> None:
    folder = settings.home / "cache" / "compiled"
    for name, days in (("other-torch", 31), ("used", 29)):
        path = folder / "fxgraph" / name / "graph"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(2000))
        for one in (path, path.parent):
            os.utime(one, (time.time() - days * 86_400,) * 2)
    what = "folders of compiled code, which is compiled again when a model needs it"
    assert found(settings, database, store) == {what: 1}
    assert [one.size for one in clean(settings, database, store, Ages()) if one.what == what] == [2000]
    assert found(settings, database, store, delete=True) == {what: 1}
    assert [path.name for path in (folder / "fxgraph").iterdir()] == ["used"]
    bounded = replace(settings, cache_gb=0.0)
    assert found(bounded, database, store, delete=True) == {what: 1}, "the bound holds whatever its age"
    assert found(bounded, database, store) == {}
