"""Working: what a worker would rather go on with, and for how long it may."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.working.claims import Liking


@dataclass(slots=True)
class Likes:
    """The model that a worker holds and the batch that it made last.

    Loading a model takes minutes: a worker stays with the one that it holds while there is work for it, for
    `stay_seconds` at a time. Then it takes whatever is next, so that nobody waits for ever behind another's model.
    """

    stay_seconds: float
    clock: Callable[[], float] = time.monotonic
    pin: str = ""
    batch: str = ""
    _until: float = 0.0

    def now(self) -> Liking:
        """What is liked at this moment; nothing once it has stayed for long."""
        return Liking(self.pin, self.batch) if self.clock() < self._until else Liking()

    def took(self, pin: str, batch: str) -> None:
        """Work of this kind was claimed. What was taken without a liking begins another stay."""
        if pin != self.pin or self.clock() >= self._until:
            self._until = self.clock() + self.stay_seconds
        self.pin, self.batch = pin, batch
