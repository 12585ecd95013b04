"""Working: one child under watch. Renews its leases from outside, ends it when they are lost.

The supervisor never imports a model or a plugin's heavy parts, so it stays awake whatever the child does.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection as Wire
from typing import Any

import psutil

from core.errors import Infrastructure
from core.settings import Settings
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import retries
from orchestrator.working.claims import Claim, fail, give_back, renew
from orchestrator.working.desks import Desk
from orchestrator.working.messages import Batch, Drop, Failed, Finished, Made, Ready

log = logging.getLogger("dreamline.worker")

STARTING = 120.0
"""Seconds that a child may take to load its plugins."""


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

    def work(self, claims: Sequence[Claim], hurry: Callable[[], bool]) -> None:
        """Does the claimed work; returns when each claim is done, failed, lost or given back.

        `hurry` is asked several times a second; once it is true, what is unfinished is given back.
        """
        open_claims = {one.id: one for one in claims}
        payloads = self._database.patiently(lambda connection: self._desk.load(connection, claims))
        wire = self._child(open_claims, hurry)
        try:
            wire.send(Batch(self._desk.table, tuple(payloads)))
            self._watch(wire, open_claims, hurry)
        except (EOFError, OSError):
            self._after_crash(open_claims)
        except BaseException:
            self.stop()
            raise
        if self._grown():
            self.stop()

    def stop(self) -> None:
        """Ends the child at once; its files can be half written, its rows can't."""
        if self._wire is not None:
            self._wire.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._wire = self._process = None

    def _watch(self, wire: Wire, open_claims: dict[int, Claim], hurry: Callable[[], bool]) -> None:
        began = renewed = time.monotonic()
        every = self._settings.lease_seconds / 4
        while True:
            if wire.poll(0.1):
                message = wire.recv()
                if isinstance(message, Finished):
                    unanswered = {"class": retries.UNKNOWN, "message": "it was left without an answer"}
                    self._fail_all(open_claims, unanswered)
                    return
                self._record(message, open_claims)
            now = time.monotonic()
            if now - renewed > every and open_claims:
                renewed = now
                if not self._renew(wire, open_claims):
                    log.warning("all leases of this batch were lost: its process is ended")
                    self.stop()
                    return
            if hurry():
                self.stop()
                self._give_back(open_claims)
                return
            if now - began > self._settings.batch_seconds:
                self.stop()
                error = {
                    "class": retries.TIME,
                    "message": f"not done after {self._settings.batch_seconds:.0f} s (DREAMLINE_BATCH_SECONDS)",
                }
                self._fail_all(open_claims, error)
                return

    def _record(self, message: Any, open_claims: dict[int, Claim]) -> None:
        claim = open_claims.pop(message.id, None) if isinstance(message, (Made, Failed)) else None
        if claim is None:
            return
        if isinstance(message, Failed):
            self._fail(claim, dict(message.error), shared=message.shared)
            return
        try:
            kept = self._database.patiently(
                lambda connection: self._desk.keep(connection, self._store, claim, message, self._worker)
            )
        except Exception as error:
            log.warning("%s %s: its result could not be recorded", self._desk.table, claim.id, exc_info=True)
            self._fail(claim, retries.describe(error))
            return
        if not kept:
            log.warning("%s %s: its lease was lost, the result is thrown away", self._desk.table, claim.id)

    def _renew(self, wire: Wire, open_claims: dict[int, Claim]) -> bool:
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
            return True
        lost = open_claims.keys() - kept
        for one in lost:
            del open_claims[one]
        if lost and open_claims:
            wire.send(Drop(frozenset(lost)))
        return bool(open_claims)

    def _after_crash(self, open_claims: dict[int, Claim]) -> None:
        process = self._process
        code = process.wait(timeout=10) if process is not None else None
        self.stop()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        log.warning("the working process ended by itself (%s)", how)
        self._fail_all(open_claims, {"class": retries.CRASH, "message": f"its process ended by itself ({how})"})

    def _fail_all(self, open_claims: dict[int, Claim], error: dict[str, Any]) -> None:
        shared = len(open_claims) > 1
        for claim in open_claims.values():
            self._fail(claim, error, shared=shared)

    def _fail(self, claim: Claim, error: dict[str, Any], *, shared: bool = False) -> None:
        verdict = retries.judge(
            error["class"], claim.attempt, self._settings.max_attempts, self._settings.retry_seconds
        )
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
        deadline = time.monotonic() + STARTING
        try:
            while time.monotonic() < deadline and not hurry():
                if self._wire.poll(0.1) and isinstance(self._wire.recv(), Ready):
                    return self._wire
        except (EOFError, OSError):
            pass
        self.stop()
        self._give_back(open_claims)
        raise Infrastructure("the working process did not start; what it said is above")

    def _grown(self) -> bool:
        limit = self._settings.child_memory_gb
        if not limit or self._process is None:
            return False
        try:
            return bool(psutil.Process(self._process.pid).memory_info().rss > limit * 2**30)
        except psutil.Error:
            return True
