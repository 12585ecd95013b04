"""Working: what is due between two batches, done beside them.

A supervisor has claims in hand while the next batch is claimed: what may wait for a lock, or hash a model's files
for minutes, must not keep it from renewing its leases.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from core.errors import Infrastructure
from orchestrator import logs

log = logging.getLogger("dreamline.worker")


class Chores:
    """One piece of work in a thread of its own, done again whenever it was asked for since it began."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, f"chores {name}")
        self._lock = threading.Lock()
        self._waiting = False

    def ask(self) -> None:
        """Has it done soon; returns at once."""
        with self._lock:
            if not self._waiting:
                self._waiting = True
                self._thread.submit(self._do, dict(logs.known()))

    def settle(self) -> None:
        """Waits until all that was asked for is done."""
        self._thread.submit(lambda: None).result()

    def _do(self, about: dict[str, object]) -> None:
        with self._lock:
            self._waiting = False
        with logs.about(**about):
            try:
                self._work()
            except Infrastructure as error:
                log.warning("%s; looking again later", error)
            except Exception:
                log.exception("what is due between batches failed")
