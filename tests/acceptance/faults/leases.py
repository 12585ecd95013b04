"""Leases: all out at once, held by namesakes of the living, freed by many at once, renewed too late."""

from __future__ import annotations

import contextlib
import socket
import time
import uuid

import psycopg
from faults.scene import Scene
from faults.stacks import LEASE
from sqlalchemy import text

from core.errors import Infrastructure
from orchestrator.records.database import Database
from orchestrator.working import claims
from orchestrator.working.rescue import rescue


def expire(scene: Scene) -> int:
    """Every lease that anybody has is out, as if all had been asleep."""
    gone = scene.patient("""
        update job set lease_until = clock_timestamp()
        where id in (select id from job where state = 'leased' order by id for no key update) returning id
    """)
    scene.tally["all leases out at once"] += bool(gone)
    return int(bool(gone))


def race(scene: Scene) -> int:
    """Many free the same lost work at once, and some of them are cut off in the middle."""
    if not expire(scene):
        return 0
    over = time.monotonic() + scene.dice.uniform(0.5, 1.0)

    def free() -> None:
        database = Database(scene.settings)
        while time.monotonic() < over:
            with contextlib.suppress(Infrastructure), database.begin() as connection:
                rescue(connection, 60)
        database.close()

    with scene.beside(free, free, free, free):
        time.sleep(0.2)
        with psycopg.connect(scene.stack.database_url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where query like '%with lost as%'"
                " and pid <> pg_backend_pid()"
            )
    scene.tally["four rescuers at once, some cut off"] += 1
    return 2


def block(scene: Scene) -> int:
    """Renewals wait for a lock until the leases are out."""
    with scene.database.begin() as connection:
        query = "select id from job where state = 'leased' order by id for update skip locked"
        held = connection.execute(text(query)).all()
        if held:
            time.sleep(LEASE * scene.dice.uniform(1.1, 1.6))
    scene.tally["renewals blocked past the lease"] += bool(held)
    return int(bool(held))


def reuse(scene: Scene) -> int:
    """Work is held by an earlier life that had the host and the process id of a worker that is alive."""
    worker = scene.worker()
    pins = scene.values("select distinct pin from job where state = 'queued' and not held and waiting = 0")
    if worker is None or not pins:
        return 0
    former = uuid.uuid4()
    with scene.database.begin() as connection:
        connection.execute(
            text("insert into worker (id, host, process, queue, pins) values (:id, :host, :process, 'gpu', '[]')"),
            {"id": former, "host": socket.gethostname(), "process": worker.pid},
        )
        taken = claims.claim(connection, "job", former, pins, 4, LEASE)
    scene.tally["lease of an earlier life with the same host and process id"] += bool(taken)
    return int(bool(taken))
