"""Working: who may do what, until when. Claim, renew, finish, fail, give back.

The rules of `docs/reliability.md`: a claim is a row lock, a lease by the database's clock and a fence that
grows; whoever writes brings the fence of its claim, and a write that changes no row is thrown away.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

from orchestrator.records.plain_json import to_json

Table = Literal["job", "preparation"]

Outcome = Literal["done", "already", "lost"]

READY: Mapping[Table, str] = {
    "job": "state = 'queued' and not held and waiting = 0",
    "preparation": "state = 'queued' and not held",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One piece of work that is this worker's until its lease ends. `attempt` counts from 1."""

    id: int
    key: str
    fence: int
    attempt: int
    pin: str
    alone: bool


def claim(
    connection: Connection, table: Table, worker: uuid.UUID, pins: Sequence[str], limit: int, lease: float
) -> list[Claim]:
    """Takes the first ready work that asks for one of `pins`, and up to `limit` of the same batch.

    The attempt is counted here, so that a worker that is killed has used it up.
    """
    ready, order = READY[table], "priority desc, attempts, id"
    rows = connection.execute(
        text(f"""
        with head as materialized (
            select first.* from unnest(cast(:pins as text[])) as wanted cross join lateral (
                select id, batch, alone, priority, attempts from {table}
                where {ready} and pin = wanted order by {order} limit 1 for update skip locked
            ) first order by {order} limit 1
        ), mates as materialized (
            select id from {table}
            where {ready} and not alone and batch = (select batch from head where not alone)
                and id <> (select id from head)
            order by {order} limit :mates for update skip locked
        )
        update {table} set state = 'leased', attempts = attempts + 1, fence = fence + 1, worker = :worker,
            lease_until = clock_timestamp() + make_interval(secs => :lease), changed_at = now()
        where id in (select id from head union all select id from mates)
        returning id, key, fence, attempts as attempt, pin, alone
        """),  # noqa: S608 - a table of ours
        {"pins": list(pins), "mates": limit - 1, "worker": worker, "lease": lease},
    )
    found = sorted((Claim(**row._mapping) for row in rows), key=lambda one: one.id)
    _note(connection, table, "claimed", found, {"worker": str(worker)})
    return found


def renew(
    connection: Connection, table: Table, worker: uuid.UUID, claims: Sequence[Claim], lease: float
) -> set[int]:
    """Prolongs the leases that are still this worker's; returns their ids. What is missing was lost."""
    _lock(connection, table, [one.id for one in claims])
    rows = connection.execute(
        text(f"""
        update {table} set lease_until = clock_timestamp() + make_interval(secs => :lease)
        from {_OURS} where {table}.id = ours.id and {table}.fence = ours.fence
            and state = 'leased' and worker = :worker
        returning {table}.id
        """),  # noqa: S608 - a table of ours
        {**_ours(claims), "worker": worker, "lease": lease},
    )
    return {row.id for row in rows}


def finish(connection: Connection, table: Table, claim: Claim) -> Outcome:
    """Turns leased work into done work, unless it is no longer this claim's: then nothing is changed.

    `already` is the answer to a second call after a COMMIT whose outcome was unknown.
    """
    changed = connection.execute(
        text(f"""
        update {table} set state = 'done', lease_until = null, error = null, changed_at = now()
        where id = :id and fence = :fence and state = 'leased'
        """),  # noqa: S608 - a table of ours
        {"id": claim.id, "fence": claim.fence},
    )
    if changed.rowcount:
        _note(connection, table, "done", [claim], {})
        return "done"
    query = f"select state = 'done' and fence = :fence from {table} where id = :id"  # noqa: S608
    before = connection.execute(text(query), {"id": claim.id, "fence": claim.fence}).scalar_one_or_none()
    return "already" if before else "lost"


def give_back(connection: Connection, table: Table, claims: Sequence[Claim]) -> None:
    """Returns work that was not begun or can't be ended here; the attempt does not count."""
    _lock(connection, table, [one.id for one in claims])
    rows = connection.execute(
        text(f"""
        update {table} set state = 'queued', attempts = attempts - 1, lease_until = null, worker = null,
            changed_at = now()
        from {_OURS} where {table}.id = ours.id and {table}.fence = ours.fence and state = 'leased'
        returning {table}.id
        """),  # noqa: S608 - a table of ours
        _ours(claims),
    )
    changed = {row.id for row in rows}
    _note(connection, table, "given back", [one for one in claims if one.id in changed], {})


def fail(
    connection: Connection,
    table: Table,
    claim: Claim,
    error: Mapping[str, Any],
    *,
    retry_in: float | None,
    alone: bool = False,
) -> bool:
    """Records why work failed: to be tried again after `retry_in` seconds, or dead when that is None."""
    changed = connection.execute(
        text(f"""
        update {table} set state = :state, error = cast(:error as jsonb), lease_until = null, worker = null,
            not_before = now() + make_interval(secs => :retry), alone = alone or :alone, changed_at = now()
        where id = :id and fence = :fence and state = 'leased'
        """),  # noqa: S608 - a table of ours
        {
            "state": "dead" if retry_in is None else "failed",
            "error": to_json(error),
            "retry": retry_in or 0.0,
            "alone": alone,
            "id": claim.id,
            "fence": claim.fence,
        },
    )
    if changed.rowcount:
        _note(connection, table, "dead" if retry_in is None else "failed", [claim], {"error": dict(error)})
        if retry_in is None and table == "preparation":
            end_dependents(connection, [claim.id])
    return bool(changed.rowcount)


def let_dependents_go(connection: Connection, preparation: int) -> int:
    """After a preparation is done: its jobs wait for one less. Returns how many became ready."""
    _lock_dependents(connection, [preparation])
    ready = connection.execute(
        text("""
        with less as (
            update job set waiting = waiting - uses.count, changed_at = now()
            from (select job_id, count(*) as count from job_reference
                  where preparation_id = :preparation group by job_id) uses
            where job.id = uses.job_id
            returning job.waiting, job.held, job.state
        ) select count(*) from less where waiting = 0 and not held and state = 'queued'
        """),
        {"preparation": preparation},
    )
    return int(ready.scalar_one())


def end_dependents(connection: Connection, preparations: Sequence[int]) -> None:
    """After preparations died: the jobs that need them are dead too, with the preparation's error."""
    _lock_dependents(connection, preparations)
    connection.execute(
        text("""
        with ended as (
            update job set state = 'dead', error = cause.error, changed_at = now()
            from (select distinct on (r.job_id) r.job_id, p.error from job_reference r
                  join preparation p on p.id = r.preparation_id
                  where p.id = any(:preparations) order by r.job_id, r.position) cause
            where job.id = cause.job_id and job.state in ('queued', 'failed')
            returning job.id, cause.error
        )
        insert into event (kind, work_id, facts)
        select 'job.dead', id, jsonb_build_object('error', error) from ended
        """),
        {"preparations": list(preparations)},
    )


def _lock(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Locks rows in the order of their ids, as all do who change several: no two wait for each other."""
    rows = f"select id from {table} where id = any(:ids) order by id for no key update"  # noqa: S608 - a table of ours
    connection.execute(text(f"select count(*) from ({rows}) locked"), {"ids": list(ids)})  # noqa: S608


def _lock_dependents(connection: Connection, preparations: Sequence[int]) -> None:
    """Locks the jobs that need these preparations; the caller holds the preparations."""
    connection.execute(
        text("""
        select count(*) from (
            select id from job where id in (
                select job_id from job_reference where preparation_id = any(:preparations)
            ) order by id for no key update
        ) locked
        """),
        {"preparations": list(preparations)},
    )


_OURS = "unnest(cast(:ids as bigint[]), cast(:fences as bigint[])) as ours (id, fence)"


def _ours(claims: Sequence[Claim]) -> dict[str, list[int]]:
    return {"ids": [one.id for one in claims], "fences": [one.fence for one in claims]}


def _note(
    connection: Connection, table: Table, what: str, claims: Sequence[Claim], facts: Mapping[str, Any]
) -> None:
    if claims:
        connection.execute(
            text(f"""
            insert into event (kind, work_id, facts)
            select :kind, ours.id, jsonb_build_object('fence', ours.fence) || cast(:facts as jsonb) from {_OURS}
            """),  # noqa: S608 - a constant of ours
            {"kind": f"{table}.{what}", "facts": to_json(facts), **_ours(claims)},
        )
