"""Records: the tables of the review beside `decision`: people, attempts, leases, other tools' pictures."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, LargeBinary, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.records.tables import Table


class Member(Table):
    """A person who may use the dashboard. `campaigns` lists the names of those seen; null: all of them."""

    __tablename__ = "member"
    __table_args__ = (
        CheckConstraint("role in ('viewer', 'reviewer', 'approver', 'producer', 'admin')", name="role"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    campaigns: Mapped[list[Any] | None]
    added_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())


class SigningKey(Table):
    """The secret that the dashboard's tokens are signed with, shared by all dashboards of a database."""

    __tablename__ = "signing_key"

    name: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)


class Attempt(Table):
    """A further attempt at an item: the job that took the place of `parent_job_id`, why, and what was changed."""

    __tablename__ = "attempt"
    __table_args__ = (
        UniqueConstraint("item_id", "version"),
        Index("ix_attempt_job_id", "job_id"),
        Index("ix_attempt_parent_job_id", "parent_job_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    version: Mapped[int] = mapped_column(Integer)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    parent_job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    decision_id: Mapped[uuid.UUID | None]
    reasons: Mapped[list[Any]]
    changes: Mapped[list[Any]]
    actor: Mapped[str]
    at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())


class ReviewLease(Table):
    """Who is looking at an item, so that two reviewers don't meet."""

    __tablename__ = "review_lease"

    item_id: Mapped[int] = mapped_column(ForeignKey("item.id", ondelete="CASCADE"), primary_key=True)
    actor: Mapped[str]
    until: Mapped[datetime.datetime]


class Rival(Table):
    """A picture that another tool made for a row of a campaign's brief."""

    __tablename__ = "rival"
    __table_args__ = (UniqueConstraint("campaign_id", "tool", "row_key", "sha256"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    tool: Mapped[str]
    row_key: Mapped[str]
    sha256: Mapped[str]
    name: Mapped[str]
    added_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())


class Comparison(Table):
    """One blind judgement between an item's image and another tool's. `winner` is ours, theirs or neither."""

    __tablename__ = "comparison"
    __table_args__ = (
        CheckConstraint("winner in ('ours', 'theirs', 'neither')", name="winner"),
        Index("ix_comparison_rival_id", "rival_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    rival_id: Mapped[int] = mapped_column(ForeignKey("rival.id", ondelete="CASCADE"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    asset_sha256: Mapped[str]
    winner: Mapped[str]
    actor: Mapped[str]
    at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
