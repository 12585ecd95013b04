"""The doctor finds what is wrong, mends exactly that, and leaves the rest alone."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from core.cards import read_card
from core.generation.files import card_files
from core.settings import Settings
from orchestrator.doctor import Finding, examine
from orchestrator.examining import connections
from orchestrator.operating import clock
from orchestrator.operating.backlog import read_ready
from orchestrator.records.database import Database
from orchestrator.records.models import hash_files, record
from orchestrator.records.storage import Storage
from orchestrator.working.claims import claim


@pytest.fixture
def made(database: Database, store: Storage, seed_jobs: Any) -> tuple[int, str]:
    """A finished job with its file."""
    (job,) = seed_jobs(1)
    sha256 = store.put(b"an image", "job")
    with database.begin() as connection:
        connection.execute(text("update job set state = 'done' where id = :id"), {"id": job})
        connection.execute(
            text("""
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            values (:job, :sha256, 8, 1, 1, 'image/png', '{}', 1, :worker, 1)
            """),
            {"job": job, "sha256": sha256, "worker": uuid.uuid4()},
        )
    return job, sha256


def wrong(settings: Settings, *, fix: bool = False) -> dict[str, Finding]:
    return {one.check: one for one in examine(settings, fix=fix) if one.level != "ok"}


def state(database: Database, job: int) -> str:
    with database.begin() as connection:
        return str(connection.execute(text("select state from job where id = :id"), {"id": job}).scalar_one())


def test_a_healthy_installation_has_nothing_to_mend(settings: Settings, made: tuple[int, str]) -> None:
    assert wrong(settings) == {}
    assert {one.check for one in examine(settings)} >= {"database", "broker", "leases", "files", "store", "queue"}


def test_a_file_without_a_row_is_deleted_only_when_asked(
    settings: Settings, store: Storage, made: tuple[int, str]
) -> None:
    orphan = store.put(b"nobody's", "job")
    assert "1 files" in wrong(settings)["store"].message
    assert store.exists(orphan)
    assert wrong(settings, fix=True)["store"].mended == "deleted"
    assert not store.exists(orphan)
    assert store.exists(made[1])
    assert wrong(settings) == {}


def test_an_image_whose_file_is_gone_is_queued_again(
    settings: Settings, database: Database, store: Storage, made: tuple[int, str]
) -> None:
    job, sha256 = made
    store.delete(sha256)
    assert state(database, job) == "done"
    assert "files" in wrong(settings)
    assert state(database, job) == "done"
    assert wrong(settings, fix=True)["files"].mended == "queued again"
    assert state(database, job) == "queued"
    assert wrong(settings) == {}


def test_a_prepared_reference_whose_file_is_gone_is_prepared_again_before_its_jobs(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any, seed_preparations: Any
) -> None:
    (preparation,) = seed_preparations(1)
    (job,) = seed_jobs(1, needs=[preparation])
    with database.begin() as connection:
        connection.execute(text("update reference set sha256 = sha256"))
        for row in connection.execute(text("select sha256 from reference")).scalars().all():
            connection.execute(text("update preparation set state = 'done', result = :gone"), {"gone": row[::-1]})
        connection.execute(text("update job set waiting = 0"))
    found = wrong(settings, fix=True)
    assert any("queued again" in one.mended for one in found.values())
    with database.begin() as connection:
        waiting = connection.execute(text("select waiting from job where id = :id"), {"id": job}).scalar_one()
        again = connection.execute(text("select state from preparation")).scalar_one()
    assert (waiting, again) == (1, "queued")


def test_a_lease_that_ran_out_is_freed(settings: Settings, database: Database, seed_jobs: Any) -> None:
    (job,) = seed_jobs(1)
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 1, 0)
    assert "leases" in wrong(settings)
    assert wrong(settings, fix=True)["leases"].mended == "freed"
    assert state(database, job) == "queued"


def test_a_lease_that_is_alive_is_left_alone(settings: Settings, database: Database, seed_jobs: Any) -> None:
    (job,) = seed_jobs(1)
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 1, 60)
    assert wrong(settings, fix=True) == {}
    assert state(database, job) == "leased"


def test_a_job_that_waits_for_the_wrong_number_is_counted_again(
    settings: Settings, database: Database, seed_jobs: Any, seed_preparations: Any, store: Storage
) -> None:
    (job,) = seed_jobs(1, needs=seed_preparations(1))
    with database.begin() as connection:
        connection.execute(text("update job set waiting = 3"))
    assert "queue" in wrong(settings)
    assert wrong(settings, fix=True)["queue"].mended == "mended"
    with database.begin() as connection:
        assert connection.execute(text("select waiting from job where id = :id"), {"id": job}).scalar_one() == 1


def test_a_database_without_tables_is_an_error_with_its_mend(cluster: str, settings: Settings) -> None:
    nowhere = Settings(home=settings.home, database_url=cluster.replace("/dreamline?", "/postgres?"))
    assert "dreamline db upgrade" in wrong(nowhere)["database"].mend


def test_a_broker_that_is_away_is_a_warning(settings: Settings) -> None:
    away = Settings(home=settings.home, database_url=settings.database_url, broker_url="redis://127.0.0.1:1/0")
    found = wrong(away)["broker"]
    assert found.level == "warning"
    assert "polling" in found.message


def test_whatever_is_not_well_comes_with_what_to_do(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMLINE_DATBASE_URL", "x")
    seed_jobs(2)
    store.put(b"nobody's", "job")
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 1, 0)
    away = replace(settings, broker_url="redis://127.0.0.1:1/0")
    found = [one for one in examine(away) if one.level != "ok"]
    assert {one.check for one in found} == {"environment", "broker", "leases", "workers", "store"}
    assert [one for one in found if not one.mend] == []


def test_a_clock_that_is_wrong_is_named_with_its_side(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: time.time() + 3600))
    (found,) = [one for one in connections.database(database) if one.check == "clock"]
    assert found.level == "warning"
    assert "3600 s ahead of" in found.message


def test_a_store_that_can_not_be_written_is_an_error_and_files_are_not_judged(
    settings: Settings, tmp_path: Path, made: tuple[int, str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    found = wrong(replace(settings, storage_url=str(tmp_path / "file")))
    assert found["storage"].level == "error"
    assert "DREAMLINE_STORAGE_URL" in found["storage"].mend
    assert "files" not in found


def test_the_storage_is_left_as_it_was(settings: Settings, store: Storage, made: tuple[int, str]) -> None:
    before = set(store.all())
    list(examine(settings))
    assert set(store.all()) == before


def test_a_worker_that_went_is_named_and_one_that_signed_off_is_not(
    settings: Settings, database: Database, made: tuple[int, str]
) -> None:
    statement = """
        insert into worker (id, host, process, queue, pins, seen_at, stopped_at)
        values (:id, :host, 7, 'gpu', '[]', now() - interval '1 hour', :stopped)
    """
    with database.begin() as connection:
        for host, stopped in (("lost", None), ("left", "now")):
            connection.execute(text(statement), {"id": uuid.uuid4(), "host": host, "stopped": stopped})
    (found,) = [one for one in examine(settings) if one.check == "workers"]
    assert "on lost (process 7)" in found.message
    assert "dreamline worker -q gpu" in found.mend


CARD = """
name = "mine"
title = "Mine"
generator = "dreamo"
base = "somebody/base"
"""


@pytest.fixture
def card(settings: Settings, tmp_path: Path) -> Settings:
    """A card of one's own whose files are all here, and recorded as they are."""
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "mine.toml").write_text(CARD)
    config = replace(settings, cards=(str(tmp_path / "cards"),))
    files = card_files(read_card(tmp_path / "cards" / "mine.toml"), config)
    for one in files:
        path = one.path.with_name(one.path.name.replace("*", "model"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.name.encode())
    return config


def weights(config: Settings, database: Database, recorded: dict[str, str]) -> dict[str, Finding]:
    with database.begin() as connection:
        record(connection, "mine", {name: (sha256, 1) for name, sha256 in recorded.items()})
    return {one.level: one for one in examine(config) if one.check == "weights"}


def test_weights_are_held_against_what_was_recorded(card: Settings, database: Database) -> None:
    mine = read_card(Path(card.cards[0]) / "mine.toml")
    recorded = hash_files(mine, card)
    assert weights(card, database, recorded).keys() == {"ok"}
    first = card_files(mine, card)[0].path
    first.write_bytes(b"something else")
    changed = weights(card, database, recorded)["error"]
    assert "not what was recorded" in changed.message
    assert "dreamline models check mine" in changed.mend
    first.unlink()
    missing = weights(card, database, recorded)["warning"]
    assert "missing here" in missing.message
    assert "dreamline models fetch mine" in missing.mend


def test_a_model_that_nobody_fetched_is_no_fault(settings: Settings) -> None:
    (found,) = [one for one in examine(settings) if one.check == "weights"]
    assert found.level == "ok"
    assert "not here: " in found.message


def test_ready_work_is_told_by_pin_whatever_models_ask_for_it(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    first, *_ = seed_preparations(3)
    seed_jobs(2, pin="model", needs=[first])
    seed_jobs(1, pin="model")
    with database.begin() as connection:
        connection.execute(
            text("update preparation set model = 'another', changed_at = now() - interval '1 hour'")
        )
        connection.execute(text("update preparation set model = 'model' where id = :id"), {"id": first})
        ready = read_ready(connection)
    assert [(one.queue, one.pin, one.number, round(one.oldest / 3600)) for one in ready] == [
        ("cpu", "method", 3, 1),
        ("gpu", "model", 1, 0),
    ]
