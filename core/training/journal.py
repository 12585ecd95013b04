"""What a run's journals tell: the lines that count, and each stage's figures. Reads files only, no weights.

A journal is written line by line and its process may be killed: a torn line is left out, and lines that a resumed
stage has written again replace those of before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BadInput

JOURNAL = "journal.jsonl"
FACTS = ("stage", "step", "samples", "seconds")
NOT_LOSSES = (*FACTS, "norm", "rate")

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage in numbers.

    Attributes:
        seconds: spent training.
        finished: whether its results are written.
        first, last: means of each figure over the first and the last tenth of its lines.
        lines: all of them, in order.
    """

    name: str
    steps: int
    samples: int
    seconds: float
    finished: bool
    first: Mapping[str, float]
    last: Mapping[str, float]
    lines: tuple[Line, ...] = field(repr=False)

    @property
    def speed(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds if self.seconds > 0 else 0.0

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of its losses, `loss` first."""
        return tuple(dict.fromkeys(key for line in self.lines for key in line if key not in NOT_LOSSES))

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, without the lines."""
        return {
            "stage": self.name,
            "finished": self.finished,
            "steps": self.steps,
            "samples": self.samples,
            "seconds": round(self.seconds, 1),
            "samples_per_second": round(self.speed, 2),
            "first": {key: round(value, 6) for key, value in self.first.items()},
            "last": {key: round(value, 6) for key, value in self.last.items()},
        }


def read_journal(path: Path) -> tuple[Line, ...]:
    """The lines of one journal that count, by growing steps; none where there is no file."""
    kept: list[Line] = []
    if not path.is_file():
        return ()
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if not isinstance(line, dict) or any(key not in line for key in FACTS):
            continue
        while kept and kept[-1]["step"] >= line["step"]:
            kept.pop()
        kept.append(line)
    return tuple(kept)


def read_stages(folder: Path) -> tuple[StageFigures, ...]:
    """Every stage of a run that has begun, in the run's order.

    Raises:
        BadInput: the folder holds no journal.
    """
    found = {path.parent.name: read_journal(path) for path in sorted(folder.glob(f"*/{JOURNAL}"))}
    found = {name: lines for name, lines in found.items() if lines}
    if not found:
        raise BadInput.at(str(folder), "holds no journal of a run", "Name a folder in which a run has trained")
    order = [name for name in _order(folder) if name in found]
    order += [name for name in found if name not in order]
    return tuple(_figures(name, found[name], folder) for name in order)


def _order(folder: Path) -> Sequence[str]:
    try:
        told = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        return [stage["name"] for stage in told["stages"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _figures(name: str, lines: tuple[Line, ...], folder: Path) -> StageFigures:
    end, tenth = lines[-1], max(1, len(lines) // 10)
    return StageFigures(
        name=name,
        steps=end["step"],
        samples=end["samples"],
        seconds=float(end["seconds"]),
        finished=(folder / name / "finished").exists(),
        first=_means(lines[:tenth]),
        last=_means(lines[-tenth:]),
        lines=lines,
    )


def _means(lines: Sequence[Line]) -> dict[str, float]:
    names = dict.fromkeys(key for line in lines for key in line if key not in FACTS)
    found = {}
    for name in names:
        values = [float(line[name]) for line in lines if name in line]
        found[name] = sum(values) / len(values)
    return found
