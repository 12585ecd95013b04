"""Working: what a supervisor has in hand: claims, the batches of its child, images that are being looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from orchestrator.working.claims import Claim
from orchestrator.working.messages import Batch, Drop, Finish, Stored


@dataclass(slots=True)
class InHand:
    """A batch that a child has. `begun` is when it said that it is at it; `soon`, that it is about to end.

    `payloads` are those that were not dropped: a claim belongs to the last batch that it was handed out in.
    """

    number: int
    payloads: dict[int, Mapping[str, Any]]
    about: Mapping[str, Any]
    begun: float | None = None
    soon: bool = False
    unwanted: float | None = None

    def unwanted_for(self, now: float, claims: Mapping[int, Claim]) -> float:
        """Seconds since nothing of it has been wanted; 0 while something is."""
        if self.begun is None or any(one in claims for one in self.payloads):
            self.unwanted = None
            return 0.0
        self.unwanted = self.unwanted or now
        return now - self.unwanted


@dataclass(slots=True)
class Hands:
    """Claims that are not answered, by id; batches in the order of their beginning; images in the store, by id."""

    open: dict[int, Claim] = field(default_factory=dict)
    batches: list[InHand] = field(default_factory=list)
    finishing: dict[int, Finish] = field(default_factory=dict)
    _last: int = 0

    @property
    def claims(self) -> list[Claim]:
        """What is not answered yet."""
        return list(self.open.values())

    def take(
        self,
        claims: Sequence[Claim],
        payloads: Sequence[Mapping[str, Any]],
        about: Mapping[str, Any],
        *,
        follows: bool,
    ) -> Batch:
        """New claims as a batch for the child."""
        self._last += 1
        self._forget({one.id for one in claims})
        self.open.update({one.id: one for one in claims})
        self.batches.append(InHand(self._last, {one["id"]: one for one in payloads}, about))
        return Batch(self._last, tuple(payloads), about, follows)

    def empty(self) -> None:
        """Nothing is in hand any more. Numbers go on: a child that stays knows the old ones."""
        self.open.clear()
        self.batches.clear()
        self.finishing.clear()

    def begun(self, number: int) -> None:
        """A child is at a batch."""
        for batch in self.batches:
            if batch.number == number:
                batch.begun = time.monotonic()

    def soon(self, number: int) -> None:
        """A batch is about to end."""
        for batch in self.batches:
            if batch.number == number:
                batch.soon = True

    def stored(self, message: Stored) -> Finish | None:
        """An image is in the store: what is to be done to it; None where it is no longer ours."""
        batch = next((one for one in self.batches if message.id in one.payloads), None)
        if batch is None or message.id not in self.open:
            return None
        finish = Finish(batch.payloads[message.id], message.stored, message.seconds, about=batch.about)
        self.finishing[message.id] = finish
        return finish

    def answered(self, work: int) -> Claim | None:
        """Takes one claim out of hand; None where it is out already."""
        self.finishing.pop(work, None)
        return self.open.pop(work, None)

    def finished(self, number: int) -> list[Claim]:
        """A batch has ended; returns what of it was left without an answer."""
        ended = [one for one in self.batches if one.number == number]
        self.batches = [one for one in self.batches if one.number != number]
        return self._unmade(ended)

    def under_way(self) -> list[Claim]:
        """What a child is making; what it has stored already is none of it."""
        return self._unmade([one for one in self.batches if one.begun is not None])

    def not_begun(self) -> list[Claim]:
        """What a child has been handed and has not begun."""
        return self._unmade([one for one in self.batches if one.begun is None])

    def drop(self, ids: frozenset[int]) -> Drop:
        """Takes claims out of hand; what children have to be told."""
        for work in ids:
            self.answered(work)
        self._forget(ids)
        return Drop(ids)

    def _forget(self, ids: AbstractSet[int]) -> None:
        for batch in self.batches:
            for work in ids & batch.payloads.keys():
                del batch.payloads[work]

    def _unmade(self, batches: Sequence[InHand]) -> list[Claim]:
        return [
            self.open[work]
            for batch in batches
            for work in batch.payloads
            if work in self.open and work not in self.finishing
        ]
