"""Draining in this process: what ends it, and what it says is left."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from core.errors import Infrastructure
from core.registry import Registry
from core.settings import Settings
from orchestrator.records.database import Database
from orchestrator.working.desks import Making, Preparing
from orchestrator.working.draining import FAILURES, Left, drain, read_left
from orchestrator.working.looking import Looker


class Weather(Looker):
    """A worker whose looks end in errors some times; each look that does not takes one of `pieces`."""

    def __init__(self, *given: Any, errors: int, pieces: int) -> None:
        super().__init__(*given, lambda _: None)
        self.looks, self.errors, self.pieces = 0, errors, pieces

    def _work_off(self) -> None:
        self.looks += 1
        if self.looks <= self.errors:
            raise Infrastructure("the database is away") if self.looks % 2 else ValueError("a plugin is broken")
        if self.pieces:
            self.pieces, self.claimed = self.pieces - 1, self.claimed + 1


@pytest.fixture
def weather(settings: Settings, database: Database, registry: Registry) -> Any:
    quick = replace(settings, poll_seconds=0.01)
    return lambda desk, **more: Weather(quick, database, registry, desk, **more)


@pytest.mark.timeout(60)
def test_an_error_ends_no_draining_and_neither_does_the_other_queue(weather: Any) -> None:
    making, preparing = weather(Making(), errors=3, pieces=2), weather(Preparing(), errors=0, pieces=0)
    drain([making, preparing], lease=0.2)
    assert making.pieces == 0


class Scripted(Looker):
    """A worker whose looks take so long and claim so much, one after the other; then nothing at once."""

    def __init__(self, *given: Any, looks: list[tuple[float, int]]) -> None:
        super().__init__(*given, lambda _: None)
        self.script, self.ended = list(looks), 0.0

    def _work_off(self) -> None:
        seconds, pieces = self.script.pop(0) if self.script else (0.0, 0)
        time.sleep(seconds)
        self.claimed += pieces
        self.ended = time.monotonic()


@pytest.mark.timeout(60)
def test_a_queue_looks_on_while_the_other_that_had_found_nothing_works(
    settings: Settings, database: Database, registry: Registry
) -> None:
    quick = replace(settings, poll_seconds=0.01)
    preparing = Scripted(quick, database, registry, Preparing(), looks=[(0.0, 0), (1.5, 5)])
    making = Scripted(quick, database, registry, Making(), looks=[(0.4, 0)])
    drain([making, preparing], lease=0.0)
    assert not preparing.script
    assert making.ended > preparing.ended - 0.5


@pytest.mark.timeout(60)
def test_what_was_held_at_an_error_is_waited_for(weather: Any) -> None:
    making = weather(Making(), errors=1, pieces=0)
    drain([making], lease=0.2)
    assert making.looks > 3


@pytest.mark.timeout(60)
def test_a_queue_that_always_fails_is_given_up_and_the_other_one_ends(weather: Any) -> None:
    making, preparing = weather(Making(), errors=10**6, pieces=1), weather(Preparing(), errors=0, pieces=3)
    drain([making, preparing], lease=0.0)
    assert (making.looks, preparing.pieces) == (FAILURES, 0)


def test_what_is_left_is_ready_or_asks_for_what_is_not_here(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    seed_jobs(2, pin="here")
    seed_jobs(3, pin="elsewhere")
    seed_jobs(1, needs=seed_preparations(4, pin="method"))
    with database.begin() as connection:
        left = read_left(connection, {"job": ["here"], "preparation": ["method"]})
    assert left == Left(ready=6, lacking=3, waiting=1)
    assert str(left) == (
        "6 are ready; 3 ask for a model or a plugin that is not here; 1 wait for their references"
    )
