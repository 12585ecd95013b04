"""Whose turn it is, who was claimed together, how busy a worker was, and which item a former job belonged to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import steps

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

READY = {
    "job": "state = 'queued' and not held and waiting = 0",
    "preparation": "state = 'queued' and not held",
}


def upgrade() -> None:
    steps.add_column("worker", "busy", "double precision not null default 0")
    steps.add_column("worker", "idle", "double precision not null default 0")
    op.create_table(
        "share",
        sa.Column("pin", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("served", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("start", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("turn", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("pin", "owner", name=op.f("pk_share")),
        if_not_exists=True,
    )
    for table in READY:
        steps.add_column(table, "owner", "text not null default ''")
        steps.add_column(table, "turn", "bigint not null default 0")
        steps.add_column(table, "company", "bigint")
    for table, ready in READY.items():
        order = "owner, priority desc, attempts, turn, id"
        steps.add_index(table, f"ix_{table}_claim", f"pin, {order}", where=ready)
        steps.add_index(table, f"ix_{table}_claim_batch", f"batch, {order}", where=ready)
        steps.add_index(table, f"ix_{table}_company", "company", where="company is not null")
        steps.drop_index(f"ix_{table}_ready")
        steps.drop_index(f"ix_{table}_ready_batch")

    steps.add_index("item", "ix_item_brief_job_id", "brief_job_id", where="brief_job_id is not null")


def downgrade() -> None:
    op.drop_index("ix_item_brief_job_id", table_name="item", if_exists=True)
    for table, ready in READY.items():
        for name, first in (("ready", "pin"), ("ready_batch", "batch")):
            columns = [sa.text(part) for part in (first, "priority DESC", "attempts", "id")]
            op.create_index(f"ix_{table}_{name}", table, columns, postgresql_where=sa.text(ready))
        for name in ("company", "claim_batch", "claim"):
            op.drop_index(f"ix_{table}_{name}", table_name=table)
        for column in ("company", "turn", "owner"):
            op.drop_column(table, column)
    op.drop_table("share")
    op.drop_column("worker", "idle")
    op.drop_column("worker", "busy")
