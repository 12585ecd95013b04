"""Verbs, workers and the rescuer at the same moment: whatever the order, nothing waits for ever or is lost."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns, doctor, entry
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing import attempts
from orchestrator.working import claims
from orchestrator.working.claims import Claim
from orchestrator.working.dependents import let_dependents_go
from orchestrator.working.desks import Making, Preparing
from orchestrator.working.ledger import Ledger
from orchestrator.working.looking import Looker
from orchestrator.working.messages import Made
from orchestrator.working.rescue import end_campaigns, rescue

ME = uuid.uuid4()
ERROR = {"class": "bad input", "message": "mug.png: shows nothing"}


@pytest.fixture
def running(database: Database) -> Callable[[str, list[int]], int]:
    """Writes a running campaign of the given jobs; returns its id."""

    def write(name: str, jobs: list[int]) -> int:
        with database.begin() as connection:
            campaign = connection.execute(
                text("""
                insert into campaign (name, state, model, source, text) values (:name, 'running', 'm', 's', 't')
                returning id
                """),
                {"name": name},
            ).scalar_one()
            for job in jobs:
                connection.execute(
                    text("""
                    insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id)
                    values (:campaign, :row, '', '{}', 0, 'square', :job)
                    """),
                    {"campaign": campaign, "row": str(job), "job": job},
                )
        return int(campaign)

    return write


@pytest.fixture
def plan(tmp_path: Path, settings: Settings, registry: Registry) -> Callable[..., Plan]:
    """Plans a campaign that needs no references."""

    def make(nouns: str = "ball cube", more: str = "") -> Plan:
        rows = "".join(f"\n  - {{sku: {noun}}}" for noun in nouns.split())
        path = tmp_path / "words.yaml"
        path.write_text(
            f'campaign: words\nmodel: storyboard\nrows:{rows}\nprompt: "a {{{{ row.sku }}}}"\nseeds: 1\n{more}'
        )
        return make_plan(read_brief(path, settings, registry), settings, registry)

    return make


def take(database: Database, table: claims.Table, pin: str) -> list[Claim]:
    with database.begin() as connection:
        return claims.claim(connection, table, ME, [pin], 8, 60)


def values(database: Database, query: str) -> list[Any]:
    with database.begin() as connection:
        return list(connection.execute(text(query)).scalars())


@contextmanager
def beside(work: Callable[[], None]) -> Any:
    """Runs `work` in a thread for the length of a block; what it raises is raised at the end."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def wait_until_somebody_waits(database: Database) -> None:
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    deadline = time.monotonic() + 5
    while not values(database, query)[0]:
        assert time.monotonic() < deadline, "nobody waits for a lock"
        time.sleep(0.02)


def test_a_reference_that_dies_after_a_cancel_ends_its_images_when_they_are_wanted_again(
    database: Database, registry: Registry, plan: Any, seed_jobs: Any, seed_preparations: Any, running: Any
) -> None:
    (bad,) = seed_preparations(1)
    campaign = running("one", seed_jobs(2, needs=[bad]))
    (claim,) = take(database, "preparation", "method")
    campaigns.cancel(database, registry, "one")
    with database.begin() as connection:
        claims.fail(connection, "preparation", claim, ERROR, retry_in=None)
        connection.execute(text("update campaign set state = 'planned' where id = :id"), {"id": campaign})
    campaigns.start(database, registry, "one")
    assert values(database, "select state from job") == ["dead", "dead"]
    assert set(values(database, "select error->>'message' from job")) == {ERROR["message"]}


def test_a_reference_that_dies_while_an_image_waits_for_its_next_try_ends_that_image_too(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    (bad,) = seed_preparations(1)
    (job,) = seed_jobs(1, needs=[bad])
    (claim,) = take(database, "preparation", "method")
    with database.begin() as connection:
        connection.execute(text("update job set state = 'failed', not_before = now()"))
        claims.fail(connection, "preparation", claim, ERROR, retry_in=None)
        rescue(connection, 6)
    assert values(database, "select state from job") == ["dead"], f"job {job} would wait for ever"


def test_a_cancel_ends_the_references_that_only_cancelled_images_need_and_a_start_brings_them_back(
    database: Database, registry: Registry, seed_jobs: Any, seed_preparations: Any, running: Any
) -> None:
    own, shared, begun = seed_preparations(3)
    campaign = running("one", seed_jobs(1, needs=[own, shared, begun]))
    running("two", seed_jobs(1, needs=[shared]))
    values(database, f"update preparation set attempts = 4, state = 'failed' where id = {own} returning id")
    values(database, f"update preparation set state = 'leased' where id = {begun} returning id")
    campaigns.cancel(database, registry, "one")
    query = "select state || held || attempts from preparation order by id"
    assert values(database, query) == ["cancelledtrue4", "queuedfalse0", "leasedtrue0"]
    values(database, f"update campaign set state = 'planned' where id = {campaign} returning id")
    campaigns.start(database, registry, "one")
    assert values(database, query) == ["queuedfalse0", "queuedfalse0", "leasedfalse0"]


@pytest.mark.parametrize("verb", [campaigns.pause, campaigns.cancel])
def test_a_verb_and_the_end_of_a_preparation_do_not_lock_each_other_out(
    database: Database,
    registry: Registry,
    seed_jobs: Any,
    seed_preparations: Any,
    running: Any,
    verb: Callable[[Database, Registry, str], None],
) -> None:
    (needed,) = seed_preparations(1)
    running("one", seed_jobs(2, needs=[needed]))
    (claim,) = take(database, "preparation", "method")
    with database.begin() as connection:
        claims.finish(connection, "preparation", claim)
        with beside(lambda: verb(database, registry, "one")):
            wait_until_somebody_waits(database)
            let_dependents_go(connection, claim.id)
            connection.commit()
    assert values(database, "select waiting from job") == [0, 0]


def test_two_preparations_that_end_at_once_do_not_lock_each_other_out(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    style, mug = seed_preparations(2)
    jobs = seed_jobs(1, needs=[style, mug])
    seed_jobs(3000, needs=[style])
    jobs += seed_jobs(3, needs=[mug, style])
    one, two = take(database, "preparation", "method")

    def end(claim: Claim) -> None:
        with database.begin() as connection:
            claims.finish(connection, "preparation", claim)
            let_dependents_go(connection, claim.id)

    with beside(lambda: end(one)):
        end(two)
    assert set(values(database, "select waiting from job")) == {0}


def test_a_campaign_that_is_tried_again_at_its_end_does_not_finish_with_images_queued(
    database: Database, registry: Registry, seed_jobs: Any, running: Any
) -> None:
    running("one", seed_jobs(1))
    values(database, "update job set state = 'dead' returning id")

    def end() -> None:
        with database.begin() as connection:
            end_campaigns(connection)

    with database.begin() as connection:
        connection.execute(text("update campaign set state = 'running', changed_at = now()"))  # as `retry` does
        with beside(end):
            time.sleep(0.3)
            connection.execute(text("update job set state = 'queued', attempts = 0"))
            connection.commit()
    assert values(database, "select state from campaign") == ["running"]


def test_new_images_of_a_running_campaign_may_be_made_at_once(
    database: Database, store: Storage, registry: Registry, plan: Any
) -> None:
    campaigns.record(database, store, registry, plan("ball"))
    campaigns.start(database, registry, "words")
    campaigns.record(database, store, registry, plan("ball cube"))
    assert values(database, "select held from job where state = 'queued'") == [False, False]


def test_a_verdict_says_nothing_of_another_image(
    database: Database, store: Storage, registry: Registry, plan: Any
) -> None:
    campaigns.record(database, store, registry, plan())
    values(database, "update item set verdict = 'approved', decision_id = gen_random_uuid() returning id")
    campaigns.record(database, store, registry, plan(more="steps: 3\n"))
    assert values(database, "select verdict || version from item") == ["open2", "open2"]
    assert values(database, "select decision_id from item") == [None, None]


def test_planning_the_same_again_keeps_second_attempts(
    database: Database, store: Storage, registry: Registry, plan: Any
) -> None:
    campaigns.record(database, store, registry, plan())
    values(
        database,
        """
        with better as (
            insert into job (key, pin, batch, model, request, pinned, state)
            select key || '+', pin, batch, model, request, pinned, 'done' from job returning id, key
        )
        update item set brief_job_id = item.job_id, job_id = better.id, version = 2, verdict = 'approved'
        from better, job where job.id = item.job_id and better.key = job.key || '+' returning item.id
        """,
    )
    before = values(database, "select job_id || ' ' || version || ' ' || verdict from item order by id")
    campaigns.record(database, store, registry, plan())
    assert values(database, "select job_id || ' ' || version || ' ' || verdict from item order by id") == before


def test_a_sweep_while_a_campaign_is_recorded_leaves_its_references(
    tmp_path: Path,
    settings: Settings,
    database: Database,
    store: Storage,
    registry: Registry,
    plan: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = tmp_path / "mug.png"
    picture.write_bytes(b"a mug")
    sha256 = store.put(b"a mug", "mug")
    store.delete(sha256)
    planned = plan()
    planned = replace(planned, brief=replace(planned.brief, files={sha256: picture}))
    put = entry.store_references

    def put_then_sweep(*arguments: Any) -> Any:
        sizes = put(*arguments)
        list(doctor.examine(settings, fix=True))
        return sizes

    monkeypatch.setattr(entry, "store_references", put_then_sweep)
    campaigns.record(database, store, registry, planned)
    missing = [one for one in values(database, "select sha256 from reference") if not store.exists(one)]
    assert not missing


@pytest.mark.parametrize("message", ["a\x00b", "caf\udce9.png"])
def test_a_failure_is_recorded_whatever_its_words(database: Database, seed_jobs: Any, message: str) -> None:
    seed_jobs(1)
    (claim,) = take(database, "job", "model")
    with database.begin() as connection:
        assert claims.fail(connection, "job", claim, {"class": "unknown", "message": message}, retry_in=None)


class Broken(Making):
    """A desk that fails the first time in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.asked = 0

    def pins(self, connection: Connection, registry: Registry, settings: Settings) -> list[str]:
        self.asked += 1
        if self.asked == 1:
            raise ValueError("a plugin is broken")
        return []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_nobody_foresaw_does_not_end_the_looking(
    settings: Settings, database: Database, registry: Registry
) -> None:
    desk = Broken()
    looker = Looker(replace(settings, poll_seconds=0.05), database, registry, desk, lambda _: None)
    thread = threading.Thread(target=looker.poll, daemon=True)
    thread.start()
    deadline = time.monotonic() + 5
    while desk.asked < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    looker.stop()
    thread.join(5)
    assert desk.asked >= 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_database_that_was_read_only_for_a_while_ends_no_worker(
    settings: Settings, database: Database, registry: Registry
) -> None:
    name = values(database, "select current_database()")[0]
    looker = Looker(replace(settings, poll_seconds=0.05), database, registry, Making(), lambda _: None)
    with database.begin() as connection:
        connection.execute(text(f"alter database {name} set default_transaction_read_only = on"))
    database.close()
    thread = threading.Thread(target=looker.poll, daemon=True)
    thread.start()
    time.sleep(1.0)
    with database.begin() as connection:
        connection.execute(text("set transaction read write"))
        connection.execute(text(f"alter database {name} reset default_transaction_read_only"))
    alive = thread.is_alive()
    looker.stop()
    thread.join(5)
    assert alive


def test_images_that_a_changed_brief_asks_for_no_more_are_not_made(
    database: Database, store: Storage, registry: Registry, plan: Any
) -> None:
    campaigns.record(database, store, registry, plan())
    campaigns.start(database, registry, "words")
    campaigns.record(database, store, registry, plan(more="steps: 3\n"))
    wanted = "id in (select job_id from item where not obsolete)"
    assert values(database, f"select state from job where not {wanted}") == ["cancelled", "cancelled"]
    assert values(database, f"select state || held from job where {wanted}") == ["queuedfalse", "queuedfalse"]


def test_images_whose_files_are_gone_are_made_again_though_their_campaign_was_paused_meanwhile(
    settings: Settings, database: Database, registry: Registry, seed_jobs: Any, running: Any
) -> None:
    running("one", seed_jobs(1))
    (claim,) = take(database, "job", "model")
    campaigns.pause(database, registry, "one")
    with database.begin() as connection:
        claims.finish(connection, "job", claim)
        connection.execute(
            text("""
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            values (:job, repeat('0', 64), 1, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), 1)
            """),
            {"job": claim.id},
        )
    campaigns.resume(database, registry, "one")
    with database.begin() as connection:
        assert end_campaigns(connection) == ["one"]
    list(doctor.examine(settings, fix=True))
    assert values(database, "select state from campaign") == ["running"]
    assert len(take(database, "job", "model")) == 1


@pytest.mark.parametrize("fact", [float("nan"), "a\x00b", "caf\udce9.png", {1, 2}])
def test_a_result_that_can_not_be_written_down_fails_alone_and_says_why(
    settings: Settings, database: Database, store: Storage, seed_preparations: Any, fact: Any
) -> None:
    seed_preparations(1)
    (claim,) = take(database, "preparation", "method")
    ledger = Ledger(settings, database, store, Preparing(), ME)
    result: dict[str, Any] = {
        "result": store.put(b"x", "x"),
        "mask": None,
        "warnings": [],
        "facts": {"fact": fact},
    }
    ledger.keep([(claim, Made(claim.id, result, 0.1))])
    assert values(database, "select state from preparation") in (["done"], ["failed"])
    assert "worker was lost" not in str(values(database, "select error from preparation"))


def test_a_campaign_that_a_reviewer_sends_on_at_its_end_does_not_finish(
    database: Database, seed_jobs: Any, running: Any
) -> None:
    campaign = running("one", seed_jobs(1))
    values(database, "update job set state = 'done' returning id")
    with database.begin() as connection:  # as asking for another attempt does
        connection.execute(
            text(
                "insert into job (key, pin, batch, model, request, pinned) values ('b', 'p', 'p', 'm', '{}', '{}')"
            )
        )
        connection.execute(text("update item set job_id = (select id from job where key = 'b')"))
        connection.execute(text(attempts._RUN), {"campaign": campaign})
        with database.begin() as other:
            assert end_campaigns(other) == []
    assert values(database, "select state from campaign") == ["running"]
