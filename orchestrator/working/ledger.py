"""Working: what a supervisor writes about its claims, patiently while the database is away."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from core.errors import Infrastructure
from core.settings import Settings
from orchestrator.operating.meter import meter
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import retries
from orchestrator.working.claims import Claim, Standing, fail, give_back, renew, review
from orchestrator.working.desks import Desk
from orchestrator.working.messages import Made

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

    def keep(self, claim: Claim, made: Made) -> None:
        """Records a result, unless the claim was lost meanwhile."""
        which = {"about": {self._desk.table: claim.id}}
        try:
            kept = self._database.patiently(
                lambda connection: self._desk.keep(connection, self._store, claim, made, self._worker)
            )
        except Exception as error:
            log.warning(
                "%s %s: its result could not be recorded", self._desk.table, claim.id, exc_info=True, extra=which
            )
            self.fail(claim, retries.describe(error))
            return
        if kept:
            meter().made(self._desk.table, made.seconds)
        else:
            meter().lost(self._desk.table)
            log.warning(
                "%s %s: its lease was lost, the result is thrown away", self._desk.table, claim.id, extra=which
            )

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
        verdict = retries.judge(error["class"], claim.attempt, most, pause, named=named)
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
