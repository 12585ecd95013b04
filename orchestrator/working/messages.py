"""Working: what a supervisor and its child say to each other, one pickled value at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.working.claims import Table


@dataclass(frozen=True, slots=True)
class Batch:
    """To the child: do these. Each payload has an `id` and what `load` of its desk put beside it.

    `unasked` are plugins whose scores are left out, each with the reason; `about` is what lines that the child
    logs bear.
    """

    table: Table
    payloads: tuple[Mapping[str, Any], ...]
    unasked: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


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
class Doing:
    """From the child, before it enters another's code, so that whatever ends the child has a name.

    Attributes:
        words: who did what, as it follows "while" (`plugin 'logo' prepared logo.png`).
        plugin: whose time is taken; empty where it is the generator's or the worker's own.
        id: the one piece of work that it is about; None where it is about all of the batch.
        so_far: what is kept if the plugin does not come back: an image that only lacks scores.
    """

    words: str
    plugin: str = ""
    id: int | None = None
    so_far: Made | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """From the child: one failure. `shared` when others were under way with it and any may be the cause."""

    id: int
    error: Mapping[str, Any]
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """From the child: everything of the batch was answered."""
