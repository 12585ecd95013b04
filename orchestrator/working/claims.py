"""Working: who may do what, until when. Claim, renew, review, finish, fail, give back.

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
from orchestrator.working.dependents import end_dependents

Table = Literal["job", "preparation"]

Outcome = Literal["done", "already", "lost"]

READY: Mapping[Table, str] = {
    "job": "state = 'queued' and not held and waiting = 0",
    "preparation": "state = 'queued' and not held",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One piece of work that is this worker's until its lease ends.

    `attempt` counts from 1. `alone` work was claimed by itself on purpose; work of a `company` with it alone.
    `outages` is how often in a row the infrastructure has failed it; these attempts were not counted.
    """

    id: int
    key: str
    fence: int
    attempt: int
    pin: str
    batch: str
    alone: bool
    company: int | None = None
    outages: int = 0


@dataclass(frozen=True, slots=True)
class Liking:
    """What a worker would rather go on with: the pin whose model it holds, then the batch that it made last.

    An empty `pin` likes nothing: whoever's turn it is.
    """

    pin: str = ""
    batch: str = ""


def claim(
    connection: Connection,
    table: Table,
    worker: uuid.UUID,
    pins: Sequence[str],
    limit: int,
    lease: float,
    liking: Liking = Liking(),
) -> list[Claim]:
    """Takes the ready work of `pins` whose turn it is, and up to `limit` of the same batch and owner.

    Higher priority comes first. Then a liked pin, else the one that was claimed for longest ago; within a pin the
    owner who has had least (`Share`); of its work a liked batch, as long as that is no more than `STAY` turns
    ahead of what waits longest. The attempt is counted here, so that a worker that is killed has used it up.
    """
    rows = connection.execute(
        text(_CLAIM.format(table=table, ready=READY[table], order=_ORDER)),
        {
            "pins": list(pins),
            "mates": limit - 1,
            "worker": worker,
            "lease": lease,
            "liked_pin": liking.pin,
            "liked_batch": liking.batch,
            "stay": STAY,
        },
    )
    return sorted((Claim(**row._mapping) for row in rows), key=lambda one: one.id)


STAY = 32
"""Turns: how far work of a liked batch may be ahead of what its owner has waited for longest."""

_ORDER = "priority desc, attempts, turn, id"

# `owners` hops from owner to owner through the index, whose rows of one pin are in the order of their owners: as
# many steps as there are owners who wait, whatever the number of rows. `heads` is what each of them waits for
# longest, `fair` whose turn it is, `liked` what may be taken in its place, `mates` and `company` what goes along.
# The share is written last, so that its row is locked no longer than the commit takes.
_CLAIM = """
with recursive owners as (
    select wanted.pin, first.owner from unnest(cast(:pins as text[])) as wanted (pin) cross join lateral (
        select owner from {table} where {ready} and pin = wanted.pin order by owner limit 1
    ) first
    union all
    select owners.pin, next.owner from owners cross join lateral (
        select owner from {table} where {ready} and pin = owners.pin and owner > owners.owner
        order by owner limit 1
    ) next
), heads as materialized (
    select owners.pin, owners.owner, first.id, first.batch, first.alone, first.company, first.priority,
           first.attempts, first.turn,
           greatest(coalesce(share.served, 0),
                    (select max(start) from share where share.pin = owners.pin)) as start,
           (select max(at) from share where share.pin = owners.pin) as at
    from owners cross join lateral (
        select id, batch, alone, company, priority, attempts, turn from {table}
        where {ready} and pin = owners.pin and owner = owners.owner order by {order} limit 1
        for update skip locked
    ) first left join share on share.pin = owners.pin and share.owner = owners.owner
), fair as materialized (
    select * from heads order by priority desc, pin = :liked_pin desc, at nulls first, start, id limit 1
), liked as materialized (
    select near.* from fair cross join lateral (
        select id, turn from {table}
        where {ready} and batch = :liked_batch and owner = fair.owner and priority = fair.priority
            and attempts = fair.attempts and turn <= fair.turn + :stay and not alone and company is null
        order by turn, id limit 1 for update skip locked
    ) near where fair.pin = :liked_pin and fair.batch <> :liked_batch
), head as materialized (
    select fair.pin, fair.owner, fair.start, coalesce(liked.id, fair.id) as id,
           coalesce(liked.turn, fair.turn) as turn,
           case when liked.id is null then fair.batch else :liked_batch end as batch,
           liked.id is null and fair.alone as alone,
           case when liked.id is null then fair.company end as company
    from fair left join liked on true
), mates as materialized (
    select id from {table}
    where {ready} and not alone and company is null and id <> (select id from head)
        and batch = (select batch from head where not alone and company is null)
        and owner = (select owner from head)
    order by {order} limit :mates for update skip locked
), fellows as materialized (
    select id from {table}
    where {ready} and id <> (select id from head) and batch = (select batch from head)
        and company = (select company from head where not alone)
    order by {order} limit :mates for update skip locked
), taken as (
    update {table} set state = 'leased', attempts = attempts + 1, fence = fence + 1, worker = :worker,
        lease_until = clock_timestamp() + make_interval(secs => :lease), changed_at = now()
    where id in (select id from head union all select id from mates union all select id from fellows)
    returning id, key, fence, attempts as attempt, pin, batch, alone, company,
        coalesce(cast(error->>'outages' as integer), 0) as outages
), shared as (
    insert into share (pin, owner, served, start, turn, at)
    select head.pin, head.owner, head.start + (select count(*) from taken), head.start, head.turn,
           clock_timestamp() from head
    on conflict (pin, owner) do update set served = greatest(share.served, excluded.start)
            + excluded.served - excluded.start, start = excluded.start,
        turn = greatest(share.turn, excluded.turn), at = excluded.at
), noted as (
    insert into event (kind, work_id, facts)
    select '{table}.claimed', id, jsonb_build_object('fence', fence, 'worker', cast(:worker as uuid)) from taken
)
select * from taken
"""


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


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of claims under way, by ids: `lost` are another's or ended, `unwanted` were paused."""

    lost: frozenset[int]
    unwanted: frozenset[int]


def review(connection: Connection, table: Table, worker: uuid.UUID, claims: Sequence[Claim]) -> Standing:
    """Reads how claims of this worker stand; changes nothing, so that it can be asked several times a second."""
    rows = connection.execute(
        text(f"""
        select {table}.id, held from {table} join {_OURS} on {table}.id = ours.id and {table}.fence = ours.fence
        where state = 'leased' and worker = :worker
        """),  # noqa: S608 - a table of ours
        {**_ours(claims), "worker": worker},
    )
    held = {row.id: row.held for row in rows}
    return Standing(
        lost=frozenset(one.id for one in claims if one.id not in held),
        unwanted=frozenset(one for one, is_held in held.items() if is_held),
    )


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
    return "already" if were_finished(connection, table, [claim]) else "lost"


def were_finished(connection: Connection, table: Table, claims: Sequence[Claim]) -> set[int]:
    """Ids of the claims that have ended their work themselves: asked after a COMMIT whose outcome is unknown."""
    if not claims:
        return set()
    rows = connection.execute(
        text(f"select {table}.id from {table} join {_OURS} using (id, fence) where state = 'done'"),  # noqa: S608
        _ours(claims),
    )
    return set(rows.scalars())


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
    company: int | None = None,
    outages: int = 0,
) -> bool:
    """Records why work failed: to be tried again after `retry_in` seconds, or dead when that is None.

    The next try is by itself with `alone`, with the others of a `company` where one is given. With `outages`,
    which the next claim is told, this try does not count.
    """
    changed = connection.execute(
        text(f"""
        update {table} set state = :state, error = cast(:error as jsonb), lease_until = null, worker = null,
            not_before = now() + make_interval(secs => :retry), alone = alone or :alone, company = :company,
            attempts = attempts - :uncounted, changed_at = now()
        where id = :id and fence = :fence and state = 'leased'
        """),  # noqa: S608 - a table of ours
        {
            "state": "dead" if retry_in is None else "failed",
            "error": to_json({**error, **({"outages": outages} if outages else {})}),
            "retry": retry_in or 0.0,
            "uncounted": 1 if outages else 0,
            "alone": alone,
            "company": company,
            "id": claim.id,
            "fence": claim.fence,
        },
    )
    if changed.rowcount:
        _note(connection, table, "dead" if retry_in is None else "failed", [claim], {"error": dict(error)})
        if retry_in is None and table == "preparation":
            end_dependents(connection, [claim.id])
    return bool(changed.rowcount)


def _lock(connection: Connection, table: Table, ids: Sequence[int]) -> None:
    """Locks rows in the order of their ids, as all do who change several: no two wait for each other."""
    rows = f"select id from {table} where id = any(:ids) order by id for no key update"  # noqa: S608 - a table of ours
    connection.execute(text(f"select count(*) from ({rows}) locked"), {"ids": list(ids)})  # noqa: S608


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
