"""Working: from what went wrong to what happens next. One table of classes, asked by everyone."""

from __future__ import annotations

import math
import traceback
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from core.errors import BadInput, Infrastructure, OutOfMemory, PluginError, WeightsMissing
from orchestrator.records.causes import BAD_INPUT, CRASH, INFRASTRUCTURE, MEMORY, PLUGIN, TIME, UNKNOWN

LAST_LINES = 20
"""Lines of a traceback, or of what a process wrote before it ended, that are kept with an error."""

LONGEST_LINE = 300
"""Characters of each of them."""

LONGEST_PAUSE = 600.0

_MOST_DOUBLINGS = 60
"""Past any bound, and before numbers overflow: an outage may take any number of tries."""

_OF_THE_WORKER = "environment variable"
"""Where bad input stands that is a worker's and not the campaign's."""

NAMED_ATTEMPTS = 3
"""Claims of work whose process a known plugin took along: one more than for an error that it raised, since the
process may have suffered from others."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`retry_in` seconds to the next attempt, None for never.

    `alone` asks for a batch of one, `company` for one of those that bear the same number and nothing else.
    `outages` is how often in a row the infrastructure has failed it, this time included: such tries don't count.
    0: this one does.
    """

    retry_in: float | None
    alone: bool
    company: int | None = None
    outages: int = 0


def describe(error: BaseException) -> dict[str, Any]:
    """An error as it is recorded: its class, its words, and for bad input the place and the mend."""
    told: dict[str, Any] = {"class": _class_of(error), "message": str(error) or type(error).__name__}
    if isinstance(error, BadInput):
        told["problems"] = [problem.as_dict() for problem in error.problems]
    if isinstance(error, PluginError):
        told["plugin"] = error.plugin
    if told["class"] == UNKNOWN:
        told["message"] = f"{type(error).__name__}: {error}"
    if told["class"] in (UNKNOWN, PLUGIN):
        told["log"] = last_lines("".join(traceback.format_exception(error)).splitlines())
    return told


def last_lines(lines: Iterable[str]) -> list[str]:
    """What is kept of what a process said: enough to read a cause, and no more than a million errors can bear."""
    return [line.rstrip()[:LONGEST_LINE] for line in lines][-LAST_LINES:]


def halves(ids: Collection[int]) -> dict[int, int | None]:
    """What becomes of a batch that failed when any of it may be the cause: for each id its company.

    The first half and the second each go on together, under the least of their ids; None is by itself. Whatever
    breaks a batch of eight is alone in its fourth try.
    """
    ordered = sorted(ids)
    middle = (len(ordered) + 1) // 2
    parts = ordered[:middle], ordered[middle:]
    return {one: part[0] if len(part) > 1 else None for part in parts for one in part}


def part(work: int, together: Collection[int], verdict: Verdict) -> Verdict:
    """The verdict on one of several that failed together: none of them dies for it, and they part in halves.

    Only a storage or a network that failed is waited for.
    """
    company = halves(together).get(work)
    pause = 0.0 if verdict.retry_in is None or verdict.alone else verdict.retry_in
    return replace(verdict, retry_in=pause, alone=company is None, company=company)


def judge(
    kind: str, attempt: int, max_attempts: int, pause: float, *, named: bool = False, outages: int = 0
) -> Verdict:
    """What happens to work that failed with an error of class `kind` in its `attempt`-th try.

    Bad input is never tried again, and a plugin's error once: it may have been the weather. Whatever took
    its process along comes back alone, so that the rest of the batch goes on without it; `named` says that
    a plugin was at work on this and nothing else, and shortens the patience. What the infrastructure fails is
    tried again however often: `outages` is how many times in a row that was before this one.
    """
    if kind == INFRASTRUCTURE:
        return Verdict(_pause(pause, attempt + outages), alone=False, outages=outages + 1)
    if kind == BAD_INPUT or attempt >= max_attempts or (kind == PLUGIN and attempt >= 2):
        return Verdict(None, alone=False)
    if named and attempt >= NAMED_ATTEMPTS:
        return Verdict(None, alone=False)
    return Verdict(
        _pause(pause, attempt) if kind != CRASH else 0.0,
        alone=kind in (CRASH, MEMORY, TIME, UNKNOWN),
    )


def _pause(first: float, tries: int) -> float:
    """Seconds after so many tries: twice as many each time, up to a bound."""
    return min(LONGEST_PAUSE, math.ldexp(first, min(tries - 1, _MOST_DOUBLINGS)))


def _class_of(error: BaseException) -> str:
    if isinstance(error, BadInput) and all(one.where.startswith(_OF_THE_WORKER) for one in error.problems):
        # Another worker, or this one once it is set up rightly, can do what this one refuses.
        return INFRASTRUCTURE
    classes = (
        (BadInput, BAD_INPUT),
        (WeightsMissing, INFRASTRUCTURE),
        (PluginError, PLUGIN),
        ((OutOfMemory, MemoryError), MEMORY),
        ((Infrastructure, OSError), INFRASTRUCTURE),
    )
    return next((name for kind, name in classes if isinstance(error, kind)), UNKNOWN)
