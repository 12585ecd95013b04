"""Working: look for work, do it, look again until there is none.

A message only says "look"; the poll is what guarantees that nothing waits for ever. Both end here, and one
look at a time is enough: whoever comes while one is under way makes it look once more.
"""

from __future__ import annotations

import logging
import math
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, text

from core.errors import Infrastructure
from core.hookspecs import Event
from core.registry import Registry
from core.settings import Settings
from orchestrator import gating, logs
from orchestrator.askers import read_askers
from orchestrator.operating.meter import meter
from orchestrator.records.database import Database
from orchestrator.records.models import read_recorded
from orchestrator.records.storage import open_storage
from orchestrator.stopping import Watch
from orchestrator.working.chores import Chores
from orchestrator.working.claims import Claim, Liking, claim
from orchestrator.working.desks import Desk
from orchestrator.working.likes import Likes
from orchestrator.working.rescue import end_campaigns, rescue
from orchestrator.working.supervisor import Supervisor, Taken

log = logging.getLogger("dreamline.worker")


RESCUE = 1.0
"""Seconds between two looks for lost leases and for work whose time has come, while there is other work."""


class Looker:
    """One worker's eyes and hands for one kind of work. `wake(queue)` tells others to look.

    `claimed` counts the pieces of work that it has taken since it started.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        registry: Registry,
        desk: Desk,
        wake: Callable[[str], None],
    ) -> None:
        self.desk = desk
        self._settings = settings
        self._database = database
        self._registry = registry
        self._wake = wake
        self._id = uuid.uuid4()
        self._watch = Watch(database, registry)
        self._supervisor = Supervisor(settings, database, open_storage(settings.store_url), desk, self._id)
        self.claimed = 0
        self._likes = Likes(settings.stay_seconds)
        self._held = self._called = False
        self._able: list[str] = []
        self._signed = self._rescued = -math.inf
        self._chores = Chores(self._do_chores, desk.queue)
        self._one = threading.Lock()
        self._again = threading.Event()
        self._stopping = threading.Event()
        self._hurry = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    @property
    def able(self) -> Sequence[str]:
        """What it could do, as plans pin it, when it last looked."""
        return tuple(self._able)

    def look(self) -> bool:
        """Works until nothing is left, unless another thread already does; False: an error ended it before."""
        logs.know(worker=str(self._id), queue=self.desk.queue)
        self._again.set()
        whole = True
        while self._again.is_set() and self._one.acquire(blocking=False):
            try:
                self._again.clear()
                self._work_off()
            except Infrastructure as error:
                whole = False
                log.warning("%s; looking again in %.0f s", error, self._settings.poll_seconds)
            except Exception:
                whole = False
                # Whatever it was, a worker that stopped looking would help nobody; its leases run out.
                log.exception("looking for %s work failed", self.desk.queue)
            finally:
                self._one.release()
        return whole

    def poll(self) -> None:
        """Looks every few seconds, at no fixed beat, until the worker stops."""
        while not self._stopping.is_set():
            self.look()
            self.rest()

    def rest(self) -> None:
        """Waits for as long as between two looks, or until the worker stops."""
        self._stopping.wait(self._settings.poll_seconds * random.uniform(0.7, 1.3))

    def stop(self) -> bool:
        """First call: end the batch under way, then no more. Second call: give it back now.

        Returns:
            Whether it had been stopped before.
        """
        before = self._stopping.is_set()
        if before:
            self._hurry.set()
        self._stopping.set()
        return before

    def leave(self) -> None:
        """Waits for the batch under way, ends the child and signs off."""
        self._one.acquire()
        self._supervisor.stop()
        try:
            self._database.patiently(self._sign_off, seconds=2)
        except Infrastructure as error:
            log.info("could not sign off: %s", error)

    def _work_off(self) -> None:
        self._able, self._called = self._look_at_pins(), False
        try:
            count = self._supervisor.work(self._more, self._stopping.is_set, self._hurry.is_set)
        finally:
            self._chores.settle()
        self.claimed, self._held = self.claimed + count, self._held or count > 0
        self._after_batch()
        if not self._stopping.is_set():
            self._tell_ends()

    def _more(self) -> Taken:
        """Claims what is next; whatever else is due is done beside it."""
        meter().sign(self.desk.queue)
        if self._held or time.monotonic() - self._signed > self._settings.poll_seconds:
            self._chores.ask()
        with self._database.begin() as connection:
            found = self._claim(connection)
            askers = read_askers(connection, self.desk.table, [one.id for one in found]) if found else {}
        if len(found) == self._settings.batch_size and not self._called:
            # There is more than this worker takes: one that rests may have some of it, and will call the next.
            self._called = True
            self._wake(self.desk.queue)
        self._held = self._held or bool(found)
        about = logs.on(self.desk.table, [one.id for one in found], askers) if found else {}
        with logs.about(**about):
            if found:
                log.info("%s: %d claimed", self.desk.table, len(found))
        return Taken(found, about)

    def _do_chores(self) -> None:
        """Between two batches, in a thread beside them."""
        self._after_batch()
        if time.monotonic() - self._signed > self._settings.poll_seconds:
            self._able = self._look_at_pins()
            # A campaign can end while there is always work for others.
            self._tell_ends()

    def _after_batch(self) -> None:
        """What was made is judged, and those who wait for it are woken."""
        if self._held:
            self._held = False
            gating.judge(self._database, self._registry)
            self._watch.look()
            if self.desk.wakes is not None:
                self._wake(self.desk.wakes)

    def _claim(self, connection: Connection) -> list[Claim]:
        """A batch. What is lost or due comes back first every second, and whenever nothing is ready without it."""
        if time.monotonic() - self._rescued > RESCUE:
            self._rescued = time.monotonic()
            rescue(connection, self._settings.max_attempts)
            return self._take(connection)
        found = self._take(connection)
        if not found and rescue(connection, self._settings.max_attempts):
            found = self._take(connection)
        return found

    def _take(self, connection: Connection) -> list[Claim]:
        settings = self._settings
        liking = self._likes.now() if self.desk.keeps_models else Liking()
        found = claim(
            connection,
            self.desk.table,
            self._id,
            self._able,
            settings.batch_size,
            settings.lease_seconds,
            liking,
        )
        if found:
            self._likes.took(found[0].pin, found[0].batch)
        return found

    def _tell_ends(self) -> None:
        if gating.judge(self._database, self._registry, thorough=True):
            self._again.set()
        self._watch.look()
        with self._database.begin() as connection:
            names = end_campaigns(connection)
        for name in names:
            self._registry.tell(Event("finished", name))

    def _look_at_pins(self) -> list[str]:
        """What this worker can do now; signs on with it. Hashing a model's files takes no connection."""
        recorded = self._database.patiently(read_recorded, seconds=5)
        pins = self.desk.pins(recorded, self._registry, self._settings)
        self._database.patiently(lambda connection: self._sign_on(connection, pins), seconds=5)
        self._signed = time.monotonic()
        return pins

    def _sign_on(self, connection: Connection, pins: list[str]) -> None:
        connection.execute(
            text("""
            insert into worker (id, host, process, queue, pins)
            values (:id, :host, :process, :queue, to_jsonb(cast(:pins as text[])))
            on conflict (id) do update set seen_at = now(), pins = excluded.pins, busy = :busy, idle = :idle
            """),
            {
                "id": self._id,
                "host": socket.gethostname(),
                "process": os.getpid(),
                "queue": self.desk.queue,
                "pins": pins,
                "busy": self._supervisor.busy,
                "idle": self._supervisor.idle,
            },
        )

    def _sign_off(self, connection: Connection) -> None:
        connection.execute(
            text("update worker set stopped_at = now(), busy = :busy, idle = :idle where id = :id"),
            {"id": self._id, "busy": self._supervisor.busy, "idle": self._supervisor.idle},
        )
