"""Operating: work that has not ended, by what it asks for and why it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, text


@dataclass(frozen=True, slots=True)
class Ready:
    """`number` pieces of work of a queue that a worker with `pin` could claim, the oldest for `oldest` seconds."""

    queue: str
    pin: str
    number: int
    oldest: float


def read_open(connection: Connection) -> Sequence[Row[tuple[str, str, str, int, str, float]]]:
    """Open work by `queue`, `model`, `pin` and `state`: how many, and seconds since the oldest changed."""
    return connection.execute(text(_OPEN)).all()


def read_ready(connection: Connection) -> list[Ready]:
    """What could be claimed, by queue and pin."""
    found: dict[tuple[str, str], Ready] = {}
    for row in read_open(connection):
        if row.state == "ready":
            key = row.queue, row.pin
            so_far = found.get(key, Ready(*key, 0, 0.0))
            found[key] = Ready(*key, so_far.number + row.number, max(so_far.oldest, row.oldest))
    return [found[key] for key in sorted(found)]


_OPEN = """
select 'gpu' as queue, model, pin, count(*) as number,
    case when state <> 'queued' then state when held then 'held' when waiting > 0 then 'waiting' else 'ready' end
        as state,
    extract(epoch from clock_timestamp() - min(changed_at))::float8 as oldest
from job where state in ('queued', 'leased', 'failed') group by 1, 2, 3, 5
union all
select 'cpu', model, pin, count(*),
    case when state <> 'queued' then state when held then 'held' else 'ready' end,
    extract(epoch from clock_timestamp() - min(changed_at))::float8
from preparation where state in ('queued', 'leased', 'failed') group by 1, 2, 3, 5
"""
