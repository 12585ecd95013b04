"""Operating: which workers are alive, which went without signing off, and what the live ones can do."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from core.settings import Settings

REMEMBERED = 86_400.0
"""Seconds for which a worker that went is spoken of."""


@dataclass(frozen=True, slots=True)
class Hand:
    """One worker's life for one queue. `silent` is seconds since it last signed on; `leased` is what it holds."""

    id: uuid.UUID
    host: str
    process: int
    queue: str
    pins: frozenset[str]
    silent: float
    leased: int
    alive: bool


def read_crew(connection: Connection, settings: Settings) -> list[Hand]:
    """Workers that did not sign off, apart from those that are long gone.

    A worker signs on whenever it looks for work, and renews its leases while it works: one that has done neither
    for several polls is gone.
    """
    rows = connection.execute(
        text("""
        select w.id, host, process, queue, pins, silent, leased, leased > 0 or silent < :patience as alive
        from worker w cross join lateral (
            select extract(epoch from clock_timestamp() - w.seen_at)::float8 as silent,
                (select count(*) from job where job.worker = w.id
                    and state = 'leased' and lease_until > clock_timestamp())
                + (select count(*) from preparation where preparation.worker = w.id
                    and state = 'leased' and lease_until > clock_timestamp()) as leased
        ) seen
        where stopped_at is null and silent < :remembered
        order by queue, host, process, started_at
        """),
        {"patience": patience(settings), "remembered": REMEMBERED},
    )
    return [Hand(**{**row._mapping, "pins": frozenset(row.pins)}) for row in rows]


def patience(settings: Settings) -> float:
    """Seconds of silence after which an idle worker counts as gone."""
    return max(60.0, 4 * settings.poll_seconds)


def able(crew: Iterable[Hand]) -> frozenset[str]:
    """The pins that live workers have."""
    return frozenset(pin for hand in crew if hand.alive for pin in hand.pins)
