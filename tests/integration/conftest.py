"""Fixtures for tests against a real database: rows as a plan would write them, without the plan."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from orchestrator.records.database import Database

Seed = Callable[..., list[int]]


@pytest.fixture
def seed_jobs(database: Database) -> Seed:
    """Writes ready jobs, each waiting for the preparations of the given ids; returns the jobs' ids."""

    def seed(
        count: int,
        *,
        pin: str = "model",
        batch: str = "batch",
        priority: int = 0,
        needs: list[int] | None = None,
        owner: str = "",
        turns: list[int] | None = None,
    ) -> list[int]:
        with database.begin() as connection:
            given = turns or [0] * count
            return [_job(connection, pin, batch, priority, needs or [], owner, turn) for turn in given[:count]]

    return seed


@pytest.fixture
def seed_preparations(database: Database) -> Seed:
    """Writes ready preparations; returns their ids."""

    def seed(count: int, *, pin: str = "method") -> list[int]:
        with database.begin() as connection:
            return [_preparation(connection, pin) for _ in range(count)]

    return seed


def _job(
    connection: Connection, pin: str, batch: str, priority: int, needs: list[int], owner: str, turn: int
) -> int:
    job = connection.execute(
        text("""
        insert into job (key, pin, batch, model, request, pinned, priority, held, waiting, owner, turn)
        values (:key, :pin, :batch, 'model', '{}', '{}', :priority, false, :waiting, :owner, :turn) returning id
        """),
        {
            "key": uuid.uuid4().hex,
            "pin": pin,
            "batch": batch,
            "priority": priority,
            "waiting": len(needs),
            "owner": owner,
            "turn": turn,
        },
    ).scalar_one()
    for position, preparation in enumerate(needs, start=1):
        connection.execute(
            text("insert into job_reference (job_id, position, preparation_id) values (:job, :position, :id)"),
            {"job": job, "position": position, "id": preparation},
        )
    return int(job)


def _preparation(connection: Connection, pin: str) -> int:
    sha256 = uuid.uuid4().hex * 2
    connection.execute(
        text("insert into reference (sha256, source, size) values (:sha256, 'a.png', 1)"), {"sha256": sha256}
    )
    return int(
        connection.execute(
            text("""
            insert into preparation (key, pin, batch, reference_sha256, model, spec, held)
            values (:key, :pin, :pin, :sha256, 'model', '{}', false) returning id
            """),
            {"key": uuid.uuid4().hex, "pin": pin, "sha256": sha256},
        ).scalar_one()
    )
