"""The doctor finds what is wrong, mends exactly that, and leaves the rest alone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from core.settings import Settings
from orchestrator.doctor import Finding, examine
from orchestrator.records.database import Database
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
