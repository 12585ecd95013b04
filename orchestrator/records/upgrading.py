"""Records: bringing the tables to this version of dreamline while others work.

Each migration is a transaction of its own, and what would keep writers away for long runs outside of any
(`migrations.steps`). A lock that can't be had soon is asked for again, so that nobody queues behind a request that
waits for a long transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from core.errors import DreamlineError, Infrastructure
from orchestrator.records.database import UPGRADE_LOCK, alembic_config, newest, version

log = logging.getLogger("dreamline.database")

LOCK_TIMEOUT = 1.0
"""Seconds that a statement waits for a lock that keeps writers away, and that writers may wait behind it."""

PATIENCE = 120.0
"""Seconds after which an upgrade gives up waiting for others' transactions or for another upgrade."""

LOCK_NOT_AVAILABLE = "55P03"


def upgrade(engine: Engine, patience: float = PATIENCE) -> None:
    """Runs the migrations that are missing; several processes may try at once.

    Raises:
        DreamlineError: the tables are newer than this dreamline.
        Infrastructure: a transaction of others kept a table locked for longer than `patience` seconds.
    """
    until = time.monotonic() + patience
    with engine.connect() as connection, _alone(connection, until):
        found = version(connection)
        connection.rollback()
        refuse_newer(found)
        while found != newest():
            try:
                _migrate(connection)
                return
            except OperationalError as error:
                connection.rollback()
                if getattr(error.orig, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                    raise
                if time.monotonic() > until:
                    raise Infrastructure(
                        f"the tables could not be changed: others held a lock for {patience:.0f} s. "
                        "End long transactions (pg_stat_activity shows them) and run `dreamline db upgrade` again"
                    ) from error
                log.info("a table is in use: its change is tried again")
                time.sleep(LOCK_TIMEOUT)


def refuse_newer(found: str | None) -> None:
    """Refuses tables that a later dreamline has changed.

    Raises:
        DreamlineError: saying what to install.
    """
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    if found is not None and found not in known:
        raise DreamlineError(
            f"the database has tables of version {found}, newer than this dreamline knows ({newest()}): "
            "install the dreamline that upgraded it, or a later one, on this machine too"
        )


def _migrate(connection: Connection) -> None:
    connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}s'"))
    connection.commit()
    try:
        command.upgrade(alembic_config(connection), "head")
    finally:
        connection.rollback()
        connection.execute(text("reset lock_timeout"))
        connection.commit()


@contextmanager
def _alone(connection: Connection, until: float) -> Iterator[None]:
    """One upgrade at a time.

    Asked for again and again, never waited for: whoever waits holds a snapshot, and an index that is built beside
    the writers waits for the end of every older snapshot.
    """
    lock, free = {"lock": UPGRADE_LOCK}, text("select pg_try_advisory_lock(:lock)")
    while not connection.execute(free, lock).scalar_one():
        connection.rollback()
        if time.monotonic() > until:
            raise Infrastructure("another process is upgrading the tables: try again when it is done")
        time.sleep(0.1)
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(:lock)"), lock)
        connection.commit()
