"""Records: the tables. Postgres is the truth; everything else can be lost.

An *item* is one cell of a campaign (row x variant x seed x format) and points to a *job*, the image that
fills it; campaigns that ask for the same image share the job. A *preparation* is a reference made ready,
shared by every job that needs it. Times are the database's.
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
    SmallInteger,
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


def _one_of(column: str, values: Any) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)


def _now() -> Mapped[datetime.datetime]:
    return mapped_column(server_default=func.now())


class Leased:
    """Columns of whatever workers claim: who has it, until when, and under which fence.

    `fence` grows by one at each claim; whoever writes a result must bring the fence of its own claim.
    `alone` work is claimed by itself, and work of one `company` together and with nothing else: it was in a batch
    that died, and something of it may be what killed the batch. `held` work is wanted by no running campaign.
    `owner` is whose share of the workers it takes, `turn` its place among all that this owner waits for.
    """

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    pin: Mapped[str]
    batch: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="queued")
    priority: Mapped[int] = mapped_column(Integer, server_default="0")
    held: Mapped[bool] = mapped_column(server_default=text("true"))
    alone: Mapped[bool] = mapped_column(server_default=text("false"))
    company: Mapped[int | None]
    owner: Mapped[str] = mapped_column(server_default="")
    turn: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    fence: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime.datetime | None]
    not_before: Mapped[datetime.datetime | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime.datetime] = _now()
    changed_at: Mapped[datetime.datetime] = _now()


def _claim_indexes(table: str, ready: str) -> tuple[Index | CheckConstraint, ...]:
    order = "owner", text("priority DESC"), "attempts", "turn", "id"
    return (
        Index(f"ix_{table}_claim", "pin", *order, postgresql_where=text(ready)),
        Index(f"ix_{table}_claim_batch", "batch", *order, postgresql_where=text(ready)),
        Index(f"ix_{table}_company", "company", postgresql_where=text("company IS NOT NULL")),
        Index(f"ix_{table}_lease", "lease_until", postgresql_where=text("state = 'leased'")),
        Index(f"ix_{table}_retry", "not_before", postgresql_where=text("state = 'failed'")),
        _one_of("state", states.Work),
    )


class Campaign(Table):
    """One brief with its state. `plan` counts how often it was planned; the text is the file as read.

    `paused_by` says what paused it: `person`, `pilot` (its pilot is made) or `rule`; `reason` says so in words.
    With `two_step` a reviewer's approval is a proposal that an approver, another person, has to confirm.
    `gates` are thresholds on scores, as the brief says them. While `pilot` is not 0 only the items of the pilot
    are made. `stop` are the rules that pause it, as the brief says them, counted from `stop_from` on (null: from
    the beginning), with the `price` of an hour (`{"hour": 2.5, "currency": "EUR"}`) as it was when it was planned.
    """

    __tablename__ = "campaign"
    __table_args__ = (_one_of("state", states.Campaign),)

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
    created_at: Mapped[datetime.datetime] = _now()
    changed_at: Mapped[datetime.datetime] = _now()


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
        Index("ix_item_gate_ready", "id", postgresql_where=text("gate = 'ready'")),
        _one_of("gate", states.Gate),
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


class Reference(Table):
    """A picture that was given, kept by content."""

    __tablename__ = "reference"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    size: Mapped[int]
    stored_at: Mapped[datetime.datetime] = _now()


class Preparation(Leased, Table):
    """A reference made ready by its kind's plugin; `result` and `mask` are contents of the store."""

    __tablename__ = "preparation"
    __table_args__ = (
        *_claim_indexes("preparation", "state = 'queued' AND NOT held"),
        Index("ix_preparation_reference_sha256", "reference_sha256"),
    )

    reference_sha256: Mapped[str] = mapped_column(ForeignKey("reference.sha256"))
    model: Mapped[str]
    spec: Mapped[dict[str, Any]]
    result: Mapped[str | None]
    mask: Mapped[str | None]
    warnings: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    facts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class Job(Leased, Table):
    """One image. `key` hashes all that decides its pixels; `waiting` counts preparations not yet done."""

    __tablename__ = "job"
    __table_args__ = (
        *_claim_indexes("job", "state = 'queued' AND NOT held AND waiting = 0"),
        Index("ix_job_open", "id", postgresql_where=text("state IN ('queued', 'leased', 'failed')")),
    )

    model: Mapped[str]
    request: Mapped[dict[str, Any]]
    pinned: Mapped[dict[str, Any]]
    waiting: Mapped[int] = mapped_column(SmallInteger, server_default="0")


class Share(Table):
    """What an owner has had of the workers that can do a pin, in pieces of work.

    Start-time fair queueing: who is claimed for next starts at the larger of what it has been `served` and the
    latest `start` of anybody at this pin, so that nobody saves up a share while asking for nothing. `turn` is the
    latest turn that was claimed: new work of this owner takes its turns from there.
    """

    __tablename__ = "share"

    pin: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    served: Mapped[int] = mapped_column(server_default="0")
    start: Mapped[int] = mapped_column(server_default="0")
    turn: Mapped[int] = mapped_column(server_default="0")
    at: Mapped[datetime.datetime] = _now()


class JobReference(Table):
    """Which preparation is a job's k-th reference (k from 1, as in `[ref#k]`)."""

    __tablename__ = "job_reference"
    __table_args__ = (Index("ix_job_reference_preparation_id", "preparation_id"),)

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    preparation_id: Mapped[int] = mapped_column(ForeignKey("preparation.id"))


class Asset(Table):
    """The file that a job became. One row a job: nothing can be recorded twice.

    `look` is a 64-bit difference hash of the picture: near-duplicates differ in few bits.
    """

    __tablename__ = "asset"
    __table_args__ = (Index("ix_asset_sha256", "sha256"), Index("ix_asset_made_at", "made_at"))

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    sha256: Mapped[str]
    size: Mapped[int]
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    media_type: Mapped[str]
    facts: Mapped[dict[str, Any]]
    look: Mapped[int | None]
    fence: Mapped[int]
    worker: Mapped[uuid.UUID]
    seconds: Mapped[float]
    made_at: Mapped[datetime.datetime] = _now()


class Score(Table):
    """A number that a plugin gave to an asset; `crop` is the part that was looked at, as shares of its sides."""

    __tablename__ = "score"

    job_id: Mapped[int] = mapped_column(ForeignKey("asset.job_id", ondelete="CASCADE"), primary_key=True)
    plugin: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]
    compared: Mapped[str]
    higher_is_better: Mapped[bool]
    crop: Mapped[list[float] | None]


class Decision(Table):
    """What a person decided about an item's image; appended, never changed, chained by hash in a campaign.

    `pins` are remarks on places, with x and y from 0 to 1; `undoes` is the decision that this one takes back;
    `milliseconds` is how long the person looked.
    """

    __tablename__ = "decision"
    __table_args__ = (
        UniqueConstraint("campaign_id", "number"),
        _one_of("verdict", ("proposed", "approved", "rejected", "cleared")),
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
    at: Mapped[datetime.datetime] = _now()
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
    at: Mapped[datetime.datetime] = _now()
    kind: Mapped[str]
    campaign_id: Mapped[int | None]
    work_id: Mapped[int | None]
    facts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class Worker(Table):
    """One life of a worker process. A restart is another row, whatever its host and process id.

    `busy` are the seconds that its generator was at work, `idle` those that it waited between two batches.
    """

    __tablename__ = "worker"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    process: Mapped[int]
    queue: Mapped[str]
    pins: Mapped[list[Any]]
    started_at: Mapped[datetime.datetime] = _now()
    seen_at: Mapped[datetime.datetime] = _now()
    stopped_at: Mapped[datetime.datetime | None]
    busy: Mapped[float] = mapped_column(server_default="0")
    idle: Mapped[float] = mapped_column(server_default="0")


class ModelFile(Table):
    """The hash of a model's file, as `dreamline models check` last found it; plans pin these."""

    __tablename__ = "model_file"

    card: Mapped[str] = mapped_column(primary_key=True)
    file: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    size: Mapped[int]
    checked_at: Mapped[datetime.datetime] = _now()
