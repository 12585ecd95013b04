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
from orchestrator.working.dependents import let_dependents_go
from orchestrator.working.rescue import rescue

ME, YOU = uuid.uuid4(), uuid.uuid4()


def take(
    database: Database, limit: int = 8, *, worker: uuid.UUID = ME, lease: float = 60, **more: Any
) -> list[Claim]:
    with database.begin() as connection:
        table, pins = more.get("table", "job"), more.get("pins", ["model"])
        liking = more.get("liking", claims.Liking())
        return claims.claim(connection, table, worker, pins, limit, lease, liking)


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


def test_what_a_lost_worker_held_comes_back_in_halves_until_each_is_alone(
    database: Database, seed_jobs: Any
) -> None:
    ids = seed_jobs(8)
    sizes = []
    take(database, lease=0)
    for most in (10, 10, 10):
        with database.begin() as connection:
            assert rescue(connection, most) == 8
        batches = [take(database, lease=0) for _ in range(8)]
        assert sorted(one.id for batch in batches for one in batch) == ids
        sizes.append([len(batch) for batch in batches if batch])
    assert sizes == [[4, 4], [2, 2, 2, 2], [1] * 8]
    assert {one.alone for batch in batches for one in batch} == {True}
    with database.begin() as connection:
        assert rescue(connection, 4) == 0
    assert states(database) == {"dead": 8}


def test_a_company_goes_together_and_with_nothing_else(database: Database, seed_jobs: Any) -> None:
    ids = seed_jobs(3)
    failed = take(database)
    error = {"class": "crash", "message": "its process ended by itself"}
    with database.begin() as connection:
        for one in failed[:2]:
            claims.fail(connection, "job", one, error, retry_in=0.0, company=ids[0])
        claims.fail(connection, "job", failed[2], error, retry_in=0.0, alone=True)
        connection.execute(text("update job set state = 'queued'"))
    fresh = seed_jobs(1)
    assert [[one.id for one in take(database)] for _ in range(3)] == [fresh, ids[:2], ids[2:]]


def test_jobs_become_ready_when_the_last_of_their_references_is(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    first, second = seed_preparations(2)
    seed_jobs(1, needs=[first, second, first])
    one, two = take(database, table="preparation", pins=["method"])
    for claim, ready in ((one, 0), (two, 1)):
        with database.begin() as connection:
            claims.finish(connection, "preparation", claim)
            assert let_dependents_go(connection, claim.id) == ready
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


def test_owners_are_served_in_turn_whoever_asked_first(database: Database, seed_jobs: Any) -> None:
    seed_jobs(40, owner="ada")
    seed_jobs(40, owner="bob")
    found = [Counter(one.owner for one in owned(database, take(database, 4))) for _ in range(20)]
    assert [dict(one) for one in found[:4]] == [{"ada": 4}, {"bob": 4}, {"ada": 4}, {"bob": 4}]
    assert sum(found[:10], Counter()) == {"ada": 20, "bob": 20}


def test_an_owner_who_asked_for_nothing_has_saved_up_nothing(database: Database, seed_jobs: Any) -> None:
    seed_jobs(60, owner="ada")
    seed_jobs(4, owner="bob")
    for _ in range(10):
        take(database, 4)
    seed_jobs(40, owner="bob")
    seed_jobs(40, owner="eve")
    found = Counter(one.owner for _ in range(9) for one in owned(database, take(database, 4)))
    assert found == {"ada": 12, "bob": 12, "eve": 12}


def test_turns_decide_within_an_owner(database: Database, seed_jobs: Any) -> None:
    first = seed_jobs(3, turns=[1, 2, 3])
    second = seed_jobs(2, turns=[1, 2])
    assert [one.id for _ in range(5) for one in take(database, 1)] == [
        first[0],
        second[0],
        first[1],
        second[1],
        first[2],
    ]


def test_a_worker_stays_with_the_model_and_the_shape_that_it_holds(database: Database, seed_jobs: Any) -> None:
    other = seed_jobs(2, pin="another", batch="another square")
    square, portrait = seed_jobs(2, batch="square"), seed_jobs(2, batch="portrait")
    pins, liking = ["another", "model"], claims.Liking("model", "portrait")
    assert [one.id for one in take(database, pins=pins, liking=liking)] == portrait
    assert [one.id for one in take(database, pins=pins, liking=liking)] == square
    assert [one.id for one in take(database, pins=pins, liking=liking)] == other


def test_no_liking_is_stronger_than_priority_or_than_what_waits_too_long(
    database: Database, seed_jobs: Any
) -> None:
    liked = seed_jobs(2, batch="portrait", turns=[1 + claims.STAY, 2 + claims.STAY])
    waiting = seed_jobs(1, batch="square", turns=[0])
    urgent = seed_jobs(1, pin="another", batch="another", priority=1)
    pins, liking = ["another", "model"], claims.Liking("model", "portrait")
    found = [[one.id for one in take(database, pins=pins, liking=liking)] for _ in range(3)]
    assert found == [urgent, waiting, liked]


def test_a_model_that_nobody_likes_takes_turns_with_the_others(database: Database, seed_jobs: Any) -> None:
    seed_jobs(4, pin="one", batch="one")
    seed_jobs(4, pin="two", batch="two")
    found = [take(database, 2, pins=["one", "two"])[0].pin for _ in range(4)]
    assert found == ["one", "two", "one", "two"]


def test_claims_under_way_are_told_that_they_are_lost_or_unwanted(database: Database, seed_jobs: Any) -> None:
    paused, cancelled, kept = seed_jobs(3)
    held = take(database)
    with database.begin() as connection:
        connection.execute(text("update job set held = true where id = :id"), {"id": paused})
        connection.execute(text("update job set state = 'cancelled' where id = :id"), {"id": cancelled})
    with database.begin() as connection:
        found = claims.review(connection, "job", ME, held)
    assert found == claims.Standing(lost=frozenset({cancelled}), unwanted=frozenset({paused}))
    assert kept not in found.lost | found.unwanted


def owned(database: Database, found: list[Claim]) -> list[Any]:
    with database.begin() as connection:
        rows = connection.execute(
            text("select owner from job where id = any(:ids)"), {"ids": [one.id for one in found]}
        )
        return list(rows)
