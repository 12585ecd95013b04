"""Working: until nothing is ready any more, for machines that are there for a while only."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.working.claims import Table
from orchestrator.working.looking import Looker

log = logging.getLogger("dreamline.worker")

AGAIN = 0.3
"""Seconds after which a queue that found nothing looks again while another one still works."""

FAILURES = 10
"""Looks that end in an error, one after the other, after which a queue is given up."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is still to be done, in pieces of work: of the tables that a worker has looked at, and not paused.

    Attributes:
        ready: nobody has it, and it could have been done here.
        lacking: nobody has it; it asks for a model or a plugin that was not here.
        waiting: images whose references are not prepared yet.
        elsewhere: other workers have it.
        again: it failed and is to be tried again at a later time.
    """

    ready: int = 0
    lacking: int = 0
    waiting: int = 0
    elsewhere: int = 0
    again: int = 0

    def __bool__(self) -> bool:
        return any(self.as_dict().values())

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        told = (
            (self.ready, "are ready"),
            (self.lacking, "ask for a model or a plugin that is not here"),
            (self.waiting, "wait for their references"),
            (self.elsewhere, "are with other workers"),
            (self.again, "failed and are tried again later"),
        )
        return "; ".join(f"{count} {words}" for count, words in told if count)


def drain(lookers: Sequence[Looker], lease: float) -> None:
    """Works until no queue finds anything, also nothing that another has made ready; or until told to stop.

    After an error it goes on, and for `lease` seconds does not end: what it held is ready again by then.
    """
    idle = _Idle(len(lookers))
    threads = [
        threading.Thread(target=_drain_one, args=(one, idle, lease), name=one.desk.queue) for one in lookers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_left(connection: Connection, able: Mapping[Table, Sequence[str]]) -> Left:
    """Counts what has not ended of the tables that were looked at, each with the pins that could be done."""
    counts = dict.fromkeys(Left().as_dict(), 0)
    for table, pins in able.items():
        waiting = "waiting > 0" if table == "job" else "false"
        rows = connection.execute(
            text(f"""
            select case when state = 'leased' then 'elsewhere' when state = 'failed' then 'again'
                       when {waiting} then 'waiting' when pin = any(:pins) then 'ready' else 'lacking' end as what,
                   count(*) as pieces
            from {table} where state in ('queued', 'leased', 'failed') and not held group by 1
            """),  # noqa: S608 - names of ours
            {"pins": list(pins)},
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

    def looks(self, queue: str) -> None:
        """What it finds this time is not known yet."""
        with self._lock:
            self._idle.discard(queue)

    def found_nothing(self, queue: str) -> None:
        with self._lock:
            self._idle.add(queue)
            self._settle()

    def leave(self, queue: str) -> None:
        """The others don't wait for this queue any more."""
        with self._lock:
            self._idle.discard(queue)
            self._queues -= 1
            self._settle()

    def _settle(self) -> None:
        if len(self._idle) == self._queues:
            self._all.set()

    def wait(self) -> bool:
        """Whether all are done; waits a moment for it."""
        return self._all.wait(AGAIN)


def _drain_one(looker: Looker, idle: _Idle, lease: float) -> None:
    failures, until = 0, 0.0
    while not looker.stopping and failures < FAILURES:
        before = looker.claimed
        idle.looks(looker.desk.queue)
        if not looker.look():
            failures, until = failures + 1, time.monotonic() + lease
            looker.rest()
            continue
        failures = 0
        if looker.claimed > before:
            idle.found()
        elif time.monotonic() < until:
            looker.rest()
        else:
            idle.found_nothing(looker.desk.queue)
            if idle.wait():
                return
    if failures >= FAILURES:
        log.error("%s: %d looks in a row failed; it is looked no more", looker.desk.queue, failures)
    idle.leave(looker.desk.queue)
