"""Operating: what a worker counts about itself while it runs, in Prometheus' format.

What is true of all workers together is read from Postgres (`figures`); this is one process, from its start.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, ProcessCollector

WORK: Mapping[str, str] = {"job": "image", "preparation": "reference"}
"""What a row of a table is called where people read it."""

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
"""Upper ends of the histogram's buckets: from the fake generator to FLUX on a processor."""

SILENT = 600.0
"""Seconds without a sign after which a thread of a worker counts as stuck. Hashing a model's files for the first
time takes minutes; everything else gives a sign several times a second."""


class Meter:
    """Counts of one process. Safe for threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._signs: dict[str, float] = {}
        self._results = Counter(
            "dreamline_worker_results",
            "Answers to claimed work since this worker started, by outcome; class says why it failed.",
            ["work", "outcome", "class"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "dreamline_worker_seconds",
            "Seconds that this worker's results took, one by one.",
            ["work"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def made(self, table: str, seconds: float) -> None:
        """A result was recorded."""
        self._results.labels(WORK[table], "made", "").inc()
        self._seconds.labels(WORK[table]).observe(seconds)

    def failed(self, table: str, kind: str) -> None:
        """A claim ended with an error of that class; the work may be tried again."""
        self._results.labels(WORK[table], "failed", kind).inc()

    def lost(self, table: str) -> None:
        """A result came too late: its lease was another's by then."""
        self._results.labels(WORK[table], "lost", "").inc()

    def sign(self, queue: str) -> None:
        """The thread that does a queue's work is awake."""
        self._signs[queue] = time.monotonic()

    def silences(self) -> dict[str, float]:
        """Seconds since each queue's last sign."""
        now = time.monotonic()
        return {queue: now - then for queue, then in sorted(self._signs.items())}


@functools.cache
def meter() -> Meter:
    """This process's own."""
    return Meter()
