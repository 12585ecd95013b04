"""The verbs on a campaign: record, start, pause, resume, cancel, retry.

Each is one transaction under one lock, so that two of them never cross; observers are told after the commit.
Jobs are shared between campaigns: a job is `held` while no running campaign wants it, and is cancelled only
when no other campaign asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.errors import BadInput
from core.hookspecs import Event
from core.registry import Registry
from orchestrator.planning.plan import Plan
from orchestrator.planning.writing import Outlook, look_ahead, write_plan
from orchestrator.records import storage
from orchestrator.records.database import SWEEP_LOCK, VERBS_LOCK, Database
from orchestrator.records.states import CAMPAIGN_MOVES, Campaign


@dataclass(frozen=True, slots=True)
class Found:
    """A campaign as the verbs see it."""

    id: int
    name: str
    state: Campaign
    plan: int


def record(database: Database, store: storage.Storage, registry: Registry, plan: Plan) -> Outlook:
    """Writes a plan: the references' files first, then every row in one transaction.

    Planning the same brief again changes nothing; another brief under the same name replaces the items.

    Raises:
        BadInput: a reference file is no longer what was planned.
    """
    sizes = _store_references(store, plan)
    with database.begin() as connection:
        _lock(connection)
        _keep_from_sweep(connection, store, plan)
        outlook = look_ahead(connection, plan)
        found = _upsert(connection, plan)
        connection.execute(
            text("""
            insert into reference (sha256, source, size)
            select * from unnest(cast(:keys as text[]), cast(:sources as text[]), cast(:sizes as bigint[]))
            on conflict (sha256) do nothing
            """),
            {
                "keys": list(plan.brief.files),
                "sources": [str(path.absolute()) for path in plan.brief.files.values()],
                "sizes": [sizes[sha256] for sha256 in plan.brief.files],
            },
        )
        write_plan(connection, found.id, found.plan, plan)
        _cancel_unwanted(connection, found.id)
        if found.state is Campaign.RUNNING:
            _release(connection, found.id)
        _note(connection, found.id, "planned", {"plan": found.plan, "items": outlook.items})
    registry.tell(Event("planned", found.name, {"items": outlook.items, "new": outlook.new}))
    return outlook


def start(database: Database, registry: Registry, name: str) -> None:
    """Lets workers have the campaign's jobs; also brings back what was cancelled. Starting twice is no error."""
    _verb(database, registry, name, "started", Campaign.RUNNING, _release)


def pause(database: Database, registry: Registry, name: str) -> None:
    """Holds what has not begun and no other running campaign wants; what has begun ends."""
    _verb(database, registry, name, "paused", Campaign.PAUSED, _hold)


def resume(database: Database, registry: Registry, name: str) -> None:
    """Goes on with a paused campaign.

    Raises:
        BadInput: it is not paused.
    """
    with database.begin() as connection:
        found = find(connection, name)
    if found.state not in (Campaign.PAUSED, Campaign.RUNNING):
        raise BadInput.at(
            f"campaign {name!r}", f"is {found.state}, not paused", "Start it with `dreamline run FILE`"
        )
    _verb(database, registry, name, "resumed", Campaign.RUNNING, _release)


def cancel(database: Database, registry: Registry, name: str) -> None:
    """Ends a campaign; images that exist are kept, work that another campaign wants goes on."""
    _verb(database, registry, name, "cancelled", Campaign.CANCELLED, _cancel)


def retry(database: Database, registry: Registry, name: str) -> int:
    """Gives dead images of a campaign another round of attempts; returns how many."""
    again = 0

    def revive(connection: Connection, campaign: int) -> None:
        nonlocal again
        values = {"campaign": campaign}
        _lock_work(connection, campaign)
        connection.execute(text(_REVIVE_PREPARATIONS), values)
        again = connection.execute(text(_REVIVE_JOBS), values).rowcount
        _release(connection, campaign)

    _verb(database, registry, name, "retried", Campaign.RUNNING, revive)
    return again


def find(connection: Connection, name: str) -> Found:
    """The campaign called `name`.

    Raises:
        BadInput: there is none; names those there are.
    """
    row = connection.execute(
        text("select id, name, state, plan from campaign where name = :name"), {"name": name}
    ).one_or_none()
    if row is None:
        names = connection.execute(text("select name from campaign order by changed_at desc limit 8")).scalars()
        raise BadInput.at(
            "campaign", f"there is none called {name!r}", f"There are: {', '.join(names) or 'none yet'}"
        )
    return Found(row.id, row.name, Campaign(row.state), row.plan)


def _verb(
    database: Database,
    registry: Registry,
    name: str,
    what: str,
    after: Campaign,
    change: Callable[[Connection, int], None],
) -> None:
    with database.begin() as connection:
        _lock(connection)
        found = find(connection, name)
        if after not in CAMPAIGN_MOVES[found.state]:
            raise BadInput.at(
                f"campaign {name!r}",
                f"is {found.state} and can't be {what}",
                f"A {found.state} campaign can become: "
                + (", ".join(sorted(CAMPAIGN_MOVES[found.state] - {found.state})) or "nothing else"),
            )
        connection.execute(
            text("update campaign set state = :state, reason = '', changed_at = now() where id = :id"),
            {"state": after, "id": found.id},
        )
        change(connection, found.id)
        _note(connection, found.id, what, {})
    registry.tell(Event(what, name))


def _store_references(store: storage.Storage, plan: Plan) -> dict[str, int]:
    sizes = {}
    for sha256, path in plan.brief.files.items():
        data = path.read_bytes()
        if store.put(data, f"reference-{path.name}") != sha256:
            raise BadInput.at(str(path), "was changed while it was being planned", "Plan again")
        sizes[sha256] = len(data)
    return sizes


def _keep_from_sweep(connection: Connection, store: storage.Storage, plan: Plan) -> None:
    """From here to the commit no sweep deletes; what one took since it was stored is stored again."""
    connection.execute(text("select pg_advisory_xact_lock_shared(:lock)"), {"lock": SWEEP_LOCK})
    for sha256, path in plan.brief.files.items():
        if not store.exists(sha256):
            store.put(path.read_bytes(), f"reference-{path.name}")


def _upsert(connection: Connection, plan: Plan) -> Found:
    row = connection.execute(
        text("""
        insert into campaign (name, state, model, source, text, plan, priority)
        values (:name, 'planned', :model, :source, :text, 1, :priority)
        on conflict (name) do update set model = excluded.model, source = excluded.source,
            text = excluded.text, priority = excluded.priority, plan = campaign.plan + 1, changed_at = now(),
            state = case when campaign.state in ('running', 'paused') then campaign.state else 'planned' end
        returning id, name, state, plan
        """),
        {
            "name": plan.brief.campaign,
            "model": plan.model.card,
            "source": str(plan.brief.path.absolute()),
            "text": plan.brief.text,
            "priority": plan.brief.priority,
        },
    ).one()
    return Found(row.id, row.name, Campaign(row.state), row.plan)


def _lock(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})


def _note(connection: Connection, campaign: int, what: str, facts: Mapping[str, Any]) -> None:
    connection.execute(
        text("insert into event (kind, campaign_id, facts) values (:kind, :id, cast(:facts as jsonb))"),
        {"kind": f"campaign.{what}", "id": campaign, "facts": json.dumps(dict(facts))},
    )


def _release(connection: Connection, campaign: int) -> None:
    _lock_work(connection, campaign)
    connection.execute(text(_RELEASE_PREPARATIONS), {"campaign": campaign})
    connection.execute(text(_RELEASE_JOBS), {"campaign": campaign})
    connection.execute(text(_END_HOPELESS), {"campaign": campaign})


def _hold(connection: Connection, campaign: int) -> None:
    _lock_work(connection, campaign)
    connection.execute(text(_HOLD_JOBS), {"campaign": campaign})
    connection.execute(text(_HOLD_PREPARATIONS), {"campaign": campaign})


def _cancel(connection: Connection, campaign: int) -> None:
    _lock_work(connection, campaign)
    connection.execute(text(_CANCEL_JOBS), {"campaign": campaign})
    _hold(connection, campaign)


def _lock_work(connection: Connection, campaign: int) -> None:
    """Locks the campaign's unfinished preparations, then its jobs, each in the order of their ids.

    Workers that end a preparation lock in the same order, so that neither waits for the other in a circle.
    """
    for statement in (_LOCK_PREPARATIONS, _LOCK_JOBS):
        connection.execute(text(statement), {"campaign": campaign})


def _cancel_unwanted(connection: Connection, campaign: int) -> None:
    connection.execute(text(_CANCEL_OBSOLETE), {"campaign": campaign})


_JOBS_OF = "select job_id from item where campaign_id = :campaign and not obsolete"

_LOCK_PREPARATIONS = f"""
select count(*) from (
    select id from preparation where state <> 'done' and id in (
        select preparation_id from job_reference where job_id in ({_JOBS_OF})
    ) order by id for update
) locked
"""  # noqa: S608 - constants of ours

_LOCK_JOBS = f"""
select count(*) from (
    select id from job where id in ({_JOBS_OF}) and state <> 'done' order by id for update
) locked
"""  # noqa: S608 - constants of ours

_END_HOPELESS = f"""
update job set state = 'dead', error = cause.error, changed_at = now()
from (select distinct on (r.job_id) r.job_id, p.error from job_reference r
      join preparation p on p.id = r.preparation_id and p.state = 'dead'
      where r.job_id in ({_JOBS_OF}) order by r.job_id, r.position) cause
where job.id = cause.job_id and job.state in ('queued', 'failed')
"""  # noqa: S608 - constants of ours

_PRIORITY = "(select priority from campaign where id = :campaign)"

_ELSEWHERE = """
exists (
    select 1 from item other join campaign c on c.id = other.campaign_id
    where other.job_id = job.id and not other.obsolete and other.campaign_id <> :campaign and c.state in ({states})
)
"""

_RELEASE_JOBS = f"""
update job set held = false, state = case state when 'cancelled' then 'queued' else state end,
    attempts = case state when 'cancelled' then 0 else attempts end,
    priority = greatest(priority, {_PRIORITY}), changed_at = now()
where id in ({_JOBS_OF}) and state in ('queued', 'failed', 'leased', 'cancelled')
    and (held or state = 'cancelled')
"""  # noqa: S608 - constants of ours

_RELEASE_PREPARATIONS = f"""
update preparation set held = false, state = case state when 'cancelled' then 'queued' else state end,
    priority = greatest(priority, {_PRIORITY}), changed_at = now()
where id in (select preparation_id from job_reference where job_id in ({_JOBS_OF}))
    and state in ('queued', 'failed', 'leased', 'cancelled') and (held or state = 'cancelled')
"""  # noqa: S608 - constants of ours

_HOLD_JOBS = f"""
update job set held = true, changed_at = now()
where id in ({_JOBS_OF}) and state in ('queued', 'failed', 'leased') and not held
    and not {_ELSEWHERE.format(states="'running'")}
"""  # noqa: S608 - constants of ours

_HOLD_PREPARATIONS = f"""
update preparation set held = true, changed_at = now()
where id in (select preparation_id from job_reference where job_id in ({_JOBS_OF}))
    and state in ('queued', 'failed', 'leased') and not held
    and not exists (
        select 1 from job_reference r join job on job.id = r.job_id
        where r.preparation_id = preparation.id and not job.held
            and job.state in ('queued', 'failed', 'leased')
    )
"""  # noqa: S608 - constants of ours

_CANCEL_JOBS = f"""
update job set state = 'cancelled', lease_until = null, worker = null, changed_at = now()
where id in ({_JOBS_OF}) and state in ('queued', 'failed', 'leased')
    and not {_ELSEWHERE.format(states="'planned', 'running', 'paused'")}
"""  # noqa: S608 - constants of ours

_CANCEL_OBSOLETE = """
update job set state = 'cancelled', lease_until = null, worker = null, changed_at = now()
where id in (select job_id from item where campaign_id = :campaign and obsolete)
    and state in ('queued', 'failed', 'leased')
    and not exists (
        select 1 from item other join campaign c on c.id = other.campaign_id
        where other.job_id = job.id and not other.obsolete and c.state in ('planned', 'running', 'paused')
    )
"""

_REVIVE_JOBS = f"""
update job set state = 'queued', attempts = 0, alone = false, error = null, changed_at = now()
where id in ({_JOBS_OF}) and state = 'dead'
"""  # noqa: S608 - constants of ours

_REVIVE_PREPARATIONS = f"""
update preparation set state = 'queued', attempts = 0, alone = false, error = null, changed_at = now()
where state = 'dead' and id in (
    select r.preparation_id from job_reference r join job on job.id = r.job_id
    where job.id in ({_JOBS_OF}) and job.state = 'dead'
)
"""  # noqa: S608 - constants of ours
