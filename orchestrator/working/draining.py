"""Working: until nothing is ready any more, for machines that are there for a while only."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.working.claims import Table
from orchestrator.working.looking import Looker

AGAIN = 0.3
"""Seconds after which a queue that found nothing looks again while another one still works."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is still to be done, in pieces of work: of the tables that a worker has looked at, and not paused.

    Attributes:
        ready: nobody has it; it asks for a model or a plugin that was not here.
        waiting: images whose references are not prepared yet.
        elsewhere: other workers have it.
        again: it failed and is to be tried again at a later time.
    """

    ready: int = 0
    waiting: int = 0
    elsewhere: int = 0
    again: int = 0

    def __bool__(self) -> bool:
        return any((self.ready, self.waiting, self.elsewhere, self.again))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        told = (
            (self.ready, "ask for a model or a plugin that is not here"),
            (self.waiting, "wait for their references"),
            (self.elsewhere, "are with other workers"),
            (self.again, "failed and are tried again later"),
        )
        return "; ".join(f"{count} {words}" for count, words in told if count)


def drain(lookers: Sequence[Looker]) -> None:
    """Works until no queue finds anything, also nothing that another has made ready; or until told to stop."""
    idle = _Idle(len(lookers))
    threads = [threading.Thread(target=_drain_one, args=(one, idle), name=one.desk.queue) for one in lookers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_left(connection: Connection, tables: Sequence[Table]) -> Left:
    """Counts what of these tables has not ended."""
    counts = {"ready": 0, "waiting": 0, "elsewhere": 0, "again": 0}
    for table in tables:
        waiting = "waiting > 0" if table == "job" else "false"
        rows = connection.execute(
            text(f"""
            select case state when 'leased' then 'elsewhere' when 'failed' then 'again'
                       else case when {waiting} then 'waiting' else 'ready' end end as what, count(*) as pieces
            from {table} where state in ('queued', 'leased', 'failed') and not held group by 1
            """)  # noqa: S608 - names of ours
        )
        for row in rows:
            counts[row.what] += row.pieces
    return Left(**counts)


class _Idle:
    """Whether every queue has looked in vain since anybody last found something."""

    def __init__(self, queues: int) -> None:
        self._queues = queues
        self._idle: set[str] = set()
        self._lock = threading.Lock()
        self._all = threading.Event()

    def found(self) -> None:
        with self._lock:
            self._idle.clear()

    def found_nothing(self, queue: str) -> None:
        with self._lock:
            self._idle.add(queue)
            if len(self._idle) == self._queues:
                self._all.set()

    def wait(self) -> bool:
        """Whether all are done; waits a moment for it."""
        return self._all.wait(AGAIN)


def _drain_one(looker: Looker, idle: _Idle) -> None:
    while not looker.stopping:
        before = looker.claimed
        looker.look()
        if looker.claimed > before:
            idle.found()
            continue
        idle.found_nothing(looker.desk.queue)
        if idle.wait():
            return
