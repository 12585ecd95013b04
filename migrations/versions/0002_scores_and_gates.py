"""What a score looked at; gates on scores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    jsonb = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("score", sa.Column("crop", jsonb, nullable=True))
    op.add_column("campaign", sa.Column("gates", jsonb, server_default=sa.text("'{}'::jsonb"), nullable=False))
    op.add_column("item", sa.Column("gate", sa.Text(), server_default="none", nullable=False))
    op.add_column("item", sa.Column("gate_reasons", jsonb, server_default=sa.text("'[]'::jsonb"), nullable=False))
    # Nobody writes items while their table is read twice, some seconds for millions of them.
    op.create_check_constraint(
        op.f("ck_item_gate"), "item", "gate in ('none', 'due', 'ready', 'passed', 'last', 'held')"
    )
    op.create_index("ix_item_gate_ready", "item", ["id"], unique=False, postgresql_where=sa.text("gate = 'ready'"))


def downgrade() -> None:
    op.drop_index("ix_item_gate_ready", table_name="item")
    op.drop_constraint(op.f("ck_item_gate"), "item", type_="check")
    op.drop_column("item", "gate_reasons")
    op.drop_column("item", "gate")
    op.drop_column("campaign", "gates")
    op.drop_column("score", "crop")
