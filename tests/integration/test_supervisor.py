"""Who is blamed when a working process ends, and what becomes of the others: against a real Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from core.errors import BadInput
from core.settings import Settings
from orchestrator.records import causes
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import claims, retries
from orchestrator.working.desks import Desk, Making, Preparing
from orchestrator.working.hands import Hands
from orchestrator.working.ledger import Ledger
from orchestrator.working.limits import machine_memory, memory_limit
from orchestrator.working.messages import Doing, Made, Stored
from orchestrator.working.rescue import rescue
from orchestrator.working.supervisor import CHANCES, Supervisor

ME = uuid.uuid4()
CRASHED = {"class": causes.CRASH, "message": "its process ended by itself (exit code 7)"}


@pytest.fixture
def supervise(settings: Settings, database: Database, store: Storage) -> Callable[[Desk], Supervisor]:
    return lambda desk: Supervisor(settings, database, store, desk, ME)


def hand_over(database: Database, supervisor: Supervisor, pin: str, *, begun: bool = True) -> list[claims.Claim]:
    """A batch that a child of the supervisor has begun, or is yet to begin."""
    with database.begin() as connection:
        found = claims.claim(connection, supervisor._desk.table, ME, [pin], 8, 20)
    payloads = [{"id": one.id, "fence": one.fence} for one in found]
    batch = supervisor._hands.take(found, payloads, {}, follows=False)
    if begun:
        supervisor._hands.begun(batch.number)
    return found


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_of_a_batch_only_the_reference_that_was_prepared_has_failed(
    supervise: Any, database: Database, seed_preparations: Any
) -> None:
    first, second, third = seed_preparations(3)
    supervisor = supervise(Preparing())
    hand_over(database, supervisor, "method")
    supervisor._main.begin(Doing("plugin 'logo' prepared b.png", "logo", second))
    supervisor._end(supervisor._main, CRASHED)
    assert rows(database, "select id, state, attempts, alone from preparation order by id") == [
        (first, "queued", 0, False),
        (second, "failed", 1, True),
        (third, "queued", 0, False),
    ]
    ((error,),) = rows(database, f"select error from preparation where id = {second}")
    assert error["plugin"] == "logo"
    assert error["message"] == "its process ended by itself (exit code 7) while plugin 'logo' prepared b.png"


def test_where_nobody_is_known_to_be_at_work_all_come_back_in_halves(
    supervise: Any, database: Database, seed_jobs: Any
) -> None:
    ids = seed_jobs(5)
    supervisor = supervise(Making())
    hand_over(database, supervisor, "model")
    supervisor._main.begin(Doing("generator fake/1 made 5 images"))
    supervisor._end(supervisor._main, CRASHED)
    assert rows(database, "select id, state, alone, company from job order by id") == [
        *((one, "failed", False, ids[0]) for one in ids[:3]),
        *((one, "failed", False, ids[3]) for one in ids[3:]),
    ]


def test_one_poison_of_eight_is_alone_after_four_tries_and_the_others_are_made_in_seven(
    supervise: Any, settings: Settings, database: Database, seed_jobs: Any
) -> None:
    ids = seed_jobs(8)
    poison, supervisor, sizes = ids[5], supervise(Making()), []
    while rows(database, "select 1 from job where state in ('queued', 'failed')"):
        rows(database, "update job set state = 'queued' where state = 'failed' returning id")
        batch = hand_over(database, supervisor, "model")
        sizes.append(len(batch))
        if poison in [one.id for one in batch]:
            alone = batch[0].id if len(batch) == 1 else None
            supervisor._main.begin(Doing("generator fake/1 made images", id=alone))
            supervisor._end(supervisor._main, CRASHED)
        for one in batch:
            with database.begin() as connection:
                claims.finish(connection, "job", one)
        supervisor._hands = Hands()
    assert dict(rows(database, "select state, count(*) from job group by state")) == {"done": 7, "dead": 1}
    assert rows(database, f"select state, attempts from job where id = {poison}") == [("dead", 6)]
    assert sorted(sizes) == [1, 1, 1, 1, 2, 2, 4, 4, 8]


def test_what_was_handed_over_and_not_begun_is_given_back_without_blame(
    supervise: Any, database: Database, seed_jobs: Any
) -> None:
    begun, waiting = seed_jobs(1, batch="square"), seed_jobs(2, batch="portrait")
    supervisor = supervise(Making())
    hand_over(database, supervisor, "model")
    hand_over(database, supervisor, "model", begun=False)
    supervisor._main.begin(Doing("generator fake/1 made it", id=begun[0]))
    supervisor._end(supervisor._main, CRASHED)
    assert rows(database, "select id, state, attempts from job order by id") == [
        (begun[0], "failed", 1),
        *((one, "queued", 0) for one in waiting),
    ]


def test_an_image_is_kept_from_a_scorer_that_is_asked_no_more_after_it_took_some_processes_along(
    supervise: Any, database: Database, store: Storage, seed_jobs: Any
) -> None:
    supervisor = supervise(Making())
    for number in range(CHANCES):
        assert supervisor._unasked() == {}
        (job,) = seed_jobs(1)
        hand_over(database, supervisor, "model")
        facts = {"unscored": {"taste": "not asked"}}
        result = {"sha256": store.put(b"%d" % number, "x"), "size": 1, "width": 1, "height": 1}
        result |= {"media_type": "image/png", "facts": facts, "look": 0}
        result["scores"] = [("colour", "liking", 0.5, "all", True, None)]
        assert supervisor._finisher is not None
        supervisor._finisher.begin(Doing("plugin 'taste' scored the image", "taste", job, Made(job, result, 0.1)))
        supervisor._end(supervisor._finisher, CRASHED)
        assert rows(database, f"select state from job where id = {job}") == [("done",)]
    ((unscored,),) = rows(database, "select distinct facts->'unscored' from asset")
    assert unscored == {"taste": "its process ended by itself (exit code 7) while plugin 'taste' scored the image"}
    assert rows(database, "select count(*) from score where plugin = 'colour'") == [(CHANCES,)]
    assert supervisor._unasked()["taste"].startswith("not asked: it took 2 processes along")


def test_the_last_words_of_a_process_are_kept_with_the_error(
    supervise: Any, database: Database, seed_jobs: Any
) -> None:
    (job,) = seed_jobs(1)
    supervisor = supervise(Making())
    hand_over(database, supervisor, "model")
    supervisor._main.begin(Doing("generator fake/1 made it", id=job))
    supervisor._main._lines.extend(["CUDA error: an illegal memory access", "Aborted"])
    supervisor._end(supervisor._main, CRASHED)
    ((error,),) = rows(database, "select error from job")
    assert error["log"] == ["CUDA error: an illegal memory access", "Aborted"]


@pytest.mark.parametrize(
    ("change", "state", "attempts"), [("held = true", "queued", 0), ("state = 'cancelled'", "cancelled", 1)]
)
def test_what_is_paused_or_cancelled_is_out_of_hand_at_the_next_look(
    supervise: Any, database: Database, seed_jobs: Any, change: str, state: str, attempts: int
) -> None:
    first, second = seed_jobs(2)
    supervisor = supervise(Making())
    hand_over(database, supervisor, "model")
    rows(database, f"update job set {change} where id = {first} returning id")
    supervisor._review()
    assert list(supervisor._hands.open) == [second]
    assert rows(database, f"select state, attempts from job where id = {first}") == [(state, attempts)]


def test_an_image_that_is_stored_is_ended_though_its_campaign_was_paused(
    supervise: Any, database: Database, seed_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, other = seed_jobs(2)
    supervisor = supervise(Making())
    monkeypatch.setattr(supervisor._finisher, "start", lambda: None)
    hand_over(database, supervisor, "model")
    supervisor._look_at(Stored(stored, {}, 1.0))
    rows(database, "update job set held = true returning id")
    supervisor._review()
    assert list(supervisor._hands.open) == [stored]
    assert rows(database, "select id, state from job order by id") == [(stored, "leased"), (other, "queued")]


def test_who_looks_at_images_has_its_time_from_the_image_on_and_not_from_the_one_before(
    supervise: Any, settings: Settings, database: Database, seed_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = seed_jobs(2)
    supervisor = supervise(Making())
    finisher = supervisor._finisher
    monkeypatch.setattr(finisher, "start", lambda: None)
    monkeypatch.setattr(finisher, "_wire", object())
    monkeypatch.setattr(finisher, "ready", True)
    monkeypatch.setattr(finisher, "memory", lambda: 0)
    hand_over(database, supervisor, "model")
    finisher.begin(Doing("plugin 'taste' scored the image", "taste", first))
    finisher.since = 1000.0
    later = 1000.0 + settings.plugin_seconds + 1
    assert supervisor._past_limits(finisher, later) is None
    monkeypatch.setattr("orchestrator.working.station.time.monotonic", lambda: later)
    supervisor._look_at(Stored(second, {}, 1.0))
    assert supervisor._past_limits(finisher, later + 1) is None
    finisher.begin(Doing("plugin 'taste' scored the image", "taste", second))
    supervisor._look_at(Stored(first, {}, 1.0))
    assert supervisor._past_limits(finisher, later + settings.plugin_seconds + 1) is not None


@pytest.mark.parametrize(("named", "attempt", "dies"), [(True, 2, False), (True, 3, True), (False, 3, False)])
def test_patience_is_shorter_where_a_plugin_is_known_to_be_the_cause(
    named: bool, attempt: int, dies: bool
) -> None:
    verdict = retries.judge(causes.TIME, attempt, 6, 1.0, named=named)
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


@pytest.mark.parametrize("size", range(1, 20))
def test_halves_part_whatever_failed_together(size: int) -> None:
    ids = list(range(100, 100 + size))
    parts = retries.halves(ids)
    assert set(parts) == set(ids)
    numbers = [number for number in parts.values() if number is not None]
    sizes = [numbers.count(number) for number in dict.fromkeys(numbers)]
    assert all(1 < one <= (size + 1) // 2 for one in sizes)
    assert sum(sizes) + list(parts.values()).count(None) == size


@pytest.mark.parametrize(
    ("kind", "attempt", "pause"),
    [(causes.CRASH, 6, 0.0), (causes.BAD_INPUT, 1, 0.0), (causes.INFRASTRUCTURE, 2, 4.0)],
)
def test_nothing_dies_for_what_it_failed_together_with(kind: str, attempt: int, pause: float) -> None:
    verdict = retries.part(2, [1, 2, 3], retries.judge(kind, attempt, 6, 2.0))
    assert (verdict.retry_in, verdict.alone, verdict.company) == (pause, False, 1)


@pytest.mark.parametrize("outages", [0, 5, 100, 5000])
def test_work_waits_for_the_infrastructure_however_long_and_the_pause_has_a_bound(outages: int) -> None:
    verdict = retries.judge(causes.INFRASTRUCTURE, 1, 6, 5.0, outages=outages)
    assert verdict.retry_in == min(retries.LONGEST_PAUSE, 5.0 * 2 ** min(outages, 20))
    assert verdict.outages == outages + 1
    assert retries.part(1, [1, 2], verdict).outages == outages + 1


@pytest.mark.parametrize("table", ["job", "preparation"])
def test_tries_that_the_store_failed_do_not_count_and_work_survives_an_ordinary_failure_after_them(
    settings: Settings,
    database: Database,
    store: Storage,
    seed_jobs: Any,
    seed_preparations: Any,
    table: claims.Table,
) -> None:
    (work,) = seed_jobs(1) if table == "job" else seed_preparations(1)
    pin, desk = ("model", Making()) if table == "job" else ("method", Preparing())
    ledger = Ledger(replace(settings, retry_seconds=100.0), database, store, desk, ME)
    pauses = []

    def fail(error: dict[str, Any]) -> tuple[Any, ...]:
        rows(database, f"update {table} set state = 'queued' where state = 'failed' returning id")
        with database.begin() as connection:
            (claim,) = claims.claim(connection, table, ME, [pin], 1, 20)
        ledger.fail(claim, error)
        query = f"state, attempts, extract(epoch from not_before - now()) from {table} where id = {work}"
        ((state, attempts, pause),) = rows(database, f"select {query}")
        pauses.append(round(float(pause) / 10) * 10)
        return state, attempts

    away = {"class": causes.INFRASTRUCTURE, "message": "the store is away"}
    for _ in range(settings.max_attempts * 2):
        assert fail(away) == ("failed", 0)
    assert pauses[:4] == [100, 200, 400, 600]
    assert set(pauses[4:]) == {600}
    assert fail({"class": causes.MEMORY, "message": "out of memory"}) == ("failed", 1)
    assert fail(away) == ("failed", 1)
    assert pauses[-2:] == [100, 200]
    rows(database, f"update {table} set state = 'queued', lease_until = null returning id")
    with database.begin() as connection:
        claims.claim(connection, table, ME, [pin], 1, 0)
        rescue(connection, settings.max_attempts)
    assert rows(database, f"select state, attempts from {table}") == [("queued", 2)]


def test_a_worker_that_is_set_up_wrongly_is_not_the_campaigns_fault() -> None:
    device = BadInput.at("environment variable DREAMLINE_DEVICE", "'cuda:9' is not here", "Here: cpu, cuda:0")
    assert retries.describe(device)["class"] == causes.INFRASTRUCTURE
    assert retries.describe(BadInput.at("row 3", "shows nothing", "Give another"))["class"] == causes.BAD_INPUT


def test_an_error_that_nobody_expected_keeps_the_end_of_its_traceback() -> None:
    try:
        raise ValueError("\n".join(["x" * 1000] * 50))
    except ValueError as error:
        told = retries.describe(error)
    assert len(told["log"]) == retries.LAST_LINES
    assert max(map(len, told["log"])) == retries.LONGEST_LINE
    assert "ValueError" in "".join(retries.describe(ValueError("x"))["log"])


def result_of(claim: claims.Claim, store: Storage) -> Made:
    picture = b"%d" % claim.id
    stored = {"sha256": store.put(picture, "x"), "size": len(picture), "width": 1, "height": 1, "look": 0}
    stored |= {
        "media_type": "image/png",
        "facts": {},
        "scores": [("colour", "liking", claim.id, "all", True, None)],
    }
    return Made(claim.id, stored, 0.1)


@contextmanager
def counted_commits(database: Database) -> Iterator[list[str]]:
    """The transactions that were committed in a block."""
    found: list[str] = []

    def note(_: Connection) -> None:
        found.append("commit")

    event.listen(database.engine(), "commit", note)
    yield found
    event.remove(database.engine(), "commit", note)


@pytest.fixture
def wire(supervise: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Supervisor, Any]:
    """A supervisor, and what the process that looks at its images sends through."""
    supervisor = supervise(Making())
    ours, theirs = Pipe()
    monkeypatch.setattr(supervisor._finisher, "_wire", ours)
    monkeypatch.setattr(supervisor._finisher, "ready", True)
    return supervisor, theirs


def test_results_that_lie_there_together_are_recorded_in_one_transaction(
    wire: tuple[Supervisor, Any], database: Database, store: Storage, seed_jobs: Any
) -> None:
    supervisor, theirs = wire
    seed_jobs(5)
    batch = hand_over(database, supervisor, "model")
    for one in reversed(batch[:4]):
        theirs.send(result_of(one, store))
    assert supervisor._finisher is not None
    with counted_commits(database) as commits:
        supervisor._hear(supervisor._finisher)
    assert len(commits) == 1
    assert list(supervisor._hands.open) == [batch[4].id]
    made = "select job_id, value::int, event.facts->>'fence' from asset join score using (job_id) join event"
    assert rows(database, f"{made} on kind = 'job.done' and work_id = job_id order by 1") == [
        (one.id, one.id, "1") for one in batch[:4]
    ]


def test_what_a_process_has_sent_before_it_ended_is_recorded(
    wire: tuple[Supervisor, Any], database: Database, store: Storage, seed_jobs: Any
) -> None:
    supervisor, theirs = wire
    seed_jobs(3)
    batch = hand_over(database, supervisor, "model")
    for one in batch[:2]:
        theirs.send(result_of(one, store))
    theirs.close()
    assert supervisor._finisher is not None
    supervisor._hear(supervisor._finisher)
    assert rows(database, "select state from job order by id") == [("done",), ("done",), ("leased",)]


def test_a_lost_claim_and_a_lost_file_cost_their_neighbours_nothing(
    supervise: Any, database: Database, store: Storage, seed_jobs: Any
) -> None:
    seed_jobs(5)
    supervisor = supervise(Making())
    batch = hand_over(database, supervisor, "model")
    results = [(one, result_of(one, store)) for one in batch]
    rows(database, f"update job set fence = fence + 1 where id = {batch[1].id} returning id")
    with counted_commits(database) as commits:
        supervisor._ledger.keep(results[:2])
    assert len(commits) == 1
    store.delete(results[3][1].result["sha256"])
    supervisor._ledger.keep(results[2:])
    states = ["done", "leased", "done", "failed", "done"]
    assert rows(database, "select state from job order by id") == [(one,) for one in states]
    assert rows(database, "select count(*) from asset") == [(3,)]
    # A COMMIT whose outcome nobody knew: asked a second time, the answer is the same and nothing is written.
    with database.begin() as connection:
        again = supervisor._desk.keep(connection, store, [results[0], results[1], results[4]], ME)
    assert again == {batch[0].id, batch[4].id}
    assert rows(database, "select count(*) from event where kind = 'job.done'") == [(3,)]


def test_what_a_process_said_before_it_ended_is_heard_before_another_takes_its_place(
    supervise: Any,
    settings: Settings,
    database: Database,
    store: Storage,
    seed_jobs: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DREAMLINE_HOME", str(settings.home))
    first, second = seed_jobs(2)
    supervisor = supervise(Making())
    finisher = supervisor._finisher
    hand_over(database, supervisor, "model")
    try:
        finisher.start()
        assert finisher.wire.poll(60)
        supervisor._look_at(Stored(first, {"sha256": "0" * 64}, 1.0))
        ended = finisher._process
        ended.kill()
        ended.wait()
        supervisor._look_at(Stored(second, {"sha256": "0" * 64}, 1.0))
        assert finisher._process is ended, "its last words lie in the wire yet"
        supervisor._hear(finisher)
        assert set(supervisor._hands.finishing) == {first, second}, "both go to the next process"
        assert finisher._process.poll() is None
    finally:
        supervisor.stop()
