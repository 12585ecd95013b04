"""Who is blamed when a working process ends, and what becomes of the others: against a real Postgres."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.settings import Settings
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import claims, retries
from orchestrator.working.desks import Making, Preparing
from orchestrator.working.limits import machine_memory, memory_limit
from orchestrator.working.messages import Doing, Made
from orchestrator.working.supervisor import CHANCES, Supervisor

ME = uuid.uuid4()
CRASHED = {"class": retries.CRASH, "message": "its process ended by itself (exit code 7)"}


def take(database: Database, table: claims.Table, pin: str) -> dict[int, claims.Claim]:
    with database.begin() as connection:
        return {one.id: one for one in claims.claim(connection, table, ME, [pin], 8, 20)}


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_of_a_batch_only_the_reference_that_was_prepared_has_failed(
    settings: Settings, database: Database, store: Storage, seed_preparations: Any
) -> None:
    first, second, third = seed_preparations(3)
    supervisor = Supervisor(settings, database, store, Preparing(), ME)
    supervisor._begin(Doing("plugin 'logo' prepared b.png", "logo", second))
    supervisor._end(take(database, "preparation", "method"), CRASHED)
    assert rows(database, "select id, state, attempts, alone from preparation order by id") == [
        (first, "queued", 0, False),
        (second, "failed", 1, True),
        (third, "queued", 0, False),
    ]
    ((error,),) = rows(database, f"select error from preparation where id = {second}")
    assert error["plugin"] == "logo"
    assert error["message"] == "its process ended by itself (exit code 7) while plugin 'logo' prepared b.png"


def test_where_nobody_is_known_to_be_at_work_all_come_back_alone(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any
) -> None:
    seed_jobs(2)
    supervisor = Supervisor(settings, database, store, Making(), ME)
    supervisor._begin(Doing("generator fake/1 made 2 images"))
    supervisor._end(take(database, "job", "model"), CRASHED)
    assert rows(database, "select state, alone from job") == [("failed", True)] * 2


def test_an_image_is_kept_from_a_scorer_that_is_asked_no_more_after_it_took_some_processes_along(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any
) -> None:
    supervisor = Supervisor(settings, database, store, Making(), ME)
    for number in range(CHANCES):
        assert supervisor._unasked() == {}
        job, other = seed_jobs(2)
        facts = {"unscored": {"taste": "not asked"}}
        result = {"sha256": store.put(b"%d" % number, "x"), "size": 1, "width": 1, "height": 1}
        result |= {"media_type": "image/png", "facts": facts, "look": 0}
        result["scores"] = [("colour", "liking", 0.5, "all", True, None)]
        supervisor._begin(Doing("plugin 'taste' scored the image", "taste", job, Made(job, result, 0.1)))
        supervisor._end(take(database, "job", "model"), CRASHED)
        assert rows(database, f"select state from job where id in ({job}, {other}) order by id") == [
            ("done",),
            ("queued",),
        ]
        rows(database, f"update job set state = 'cancelled' where id = {other} returning id")
    ((unscored,),) = rows(database, "select distinct facts->'unscored' from asset")
    assert unscored == {"taste": "its process ended by itself (exit code 7) while plugin 'taste' scored the image"}
    assert rows(database, "select count(*) from score where plugin = 'colour'") == [(CHANCES,)]
    assert supervisor._unasked()["taste"].startswith("not asked: it took 2 processes along")


@pytest.mark.parametrize(("named", "attempt", "dies"), [(True, 2, False), (True, 3, True), (False, 3, False)])
def test_patience_is_shorter_where_a_plugin_is_known_to_be_the_cause(
    named: bool, attempt: int, dies: bool
) -> None:
    verdict = retries.judge(retries.TIME, attempt, 6, 1.0, named=named)
    assert (verdict.retry_in is None) == dies


def test_the_limit_of_memory_is_the_setting_else_a_share_of_the_machine_or_its_container(tmp_path: Path) -> None:
    assert memory_limit(Settings(child_memory_gb=2), "gpu") == 2 * 2**30
    assert memory_limit(Settings(), "cpu") == machine_memory() * 0.5
    assert memory_limit(Settings(), "gpu") == machine_memory() * 0.9
    told = tmp_path / "memory.max"
    told.write_text("1048576\n")
    assert machine_memory([told]) == 1048576
    told.write_text("max\n")
    assert machine_memory([told, tmp_path / "none"]) > 1048576
