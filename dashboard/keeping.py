"""Dashboard: workers of its own on a machine that has no others: started when there is work, ended after it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from sqlalchemy import text

from core.errors import DreamlineError
from core.settings import Settings
from orchestrator.records.database import Database
from orchestrator.running import LocalWorkers
from orchestrator.working.rescue import end_campaigns

log = logging.getLogger("dreamline.dashboard")

EVERY = 1.5
"""Seconds between looks for work."""

IDLE = 120.0
"""Seconds that workers are kept after the last work: a second attempt may follow, and models load slowly."""


class WorkersOnDemand:
    """A thread that keeps local workers alive as long as a campaign runs."""

    def __init__(self, settings: Settings, database: Database, makers: int) -> None:
        self._database = database
        self._settings = settings
        self._makers = makers
        self._workers: LocalWorkers | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dreamline workers", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the workers and waits for that."""
        self._end.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        busy = 0.0
        while not self._end.wait(EVERY):
            try:
                if self._running():
                    busy = time.monotonic()
                    self._workers = self._workers or LocalWorkers(self._settings, self._makers)
                    self._workers.keep_alive()
                elif self._workers is not None and time.monotonic() - busy > IDLE:
                    self._stop_workers()
            except DreamlineError as error:
                log.warning("workers: %s", error)
        self._stop_workers()

    def _running(self) -> bool:
        with self._database.begin() as connection:
            end_campaigns(connection)
            found = connection.execute(text("select exists (select 1 from campaign where state = 'running')"))
            return bool(found.scalar_one())

    def _stop_workers(self) -> None:
        if self._workers is not None:
            self._workers.stop()
            self._workers = None


@contextlib.contextmanager
def workers_on_demand(settings: Settings, database: Database, makers: int) -> Iterator[None]:
    """Workers for the length of a block; none at all when `makers` is 0."""
    keeper = WorkersOnDemand(settings, database, makers) if makers else None
    if keeper is not None:
        keeper.start()
    try:
        yield
    finally:
        if keeper is not None:
            keeper.stop()
