"""Working: what a supervisor and its child say to each other, one pickled value at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.working.claims import Table


@dataclass(frozen=True, slots=True)
class Batch:
    """To the child: do these. Each payload has an `id` and what `load` of its desk put beside it."""

    table: Table
    payloads: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """From the child, once: it has started and its plugins are loaded."""


@dataclass(frozen=True, slots=True)
class Drop:
    """To the child: these are no longer wanted."""

    ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Made:
    """From the child: one result; its files are in the store."""

    id: int
    result: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """From the child: one failure. `shared` when others were under way with it and any may be the cause."""

    id: int
    error: Mapping[str, Any]
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """From the child: everything of the batch was answered."""
