"""Who a campaign belongs to, its pilot, its stop rules and what they reckon with."""

from __future__ import annotations

from alembic import op

from migrations import steps

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    steps.add_column("campaign", "owner", "text not null default ''")
    steps.add_column("campaign", "paused_by", "text not null default ''")
    steps.add_column("campaign", "pilot", "integer not null default 0")
    steps.add_column("campaign", "stop", "jsonb not null default '{}'::jsonb")
    steps.add_column("campaign", "stop_from", "timestamp with time zone")
    steps.add_column("campaign", "price", "jsonb not null default '{}'::jsonb")
    steps.add_column("item", "pilot", "boolean not null default false")
    steps.add_column("item", "brief_version", "integer not null default 1")


def downgrade() -> None:
    op.drop_column("item", "brief_version")
    op.drop_column("item", "pilot")
    for column in ("price", "stop_from", "stop", "pilot", "paused_by", "owner"):
        op.drop_column("campaign", column)
