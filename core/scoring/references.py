"""A reference as scores see it: what was asked for beside what the model was shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.requests import Preparation, Reference, Request


@dataclass(frozen=True, slots=True)
class Shown:
    """A reference of a request with its prepared picture."""

    reference: Reference
    prepared: Preparation

    @property
    def name(self) -> str:
        return self.reference.name

    @property
    def kind(self) -> str:
        return self.reference.kind


def shown(request: Request, references: Sequence[Preparation]) -> tuple[Shown, ...]:
    """The references in order; of several with one name the first, as their scores would have one name too."""
    return tuple(_once([Shown(*pair) for pair in zip(request.references, references, strict=False)]))


def _once(every: Sequence[Shown]) -> Iterator[Shown]:
    names = set()
    for one in every:
        if one.name not in names:
            names.add(one.name)
            yield one
