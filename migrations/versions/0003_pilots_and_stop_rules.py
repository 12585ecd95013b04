"""Who a campaign belongs to, its pilot, its stop rules and what they reckon with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Constant defaults: no table is rewritten or scanned, and locks last for an instant.
    jsonb = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("campaign", sa.Column("owner", sa.Text(), server_default="", nullable=False))
    op.add_column("campaign", sa.Column("paused_by", sa.Text(), server_default="", nullable=False))
    op.add_column("campaign", sa.Column("pilot", sa.Integer(), server_default="0", nullable=False))
    op.add_column("campaign", sa.Column("stop", jsonb, server_default=sa.text("'{}'::jsonb"), nullable=False))
    op.add_column("campaign", sa.Column("stop_from", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaign", sa.Column("price", jsonb, server_default=sa.text("'{}'::jsonb"), nullable=False))
    op.add_column("item", sa.Column("pilot", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("item", sa.Column("brief_version", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    op.drop_column("item", "brief_version")
    op.drop_column("item", "pilot")
    op.drop_column("campaign", "price")
    op.drop_column("campaign", "stop_from")
    op.drop_column("campaign", "stop")
    op.drop_column("campaign", "pilot")
    op.drop_column("campaign", "paused_by")
    op.drop_column("campaign", "owner")
