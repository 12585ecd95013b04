"""How `dreamline run` waits: what it says meanwhile, and whom it takes for its own workers."""

from __future__ import annotations

import datetime
import subprocess
import time
from typing import Any

import pytest
from sqlalchemy import text

from core.settings import Settings
from orchestrator import running
from orchestrator.progress import Progress
from orchestrator.records.database import Database
from orchestrator.working.celery_app import QUEUES

AWAY = "/store/ab could not be written: No space left on device"


@pytest.fixture
def caps(database: Database, seed_jobs: Any, seed_preparations: Any) -> None:
    """A campaign of two images whose reference the store has failed."""
    jobs = seed_jobs(2, needs=seed_preparations(1))
    with database.begin() as connection:
        connection.execute(
            text("""
            with made as (
                insert into campaign (name, state, model, source, text) values ('caps', 'running', 'm', 's', 't')
                returning id
            ) insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id)
            select made.id, job, '', '{}', 0, 'square', job from made, unnest(cast(:jobs as bigint[])) job
            """),
            {"jobs": jobs},
        )
        connection.execute(
            text("""
            update preparation set state = 'failed',
                error = jsonb_build_object('class', 'infrastructure', 'message', cast(:away as text))
            """),
            {"away": AWAY},
        )


def test_run_says_what_store_or_network_it_waits_for_now_and_then(
    caps: None, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.1)
    warned: list[str] = []
    looks = 0

    def show(progress: Progress) -> None:
        nonlocal looks
        looks += 1
        if looks == 5:
            with database.begin() as connection:
                connection.execute(text("update campaign set state = 'paused'"))

    def wait() -> None:
        nonlocal looks
        looks = 0
        with database.begin() as connection:
            connection.execute(text("update campaign set state = 'running'"))
        running.wait_for(database, "caps", show, warned.append, lambda connection: [])

    wait()
    (told,) = warned
    assert told == f"work waits, and is tried again until this is over: {AWAY}"
    monkeypatch.setattr(running, "REMIND", 0.1)
    wait()
    assert len(warned) > 2


def test_a_worker_of_an_earlier_life_with_the_same_process_id_has_not_signed_on(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = running.LocalWorkers(settings)
    sleepers = [subprocess.Popen(["sleep", "60"]) for _ in QUEUES]
    monkeypatch.setattr(local, "_start", lambda queue: sleepers[QUEUES.index(queue)])
    monkeypatch.setattr(running.socket, "gethostname", lambda: "here")
    insert = """
        insert into worker (id, host, process, queue, pins, started_at, seen_at, stopped_at)
        values (gen_random_uuid(), 'here', :process, :queue, '[]', now() - make_interval(secs => :age), now(),
            :gone)
    """

    def sign_on(age: float, gone: datetime.datetime | None) -> bool:
        with database.begin() as connection:
            for queue, process in zip(QUEUES, sleepers, strict=True):
                told = {"process": process.pid, "queue": queue, "age": age, "gone": gone}
                connection.execute(text(insert), told)
            return local.signed_on(connection)

    try:
        local.keep_alive()
        assert not sign_on(3600.0, None), "it was killed and never signed off"
        time.sleep(0.1)
        assert not sign_on(0.0, datetime.datetime.now(datetime.UTC)), "it has left again"
        assert sign_on(0.0, None)
    finally:
        for one in sleepers:
            one.kill()
            one.wait()
