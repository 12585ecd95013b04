"""Working: what a supervisor writes about its claims, patiently while the database is away."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from core.errors import Infrastructure
from core.settings import Settings
from orchestrator.operating.meter import meter
from orchestrator.records.database import Database, DatabaseAway
from orchestrator.records.storage import Storage
from orchestrator.working import retries
from orchestrator.working.claims import Claim, Standing, fail, give_back, renew, review
from orchestrator.working.desks import Desk, Result

log = logging.getLogger("dreamline.worker")


class Ledger:
    """The database as one supervisor sees it."""

    def __init__(
        self, settings: Settings, database: Database, store: Storage, desk: Desk, worker: uuid.UUID
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._desk = desk
        self._worker = worker

    def load(self, claims: Sequence[Claim]) -> list[dict[str, Any]]:
        """What a child needs to know of each claim."""
        return self._database.patiently(lambda connection: self._desk.load(connection, claims))

    def keep(self, results: Sequence[Result]) -> None:
        """Records results, each unless its claim was lost meanwhile; several in one transaction."""
        most = self._desk.at_once
        for first in range(0, len(results), most):
            self._keep(results[first : first + most])

    def _keep(self, results: Sequence[Result]) -> None:
        try:
            kept = self._database.patiently(
                lambda connection: self._desk.keep(connection, self._store, results, self._worker)
            )
        except Exception as error:
            if len(results) > 1 and not isinstance(error, DatabaseAway):
                # One of them, or some; the others can be recorded.
                for one in results:
                    self._keep([one])
            else:
                self._fail_unrecorded(results, error)
            return
        for claim, made in results:
            if claim.id in kept:
                meter().made(self._desk.table, made.seconds)
            else:
                meter().lost(self._desk.table)
                self._warn(claim, "its lease was lost, the result is thrown away")

    def _fail_unrecorded(self, results: Sequence[Result], error: Exception) -> None:
        for claim, _ in results:
            self._warn(claim, "its result could not be recorded", error)
            self.fail(claim, retries.describe(error))

    def _warn(self, claim: Claim, what: str, error: Exception | None = None) -> None:
        which = {"about": {self._desk.table: claim.id}}
        log.warning("%s %s: %s", self._desk.table, claim.id, what, exc_info=error, extra=which)

    def fail(
        self, claim: Claim, error: Mapping[str, Any], *, together: Collection[int] = (), named: bool = False
    ) -> None:
        """Records a failure and what is to happen next.

        Args:
            claim: what failed.
            error: as `retries.describe` tells it.
            together: ids of all that were under way, where any may be the cause.
            named: whether a plugin is known to have been at work on this and nothing else.
        """
        meter().failed(self._desk.table, error["class"])
        most, pause = self._settings.max_attempts, self._settings.retry_seconds
        verdict = retries.judge(error["class"], claim.attempt, most, pause, named=named, outages=claim.outages)
        if len(together) > 1:
            verdict = retries.part(claim.id, together, verdict)
        self._database.patiently(
            lambda connection: fail(
                connection,
                self._desk.table,
                claim,
                error,
                retry_in=verdict.retry_in,
                alone=verdict.alone,
                company=verdict.company,
                outages=verdict.outages,
            )
        )

    def give_back(self, claims: Sequence[Claim]) -> None:
        """Returns what was not begun, or can't be ended here."""
        if claims:
            self._database.patiently(lambda connection: give_back(connection, self._desk.table, claims), seconds=5)

    def renew(self, claims: Sequence[Claim]) -> frozenset[int]:
        """Prolongs the leases; returns the ids of those that were lost."""
        try:
            with self._database.begin() as connection:
                kept = renew(connection, self._desk.table, self._worker, claims, self._settings.lease_seconds)
        except Infrastructure as error:
            log.warning("leases could not be renewed: %s", error)
            return frozenset()
        return frozenset(one.id for one in claims) - kept

    def review(self, claims: Sequence[Claim]) -> Standing:
        """What of it was lost or is no longer wanted."""
        try:
            with self._database.begin() as connection:
                return review(connection, self._desk.table, self._worker, claims)
        except Infrastructure as error:
            log.info("nobody knows whether the work is still wanted: %s", error)
            return Standing(frozenset(), frozenset())
