"""Reviewing: a decision as a person sends it, and what becomes of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import BadInput
from orchestrator.reviewing import reasons

Verdict = Literal["approved", "rejected", "cleared"]
VERDICTS: tuple[Verdict, ...] = ("approved", "rejected", "cleared")

MOST_AT_ONCE = 500
LONGEST_COMMENT = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A decision as a person sends it.

    Attributes:
        id: made by the sender; the same id is the same decision.
        item: which item.
        version: of the item, as it was seen.
        seen: the last decision on that version which the person saw, None before the first.
        sha: SHA-256 of the picture that was on screen; empty where the sender shows none.
        verdict: approved, rejected or cleared (which takes a verdict back).
        reasons: names from the closed list of `reasons.toml`.
        again: with reasons: ask for a second attempt that takes them into account.
        comment: free text.
        pins: remarks on places: `{"x": 0.5, "y": 0.25, "text": "…"}`.
        undoes: the decision that this one takes back; a second attempt that it asked for is withdrawn.
        milliseconds: how long the person looked.
    """

    id: uuid.UUID
    item: int
    version: int
    seen: uuid.UUID | None
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    again: bool = False
    comment: str = ""
    pins: tuple[Mapping[str, Any], ...] = ()
    undoes: uuid.UUID | None = None
    milliseconds: int = 0
    sha: str = ""

    def __post_init__(self) -> None:
        """Marks are kept as what the database gives back, or their hash would not fit: places to six digits."""
        object.__setattr__(self, "pins", tuple(_plain(pin) for pin in self.pins))


def _plain(pin: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mark with x, y and text alone; one that `check` will refuse is left as it is."""
    x, y = pin.get("x"), pin.get("y")
    if not all(isinstance(at, int | float) and 0 <= at <= 1 for at in (x, y)):
        return pin
    return {"x": round(float(x or 0), 6) + 0.0, "y": round(float(y or 0), 6) + 0.0, "text": pin.get("text", "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a wish, and how the item stands now.

    `outcome`: recorded; already (this id was recorded before); conflict (somebody decided, or the image
    changed, since it was seen: `decision`, `actor` and `verdict` are theirs); unknown (no such item).
    `sha`, `width`, `height`: of the item's picture now, empty and 0 while it is being made.
    """

    id: uuid.UUID
    item: int
    outcome: Literal["recorded", "already", "conflict", "unknown"]
    version: int = 0
    verdict: str = "open"
    decision: uuid.UUID | None = None
    actor: str = ""
    number: int = 0
    attempt: str = ""
    sha: str = ""
    width: int = 0
    height: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "id": str(self.id),
            "item": self.item,
            "outcome": self.outcome,
            "version": self.version,
            "verdict": self.verdict,
            "decision": str(self.decision) if self.decision else None,
            "actor": self.actor,
            "number": self.number,
            "attempt": self.attempt,
            "sha": self.sha or None,
            "w": self.width,
            "h": self.height,
        }


def check(wishes: Sequence[Wish]) -> None:
    """Refuses what can't be recorded.

    Raises:
        BadInput: too many at once, an unknown verdict or reason, or a comment or pin that can't be kept.
    """
    if len(wishes) > MOST_AT_ONCE:
        raise BadInput.at("decisions", f"{len(wishes)} came at once", f"Send at most {MOST_AT_ONCE}")
    known = reasons.load()
    for wish in wishes:
        where = f"decision {wish.id}"
        if wish.verdict not in VERDICTS:
            raise BadInput.at(where, f"{wish.verdict!r} is no verdict", f"Verdicts: {', '.join(VERDICTS)}")
        for name in wish.reasons:
            if name not in known:
                raise BadInput.at(where, f"there is no reason {name!r}", f"Reasons: {', '.join(known)}")
        if len(wish.comment) > LONGEST_COMMENT or "\0" in wish.comment:
            raise BadInput.at(where, "its comment can't be kept", f"Write at most {LONGEST_COMMENT} characters")
        for pin in wish.pins:
            x, y, said = pin.get("x"), pin.get("y"), pin.get("text", "")
            inside = all(isinstance(at, int | float) and 0 <= at <= 1 for at in (x, y))
            if not inside or not isinstance(said, str) or len(said) > LONGEST_COMMENT or "\0" in said:
                raise BadInput.at(where, f"the pin {dict(pin)!r} can't be kept", "x and y lie from 0 to 1")
