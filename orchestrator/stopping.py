"""Stopping: whoever looks at running campaigns pauses those that have reached a stop rule or made their pilot.

Workers look after each batch and when they have nothing to do, `dreamline run` while it waits, and a decision
looks at its campaign: no command and no page has to be open for a rule to hold.
"""

from __future__ import annotations

import logging
import time

from sqlalchemy import text

from core.errors import Infrastructure
from core.hookspecs import Event
from core.registry import Registry
from orchestrator import campaigns, pilots
from orchestrator.records.database import Database

log = logging.getLogger("dreamline.campaigns")

SHARE = 0.05
"""Of its time that a process may spend on looking."""


def look(database: Database, registry: Registry, campaign: str | None = None) -> bool:
    """Pauses running campaigns (or the one) whose rules or pilots say so; returns whether any was."""
    with database.begin() as connection:
        rows = connection.execute(text(_LOOKED_AT), {"name": campaign}).all()
        piloted = pilots.pause_made(connection) if any(row.pilot for row in rows) else []
    for name, items in piloted:
        registry.tell(Event("piloted", name, {"items": items}))
    stopped = [campaigns.stop(database, registry, row.id) for row in rows if row.ruled]
    return bool(piloted) or any(stopped)


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
select id, pilot > 0 as pilot, stop <> '{}' as ruled from campaign
where state = 'running' and (pilot > 0 or stop <> '{}') and (cast(:name as text) is null or name = :name)
order by id
"""
