"""What a score looked at; gates on scores."""

from __future__ import annotations

from alembic import op

from migrations import steps

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    steps.add_column("score", "crop", "jsonb")
    steps.add_column("campaign", "gates", "jsonb not null default '{}'::jsonb")
    steps.add_column("item", "gate", "text not null default 'none'")
    steps.add_column("item", "gate_reasons", "jsonb not null default '[]'::jsonb")
    steps.add_check("item", "ck_item_gate", "gate in ('none', 'due', 'ready', 'passed', 'last', 'held')")
    steps.add_index("item", "ix_item_gate_ready", "id", where="gate = 'ready'")


def downgrade() -> None:
    op.drop_index("ix_item_gate_ready", table_name="item")
    op.drop_constraint(op.f("ck_item_gate"), "item", type_="check")
    op.drop_column("item", "gate_reasons")
    op.drop_column("item", "gate")
    op.drop_column("campaign", "gates")
    op.drop_column("score", "crop")
