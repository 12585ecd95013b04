"""Working: what a child was told and has not done yet; read between two pieces of work and in the midst of one."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from orchestrator.working.messages import Batch, Drop, Finish


class Inbox:
    """The child's end of the wire. One thread reads; any may send."""

    def __init__(self, wire: Connection) -> None:
        self._wire = wire
        self._sending = threading.Lock()
        self._waiting: deque[Batch | Finish] = deque()
        self._current: frozenset[int] = frozenset()
        self._dropped: set[int] = set()

    def send(self, message: Any) -> None:
        """Tells the supervisor."""
        with self._sending:
            self._wire.send(message)

    def next(self) -> Batch | Finish | None:
        """What is to be done next, waited for; None when the supervisor is gone."""
        self._current, self._dropped = frozenset(), set()
        try:
            while not self._waiting:
                self._take(self._wire.recv())
        except EOFError:
            return None
        message = self._waiting.popleft()
        self._current = _ids(message)
        return message

    def listen(self) -> list[Batch | Finish]:
        """Takes what has come in meanwhile; returns what is new to do."""
        before = len(self._waiting)
        while self._wire.poll():
            self._take(self._wire.recv())
        return list(self._waiting)[before:]

    def wanted(self, work: int) -> bool:
        """Whether this piece of what is under way is still to be done."""
        return work not in self._dropped

    def _take(self, message: Any) -> None:
        if isinstance(message, Drop):
            self._dropped |= message.ids & self._current
            kept = (_without(one, message.ids) for one in self._waiting)
            self._waiting = deque(one for one in kept if one is not None)
        else:
            self._waiting.append(message)


def _ids(message: Batch | Finish) -> frozenset[int]:
    payloads = message.payloads if isinstance(message, Batch) else (message.payload,)
    return frozenset(payload["id"] for payload in payloads)


def _without(message: Batch | Finish, ids: frozenset[int]) -> Batch | Finish | None:
    """A message without what is dropped. A batch stays even if it is empty: its end is waited for."""
    if isinstance(message, Finish):
        return None if message.payload["id"] in ids else message
    return replace(message, payloads=tuple(one for one in message.payloads if one["id"] not in ids))
