"""Working: a worker process. Celery brings the messages, a thread a queue looks and works."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Sequence
from types import FrameType

from celery import Celery, signals
from celery.exceptions import SecurityWarning

from core import registry
from core.settings import Settings
from orchestrator.operating.meter import meter
from orchestrator.operating.serving import serve_worker
from orchestrator.records.database import Database
from orchestrator.working.celery_app import LOOK, make_app, publish
from orchestrator.working.desks import DESKS
from orchestrator.working.draining import Left, drain, read_left
from orchestrator.working.looking import Looker

log = logging.getLogger("dreamline.worker")


def run_worker(settings: Settings, queues: Sequence[str], while_parent: int | None = None) -> None:
    """Works until SIGTERM or SIGINT: the first ends after the batch under way, a second gives it back.

    The pool is threads: the process stays awake for the broker's heartbeats while its children work.

    Args:
        settings: where everything is.
        queues: `cpu`, `gpu` or both.
        while_parent: a process id; the worker stops when that is no longer its parent.
    """
    database, lookers = _open(settings, queues)
    app = make_app(settings)
    _register_task(app, lookers)
    serve_worker(settings, database, meter())
    _follow_signals(database, list(lookers.values()))
    if while_parent is not None:
        threading.Thread(target=_stop_without, args=(while_parent,), daemon=True).start()
    # Celery warns of running as root because of pickled messages; ours are JSON and hold one word.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.Worker(
        pool="threads",
        concurrency=len(lookers),
        queues=[f"dreamline.{queue}" for queue in queues],
        hostname=f"dreamline-{os.getpid()}@{socket.gethostname()}",
        loglevel=settings.log.upper(),
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    ).start()


def drain_worker(settings: Settings, queues: Sequence[str]) -> Left:
    """Works off what is ready and returns what is left; SIGTERM and SIGINT end it as they end any worker.

    Needs no broker: it looks by itself.
    """
    database, lookers = _open(settings, queues)
    serve_worker(settings, database, meter())

    def end(number: int, frame: FrameType | None) -> None:
        for one in lookers.values():
            one.stop()

    heard = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        drain(list(lookers.values()), settings.lease_seconds)
        for one in lookers.values():
            one.leave()
        with database.begin() as connection:
            return read_left(connection, {one.desk.table: one.able for one in lookers.values()})
    finally:
        for number, before in heard.items():
            signal.signal(number, before)
        database.close()


def _open(settings: Settings, queues: Sequence[str]) -> tuple[Database, dict[str, Looker]]:
    # What a worker has locked when its network goes is free again when its leases are.
    database = Database(settings, silence=settings.lease_seconds)
    database.require_newest()
    plugins = registry.load(settings)
    return database, {
        queue: Looker(settings, database, plugins, DESKS[queue], lambda other: publish(settings, other))
        for queue in queues
    }


def _follow_signals(database: Database, lookers: Sequence[Looker]) -> None:
    """Starts polling at once, broker or not; leaves when it is told to shut down, as soon as the work is done.

    Leaving does not wait for Celery's own goodbye, which takes seconds: no message holds anything.
    """

    def leave() -> None:
        for one in lookers:
            one.leave()
        database.close()
        os._exit(0)

    def end(**_: object) -> None:
        before = [one.stop() for one in lookers]
        if not any(before):
            threading.Thread(target=leave, name="leave").start()

    signals.worker_shutting_down.connect(end, weak=False)
    for one in lookers:
        threading.Thread(target=one.poll, name=f"poll {one.desk.queue}", daemon=True).start()


def _register_task(app: Celery, lookers: dict[str, Looker]) -> None:
    @app.task(name=LOOK)
    def look(queue: str) -> None:
        if queue in lookers:
            lookers[queue].look()


def _stop_without(parent: int) -> None:
    """Ends this worker, giving back what it holds, when whoever started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    log.warning("whoever started this worker is gone: giving back and leaving")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
