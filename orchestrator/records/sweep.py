"""Records: deleting files that no row names, some at a time, so that nobody waits for long."""

from __future__ import annotations

import time
from collections.abc import Collection

from sqlalchemy import Connection, text

from orchestrator.records.database import SWEEP_LOCK, Database
from orchestrator.records.storage import Storage

FILES_AT_ONCE = 20
"""Files that are deleted before the lock is let go."""

SECONDS = 2.0
"""For which it is held at most, give or take one file: workers that wait for it don't renew their leases."""


def sweep(database: Database, store: Storage, files: Collection[str]) -> set[str]:
    """Deletes those of the files that no row names; returns which.

    Rows that named them have to be gone by a COMMIT, so that an interruption leaves files without a row and never
    rows without a file. Whether a row names a file is asked under the lock that no result is recorded across.

    Raises:
        Infrastructure: the store failed; files before that are gone.
    """
    left, gone = sorted(files, reverse=True), set[str]()
    while left:
        with database.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": SWEEP_LOCK})
            until = time.monotonic() + SECONDS
            named = _find_named(connection, left[-FILES_AT_ONCE:])
            for _ in range(min(FILES_AT_ONCE, len(left))):
                sha256 = left.pop()
                if sha256 not in named:
                    store.delete(sha256)
                    gone.add(sha256)
                if time.monotonic() > until:
                    break
    return gone


def _find_named(connection: Connection, files: Collection[str]) -> set[str]:
    """Those of the files that some row names."""
    return set(connection.execute(text(_select("= any(:files)")), {"files": list(files)}).scalars())


def read_named(connection: Connection) -> set[str]:
    """Every file that some row names."""
    return set(connection.execute(text(_select("is not null"))).scalars())


_COLUMNS = (
    ("reference", "sha256"),
    ("preparation", "result"),
    ("preparation", "mask"),
    ("asset", "sha256"),
    ("decision", "asset_sha256"),
    ("comparison", "asset_sha256"),
    ("rival", "sha256"),
)
"""Every column that names a file, by table."""


def _select(condition: str) -> str:
    """Files that such columns name."""
    parts = (f"select {column} from {table} where {column} {condition}" for table, column in _COLUMNS)  # noqa: S608
    return " union ".join(parts)
