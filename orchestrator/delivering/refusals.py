"""Delivering: what could not be delivered, in as few words as people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.errors import Problem
from orchestrator.planning.findings import SHOWN


def in_short(problems: Sequence[Problem]) -> list[Problem]:
    """The first few of each kind, the last of which says how many more there are."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.mend, []).append(problem)
    told = []
    for alike in kinds.values():
        *first, last = alike[:SHOWN]
        more = len(alike) - SHOWN
        told += [*first, replace(last, what=f"{last.what} (and {more:,} more)") if more > 0 else last]
    return told
