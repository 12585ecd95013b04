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
from orchestrator import gating, wanted
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


def record(
    database: Database, store: storage.Storage, registry: Registry, plan: Plan, *, start: bool = False
) -> Outlook:
    """Writes a plan, and with `start` starts it: the references' files first, then every row in one transaction.

    Planning the same brief again changes nothing; another brief under the same name replaces the items.

    Raises:
        BadInput: a reference file is no longer what was planned.
    """
    sizes = _store_references(store, plan)
    with database.begin() as connection:
        _lock(connection)
        _keep_from_sweep(connection, store, plan)
        outlook = look_ahead(connection, plan)
        gates_before = gates(connection, plan.brief.campaign)
        found = _upsert(connection, plan, start=start)
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
        running = found.state is Campaign.RUNNING
        wanted.remember(connection, found.id)
        wanted.lock_work(connection, found.id)
        write_plan(connection, found.id, found.plan, plan, held=not running)
        wanted.cancel_former(connection)
        gating.mark(connection, found.id, again=gates_before != dict(plan.brief.gates))
        if running:
            wanted.release(connection, found.id)
        _note(connection, found.id, "planned", {"plan": found.plan, "items": outlook.items})
        if start:
            _note(connection, found.id, "started", {})
    registry.tell(Event("planned", found.name, {"items": outlook.items, "new": outlook.new}))
    if start:
        registry.tell(Event("started", found.name))
    return outlook


def gates(connection: Connection, name: str) -> dict[str, str]:
    """The gates of a campaign as its brief says them; none where there is no such campaign."""
    query = text("select gates from campaign where name = :name")
    return dict(connection.execute(query, {"name": name}).scalar_one_or_none() or {})


def start(database: Database, registry: Registry, name: str) -> None:
    """Lets workers have the campaign's jobs; also brings back what was cancelled. Starting twice is no error."""
    _verb(database, registry, name, "started", Campaign.RUNNING, wanted.release)


def pause(database: Database, registry: Registry, name: str) -> None:
    """Holds what has not begun and no other running campaign wants; what has begun ends."""
    _verb(database, registry, name, "paused", Campaign.PAUSED, wanted.hold)


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
    _verb(database, registry, name, "resumed", Campaign.RUNNING, wanted.release)


def cancel(database: Database, registry: Registry, name: str) -> None:
    """Ends a campaign; images that exist are kept, work that another campaign wants goes on."""
    _verb(database, registry, name, "cancelled", Campaign.CANCELLED, wanted.cancel)


def retry(database: Database, registry: Registry, name: str) -> int:
    """Gives dead images of a campaign another round of attempts; returns how many."""
    again = 0

    def revive(connection: Connection, campaign: int) -> None:
        nonlocal again
        again = wanted.revive(connection, campaign)

    with database.begin() as connection:
        if not count_dead(connection, find(connection, name).id):
            return 0
    _verb(database, registry, name, "retried", Campaign.RUNNING, revive)
    return again


def count_dead(connection: Connection, campaign: int) -> int:
    """How many images of a campaign were given up."""
    query = """
    select count(distinct job.id) from item join job on job.id = item.job_id
    where item.campaign_id = :campaign and not item.obsolete and job.state = 'dead'
    """
    return int(connection.execute(text(query), {"campaign": campaign}).scalar_one())


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


def _upsert(connection: Connection, plan: Plan, *, start: bool) -> Found:
    row = connection.execute(
        text("""
        insert into campaign (name, state, model, source, text, plan, priority, gates)
        values (:name, case when :start then 'running' else 'planned' end, :model, :source, :text, 1, :priority,
            cast(:gates as jsonb))
        on conflict (name) do update set model = excluded.model, source = excluded.source,
            text = excluded.text, priority = excluded.priority, gates = excluded.gates,
            plan = campaign.plan + 1, changed_at = now(),
            state = case when :start then 'running'
                when campaign.state in ('running', 'paused') then campaign.state else 'planned' end
        returning id, name, state, plan
        """),
        {
            "name": plan.brief.campaign,
            "model": plan.model.card,
            "source": str(plan.brief.path.absolute()),
            "text": plan.brief.text,
            "priority": plan.brief.priority,
            "gates": json.dumps(dict(plan.brief.gates)),
            "start": start,
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
