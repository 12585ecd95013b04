"""The steps that migrations of tables in use are made of: none keeps writers away for longer than an instant.

What has to read a whole table runs without a lock that writers meet, and outside of a transaction. What changes a
table's definition asks for its lock for at most `LOCK_TIMEOUT` (`orchestrator.records.upgrading`): whoever queues
behind the request waits no longer than that. Every step can be run again after a migration that broke off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op


def add_column(table: str, column: str, definition: str) -> None:
    """Adds a column. `definition` is its type and a constant default: the table is neither read nor rewritten."""
    op.execute(f"alter table {table} add column if not exists {column} {definition}")


def add_check(table: str, name: str, condition: str) -> None:
    """Adds a check that holds for new rows at once; old rows are read without keeping anybody from writing."""
    op.execute(f"alter table {table} drop constraint if exists {name}")
    op.execute(f"alter table {table} add constraint {name} check ({condition}) not valid")
    with op.get_context().autocommit_block():
        op.execute(f"alter table {table} validate constraint {name}")


def add_index(table: str, name: str, columns: str, where: str = "") -> None:
    """Builds an index beside the writers; what an attempt that broke off left is built anew."""
    condition = f" where {where}" if where else ""
    with _beside_writers():
        op.execute(f"drop index concurrently if exists {name}")
        op.execute(f"create index concurrently {name} on {table} ({columns}){condition}")


def drop_index(name: str) -> None:
    """Drops an index once nobody reads it any more."""
    with _beside_writers():
        op.execute(f"drop index concurrently if exists {name}")


@contextmanager
def _beside_writers() -> Iterator[None]:
    """Outside of a transaction, and with all the time that older transactions take: nobody waits for this."""
    with op.get_context().autocommit_block():
        before = op.get_bind().exec_driver_sql("show lock_timeout").scalar_one()
        op.execute("set lock_timeout = 0")
        yield
        op.execute(f"set lock_timeout = '{before}'")
