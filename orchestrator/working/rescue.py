"""Working: what nobody holds any more goes back to the queue.

Any worker rescues, many at once, at any time: each statement re-checks the state in the same update that
changes it, so a rescuer can be killed anywhere and two can't both have the same row.
"""

from __future__ import annotations

import json

from sqlalchemy import Connection, text

from orchestrator import wanted
from orchestrator.records.causes import CRASH
from orchestrator.working.claims import Table
from orchestrator.working.dependents import end_dependents

AT_ONCE = 1000


def rescue(connection: Connection, max_attempts: int) -> int:
    """Frees lost leases, wakes what is due for another try; returns how much became ready."""
    return sum(_lost(connection, table, max_attempts) + _due(connection, table) for table in _TABLES)


_TABLES: tuple[Table, ...] = ("preparation", "job")


def _lost(connection: Connection, table: Table, max_attempts: int) -> int:
    """Frees what a lost worker held; what it held together comes back in halves, as `retries.halves` has them."""
    error = {"class": CRASH, "message": "its worker was lost (killed, cut off or stopped) before it ended"}
    rows = connection.execute(
        text(f"""
        with lost as (
            select id, worker, batch, company from {table}
            where state = 'leased' and lease_until < clock_timestamp()
            order by lease_until limit {AT_ONCE} for update skip locked
        ), halves as (
            select *, ntile(2) over (partition by worker, batch, company order by id) as half from lost
        ), companies as (
            select id, count(*) over half as size, min(id) over half as least from halves
            window half as (partition by worker, batch, company, half)
        ), freed as (
            update {table} set state = case when attempts >= :most then 'dead' else 'queued' end,
                error = cast(:error as jsonb), alone = alone or size = 1,
                company = case when size > 1 and not alone then least end, lease_until = null, changed_at = now()
            from companies where {table}.id = companies.id and {table}.state = 'leased'
            returning {table}.id, {table}.state, {table}.fence, {table}.worker
        ), noted as (
            insert into event (kind, work_id, facts)
            select '{table}.' || case state when 'dead' then 'dead' else 'rescued' end, id,
                   jsonb_build_object('fence', fence, 'worker', worker) from freed
        )
        select id, state from freed
        """),  # noqa: S608 - a table of ours
        {"most": max_attempts, "error": json.dumps(error)},
    ).all()
    dead = [row.id for row in rows if row.state == "dead"]
    if dead and table == "preparation":
        end_dependents(connection, dead)
    return len(rows) - len(dead)


def _due(connection: Connection, table: Table) -> int:
    changed = connection.execute(
        text(f"""
        update {table} set state = 'queued', changed_at = now()
        where state = 'failed' and id in (
            select id from {table} where state = 'failed' and not_before <= now()
            order by not_before limit {AT_ONCE} for update skip locked
        )
        """),  # noqa: S608 - a table of ours
    )
    return changed.rowcount


def end_campaigns(connection: Connection) -> list[str]:
    """Finishes running campaigns all of whose images have ended and been judged; returns their names.

    Items whose further attempt came to nothing have their earlier image again first.
    """
    wanted.turn_back(connection)
    # Two statements: the second sees what a verb that held one of these rows has committed meanwhile.
    running = connection.execute(
        text("select id from campaign where state = 'running' order by id for update skip locked")
    )
    rows = connection.execute(
        text("""
        update campaign set state = 'finished', changed_at = now()
        where id = any(:running) and not exists (
            select 1 from job join item on item.job_id = job.id
            where job.state in ('queued', 'leased', 'failed')
                and item.campaign_id = campaign.id and not item.obsolete
        ) and not exists (
            select 1 from item where item.gate = 'ready' and item.campaign_id = campaign.id and not item.obsolete
        )
        returning id, name
        """),
        {"running": list(running.scalars())},
    ).all()
    for row in rows:
        connection.execute(
            text("insert into event (kind, campaign_id) values ('campaign.finished', :id)"), {"id": row.id}
        )
    return [row.name for row in rows]
