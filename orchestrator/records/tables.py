"""Records: what tables have in common, and those of campaigns. Postgres is the truth; everything else can be lost.

An *item* is one cell of a campaign (row x variant x seed x format) and points to a *job*, the image that
fills it; campaigns that ask for the same image share the job. Times are the database's.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from orchestrator.records import states


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy as a plain attribute
        int: BigInteger,
        str: Text,
        float: Float,
        bool: Boolean,
        uuid.UUID: Uuid,
        datetime.datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        list[float]: JSONB,
    }


def one_of(column: str, values: Any) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)


def now() -> Mapped[datetime.datetime]:
    return mapped_column(server_default=func.now())


class Campaign(Table):
    """One brief with its state. `plan` counts how often it was planned; the text is the file as read.

    `paused_by` says what paused it: `person`, `pilot` (its pilot is made) or `rule`; `reason` says so in words.
    With `two_step` a reviewer's approval is a proposal that an approver, another person, has to confirm.
    `gates` are thresholds on scores, as the brief says them. While `pilot` is not 0 only the items of the pilot
    are made. `stop` are the rules that pause it, as the brief says them, counted from `stop_from` on (null: from
    the beginning), with the `price` of an hour (`{"hour": 2.5, "currency": "EUR"}`) as it was when it was planned.
    """

    __tablename__ = "campaign"
    __table_args__ = (one_of("state", states.Campaign),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str] = mapped_column(server_default="draft")
    reason: Mapped[str] = mapped_column(server_default="")
    paused_by: Mapped[str] = mapped_column(server_default="")
    model: Mapped[str]
    source: Mapped[str]
    gates: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    stop: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    stop_from: Mapped[datetime.datetime | None]
    price: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    text: Mapped[str]
    plan: Mapped[int] = mapped_column(Integer, server_default="0")
    priority: Mapped[int] = mapped_column(Integer, server_default="0")
    two_step: Mapped[bool] = mapped_column(server_default="false")
    pilot: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime.datetime] = now()
    changed_at: Mapped[datetime.datetime] = now()


class BriefRow(Table):
    """A row of the campaign's table, as it was when it was last planned."""

    __tablename__ = "brief_row"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    data: Mapped[dict[str, Any]]


class Item(Table):
    """One cell of a campaign.

    `version` grows when its image changes, so that what was decided about the old image says nothing about
    the new one; `brief_version` is the one with which the brief last changed it. An `obsolete` item is no longer
    asked for by the brief. `pilot` items are the sample that is made first. `gate` says how the scores of its
    image stand against the campaign's gates, and `gate_reasons` which ones it missed.
    """

    __tablename__ = "item"
    __table_args__ = (
        UniqueConstraint("campaign_id", "row_key", "variant_key", "seed", "format"),
        Index("ix_item_job_id", "job_id"),
        Index("ix_item_brief_job_id", "brief_job_id", postgresql_where=text("brief_job_id is not null")),
        Index("ix_item_gate_ready", "id", postgresql_where=text("gate = 'ready'")),
        one_of("gate", states.Gate),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    row_key: Mapped[str]
    variant_key: Mapped[str]
    variant: Mapped[dict[str, Any]]
    seed: Mapped[int]
    format: Mapped[str]
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    brief_job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    brief_version: Mapped[int] = mapped_column(Integer, server_default="1")
    verdict: Mapped[str] = mapped_column(server_default="open")
    decision_id: Mapped[uuid.UUID | None]
    pilot: Mapped[bool] = mapped_column(server_default=text("false"))
    obsolete: Mapped[bool] = mapped_column(server_default=text("false"))
    plan: Mapped[int] = mapped_column(Integer, server_default="1")
    gate: Mapped[str] = mapped_column(server_default="none")
    gate_reasons: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))


class Decision(Table):
    """What a person decided about an item's image; appended, never changed, chained by hash in a campaign.

    `pins` are remarks on places, with x and y from 0 to 1; `undoes` is the decision that this one takes back;
    `milliseconds` is how long the person looked.
    """

    __tablename__ = "decision"
    __table_args__ = (
        UniqueConstraint("campaign_id", "number"),
        one_of("verdict", ("proposed", "approved", "rejected", "cleared")),
        Index("ix_decision_item_id", "item_id", "number"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    number: Mapped[int]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    version: Mapped[int] = mapped_column(Integer)
    asset_sha256: Mapped[str]
    verdict: Mapped[str]
    reasons: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    comment: Mapped[str] = mapped_column(server_default="")
    pins: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    undoes: Mapped[uuid.UUID | None]
    milliseconds: Mapped[int] = mapped_column(Integer, server_default="0")
    actor: Mapped[str]
    at: Mapped[datetime.datetime] = now()
    previous: Mapped[str]
    hash: Mapped[str]


class Event(Table):
    """What happened, for people and for proof; appended, never changed.

    `kind` names what it happened to (`campaign.started`, `job.claimed`, `preparation.done`); `work_id` is the
    job or the preparation.
    """

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_campaign_id", "campaign_id", "id"), Index("ix_event_work_id", "work_id"))

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime.datetime] = now()
    kind: Mapped[str]
    campaign_id: Mapped[int | None]
    work_id: Mapped[int | None]
    facts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
