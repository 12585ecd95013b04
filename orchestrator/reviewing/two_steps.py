"""Reviewing: approval by two people: what an undo brings back, and who proposed what somebody else confirms."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One decision on an item, of those in order of their numbers."""

    id: uuid.UUID
    version: int
    verdict: str
    undoes: uuid.UUID | None
    actor: str


def stood_before(steps: Sequence[Step], decision: uuid.UUID) -> Step | None:
    """Whose verdict stood before `decision`, and stands again once that is undone; None: nobody's.

    Undoing an undo takes back what that had restored.
    """
    place = next((place for place, step in enumerate(steps) if step.id == decision), None)
    if place is None:
        return None
    place = _origin(steps, place)
    earlier = _earlier(steps, place)
    return None if earlier is None else steps[_origin(steps, earlier)]


def proposer(steps: Sequence[Step]) -> str:
    """Who first proposed what stands proposed now; a proposal that an undo restored is whose it was."""
    found, place = "", len(steps) - 1 if steps else None
    while place is not None:
        place = _origin(steps, place)
        if steps[place].verdict != "proposed":
            break
        found, place = steps[place].actor, _earlier(steps, place)
    return found


def _origin(steps: Sequence[Step], place: int) -> int:
    """Where the decision stands that the one at `place` brought back; that one itself if it is no undo."""
    undone = next((k for k in range(place) if steps[k].id == steps[place].undoes), None)
    if undone is None:
        return place
    earlier = _earlier(steps, _origin(steps, undone))
    if earlier is None:
        return place
    origin = _origin(steps, earlier)
    return origin if steps[origin].verdict == steps[place].verdict else place


def _earlier(steps: Sequence[Step], place: int) -> int | None:
    """Where the decision before stands, on the same version."""
    return next((k for k in range(place - 1, -1, -1) if steps[k].version == steps[place].version), None)
