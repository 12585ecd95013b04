"""What teaching a kind came to, as a value, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.training.journal import JOURNAL, read_journal
from core.training.kind_measures import ALONE, AS_DREAMO, OWN
from core.training.kinds import KindRun
from core.training.measures import Interval

REPORT, TABLE = "report.json", "report.md"


@dataclass(frozen=True, slots=True)
class TaughtStage:
    """One stage: what it took, and what it came to on samples that were held out."""

    name: str
    steps: int
    samples: int
    seconds: float
    measured: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class KindReport:
    """The whole training."""

    kind: str
    base: str
    learnt: int
    held_out: int
    stages: tuple[TaughtStage, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def write(self, folder: Path) -> None:
        """Writes `report.json` and `report.md`."""
        (folder / REPORT).write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        (folder / TABLE).write_text(markdown(self), encoding="utf-8")


def report_of(run: KindRun) -> KindReport:
    """Of a run whose stages are finished."""
    stages = []
    for stage in run.recipe.stages:
        lines = read_journal(run.work / stage.name / JOURNAL)
        end: Mapping[str, Any] = lines[-1] if lines else {"step": 0, "samples": 0, "seconds": 0.0}
        seconds = round(float(end["seconds"]), 1)
        stages.append(TaughtStage(stage.name, end["step"], end["samples"], seconds, run.measured(stage)))
    return KindReport(run.plan.name, run.card.name, run.learnt, len(run.held_out), tuple(stages))


def markdown(report: KindReport) -> str:
    """A table of the errors, and how much less they are than without the reference."""
    about = (
        f"Learnt from {report.learnt} samples, measured on {report.held_out} others: the error of the predicted "
        "velocity where references govern, with the same words and the same noise. 95 % bootstrap intervals."
    )
    lines = [
        f"# The kind `{report.kind}` on `{report.base}`",
        "",
        about,
        "",
        f"| after | steps | seconds | {ALONE} | {AS_DREAMO} | {OWN} | saved {AS_DREAMO} | saved {OWN} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for stage in report.stages:
        errors = [f"{stage.measured[way].mean:.3f}" for way in (ALONE, AS_DREAMO, OWN)]
        saved = [share(stage.measured[f"saved {way}"]) for way in (AS_DREAMO, OWN)]
        cells = [stage.name, f"{stage.steps:,}", f"{stage.seconds:.0f}", *errors, *saved]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def share(interval: Interval) -> str:
    """`12 % (9 to 15)`."""
    return f"{100 * interval.mean:.0f} % ({100 * interval.low:.0f} to {100 * interval.high:.0f})"
