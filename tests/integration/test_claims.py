"""Claims against a real Postgres: who has what, until when, and whose writes count."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.records.database import Database
from orchestrator.working import claims
from orchestrator.working.claims import Claim
from orchestrator.working.rescue import rescue

ME, YOU = uuid.uuid4(), uuid.uuid4()


def take(
    database: Database, limit: int = 8, *, worker: uuid.UUID = ME, lease: float = 60, **more: Any
) -> list[Claim]:
    with database.begin() as connection:
        table, pins = more.get("table", "job"), more.get("pins", ["model"])
        return claims.claim(connection, table, worker, pins, limit, lease)


def states(database: Database, table: str = "job") -> Counter[str]:
    with database.begin() as connection:
        rows = connection.execute(text(f"select state, count(*) from {table} group by state")).all()
    return Counter(dict(rows))


def test_a_batch_is_claimed_oldest_first_and_counts_as_an_attempt(database: Database, seed_jobs: Any) -> None:
    ids = seed_jobs(5)
    found = take(database, 3)
    assert [one.id for one in found] == ids[:3]
    assert {(one.fence, one.attempt) for one in found} == {(1, 1)}
    assert states(database) == {"leased": 3, "queued": 2}


def test_a_batch_holds_only_jobs_that_can_be_made_together(database: Database, seed_jobs: Any) -> None:
    first, other = seed_jobs(2, batch="square"), seed_jobs(2, batch="portrait")
    assert [one.id for one in take(database)] == first
    assert [one.id for one in take(database)] == other


def test_higher_priority_comes_first_and_work_tried_before_last(database: Database, seed_jobs: Any) -> None:
    low, high = seed_jobs(2), seed_jobs(1, priority=5)
    assert take(database, 1)[0].id == high[0]
    again = take(database, 1)
    with database.begin() as connection:
        connection.execute(text("update job set state = 'queued' where id = :id"), {"id": again[0].id})
    assert [take(database, 1)[0].id, take(database, 1)[0].id] == [low[1], low[0]]


def test_work_that_asks_for_something_else_is_left(database: Database, seed_jobs: Any) -> None:
    seed_jobs(2, pin="another model")
    assert take(database) == []
    assert len(take(database, pins=["model", "another model"])) == 2


def test_held_and_waiting_jobs_are_left(database: Database, seed_jobs: Any, seed_preparations: Any) -> None:
    seed_jobs(1, needs=seed_preparations(1))
    held = seed_jobs(1)
    with database.begin() as connection:
        connection.execute(text("update job set held = true where id = any(:ids)"), {"ids": held})
    assert take(database) == []


def test_many_workers_never_claim_the_same_job(database: Database, seed_jobs: Any) -> None:
    ids = seed_jobs(200)
    found: list[int] = []

    def work() -> None:
        worker = uuid.uuid4()
        while batch := take(database, 3, worker=worker):
            found.extend(one.id for one in batch)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ids


def test_a_lost_lease_is_rescued_once_and_its_late_result_is_thrown_away(
    database: Database, seed_jobs: Any
) -> None:
    seed_jobs(1)
    (late,) = take(database, lease=0)
    with database.begin() as connection:
        assert rescue(connection, 5) == 1
    with database.begin() as connection:
        assert rescue(connection, 5) == 0
    (new,) = take(database, worker=YOU)
    assert new.fence == late.fence + 1
    with database.begin() as connection:
        assert claims.finish(connection, "job", late) == "lost"
        assert claims.renew(connection, "job", ME, [late], 60) == set()
        assert not claims.fail(connection, "job", late, {"class": "unknown", "message": "late"}, retry_in=None)
        claims.give_back(connection, "job", [late])
        assert claims.finish(connection, "job", new) == "done"
        assert claims.finish(connection, "job", new) == "already"
    assert states(database) == {"done": 1}


def test_a_lease_that_is_renewed_is_not_rescued(database: Database, seed_jobs: Any) -> None:
    seed_jobs(2)
    held = take(database, lease=0)
    with database.begin() as connection:
        assert claims.renew(connection, "job", ME, held, 60) == {one.id for one in held}
        assert rescue(connection, 5) == 0


def test_work_that_was_given_back_has_not_used_an_attempt(database: Database, seed_jobs: Any) -> None:
    seed_jobs(1)
    first = take(database)
    with database.begin() as connection:
        claims.give_back(connection, "job", first)
    (again,) = take(database)
    assert (again.attempt, again.fence) == (1, 2)


def test_failed_work_comes_back_when_its_time_has_come(database: Database, seed_jobs: Any) -> None:
    seed_jobs(2)
    soon, later = take(database)
    error = {"class": "infrastructure", "message": "the disk is full"}
    with database.begin() as connection:
        claims.fail(connection, "job", soon, error, retry_in=0.0)
        claims.fail(connection, "job", later, error, retry_in=60.0)
    with database.begin() as connection:
        assert rescue(connection, 5) == 1
    assert [one.id for one in take(database)] == [soon.id]
    assert states(database) == {"leased": 1, "failed": 1}


def test_work_that_crashed_comes_back_alone_and_dies_after_its_last_attempt(
    database: Database, seed_jobs: Any
) -> None:
    seed_jobs(3)
    take(database, lease=0)
    for attempt in (2, 3):
        with database.begin() as connection:
            assert rescue(connection, 3) == 3
        for _ in range(3):
            (alone,) = take(database, lease=0)
            assert (alone.attempt, alone.alone) == (attempt, True)
    with database.begin() as connection:
        assert rescue(connection, 3) == 0
    assert states(database) == {"dead": 3}


def test_jobs_become_ready_when_the_last_of_their_references_is(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    first, second = seed_preparations(2)
    seed_jobs(1, needs=[first, second, first])
    one, two = take(database, table="preparation", pins=["method"])
    for claim, ready in ((one, 0), (two, 1)):
        with database.begin() as connection:
            claims.finish(connection, "preparation", claim)
            assert claims.let_dependents_go(connection, claim.id) == ready
    assert len(take(database)) == 1


def test_a_reference_that_can_never_be_prepared_ends_the_jobs_that_need_it(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    (bad,) = seed_preparations(1)
    seed_jobs(2, needs=[bad])
    fine = seed_jobs(1)
    (claim,) = take(database, table="preparation", pins=["method"])
    with database.begin() as connection:
        error = {"class": "bad input", "message": "a.png: no face was found"}
        claims.fail(connection, "preparation", claim, error, retry_in=None)
    assert states(database) == {"dead": 2, "queued": 1}
    with database.begin() as connection:
        messages = connection.execute(text("select distinct error->>'message' from job where state = 'dead'"))
        assert messages.scalars().all() == ["a.png: no face was found"]
    assert [one.id for one in take(database)] == fine


@pytest.mark.parametrize("lease", [0.0, 60.0])
def test_every_step_of_a_job_is_on_record(database: Database, seed_jobs: Any, lease: float) -> None:
    seed_jobs(1)
    take(database, lease=lease)
    with database.begin() as connection:
        rescue(connection, 5)
        kinds = connection.execute(text("select kind from event order by id")).scalars().all()
    assert kinds == ["job.claimed"] + (["job.rescued"] if lease == 0 else [])
