"""Migrations on a real Postgres: they make the tables of the models, and keep nobody from working meanwhile."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, text

from core.errors import DreamlineError, Infrastructure
from core.settings import Settings
from orchestrator.records.database import Database, alembic_config, newest, version
from orchestrator.records.tables import Table
from orchestrator.records.upgrading import LOCK_TIMEOUT, upgrade

JOBS = """
insert into job (key, pin, batch, model, request, pinned, held)
select n::text, 'pin', 'batch', 'model', '{}', '{}', false from generate_series(1, 20000) n
"""

STRONG = (
    # Each is a lock that keeps writers away for as long as a whole table is read or written.
    (r"create (unique )?index (?!concurrently)", "an index that is not built concurrently"),
    (r"add constraint (?!.*not valid)", "a constraint that reads its table under a lock"),
    (r"alter column .* (type|set not null)", "a column that is rewritten or read under a lock"),
    (r"add column .*default (?!'|\d|false|true|null)", "a default that is computed for each row"),
    (r"^(update|delete)", "rows that are changed under a migration's locks"),
)


@pytest.fixture
def old(cluster: str) -> Iterator[Database]:
    """A database with the tables of the first version."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    address, _, options = cluster.partition("?")
    server = f"{address.rsplit('/', 1)[0]}/postgres?{options}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    database = Database(Settings(database_url=server.replace("/postgres?", f"/{name}?")))
    migrate(database, "0001")
    yield database
    database.close()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def migrate(database: Database, to: str) -> None:
    with database.engine().connect() as connection:
        command.upgrade(alembic_config(connection), to)


def url_of(database: Database) -> str:
    return database.engine().url.set(drivername="postgresql").render_as_string(hide_password=False)


def test_migrations_make_exactly_the_tables_of_the_models(database: Database) -> None:
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []
        assert version(connection) == newest()


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    database.upgrade()
    with database.begin() as connection:
        assert version(connection) == newest()


def test_no_migration_of_a_table_in_use_takes_a_lock_that_lasts(old: Database) -> None:
    said: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        said.append(" ".join(statement.split()).lower())

    event.listen(old.engine(), "before_cursor_execute", note)
    old.upgrade()
    new = {found[1] for one in said if (found := re.match(r"create table (?:if not exists )?(\w+)", one))}
    for statement in said:
        on_new = any(re.search(rf"\b{name}\b", statement) for name in new)
        if "alembic_version" in statement or on_new or statement.startswith("select"):
            continue
        for pattern, what in STRONG:
            assert not re.search(pattern, statement), f"{what}: {statement}"
    assert sum("create index concurrently" in one for one in said) >= 7


def test_writers_go_on_while_tables_are_changed_behind_a_long_reader(old: Database) -> None:
    with old.begin() as connection:
        connection.execute(text(JOBS))
    with reader(old, seconds=LOCK_TIMEOUT * 5), writer(old) as waits:
        old.upgrade()
    assert len(waits) > 10
    assert LOCK_TIMEOUT / 2 < max(waits) < LOCK_TIMEOUT * 4, "a writer waits for a change, but not for the reader"
    with old.begin() as connection:
        assert version(connection) == newest()


def test_an_upgrade_that_broke_off_is_run_again_from_where_it_was(old: Database) -> None:
    migrate(old, "0003")
    with old.begin() as connection:
        connection.execute(text("alter table job add column owner text not null default ''"))
        connection.execute(text("create index ix_job_claim on job (pin)"))
    old.upgrade()
    with old.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_an_upgrade_gives_up_on_a_table_that_stays_locked_and_says_so(old: Database) -> None:
    with psycopg.connect(url_of(old)) as holder:
        holder.execute("lock table score in access share mode")
        with pytest.raises(Infrastructure, match="End long transactions"):
            upgrade(old.engine(), patience=0.5)
    old.upgrade()


def test_two_upgrades_at_once_do_not_wait_for_each_other_in_a_circle(old: Database) -> None:
    errors: list[Exception] = []

    def run() -> None:
        other = Database(Settings(database_url=url_of(old)))
        try:
            other.upgrade()
        except Exception as error:
            errors.append(error)
        finally:
            other.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors


@pytest.mark.parametrize("ask", [Database.upgrade, Database.require_newest])
def test_tables_of_a_later_dreamline_are_refused_in_words(database: Database, ask: Any) -> None:
    with database.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(DreamlineError, match="version 9999, newer than this dreamline knows") as error:
        ask(database)
    assert "install the dreamline that upgraded it" in str(error.value)


@contextmanager
def reader(database: Database, seconds: float) -> Iterator[None]:
    """Somebody whose transaction has read `job` and stays open for a while."""
    begun, ended = threading.Event(), threading.Event()

    def read() -> None:
        with psycopg.connect(url_of(database)) as connection:
            connection.execute("select count(*) from job")
            begun.set()
            ended.wait(seconds)

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait(30)
    yield
    ended.set()
    thread.join()


@contextmanager
def writer(database: Database) -> Iterator[list[float]]:
    """Somebody who changes one job after the other; the seconds that each change took."""
    waits: list[float] = []
    ended = threading.Event()

    def write() -> None:
        with psycopg.connect(url_of(database), autocommit=True) as connection:
            number = 0
            while not ended.is_set():
                number += 1
                began = time.monotonic()
                connection.execute("update job set priority = priority + 1 where id = %s", [number % 20000 + 1])
                waits.append(time.monotonic() - began)
                time.sleep(0.01)

    thread = threading.Thread(target=write)
    thread.start()
    yield waits
    ended.set()
    thread.join()
