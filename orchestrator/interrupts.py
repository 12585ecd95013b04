"""Ctrl-C, remembered.

Python loses an interrupt that comes while a callback runs whose errors nobody gets: as the lock of a module goes
that is being imported, or a connection that nobody holds any more. Whoever waits for long asks here, too.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

_heard = threading.Event()


def listen() -> None:
    """From now on interrupts are remembered, where they are not ignored; to be called by the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, hear)


def hear(number: int, frame: FrameType | None) -> None:
    """As Python's own handler, and the interrupt is remembered."""
    _heard.set()
    signal.default_int_handler(number, frame)


def obey() -> None:
    """Raises KeyboardInterrupt where one was heard."""
    if _heard.is_set():
        _heard.clear()
        raise KeyboardInterrupt
