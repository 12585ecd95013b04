"""Stopping: whoever looks at running campaigns pauses those that have reached a stop rule or made their pilot.

Workers look after each batch and when they have nothing to do, `dreamline run` while it waits, and a decision
looks at its campaign: no command and no page has to be open for a rule to hold.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from sqlalchemy import text

from core.errors import Infrastructure
from core.hookspecs import Event
from core.registry import Registry
from orchestrator import campaigns, pilots
from orchestrator.records.database import Database
from orchestrator.tallies import Decided

log = logging.getLogger("dreamline.campaigns")

SHARE = 0.05
"""Of its time that a process may spend on looking."""


def look(database: Database, registry: Registry) -> bool:
    """Pauses running campaigns whose rules or pilots say so; returns whether any was."""
    with database.begin() as connection:
        rows = connection.execute(text(_LOOKED_AT), {"name": None}).all()
        piloted = pilots.pause_made(connection) if any(row.pilot for row in rows) else []
    _tell(registry, piloted)
    stopped = [campaigns.stop(database, registry, row.id) for row in rows if row.ruled]
    return bool(piloted) or any(stopped)


def look_after(database: Database, registry: Registry, campaign: str, decided: Decided) -> None:
    """Pauses a running campaign where decisions brought a rule to its limit, or ended what its pilot waits for.

    Counts only what they can have changed: a reviewer waits for it.
    """
    with database.begin() as connection:
        row = connection.execute(text(_LOOKED_AT), {"name": campaign}).one_or_none()
        ended = row is not None and row.pilot and decided.worse
        piloted = pilots.pause_made(connection, campaign) if ended else []
    _tell(registry, piloted)
    if row is not None and row.rejected:
        campaigns.stop(database, registry, row.id, decided)


def _tell(registry: Registry, piloted: Sequence[tuple[str, int]]) -> None:
    for name, items in piloted:
        registry.tell(Event("piloted", name, {"items": items}))


class Watch:
    """Looks again and again, and no oftener than its share of time allows."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry
        self._next = 0.0

    def look(self) -> None:
        """Looks, unless it is too soon; a database that is away is looked at another time."""
        began = time.monotonic()
        if began < self._next:
            return
        try:
            look(self._database, self._registry)
        except Infrastructure as error:
            log.info("not looking at stop rules: %s", error)
        ended = time.monotonic()
        self._next = ended + (ended - began) / SHARE


_LOOKED_AT = """
select id, pilot > 0 as pilot, stop <> '{}' as ruled, stop ? 'rejected' as rejected from campaign
where state = 'running' and (pilot > 0 or stop <> '{}') and (cast(:name as text) is null or name = :name)
order by id
"""
