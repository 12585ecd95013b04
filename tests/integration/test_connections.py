"""Connections that rested are asked whether their server is there; those in use are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from core.settings import Settings
from orchestrator.records import database as records
from orchestrator.records.database import Database, DatabaseAway


@pytest.fixture
def another(database: Database, settings: Settings) -> Iterator[Database]:
    """Another process's way to the same server."""
    made = Database(settings)
    yield made
    made.close()


def line(database: Database) -> int:
    """The server's process at the other end of the connection that comes next."""
    with database.begin() as connection:
        return int(connection.execute(text("select pg_backend_pid()")).scalar_one())


def end(database: Database, line: int) -> None:
    with database.begin() as connection:
        connection.execute(text("select pg_terminate_backend(:line, 5000)"), {"line": line})


def test_a_connection_that_broke_while_it_rested_is_replaced_and_nobody_hears_of_it(
    database: Database, another: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "FRESH", -1.0)
    before = line(database)
    end(another, before)
    assert line(database) != before


def test_a_connection_in_use_is_not_asked_and_what_waits_patiently_goes_on_when_it_breaks(
    database: Database, another: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "FRESH", 3600.0)
    end(another, line(database))
    with pytest.raises(DatabaseAway):
        line(database)
    before = line(database)
    end(another, before)
    assert database.patiently(lambda one: one.execute(text("select pg_backend_pid()")).scalar_one()) != before
