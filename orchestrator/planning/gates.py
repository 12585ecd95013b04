"""Planning: gates, the thresholds on scores that say what becomes of an image before a person sees it.

`sharpness: ">0.2 else retry"` lets images of more than 0.2 through; the others are made again with another seed,
at most `TRIES` times, and then held back. A gate on `colour` holds for every score of that name, whichever
reference it is about (`colour:product`); one on `colour:product` for that alone.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Otherwise: TypeAlias = Literal["last", "hold", "retry"]

TRIES = 2
"""Further images that gates ask for in place of one that missed them."""

GRAMMAR = (
    "Say a sign (>, >=, <, <=, =), a number and what becomes of the others (last, hold or retry), "
    'as in ">0.2 else retry"'
)

SCORE_NAME = re.compile(r"[a-z][a-z0-9-]*(:[\w .-]+)?")

_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
}
_SHAPE = re.compile(
    r"\s*(?P<sign>[<>]=?|=)\s*(?P<bound>[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d{1,3})?)"
    r"\s*(?:else\s+(?P<otherwise>\w+)\s*)?",
    re.IGNORECASE,
)
_SEVERITY: Sequence[Otherwise] = ("last", "hold", "retry")


@dataclass(frozen=True, slots=True)
class Gate:
    """One threshold: `otherwise` becomes of images that miss it."""

    score: str
    sign: str
    bound: float
    otherwise: Otherwise = "hold"

    def misses(self, scores: Mapping[str, Sequence[float]]) -> str:
        """How an image with these values, by the scores' names, misses the gate, in words; empty if it does not.

        An image without such a score misses it: what is not known is not let through.
        """
        held = [(name, value) for name, values in scores.items() if self.covers(name) for value in values]
        if not held:
            return f"there is no score {self.score}"
        missed = [(name, value) for name, value in held if not _SIGNS[self.sign](value, self.bound)]
        return ", ".join(f"{name} {value:.4g} is not {self.sign} {self.bound:g}" for name, value in missed)

    def covers(self, name: str) -> bool:
        """Whether it is about the score of that name."""
        return name == self.score or name.startswith(f"{self.score}:")


def read_gate(score: str, text: str) -> Gate | str:
    """A gate as a campaign file says it, or what is wrong with it."""
    if not SCORE_NAME.fullmatch(score):
        return f"{score!r} can't be the name of a score"
    found = _SHAPE.fullmatch(text)
    if found is None:
        return f"{text!r} is no gate"
    otherwise = (found["otherwise"] or "hold").lower()
    if otherwise not in get_args(Otherwise):
        return f"{otherwise!r} can't become of an image"
    return Gate(score, found["sign"], float(found["bound"]), otherwise)  # type: ignore[arg-type]


def read_gates(told: Mapping[str, str]) -> list[Gate]:
    """Gates that were recorded with a campaign."""
    return [gate for score, text in told.items() if isinstance(gate := read_gate(score, text), Gate)]


def verdict(gates: Sequence[Gate], scores: Mapping[str, Sequence[float]]) -> tuple[Otherwise | None, list[str]]:
    """What becomes of an image: the severest of what it missed, None if it missed nothing; and each miss in words.

    Where a score is missing the image is held back: another seed would not bring it.
    """
    missed = [(gate, told) for gate in gates if (told := gate.misses(scores))]
    if not missed:
        return None, []
    unknown = any(not any(gate.covers(name) for name in scores) for gate, _ in missed)
    severest = max((gate.otherwise for gate, _ in missed), key=_SEVERITY.index)
    return "hold" if unknown else severest, [told for _, told in missed]
