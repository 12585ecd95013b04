"""Records: the tables of work and of what came of it - references, preparations, jobs, assets, scores, workers.

A *preparation* is a reference made ready, shared by every job that needs it; a *job* is one image, shared by every
item that asks for it.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.records import states
from orchestrator.records.tables import Table, now, one_of


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
    created_at: Mapped[datetime.datetime] = now()
    changed_at: Mapped[datetime.datetime] = now()


def _claim_indexes(table: str, ready: str) -> tuple[Index | CheckConstraint, ...]:
    order = "owner", text("priority DESC"), "attempts", "turn", "id"
    return (
        Index(f"ix_{table}_claim", "pin", *order, postgresql_where=text(ready)),
        Index(f"ix_{table}_claim_batch", "batch", *order, postgresql_where=text(ready)),
        Index(f"ix_{table}_company", "company", postgresql_where=text("company IS NOT NULL")),
        Index(f"ix_{table}_lease", "lease_until", postgresql_where=text("state = 'leased'")),
        Index(f"ix_{table}_retry", "not_before", postgresql_where=text("state = 'failed'")),
        one_of("state", states.Work),
    )


class Reference(Table):
    """A picture that was given, kept by content."""

    __tablename__ = "reference"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    size: Mapped[int]
    stored_at: Mapped[datetime.datetime] = now()


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
    at: Mapped[datetime.datetime] = now()


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
    made_at: Mapped[datetime.datetime] = now()


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
    started_at: Mapped[datetime.datetime] = now()
    seen_at: Mapped[datetime.datetime] = now()
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
    checked_at: Mapped[datetime.datetime] = now()
