"""Records: one engine a process, sessions, and the patience that a restarting Postgres asks for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InvalidatePoolError,
    NoSuchModuleError,
    OperationalError,
)

import migrations
from core.errors import BadInput, DreamlineError, Infrastructure
from core.settings import Settings
from orchestrator.records import embedded


class DatabaseAway(Infrastructure):
    """Postgres can't be reached or broke off; whether a COMMIT under way was kept is unknown."""


FRESH = 1.0
"""Seconds after its last use for which a connection is taken without asking whether its server is still there."""

log = logging.getLogger("dreamline.database")
Answer = TypeVar("Answer")

UPGRADE_LOCK = 7_310_001
VERBS_LOCK = 7_310_002
SWEEP_LOCK = 7_310_003
"""Advisory locks: one migration at a time, one verb on campaigns at a time, no sweep between a result's file
and its row."""


class Database:
    """The way to Postgres: `with database.begin() as connection`, one transaction each.

    `silence` is how many seconds a transaction may wait for its next statement before Postgres ends it, None for
    ever. Workers say one: what they have locked must not stay locked for others when their network is gone.
    """

    def __init__(self, settings: Settings, silence: float | None = None) -> None:
        self._settings = settings
        self._silence = silence
        self._engine: Engine | None = None
        self._url = ""
        self._reached = False

    def engine(self) -> Engine:
        """The engine; with nothing configured it makes sure that the embedded Postgres runs.

        After a failure that is asked again: the server may have come back elsewhere.
        """
        if self._engine is not None and self._reached:
            return self._engine
        url = self._settings.database_url or embedded.ensure_running(self._settings.home)
        if self._engine is None or url != self._url:
            self.close()
            self._url = url
            self._engine = _make_engine(url, self._silence)
        self._reached = True
        return self._engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction.

        Raises:
            DatabaseAway: the caller reads by key before anything else.
        """
        with self._failing(), self.engine().begin() as connection:
            yield connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Says of what breaks inside that it was the database."""
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            self._reached = False
            raise DatabaseAway(f"the database failed: {_first_line(error)}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                self._reached = False
                raise DatabaseAway(f"the connection to the database broke: {_first_line(error)}") from error
            raise

    def patiently(self, work: Callable[[Connection], Answer], seconds: float = 60.0) -> Answer:
        """Runs `work` in a transaction, again while the database can't be reached.

        For work that may run twice: reads, and compare-and-sets.
        """
        deadline = time.monotonic() + seconds
        pause, warned = 0.1, False
        while True:
            try:
                with self.begin() as connection:
                    return work(connection)
            except DatabaseAway as error:
                if time.monotonic() > deadline:
                    raise
                log.log(logging.INFO if warned else logging.WARNING, "waiting for the database: %s", error)
                warned = True
                time.sleep(pause)
                pause = min(2.0, pause * 2)

    def close(self) -> None:
        """Closes all connections of this process."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def upgrade(self) -> None:
        """Brings the tables to this version of dreamline, beside others' work; several may try at once.

        Raises:
            DreamlineError: the tables are newer than this dreamline.
            DatabaseAway: Postgres can't be reached.
        """
        from orchestrator.records.upgrading import refuse_newer, upgrade

        with self.begin() as connection:
            found = version(connection)
        refuse_newer(found)
        if found != newest():
            with self._failing():
                upgrade(self.engine())

    def require_newest(self) -> None:
        """Refuses to go on with tables of another version.

        Raises:
            DreamlineError: saying which versions met and what mends it.
        """
        from orchestrator.records.upgrading import refuse_newer

        found = self.patiently(version)
        refuse_newer(found)
        if found != newest():
            raise DreamlineError(
                f"the database has tables of version {found or 'none'}, this dreamline wants {newest()}: "
                "run `dreamline db upgrade`"
            )


def version(connection: Connection) -> str | None:
    """The migration that the database is at, None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The newest migration that this dreamline brings."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None
    return head


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, with the connection that migrations run on."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _make_engine(url: str, silence: float | None) -> Engine:
    try:
        engine = create_engine(
            _with_driver(url),
            pool_size=4,
            connect_args={
                "connect_timeout": 10,
                "application_name": "dreamline",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                # Keepalives find out about a silent server only while nothing is on the way to it; without this
                # a COMMIT that was sent into a dead network would be waited for for a quarter of an hour.
                "tcp_user_timeout": 25_000,
            },
        )
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadInput.at(
            "environment variable DREAMLINE_DATABASE_URL",
            f"can't be read ({_first_line(error)})",
            "Say postgresql://user:password@host:5432/name",
        ) from error
    if silence is not None:
        event.listen(engine, "connect", lambda line, _: _bound_silence(line, silence))
    for moment in ("connect", "checkin"):
        event.listen(engine, moment, lambda _, record: record.info.update(used=time.monotonic()))
    event.listen(engine, "checkout", lambda line, record, _: _ask_whether_there(engine, line, record))
    return engine


def _ask_whether_there(engine: Engine, line: Any, record: Any) -> None:
    """A connection that nobody used for a while may have lost its server; one in use would break as well."""
    if time.monotonic() - record.info["used"] > FRESH:
        try:
            engine.dialect.do_ping(line)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _bound_silence(line: Any, seconds: float) -> None:
    """A statement rather than an option of the connection: poolers of connections take no options."""
    with line.cursor() as cursor:
        cursor.execute(f"set idle_in_transaction_session_timeout = {round(seconds * 1000)}")
    line.commit()


def _with_driver(url: str) -> str:
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0]
