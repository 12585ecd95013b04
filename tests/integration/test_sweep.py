"""Files that no row names are deleted a few at a time, beside work, and an interruption loses nothing."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, text

from core.errors import Infrastructure
from orchestrator.records import sweep as sweeping
from orchestrator.records.database import SWEEP_LOCK, Database
from orchestrator.records.storage import Storage
from orchestrator.records.sweep import sweep


@pytest.fixture
def strays(store: Storage) -> list[str]:
    return [store.put(b"stray %d" % number, "x") for number in range(50)]


def deletions(database: Database, store: Storage, strays: list[str], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files are deleted under each hold of the lock."""
    held: list[int] = []
    delete = store.delete

    def note(*given: Any) -> None:
        if "pg_advisory_xact_lock" in given[2]:
            held.append(0)

    def count(sha256: str) -> None:
        held[-1] += 1
        delete(sha256)

    monkeypatch.setattr(store, "delete", count)
    event.listen(database.engine(), "before_cursor_execute", note)
    assert sweep(database, store, strays) == set(strays)
    event.remove(database.engine(), "before_cursor_execute", note)
    assert list(store.all()) == []
    return held


def test_the_lock_is_let_go_after_some_files(
    database: Database, store: Storage, strays: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deletions(database, store, strays, monkeypatch) == [20, 20, 10]


def test_the_lock_is_let_go_after_some_time(
    database: Database, store: Storage, strays: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(sweeping, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert max(deletions(database, store, strays, monkeypatch)) == 3


def test_a_result_is_recorded_between_two_holds(
    database: Database, store: Storage, strays: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, recorded = threading.Event(), threading.Event()
    delete, left_then = store.delete, []

    def slow(sha256: str) -> None:
        begun.set()
        time.sleep(0.02)
        delete(sha256)

    def record() -> None:
        assert begun.wait(10)
        with database.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock_shared(:lock)"), {"lock": SWEEP_LOCK})
            left_then.append(len(list(store.all())))
            connection.execute(
                text("insert into reference (sha256, source, size) values (:last, 'a.png', 1)"),
                {"last": max(strays)},
            )
        recorded.set()

    monkeypatch.setattr(store, "delete", slow)
    thread = threading.Thread(target=record)
    thread.start()
    gone = sweep(database, store, strays)
    thread.join(10)
    assert recorded.is_set()
    assert left_then == [30]
    assert set(strays) - gone == {max(strays)}
    assert store.exists(max(strays))


def test_a_store_that_fails_ends_the_sweep_and_the_lock_is_free(
    database: Database, store: Storage, strays: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sha256: str) -> None:
        raise Infrastructure(f"{sha256} can't be deleted")

    monkeypatch.setattr(store, "delete", fail)
    with pytest.raises(Infrastructure):
        sweep(database, store, strays)
    with database.begin() as connection:
        query = text("select pg_try_advisory_xact_lock(:lock)")
        assert connection.execute(query, {"lock": SWEEP_LOCK}).scalar_one()
