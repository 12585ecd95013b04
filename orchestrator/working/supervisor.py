"""Working: claims in the hands of child processes. Renews their leases from outside, ends what has to be ended.

The supervisor never imports a model or a plugin's heavy parts, so it stays awake whatever a child does. One child
prepares references or makes images; for images a second one looks at what was made, while the first goes on with
the next. Of batches the first child has one under way and, shortly before that ends, the next.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Any

from core.errors import Infrastructure
from core.settings import Settings
from orchestrator import logs
from orchestrator.operating.meter import meter
from orchestrator.records import causes
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import blame
from orchestrator.working.claims import Claim
from orchestrator.working.desks import Desk, Result
from orchestrator.working.hands import Hands
from orchestrator.working.ledger import Ledger
from orchestrator.working.limits import RENEWED, memory_limit
from orchestrator.working.messages import Begun, Doing, Failed, Finished, Made, Soon, Stored
from orchestrator.working.station import Station

log = logging.getLogger("dreamline.worker")

STARTING = 120.0
"""Seconds that a child may take to load its plugins."""

CHANCES = 2
"""Processes in a row that a plugin may take along while it scores images before it is asked no more."""

REVIEW = 0.25
"""Seconds between two looks whether what is under way is still wanted, and at the memory of the processes."""

ASK = 0.5
"""Seconds between two questions for more work while there was none."""

TOGETHER = 32
"""Results that are recorded together at most: who has sent more than are recorded meanwhile is heard again."""

GRACE = 30.0
"""Seconds that a generator may go on with images that nobody wants before its process is ended."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Newly claimed work, and what lines that are logged about it bear."""

    claims: Sequence[Claim]
    about: Mapping[str, Any]


class Supervisor:
    """Does the work of one desk in child processes, started when needed and kept between batches.

    `busy` and `idle` are seconds that the generator was at work, and that it waited between two batches.
    """

    def __init__(
        self, settings: Settings, database: Database, store: Storage, desk: Desk, worker: uuid.UUID
    ) -> None:
        self.busy = self.idle = 0.0
        self._settings = settings
        self._desk = desk
        self._limit = memory_limit(settings, desk.queue)
        self._ledger = Ledger(settings, database, store, desk, worker)
        self._main = Station("make" if desk.table == "job" else "prepare")
        self._finisher = Station("finish") if desk.table == "job" else None
        self._hands = Hands()
        self._taken_along: Counter[str] = Counter()
        self._renewed = self._reviewed = self._weighed = 0.0

    def work(self, more: Callable[[], Taken], stopping: Callable[[], bool], hurry: Callable[[], bool]) -> int:
        """Works until there is no more; returns how much was claimed.

        Args:
            more: claims a batch, an empty one where nothing is ready.
            stopping: asked several times a second; once true, what was not begun is given back, the rest ends.
            hurry: once true, everything that is unfinished is given back at once.

        Raises:
            Infrastructure: a process did not start, or the database stays away.
        """
        count, ask_at, follows = 0, 0.0, False
        try:
            while True:
                if self._has_room() and not stopping() and time.monotonic() >= ask_at:
                    taken = self._ask(more)
                    count += len(taken.claims)
                    ask_at = 0.0 if taken.claims else time.monotonic() + ASK
                    self._begin(taken, follows=follows)
                    follows = bool(taken.claims)
                if not self._hands.claims and (stopping() or (ask_at and not self._hands.batches)):
                    return count
                if hurry():
                    self.stop()
                    self._give_back(self._hands.claims)
                    return count
                self._turn(stopping=stopping())
        except BaseException:
            self.stop()
            raise
        finally:
            self._hands.empty()

    def stop(self) -> None:
        """Ends the processes at once; their files can be half written, their rows can't."""
        for station in self._stations:
            station.stop()
        self._hands.batches.clear()

    @property
    def _stations(self) -> list[Station]:
        return [self._main] if self._finisher is None else [self._main, self._finisher]

    def _has_room(self) -> bool:
        """Whether another batch can be begun at once, or will be soon."""
        batches = self._hands.batches
        if len(self._hands.finishing) >= 2 * self._settings.batch_size:
            return False
        return not batches or (len(batches) == 1 and batches[0].soon)

    def _ask(self, more: Callable[[], Taken]) -> Taken:
        """More work; where it can't be had just now, what is in hand goes on."""
        try:
            return more()
        except Infrastructure as error:
            if not self._hands.claims:
                raise
            log.warning("no more work could be claimed: %s", error)
            return Taken((), {})

    def _begin(self, taken: Taken, *, follows: bool) -> None:
        """Hands new claims to the child."""
        if not taken.claims:
            return
        try:
            payloads = self._ledger.load(taken.claims)
        except Infrastructure:
            # In nobody's hands yet: where it can't be given back either, its lease runs out.
            with contextlib.suppress(Infrastructure):
                self._ledger.give_back(taken.claims)
            raise
        batch = self._hands.take(taken.claims, payloads, {**logs.known(), **taken.about}, follows=follows)
        for station in self._stations:
            station.start()
        self._main.send(batch)

    def _turn(self, *, stopping: bool) -> None:
        """One round: hears the children, keeps the leases, ends what has to be ended."""
        meter().sign(self._desk.queue)
        wires = {wire: station for station in self._stations if (wire := station.wire) is not None}
        heard = wait(list(wires), timeout=0.1)
        for wire, station in wires.items():
            if wire in heard:
                self._hear(station)
        now = time.monotonic()
        if now - self._renewed > self._settings.lease_seconds / 4 and self._hands.claims:
            self._renewed = now
            self._drop(self._ledger.renew(self._hands.claims))
        if now - self._reviewed > REVIEW and self._hands.claims:
            self._reviewed = now
            self._review()
        if stopping and (waiting := self._hands.not_begun()):
            self._give_back(waiting)
        for station in self._stations:
            error = self._past_limits(station, now)
            if error is not None:
                self._end(station, error)
        if now - self._weighed > REVIEW:
            self._weighed = now

    def _hear(self, station: Station) -> None:
        """Takes what a process has said by now; results that lie there together are recorded together."""
        results: list[Result] = []
        ended = False
        try:
            while station.wire is not None and len(results) < TOGETHER and station.wire.poll():
                self._answer(station, station.receive(), results)
        except (EOFError, OSError):
            ended = True
        finally:
            self._ledger.keep(results)
        if ended:
            self._after_crash(station)
        elif station is self._finisher and results:
            self._renew_if_grown(station, idle=not self._hands.finishing)

    def _answer(self, station: Station, message: Any, results: list[Result]) -> None:
        """Does what a message asks for; a result is added to those that are to be recorded."""
        if isinstance(message, Begun):
            self._hands.begun(message.number)
        elif isinstance(message, Soon):
            self._hands.soon(message.number)
        elif isinstance(message, Stored):
            self._look_at(message)
        elif isinstance(message, Made):
            results += self._results(message)
            if station is self._finisher:
                self._forgive()
        elif isinstance(message, Failed):
            claim = self._hands.answered(message.id)
            if claim is not None:
                self._ledger.fail(claim, dict(message.error), together=message.together)
        elif isinstance(message, Finished):
            self.busy, self.idle = self.busy + message.busy, self.idle + message.idle
            unanswered = {"class": causes.UNKNOWN, "message": "it was left without an answer"}
            self._fail_all(self._hands.finished(message.number), unanswered)
            self._renew_if_grown(station, idle=not self._hands.batches)

    def _look_at(self, message: Stored) -> None:
        """Hands an image that is in the store to the process that looks at images."""
        rested = not self._hands.finishing
        finish = self._hands.stored(message)
        if finish is not None and self._finisher is not None:
            self._finisher.start()
            if rested:
                # Its time counts from now, not from the image before.
                self._finisher.begin(Doing("the image was handed to it"))
            self._finisher.send(replace(finish, unasked=self._unasked()))

    def _results(self, message: Made) -> list[Result]:
        """A result with its claim, which is out of hand from now; none where it is no longer ours."""
        claim = self._hands.answered(message.id)
        return [] if claim is None else [(claim, message)]

    def _review(self) -> None:
        """Lets go of what was cancelled, and gives back what was paused; an image that is stored is ended."""
        found = self._ledger.review(self._hands.claims)
        self._drop(found.lost)
        unwanted = found.unwanted - self._hands.finishing.keys()
        self._give_back([one for one in self._hands.claims if one.id in unwanted])

    def _drop(self, ids: frozenset[int]) -> None:
        """Work that is no longer ours: the children go on without it."""
        if ids:
            for station in self._stations:
                station.send(self._hands.drop(ids))

    def _give_back(self, claims: Sequence[Claim]) -> None:
        self._drop(frozenset(one.id for one in claims))
        self._ledger.give_back(claims)

    def _past_limits(self, station: Station, now: float) -> dict[str, Any] | None:
        """Why a process has to be ended, if it has to."""
        if station.wire is None:
            return None
        if not station.ready:
            if now - station.since > STARTING:
                raise self._unstarted(station, f"it took more than {STARTING:.0f} s")
            return None
        current = self._hands.batches[0] if station is self._main and self._hands.batches else None
        if current is not None and current.unwanted_for(now, self._hands.open) > GRACE:
            return {"class": causes.TIME, "message": f"went on for {GRACE:g} s with what nobody wants"}
        busy = current.begun if current else None
        if station is self._finisher and self._hands.finishing:
            busy = station.since
        for seconds, since, variable in (
            (self._settings.batch_seconds, busy, "DREAMLINE_BATCH_SECONDS"),
            (
                self._settings.plugin_seconds,
                station.since if station.doing.plugin and busy is not None else None,
                "DREAMLINE_PLUGIN_SECONDS",
            ),
        ):
            if since is not None and now - since > seconds:
                return {"class": causes.TIME, "message": f"not done after {seconds:g} s ({variable})"}
        if now - self._weighed > REVIEW and station.memory() > self._limit:
            message = f"its process took more than {self._limit / 2**30:.1f} GB (DREAMLINE_CHILD_MEMORY_GB)"
            return {"class": causes.MEMORY, "message": message}
        return None

    def _after_crash(self, station: Station) -> None:
        how = station.how_it_ended()
        if not station.ready:
            raise self._unstarted(station, how)
        log.warning("a working process (%s) ended by itself (%s)", station.role, how)
        self._end(station, {"class": causes.CRASH, "message": f"its process ended by itself ({how})"})

    def _unstarted(self, station: Station, how: str) -> Infrastructure:
        """Gives everything back; what the process said last is told with the error."""
        words = station.last_words()[-1:]
        self.stop()
        self._give_back(self._hands.claims)
        return Infrastructure(f"the working process ({station.role}) did not start ({how}): {' '.join(words)}")

    def _end(self, station: Station, error: Mapping[str, Any]) -> None:
        """Ends a process, and settles what it was at."""
        doing, words = station.doing, station.last_words()
        station.stop()
        told = blame.tell(error, doing, words)
        if station is self._finisher:
            self._end_looking(doing, told)
        else:
            self._end_making(doing, told)

    def _end_making(self, doing: Doing, told: Mapping[str, Any]) -> None:
        """What was under way has failed; what is known not to be the cause, or was not begun, is given back."""
        begun, waiting = self._hands.under_way(), self._hands.not_begun()
        self._hands.batches.clear()
        if doing.id is None:
            self._fail_all(begun, told)
        else:
            for claim in (one for one in begun if one.id == doing.id):
                self._hands.answered(claim.id)
                self._ledger.fail(claim, told, named=bool(doing.plugin))
            waiting = [*waiting, *(one for one in begun if one.id != doing.id)]
        self._give_back(waiting)

    def _end_looking(self, doing: Doing, told: Mapping[str, Any]) -> None:
        """An image that was scored is kept without the missing scores; the others go to a new process."""
        if doing.so_far is not None:
            self._taken_along[doing.plugin] += 1
            self._ledger.keep(self._results(blame.without_scores_of(doing, told["message"])))
        elif doing.id is not None:
            claim = self._hands.answered(doing.id)
            if claim is not None:
                self._ledger.fail(claim, told, named=bool(doing.plugin))
        if self._finisher is not None and self._hands.finishing:
            self._finisher.start()
            for finish in self._hands.finishing.values():
                self._finisher.send(replace(finish, unasked=self._unasked()))

    def _fail_all(self, claims: Sequence[Claim], error: Mapping[str, Any]) -> None:
        together = [one.id for one in claims]
        for claim in claims:
            self._hands.answered(claim.id)
            self._ledger.fail(claim, error, together=together)

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

    def _renew_if_grown(self, station: Station, *, idle: bool) -> None:
        """Ends a process that has grown, while it has nothing to do; the next batch starts another."""
        if idle and station.memory() > self._limit * RENEWED[station.role]:
            station.stop()
