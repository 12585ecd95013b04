"""Runs migrations on the connection that `orchestrator.records.upgrading` hands over, each in a transaction."""

from __future__ import annotations

from alembic import context

from orchestrator.records import review_tables, work_tables
from orchestrator.records.tables import Table

connection = context.config.attributes["connection"]
# Importing a module of tables adds them to the metadata that all share.
assert review_tables.Member.metadata is work_tables.Job.metadata is Table.metadata
context.configure(connection=connection, target_metadata=Table.metadata, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
