"""Working: one child under watch. Renews its leases from outside, ends it when they are lost.

The supervisor never imports a model or a plugin's heavy parts, so it stays awake whatever the child does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection as Wire
from typing import Any

from core.errors import Infrastructure
from core.settings import Settings
from orchestrator import logs
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import retries
from orchestrator.working.claims import Claim, fail, give_back, renew
from orchestrator.working.desks import Desk
from orchestrator.working.limits import RENEWED, memory_limit, memory_of
from orchestrator.working.messages import Batch, Doing, Drop, Failed, Finished, Made, Ready

log = logging.getLogger("dreamline.worker")

STARTING = 120.0
"""Seconds that a child may take to load its plugins."""

CHANCES = 2
"""Processes in a row that a plugin may take along while it scores images before it is asked no more."""


class Supervisor:
    """Does batches of one desk in one child process, started when needed and kept between batches."""

    def __init__(
        self, settings: Settings, database: Database, store: Storage, desk: Desk, worker: uuid.UUID
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._desk = desk
        self._worker = worker
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire | None = None
        self._doing = Doing("it was started")
        self._since = 0.0
        self._taken_along: Counter[str] = Counter()

    def work(self, claims: Sequence[Claim], hurry: Callable[[], bool]) -> None:
        """Does the claimed work; returns when each claim is done, failed, lost or given back.

        `hurry` is asked several times a second; once it is true, what is unfinished is given back.
        """
        open_claims = {one.id: one for one in claims}
        payloads = self._database.patiently(lambda connection: self._desk.load(connection, claims))
        wire = self._child(open_claims, hurry)
        still_ours = tuple(payload for payload in payloads if payload["id"] in open_claims)
        try:
            self._begin(Doing("it read its work"))
            wire.send(Batch(self._desk.table, still_ours, self._unasked(), logs.known()))
            self._watch(wire, open_claims, hurry)
        except (EOFError, OSError):
            self._after_crash(open_claims)
        except BaseException:
            self.stop()
            raise
        if self._process is not None and self._memory() > self._limit() * RENEWED[self._desk.queue]:
            self.stop()

    def stop(self) -> None:
        """Ends the child at once; its files can be half written, its rows can't."""
        if self._wire is not None:
            self._wire.close()
        if self._process is not None:
            # With whatever a plugin started: the child leads a process group of its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._wire = self._process = None

    def _watch(self, wire: Wire, open_claims: dict[int, Claim], hurry: Callable[[], bool]) -> None:
        began = renewed = time.monotonic()
        while True:
            if wire.poll(0.1):
                message = wire.recv()
                if isinstance(message, Finished):
                    unanswered = {"class": retries.UNKNOWN, "message": "it was left without an answer"}
                    self._fail_all(open_claims, unanswered)
                    return
                if isinstance(message, Doing):
                    self._begin(message)
                else:
                    self._record(message, open_claims)
                    if isinstance(message, Made):
                        self._forgive()
            now = time.monotonic()
            if now - renewed > self._renewal and open_claims:
                renewed = now
                lost = self._renew(open_claims)
                if not open_claims:
                    log.warning("all leases of this batch were lost: its process is ended")
                    self.stop()
                    return
                if lost:
                    wire.send(Drop(lost))
            if hurry():
                self.stop()
                self._give_back(open_claims)
                return
            error = self._past_limits(now, began)
            if error is not None:
                self.stop()
                self._end(open_claims, error)
                return

    def _past_limits(self, now: float, began: float) -> dict[str, Any] | None:
        """Why the child has to be ended, if it has to."""
        for seconds, since, variable in (
            (self._settings.batch_seconds, began, "DREAMLINE_BATCH_SECONDS"),
            (
                self._settings.plugin_seconds,
                self._since if self._doing.plugin else now,
                "DREAMLINE_PLUGIN_SECONDS",
            ),
        ):
            if now - since > seconds:
                return {"class": retries.TIME, "message": f"not done after {seconds:g} s ({variable})"}
        if self._memory() > self._limit():
            message = f"its process took more than {self._limit() / 2**30:.1f} GB (DREAMLINE_CHILD_MEMORY_GB)"
            return {"class": retries.MEMORY, "message": message}
        return None

    def _record(self, message: Any, open_claims: dict[int, Claim]) -> None:
        claim = open_claims.pop(message.id, None) if isinstance(message, (Made, Failed)) else None
        if claim is None:
            return
        if isinstance(message, Failed):
            self._fail(claim, dict(message.error), shared=message.shared)
            return
        which = {"about": {self._desk.table: claim.id}}
        try:
            kept = self._database.patiently(
                lambda connection: self._desk.keep(connection, self._store, claim, message, self._worker)
            )
        except Exception as error:
            log.warning(
                "%s %s: its result could not be recorded", self._desk.table, claim.id, exc_info=True, extra=which
            )
            self._fail(claim, retries.describe(error))
            return
        if not kept:
            log.warning(
                "%s %s: its lease was lost, the result is thrown away", self._desk.table, claim.id, extra=which
            )

    @property
    def _renewal(self) -> float:
        """Seconds between renewals: three may fail before a lease runs out."""
        return self._settings.lease_seconds / 4

    def _renew(self, open_claims: dict[int, Claim]) -> frozenset[int]:
        """Prolongs the leases; takes those that were lost out of `open_claims` and returns them."""
        try:
            with self._database.begin() as connection:
                kept = renew(
                    connection,
                    self._desk.table,
                    self._worker,
                    list(open_claims.values()),
                    self._settings.lease_seconds,
                )
        except Infrastructure as error:
            log.warning("leases could not be renewed: %s", error)
            return frozenset()
        lost = frozenset(open_claims.keys() - kept)
        for one in lost:
            del open_claims[one]
        return lost

    def _after_crash(self, open_claims: dict[int, Claim]) -> None:
        code = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(timeout=10)
        self.stop()
        how = "it fell silent" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
        log.warning("the working process ended by itself (%s)", how)
        self._end(open_claims, {"class": retries.CRASH, "message": f"its process ended by itself ({how})"})

    def _end(self, open_claims: dict[int, Claim], error: Mapping[str, Any]) -> None:
        """After the child had to end: blames what it was at, by name.

        Where it was at one piece of work, the others are given back as if nothing had happened; where it was
        scoring an image, the image is kept without the scores that are missing.
        """
        doing = self._doing
        told = {**error, "message": f"{error['message']} while {doing.words}"}
        if doing.plugin:
            told["plugin"] = doing.plugin
        if doing.id is None:
            self._fail_all(open_claims, told)
            return
        if doing.so_far is not None:
            self._taken_along[doing.plugin] += 1
            facts = doing.so_far.result["facts"]
            unscored = {**facts["unscored"], doing.plugin: told["message"]}
            result = {**doing.so_far.result, "facts": {**facts, "unscored": unscored}}
            self._record(replace(doing.so_far, result=result), open_claims)
        elif doing.id in open_claims:
            self._fail(open_claims.pop(doing.id), told, named=bool(doing.plugin))
        self._give_back(open_claims)

    def _fail_all(self, open_claims: dict[int, Claim], error: Mapping[str, Any]) -> None:
        shared = len(open_claims) > 1
        for claim in open_claims.values():
            self._fail(claim, error, shared=shared)

    def _fail(self, claim: Claim, error: Mapping[str, Any], *, shared: bool = False, named: bool = False) -> None:
        most, pause = self._settings.max_attempts, self._settings.retry_seconds
        verdict = retries.judge(error["class"], claim.attempt, most, pause, named=named)
        if shared:
            verdict = retries.Verdict(0.0, alone=True)
        self._database.patiently(
            lambda connection: fail(
                connection,
                self._desk.table,
                claim,
                error,
                retry_in=verdict.retry_in,
                alone=verdict.alone,
            )
        )

    def _give_back(self, open_claims: dict[int, Claim]) -> None:
        self._database.patiently(
            lambda connection: give_back(connection, self._desk.table, list(open_claims.values())), seconds=5
        )

    def _child(self, open_claims: dict[int, Claim], hurry: Callable[[], bool]) -> Wire:
        if self._process is not None and self._process.poll() is None and self._wire is not None:
            return self._wire
        self.stop()
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.working.child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._wire = Wire(os.dup(ours.fileno()))
        ours.close()
        began = renewed = time.monotonic()
        try:
            while time.monotonic() - began < STARTING and not hurry():
                if self._wire.poll(0.1) and isinstance(self._wire.recv(), Ready):
                    return self._wire
                if time.monotonic() - renewed > self._renewal:
                    renewed = time.monotonic()
                    self._renew(open_claims)
        except (EOFError, OSError):
            pass
        self.stop()
        self._give_back(open_claims)
        raise Infrastructure("the working process did not start; what it said is above")

    def _begin(self, doing: Doing) -> None:
        self._doing, self._since = doing, time.monotonic()

    def _unasked(self) -> dict[str, str]:
        """Plugins that are not asked for scores any more, each with the reason."""
        return {
            plugin: f"not asked: it took {times} processes along. It is asked again by a worker that starts anew"
            for plugin, times in self._taken_along.items()
            if times >= CHANCES
        }

    def _forgive(self) -> None:
        """After an image came through whole: plugins that are asked still took no two processes in a row."""
        for plugin in [name for name, times in self._taken_along.items() if times < CHANCES]:
            del self._taken_along[plugin]

    def _limit(self) -> float:
        return memory_limit(self._settings, self._desk.queue)

    def _memory(self) -> int:
        """Bytes that the child takes; 0 when it is gone, which is told elsewhere."""
        return (memory_of(self._process.pid) if self._process is not None else None) or 0
