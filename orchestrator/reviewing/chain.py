"""Reviewing: the chain of a campaign's decisions: each bears the hash of the one before and of itself.

Whoever changes, removes or slips in a decision breaks the chain from there on. A tail that is cut off shows
against the items, and against any head that was exported before.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text

from core.errors import Problem

FORM = "dreamline/decision/1"
"""Names what is hashed and how, so that a later form can be told from this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One decision as it is recorded. `number` counts from 1 in a campaign."""

    id: uuid.UUID
    campaign_id: int
    number: int
    item_id: int
    version: int
    asset_sha256: str
    verdict: str
    reasons: list[str] = field(default_factory=list)
    comment: str = ""
    pins: list[Any] = field(default_factory=list)
    undoes: uuid.UUID | None = None
    milliseconds: int = 0
    actor: str
    at: datetime.datetime
    previous: str
    hash: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, times in UTC."""
        told = asdict(self)
        told["id"] = str(self.id)
        told["undoes"] = str(self.undoes) if self.undoes else None
        told["at"] = self.at.astimezone(datetime.UTC).isoformat(timespec="microseconds")
        return told

    def digest(self) -> str:
        """sha256 over everything but the hash itself, as JSON with sorted keys and no spaces."""
        told = {"form": FORM, **self.as_dict()}
        del told["hash"]
        return hashlib.sha256(
            json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        ).hexdigest()

    def sealed(self) -> Link:
        """The same with its hash."""
        return replace(self, hash=self.digest())


def origin(campaign_id: int) -> str:
    """What the first decision of a campaign has for `previous`."""
    return hashlib.sha256(f"{FORM} campaign {campaign_id}".encode()).hexdigest()


def read_chain(connection: Connection, campaign_id: int) -> Iterator[Link]:
    """A campaign's decisions in order."""
    rows = connection.execute(
        text("""
        select id, campaign_id, number, item_id, version, asset_sha256, verdict, reasons, comment, pins, undoes,
               milliseconds, actor, at, previous, hash
        from decision where campaign_id = :campaign order by number
        """),
        {"campaign": campaign_id},
        execution_options={"stream_results": True},
    )
    for row in rows:
        yield Link(**row._mapping)


def head(connection: Connection, campaign_id: int) -> tuple[int, str]:
    """Number and hash of a campaign's last decision; 0 and the origin before the first."""
    row = connection.execute(
        text("select number, hash from decision where campaign_id = :campaign order by number desc limit 1"),
        {"campaign": campaign_id},
    ).one_or_none()
    return (row.number, row.hash) if row is not None else (0, origin(campaign_id))


def verify(connection: Connection, campaign_id: int, name: str) -> tuple[int, list[Problem]]:
    """Follows the chain from its origin: how many decisions there are, and where it is broken."""
    problems = []
    previous, number = origin(campaign_id), 0
    for link in read_chain(connection, campaign_id):
        where = f"campaign {name!r}, decision {link.number} ({link.id})"
        if link.number != number + 1:
            problems.append(Problem(where, f"follows number {number}", "One or more were removed or added"))
        if link.previous != previous:
            problems.append(Problem(where, "does not follow from the one before", "One of the two was changed"))
        if link.digest() != link.hash:
            problems.append(Problem(where, "is not what was signed with its hash", "It was changed afterwards"))
        previous, number = link.hash, link.number
    return number, problems + list(_astray(connection, campaign_id, name))


def missing_head(connection: Connection, campaign_id: int, name: str, head: str) -> list[Problem]:
    """Whether a decision that an earlier export ended with is in the chain; else the problem in words."""
    found = connection.execute(
        text("select 1 from decision where campaign_id = :campaign and hash = :head"),
        {"campaign": campaign_id, "head": head},
    ).first()
    if found is not None:
        return []
    return [
        Problem(f"campaign {name!r}", f"has no decision with the hash {head}", "Decisions were cut off or changed")
    ]


def item_words(connection: Connection, campaign_id: int) -> dict[int, str]:
    """What a person calls each item of a campaign: row, variant, format and seed."""
    rows = connection.execute(
        text("select id, row_key, variant, format, seed from item where campaign_id = :campaign"),
        {"campaign": campaign_id},
    )
    return {
        row.id: " ".join([row.row_key, *map(str, row.variant.values()), row.format, f"seed {row.seed}"])
        for row in rows
    }


def _astray(connection: Connection, campaign_id: int, name: str) -> Iterator[Problem]:
    """Items that say something else than their last decision: the chain was cut, or the item changed by hand."""
    rows = connection.execute(
        text("""
        select item.id, item.verdict, last.verdict as decided, last.number,
            last.asset_sha256 <> asset.sha256 as swapped
        from item left join asset on asset.job_id = item.job_id left join lateral (
            select id, verdict, number, asset_sha256 from decision
            where item_id = item.id and version = item.version order by number desc limit 1
        ) last on true
        where item.campaign_id = :campaign and (
            item.decision_id is distinct from last.id
            or item.verdict <> coalesce(nullif(last.verdict, 'cleared'), 'open')
            or last.asset_sha256 <> asset.sha256
        ) order by item.id limit 20
        """),
        {"campaign": campaign_id},
    )
    for row in rows:
        decided = (
            f"its last decision (number {row.number}) says {row.decided}" if row.number else "nobody decided so"
        )
        what = "shows another image than was decided on" if row.swapped else f"is {row.verdict}, but {decided}"
        yield Problem(f"campaign {name!r}, item {row.id}", what, "Restore both from a backup")
