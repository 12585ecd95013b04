"""Operating: what Postgres says about all work, all workers and all campaigns, as Prometheus asks for it.

Each reading is one statement. How often it is read follows from what it costs: a reading takes at most a
twentieth of the time, so that asking every second burdens a large database no more than asking once a minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from core.errors import DreamlineError
from core.settings import Settings
from orchestrator.operating import readings
from orchestrator.operating.health import Health
from orchestrator.operating.readings import Growing
from orchestrator.records.database import Database

log = logging.getLogger("dreamline.metrics")

SHARE = 20.0
"""A reading that took a second is taken again after this many."""

LONGEST = 30_000
"""Milliseconds that one statement may take."""

Read = Callable[[Connection], Iterable[Metric]]


@dataclass(slots=True)
class _Reading:
    """One reading with its last answer: `cost` in seconds, `taken` by the monotonic clock."""

    name: str
    read: Read
    metrics: list[Metric] = field(default_factory=list)
    cost: float = 0.0
    taken: float | None = None

    def due(self) -> bool:
        return self.taken is None or time.monotonic() - self.taken >= SHARE * self.cost


class Figures(Collector):
    """A collector for a Prometheus registry; where the database is away, it says that alone."""

    def __init__(self, settings: Settings, database: Database, health: Health) -> None:
        self._database = database
        self._health = health
        self._lock = threading.Lock()
        grown = Growing()
        self._readings = [
            _Reading("work", lambda connection: readings.work(connection, settings)),
            _Reading("workers", lambda connection: readings.workers(connection, settings, grown)),
            _Reading("leases", readings.leases),
            _Reading("dead", readings.dead),
            _Reading("images", lambda connection: readings.images(connection, grown)),
            _Reading("campaigns", readings.campaigns),
            _Reading("last", readings.last_image),
        ]

    def collect(self) -> Iterator[Metric]:
        """Everything, as it is now or was a little while ago."""
        reachable = GaugeMetricFamily(
            "dreamline_reachable", "1: the part answers, 0: it does not.", labels=["part"]
        )
        parts = {one.part: one.ok for one in self._health.ready()}
        for part, ok in parts.items():
            reachable.add_metric([part], float(ok))
        yield reachable
        if not parts["database"]:
            return
        with self._lock:
            for reading in self._readings:
                self._take(reading)
            told = [metric for reading in self._readings for metric in reading.metrics]
            told.append(self._costs())
        yield from told

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks no database."""
        return []

    def _take(self, reading: _Reading) -> None:
        if not reading.due():
            return
        began = time.monotonic()
        try:
            with self._database.begin() as connection:
                connection.execute(text(f"set local statement_timeout = {LONGEST}"))
                reading.metrics = list(reading.read(connection))
        except (DreamlineError, DBAPIError) as error:
            log.warning("the reading %r failed: %s", reading.name, str(error).split("\n", 1)[0])
            reading.metrics = []
        reading.taken = time.monotonic()
        reading.cost = reading.taken - began

    def _costs(self) -> Metric:
        costs = GaugeMetricFamily(
            "dreamline_reading_seconds", "What a reading of the database took last.", labels=["reading"]
        )
        for reading in self._readings:
            costs.add_metric([reading.name], reading.cost)
        return costs
