"""Reviewing: the closed list of reasons for a rejection, and how each changes the next attempt's request.

The rules are data (`reasons.toml`); this applies them to a request and says in words what it changed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.requests import Request

RULES = Path(__file__).parent / "reasons.toml"

LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a picture is rejected. `guidance` and `area` are factors; see `reasons.toml`."""

    name: str
    title: str
    about: str
    guidance: float = 1.0
    area: float = 1.0
    seed: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far second attempts go."""

    attempts: int
    guidance: tuple[float, float]
    area: int


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the next attempt does otherwise, for people: `guidance 4.5 → 3.6`."""

    what: str
    before: str
    after: str

    def as_dict(self) -> dict[str, str]:
        return {"what": self.what, "before": self.before, "after": self.after}

    def __str__(self) -> str:
        return f"{self.what} {self.before} → {self.after}" if self.before else f"{self.what}: {self.after}"


@cache
def _rules() -> Mapping[str, Any]:
    return tomllib.loads(RULES.read_text(encoding="utf-8"))


@cache
def load() -> Mapping[str, Reason]:
    """All reasons by name, in the order in which people see them."""
    return MappingProxyType({name: Reason(name=name, **told) for name, told in _rules()["reasons"].items()})


@cache
def limits() -> Limits:
    """How far second attempts go."""
    told = _rules()["limits"]
    return Limits(told["attempts"], tuple(told["guidance"]), told["area"])


def change_request(request: Request, names: Sequence[str], *, seed: bool = False) -> Request:
    """The request of the next attempt.

    Args:
        request: of the rejected image.
        names: of the reasons, which are known.
        seed: ask for another seed in any case.
    """
    chosen = [load()[name] for name in dict.fromkeys(names)]
    return replace(
        request,
        guidance=_guidance(request.guidance, prod(reason.guidance for reason in chosen)),
        seed=_next_seed(request.seed) if seed or any(reason.seed for reason in chosen) else request.seed,
        prompt=_noted(request.prompt, (reason.note for reason in chosen)),
    )


def list_changes(before: Request, after: Request) -> list[Change]:
    """What the next attempt does otherwise."""
    changes = []
    if after.guidance != before.guidance:
        changes.append(Change("guidance", f"{before.guidance:g}", f"{after.guidance:g}"))
    if after.seed != before.seed:
        changes.append(Change("seed", str(before.seed), str(after.seed)))
    if after.prompt != before.prompt:
        changes.append(Change("prompt note", "", after.prompt.removeprefix(before.prompt.rstrip()).lstrip(". ")))
    return changes


def enlarge(area: int, names: Sequence[str], most: int) -> int:
    """Pixels of a reference for the next attempt: larger where a reason says so, never smaller."""
    factor = prod(load()[name].area for name in dict.fromkeys(names))
    return max(area, min(int(area * factor), most, limits().area))


def _guidance(guidance: float, factor: float) -> float:
    lowest, highest = limits().guidance
    if factor == 1.0 or not guidance:
        return guidance
    return round(min(highest, max(lowest, guidance * factor)), 3)


def _next_seed(seed: int) -> int:
    """Another seed, the same each time, far from those that a campaign lists side by side."""
    return (seed * 1_103_515_245 + 12_345) % LARGEST_SEED


def _noted(prompt: str, notes: Iterable[str]) -> str:
    for note in dict.fromkeys(filter(None, notes)):
        if note not in prompt:
            prompt = prompt.rstrip()
            prompt += f"{'' if prompt.endswith(('.', '!', '?')) else '.'} {note}"
    return prompt
