"""Ctrl-C that Python loses, because it came while a callback ran, ends a wait all the same."""

from __future__ import annotations

import contextlib
import signal

import pytest

from orchestrator import interrupts
from orchestrator.records.database import Database
from orchestrator.running import wait_for


def lost() -> None:
    """An interrupt whose exception reaches nobody."""
    with contextlib.suppress(KeyboardInterrupt):
        interrupts.hear(signal.SIGINT, None)


def test_a_wait_ends_at_its_next_turn_and_only_once(database: Database) -> None:
    lost()
    with pytest.raises(KeyboardInterrupt):
        wait_for(database, "waits", lambda progress: None, lambda text: None, lambda connection: [])
    interrupts.obey()


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupts.listen()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
