"""Runs migrations on the connection that `orchestrator.records.database` hands over."""

from __future__ import annotations

from alembic import context

from orchestrator.records import review_tables
from orchestrator.records.tables import Table

connection = context.config.attributes["connection"]
# Tables of both modules: importing the second adds its own to the metadata that they share.
assert review_tables.Member.metadata is Table.metadata
context.configure(connection=connection, target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
