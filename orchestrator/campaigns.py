"""The verbs on a campaign: record, start, pause, resume, cancel, retry, stop.

Each is one transaction under one lock, so that two of them never cross; observers are told after the commit.
Jobs are shared between campaigns: a job is `held` while no running campaign wants it, and is cancelled only
when no other campaign asks for it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from core.errors import BadInput
from core.hookspecs import Event
from core.registry import Registry
from orchestrator import dead_letters, entry, gating, wanted
from orchestrator.entry import Found
from orchestrator.planning.plan import Plan
from orchestrator.planning.sample import draw_sample
from orchestrator.planning.writing import Outlook, count_outlook, read_sampled_cells, write_plan
from orchestrator.records import storage
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.records.states import CAMPAIGN_MOVES, Campaign
from orchestrator.tallies import Decided, find_reached


class NoRoom(BadInput):
    """A stop rule would stop the campaign at once: the one refusal that `anyway` goes past."""


def record(
    database: Database,
    store: storage.Storage,
    registry: Registry,
    plan: Plan,
    *,
    start: bool = False,
    pilot: int = 0,
    anyway: bool = False,
    owner: str = "",
) -> Outlook:
    """Writes a plan, and with `start` starts it: the references' files first, then every row in one transaction.

    Planning the same brief again changes nothing; another brief under the same name replaces the items. A pilot
    keeps the items that it had, and gets more where it asks for more.

    Args:
        database: gets the rows.
        store: gets the references' files.
        registry: whose observers are told.
        plan: what to write.
        start: lets workers have its jobs; without, it stays as it was, or planned.
        pilot: starts with at most so many items, a sample of all; 0: all of them.
        anyway: starts it also past its stop rules, which count anew from now on.
        owner: whose it is where neither the file says so nor it was said before.

    Raises:
        BadInput: a reference file is no longer what was planned.
        NoRoom: a stop rule would stop it at once.
    """
    sizes = entry.store_references(store, plan)
    with database.begin() as connection:
        _lock(connection)
        entry.keep_from_sweep(connection, store, plan)
        outlook = count_outlook(connection, plan)
        gates_before = gates(connection, plan.brief.campaign)
        found = entry.write(connection, plan, start=start, pilot=pilot, owner=owner)
        entry.write_references(connection, plan, sizes)
        running = found.state is Campaign.RUNNING
        wanted.remember(connection, found.id)
        wanted.lock_work(connection, found.id)
        sample = (
            draw_sample(plan.items, pilot, read_sampled_cells(connection, found.id)) if start and pilot else ()
        )
        write_plan(connection, found.id, found.plan, plan, held=not running or found.pilot > 0, pilot=sample)
        wanted.cancel_former(connection)
        gating.mark(connection, found.id, again=gates_before != dict(plan.brief.gates))
        if found.pilot:
            # What an earlier start without a pilot let go.
            wanted.hold(connection, found.id)
        if running:
            wanted.release(connection, found.id)
        if start:
            _require_room(connection, found, anyway=anyway)
        _note(connection, found.id, "planned", {"plan": found.plan, "items": outlook.items})
        if start:
            _note(connection, found.id, "started", {"pilot": found.pilot})
    registry.tell(Event("planned", found.name, {"items": outlook.items, "new": outlook.new}))
    if start:
        registry.tell(Event("started", found.name))
    return outlook


def gates(connection: Connection, name: str) -> dict[str, str]:
    """The gates of a campaign as its brief says them; none where there is no such campaign."""
    query = text("select gates from campaign where name = :name")
    return dict(connection.execute(query, {"name": name}).scalar_one_or_none() or {})


def start(database: Database, registry: Registry, name: str) -> None:
    """Lets workers have the campaign's jobs; also brings back what was cancelled. Starting twice is no error.

    During a pilot these are the pilot's.

    Raises:
        NoRoom: a stop rule would stop it at once.
    """

    def let_go(connection: Connection, found: Found) -> None:
        wanted.release(connection, found.id)
        _require_room(connection, found, anyway=False)

    _verb(database, registry, name, "started", Campaign.RUNNING, let_go)


def pause(database: Database, registry: Registry, name: str) -> None:
    """Holds what no other running campaign wants; workers give back what is under way, within one step of it."""
    _verb(
        database,
        registry,
        name,
        "paused",
        Campaign.PAUSED,
        lambda connection, found: wanted.hold(connection, found.id),
    )


def resume(database: Database, registry: Registry, name: str, *, anyway: bool = False) -> None:
    """Goes on with a paused campaign; after its pilot, with the rest.

    Args:
        database: with the campaign.
        registry: whose observers are told.
        name: the campaign's.
        anyway: also past its stop rules, which count anew from now on.

    Raises:
        BadInput: it is not paused.
        NoRoom: a stop rule would stop it at once.
    """

    def go_on(connection: Connection, found: Found) -> None:
        if found.state not in (Campaign.PAUSED, Campaign.RUNNING):
            raise BadInput.at(
                f"campaign {name!r}", f"is {found.state}, not paused", "Start it with `dreamline run FILE`"
            )
        if found.paused_by == "pilot":
            connection.execute(text("update campaign set pilot = 0 where id = :id"), {"id": found.id})
        wanted.release(connection, found.id)
        _require_room(connection, found, anyway=anyway)

    _verb(database, registry, name, "resumed", Campaign.RUNNING, go_on)


def stop(database: Database, registry: Registry, campaign: int, decided: Decided | None = None) -> str:
    """Pauses a running campaign one of whose stop rules is reached; returns why, or nothing.

    With `decided` only what these decisions can have changed is counted.
    """
    with database.begin() as connection:
        if find_reached(connection, campaign, decided) is None:
            return ""
    with database.begin() as connection:
        # Again, under the lock: meanwhile it may have been paused, planned anew, or let go on anyway.
        _lock(connection)
        row = connection.execute(
            text("select name, state from campaign where id = :id for update"), {"id": campaign}
        ).one_or_none()
        running = row is not None and row.state == "running"
        reached = find_reached(connection, campaign, decided) if running else None
        if row is None or reached is None:
            return ""
        connection.execute(
            text("""
            update campaign set state = 'paused', paused_by = 'rule', reason = :why, changed_at = now()
            where id = :id
            """),
            {"id": campaign, "why": reached.why},
        )
        wanted.hold(connection, campaign)
        _note(connection, campaign, "stopped", {"rule": reached.rule, "why": reached.why})
    registry.tell(Event("stopped", row.name, {"rule": reached.rule, "why": reached.why}))
    return reached.why


def set_priority(database: Database, name: str, priority: int) -> int:
    """Says how soon images of a campaign are made, those that wait too; returns how many of these there are.

    The file's own `priority` holds again once it is planned again.

    Raises:
        BadInput: there is no such campaign, or the number is out of range.
    """
    if not -1000 <= priority <= 1000:
        raise BadInput.at("priority", f"{priority} is out of range", "Say a number from -1000 to 1000")
    with database.begin() as connection:
        _lock(connection)
        found = find(connection, name)
        connection.execute(
            text("update campaign set priority = :priority, changed_at = now() where id = :id"),
            {"id": found.id, "priority": priority},
        )
        changed = wanted.set_priority(connection, found.id)
        _note(connection, found.id, "priority", {"priority": priority})
    return changed


def cancel(database: Database, registry: Registry, name: str) -> None:
    """Ends a campaign; images that exist are kept, work that another campaign wants goes on."""
    _verb(
        database,
        registry,
        name,
        "cancelled",
        Campaign.CANCELLED,
        lambda connection, found: wanted.cancel(connection, found.id),
    )


def retry(
    database: Database,
    registry: Registry,
    name: str,
    how: Callable[[Connection, int], int] | None = None,
    *,
    anyway: bool = False,
) -> int:
    """Gives dead images of a campaign another round of attempts; returns how many. Without any nothing changes.

    Args:
        database: with the campaign.
        registry: whose observers are told.
        name: the campaign's.
        how: chooses and changes them (`dead_letters.revive_with`); None: all, as they were.
        anyway: also past its stop rules, which count anew from now on.

    Raises:
        BadInput: there is no such campaign, or its state allows it not.
        NoRoom: a stop rule would stop it at once.
    """
    again = 0

    def revive(connection: Connection, found: Found) -> None:
        nonlocal again
        again = (how or dead_letters.revive_with(dead_letters.Changes()))(connection, found.id)
        if not again:
            raise _NothingToDo
        wanted.release(connection, found.id)
        _require_room(connection, found, anyway=anyway, again="retry")

    with contextlib.suppress(_NothingToDo):
        _verb(database, registry, name, "retried", Campaign.RUNNING, revive)
    return again


class _NothingToDo(Exception):
    """Takes back a verb that has found nothing to change."""


def find(connection: Connection, name: str) -> Found:
    """The campaign called `name`.

    Raises:
        BadInput: there is none; names those there are.
    """
    row = connection.execute(
        text("select id, name, state, plan, pilot, paused_by from campaign where name = :name"), {"name": name}
    ).one_or_none()
    if row is None:
        names = connection.execute(text("select name from campaign order by changed_at desc limit 8")).scalars()
        raise BadInput.at(
            "campaign", f"there is none called {name!r}", f"There are: {', '.join(names) or 'none yet'}"
        )
    return Found(row.id, row.name, Campaign(row.state), row.plan, row.pilot, row.paused_by)


def _verb(
    database: Database,
    registry: Registry,
    name: str,
    what: str,
    after: Campaign,
    change: Callable[[Connection, Found], None],
) -> None:
    """One verb: the move, what it changes, its event. `change` gets the campaign as it was before the move."""
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
            text("""
            update campaign set state = :state, changed_at = now(),
                reason = case when state = :state then reason else '' end,
                paused_by = case when state = :state then paused_by else :paused_by end
            where id = :id
            """),
            {"state": after, "paused_by": "person" if after is Campaign.PAUSED else "", "id": found.id},
        )
        change(connection, found)
        _note(connection, found.id, what, {})
    registry.tell(Event(what, name))


def _require_room(connection: Connection, found: Found, *, anyway: bool, again: str = "") -> None:
    """Refuses to start what would be stopped at once; `anyway` lets the rules count from now on instead.

    `again` is the command that goes past them; where none is said, the one that its state allows.
    """
    if anyway:
        connection.execute(
            text("update campaign set stop_from = clock_timestamp() where id = :id"), {"id": found.id}
        )
        return
    reached = find_reached(connection, found.id)
    if reached is not None:
        again = again or ("resume" if found.state is Campaign.PAUSED else "retry")
        raise NoRoom.at(
            f"campaign {found.name!r}",
            f"would be stopped at once by its {reached.why}",
            "Change the rule below stop: in its file and `dreamline run` that, or say `dreamline campaign "
            f"{again} {found.name} --anyway`: the rule counts anew then",
        )


def _lock(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})


def _note(connection: Connection, campaign: int, what: str, facts: Mapping[str, Any]) -> None:
    connection.execute(
        text("insert into event (kind, campaign_id, facts) values (:kind, :id, cast(:facts as jsonb))"),
        {"kind": f"campaign.{what}", "id": campaign, "facts": json.dumps(dict(facts))},
    )
