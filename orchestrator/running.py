"""A campaign run from one terminal: workers of its own, a wait with progress, a clean end.

Workers are processes like any other's; these end when the command that started them does. One that dies is
started again, since nothing it held is lost.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from core.settings import Settings
from orchestrator import interrupts
from orchestrator.progress import Progress, read_progress
from orchestrator.records.causes import INFRASTRUCTURE
from orchestrator.records.database import Database
from orchestrator.unserved import Lacking, in_short
from orchestrator.working.celery_app import QUEUES, publish
from orchestrator.working.rescue import end_campaigns

PATIENCE = 10.0
"""Seconds without any new image after which it is asked whether anybody can make them."""

LATEST = 12
"""Times that `PATIENCE` may run out while workers of our own have not even said what they can do."""

REMIND = 300.0
"""Seconds between two words about a store or a network that fails: the wait for it has no end."""

SOON = 8.0
"""Seconds that workers get to end by themselves before they are told to give their work back."""


def wake_all(settings: Settings) -> None:
    """Tells a worker of each queue to look."""
    for queue in QUEUES:
        publish(settings, queue)


@dataclass
class LocalWorkers:
    """Worker processes on this machine, one a queue and more for images if asked."""

    settings: Settings
    makers: int = 1
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)

    def keep_alive(self) -> None:
        """Starts each worker that is not running, at most one try every two seconds."""
        for name in ["cpu", *(f"gpu {k}" for k in range(self.makers))]:
            process = self._processes.get(name)
            late = time.monotonic() - self._started.get(name, -10.0)
            if (process is None or process.poll() is not None) and late > 2.0:
                self._started[name] = time.monotonic()
                self._processes[name] = self._start(name.split()[0])

    def signed_on(self, connection: Connection) -> bool:
        """Whether each queue has one that has said what it can do; until then nobody knows what is lacking.

        Rows of earlier lives with the same process id don't count: those began before our processes were started.
        """
        running = {name: process.pid for name, process in self._processes.items() if process.poll() is None}
        now = time.monotonic()
        queues = connection.execute(
            text(_SIGNED_ON),
            {
                "host": socket.gethostname(),
                "processes": list(running.values()),
                "ages": [now - self._started[name] for name in running],
            },
        )
        return set(queues.scalars()) == set(QUEUES)

    def stop(self) -> None:
        """Lets each end the batch under way, or give it back when that takes long."""
        self._signal(signal.SIGTERM)
        if not self._wait(SOON):
            self._signal(signal.SIGTERM)
            if not self._wait(SOON):
                self._signal(signal.SIGKILL)
                self._wait(SOON)

    def _start(self, queue: str) -> subprocess.Popen[bytes]:
        # -P: a folder called `core` where the user stands must not hide ours.
        command = (sys.executable, "-P", "-m", "orchestrator.cli", "worker")
        return subprocess.Popen(
            [*command, "-q", queue, "--while-parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(number)

    def _wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(process.poll() is not None for process in self._processes.values()):
                return True
            time.sleep(0.05)
        return False


@contextmanager
def local_workers(settings: Settings, makers: int) -> Iterator[LocalWorkers]:
    """Workers for the length of a block."""
    workers = LocalWorkers(settings, makers)
    workers.keep_alive()
    try:
        yield workers
    finally:
        workers.stop()


def wait_for(
    database: Database,
    name: str,
    show: Callable[[Progress], None],
    warn: Callable[[str], None],
    lacking: Callable[[Connection], Sequence[Lacking]],
    workers: LocalWorkers | None = None,
    watch: Callable[[], None] | None = None,
) -> Progress:
    """Waits until the campaign runs no more, or nothing of it can go on with this command's workers.

    Args:
        database: where the campaign is.
        name: its name.
        show: called about twice a second.
        warn: called once, when work waits for something that no worker has; and every `REMIND` seconds while it
            waits for a store or a network that fails.
        lacking: asked for what no worker has.
        workers: of this command. Without any the wait is for others, which may still come: it has no end.
        watch: called each time, to pause campaigns whose stop rules or pilots say so.
    """
    quiet_until, told, ended, reminded = time.monotonic() + PATIENCE, 0, -1, -math.inf

    def look(connection: Connection) -> Progress:
        progress = read_progress(connection, name)[0]
        if progress.ended == progress.total and end_campaigns(connection):
            progress = read_progress(connection, name)[0]
        return progress

    while True:
        interrupts.obey()
        began = time.monotonic()
        if watch is not None:
            watch()
        progress = database.patiently(look)
        pause = max(0.4, 5 * (time.monotonic() - began))
        show(progress)
        if progress.state != "running":
            return progress
        if progress.ended != ended:
            ended, told, quiet_until = progress.ended, 0, time.monotonic() + PATIENCE
        if time.monotonic() > quiet_until:
            quiet_until = time.monotonic() + PATIENCE
            missing = database.patiently(lacking)
            told = told + 1 if missing and not _under_way(progress) else 0
            if told == 1:
                warn(in_short(missing))
            if told > 1 and workers is not None and (told > LATEST or database.patiently(workers.signed_on)):
                return progress
            outage = database.patiently(lambda connection: read_outage(connection, name))
            if outage and time.monotonic() - reminded > REMIND:
                reminded = time.monotonic()
                warn(outage)
        if workers is not None:
            workers.keep_alive()
        time.sleep(pause)


def read_outage(connection: Connection, name: str) -> str:
    """What keeps failing a campaign's work that is not its fault, in words; empty where nothing does."""
    query = text(_OUTAGE)
    message = connection.execute(query, {"name": name, "kind": INFRASTRUCTURE}).scalar_one_or_none()
    return f"work waits, and is tried again until this is over: {message}" if message else ""


def _under_way(progress: Progress) -> bool:
    """Whether a worker has something of it in hand, or will try something again."""
    return any(
        counts[state] for counts in (progress.jobs, progress.preparations) for state in ("leased", "failed")
    )


_SIGNED_ON = """
select distinct queue from worker join unnest(
    cast(:processes as integer[]), cast(:ages as double precision[])
) as ours (process, age) using (process)
where host = :host and stopped_at is null and started_at > now() - make_interval(secs => age)
"""

_OUTAGE = """
with mine as (
    select distinct item.job_id from item join campaign on campaign.id = item.campaign_id
    where campaign.name = :name and not item.obsolete
), failing as (
    select error, changed_at from job join mine on mine.job_id = job.id
    where state in ('queued', 'leased', 'failed') and error->>'class' = :kind
    union all
    select error, changed_at from preparation
    where id in (select preparation_id from job_reference join mine using (job_id))
        and state in ('queued', 'leased', 'failed') and error->>'class' = :kind
)
select error->>'message' from failing order by changed_at desc limit 1
"""
