"""Planning: what is wrong with a brief, gathered while it is read, so that all of it is told at once."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from core.errors import BadInput, Problem

SHOWN = 3
"""A mistake that many rows share is told for the first few and counted for the rest."""


@dataclass(slots=True)
class _Group:
    problems: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Findings:
    """Problems and warnings in the order in which they were found."""

    warnings: list[str] = field(default_factory=list)
    _groups: dict[Hashable, _Group] = field(default_factory=dict)

    def add(self, where: str, what: str, mend: str, *, group: Hashable = None) -> None:
        """Notes one problem.

        Args:
            where: a place that a person can go to.
            what: what is wrong there, with the value.
            mend: how to put it right.
            group: problems with one group are one mistake in many places, told once a place; None stands
                alone.
        """
        found = self._groups.setdefault(object() if group is None else group, _Group())
        if where not in found.seen and len(found.seen) < SHOWN:
            found.problems.append(Problem(where, what, mend))
        found.seen.add(where)

    def add_once(self, where: str, what: str, mend: str) -> None:
        """Notes a problem that comes up with every row though it stands in one place."""
        self.add(where, what, mend, group=(where, what))

    def include(self, problem: Problem, *, group: Hashable = None) -> None:
        """Notes a problem that somebody else has put into words."""
        self.add(problem.where, problem.what, problem.mend, group=group)

    def warn(self, text: str) -> None:
        """Notes what a person should know though nothing is wrong; told once however often it is noted."""
        if text not in self.warnings:
            self.warnings.append(text)

    @property
    def problems(self) -> list[Problem]:
        """All problems; the last one shown of a group says how many rows more have it."""
        told = []
        for group in self._groups.values():
            *first, last = group.problems
            if more := len(group.seen) - len(group.problems):
                rows = "row" if more == 1 else "rows"
                last = replace(last, what=f"{last.what} (and {more} more {rows})")
            told += [*first, last]
        return told

    def __len__(self) -> int:
        return len(self._groups)

    def raise_if_any(self) -> None:
        """Raises `BadInput` with all problems."""
        BadInput.gather(self.problems)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name that was probably meant; `cutoff` says how alike the two must be (difflib's ratio)."""
    by_folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[close[0]] if close else None


def suggest(name: str, known: Iterable[str], what: str) -> str:
    """The end of a message on a name that nobody knows: the nearest one, and those there are."""
    names = list(known)
    close = nearest(name, names)
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    there = f"{what}: {listed or 'none'}"
    return f"Did you mean {close!r}? {there}" if close else there


def shown(value: object) -> str:
    """A value as messages show it: quoted, and cut when it is long."""
    return _repr.repr(value)


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60
_repr.maxlevel, _repr.maxlist, _repr.maxdict = 2, 4, 3
