"""The report of a run: what each stage took and came to, as Markdown with a picture of its curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Infrastructure
from core.training.curves import Plot, draw_plots
from core.training.journal import StageFigures, read_stages

REPORT, PICTURE = "report.md", "losses.png"
MEANINGS = {
    "loss": "what is minimised",
    "diffusion": "velocity against noise minus target",
    "route P": "routing, as printed",
    "route S": "routing, softmax over the image",
    "route R": "routing, share of the owner",
    "placeholder": "placeholders look at their references",
    "read": "share of what captions tell that T5 reads right",
    "response inside": "routing response where the mask is",
    "response outside": "routing response elsewhere",
    "norm": "length of the gradient",
    "rate": "factor on the learning rates",
}
"""Figures of a journal, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What was written, and the numbers in it."""

    folder: Path
    stages: tuple[StageFigures, ...]

    @property
    def text(self) -> Path:
        return self.folder / REPORT

    @property
    def picture(self) -> Path:
        return self.folder / PICTURE

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "report": str(self.text),
            "picture": str(self.picture),
            "samples": sum(stage.samples for stage in self.stages),
            "seconds": round(sum(stage.seconds for stage in self.stages), 1),
            "stages": [stage.as_dict() for stage in self.stages],
        }


def write_report(folder: Path) -> RunReport:
    """Reads the journals of a run's folder and writes `report.md` and `losses.png` into it.

    Raises:
        BadInput: nothing has been trained there.
        Infrastructure: the folder can't be written.
    """
    report = RunReport(folder, read_stages(folder))
    try:
        draw_plots(plots_of(report.stages)).save(report.picture)
        report.text.write_text(markdown(report), encoding="utf-8")
    except OSError as error:
        raise Infrastructure(f"{folder} can't be written ({error.strerror}): make room there") from error
    return report


def plots_of(stages: Sequence[StageFigures]) -> list[Plot]:
    """A panel for each figure, the stages one after the other along the samples seen."""
    plots = []
    for name in _ordered(stages):
        series, before = {}, 0
        for stage in stages:
            points = [(before + line["samples"], float(line[name])) for line in stage.lines if name in line]
            before += stage.samples
            if points:
                series[stage.name] = points
        plots.append(Plot(f"{name}: {MEANINGS[name]}" if name in MEANINGS else name, "samples", series))
    return plots


def _ordered(stages: Sequence[StageFigures]) -> list[str]:
    there = dict.fromkeys(key for stage in stages for key in (*stage.losses, *stage.last))
    return [*(name for name in MEANINGS if name in there), *(name for name in there if name not in MEANINGS)]


def markdown(report: RunReport) -> str:
    """The report's text."""
    stages = report.stages
    seconds, samples = sum(stage.seconds for stage in stages), sum(stage.samples for stage in stages)
    parts = [
        f"# Training in `{report.folder.name}`",
        f"{samples:,} samples in {duration(seconds)}.",
        table(
            ("stage", "state", "steps", "samples", "time", "samples/s", "loss at first", "loss at last"),
            [
                (
                    stage.name,
                    "finished" if stage.finished else "unfinished",
                    f"{stage.steps:,}",
                    f"{stage.samples:,}",
                    duration(stage.seconds),
                    f"{stage.speed:.1f}",
                    _figure(stage.first.get("loss")),
                    _figure(stage.last.get("loss")),
                )
                for stage in stages
            ],
        ),
        f"![The losses of every stage]({PICTURE})",
        "## Losses",
        "Means over the first and the last tenth of each stage's lines.",
        table(("stage", "loss", "meaning", "at first", "at last"), _loss_rows(stages)),
    ]
    return "\n\n".join(parts) + "\n"


def _loss_rows(stages: Sequence[StageFigures]) -> list[tuple[str, ...]]:
    return [
        (stage.name, name, MEANINGS.get(name, ""), _figure(stage.first.get(name)), _figure(stage.last.get(name)))
        for stage in stages
        for name in _ordered([stage])
        if name in stage.losses
    ]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def duration(seconds: float) -> str:
    """`2 h 05 min`, `7 min 30 s` or `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
