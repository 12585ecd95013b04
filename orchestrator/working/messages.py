"""Working: what a supervisor and its children say to each other, one pickled value at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Batch:
    """To a child that prepares or makes: do these, after what you have.

    Attributes:
        number: grows with every batch of this child's supervisor.
        payloads: each has an `id` and what `load` of its desk put beside it.
        about: what lines that the child logs bear.
        follows: whether it was claimed while another batch was under way: what the child waits between the two is
            waiting that could be spared.
    """

    number: int
    payloads: tuple[Mapping[str, Any], ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """To a child that finishes images: look at one that is in the store.

    `stored` are the columns of its asset that are known, `unasked` plugins whose scores are left out, each with
    the reason.
    """

    payload: Mapping[str, Any]
    stored: Mapping[str, Any]
    seconds: float
    unasked: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drop:
    """To the child: these are no longer wanted, of whatever it has at this moment."""

    ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Ready:
    """From the child, once: it has started and its plugins are loaded."""


@dataclass(frozen=True, slots=True)
class Begun:
    """From the child: it is at this batch now."""

    number: int


@dataclass(frozen=True, slots=True)
class Soon:
    """From the child: its batch is about to end; another one that came now would lose no time."""

    number: int


@dataclass(frozen=True, slots=True)
class Stored:
    """From a child that makes: one image is in the store, `seconds` after the one before."""

    id: int
    stored: Mapping[str, Any]
    seconds: float


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
    """From the child: one failure. `together` are all that were under way with it, where any may be the cause."""

    id: int
    error: Mapping[str, Any]
    together: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """From the child: everything of the batch was answered.

    `busy` are the seconds that the generator was at work since the last time, `idle` those that it waited for a
    batch which followed another.
    """

    number: int
    busy: float = 0.0
    idle: float = 0.0
