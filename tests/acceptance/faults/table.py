"""The table of what was tried and what came of it, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from faults.history import Outcome

COLUMNS = ("faults", "jobs", "executions", "results", "lost", "doubled", "late writes refused")


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """A row for each scenario on each stack, and one for all of them."""
    lines = [f"| stack | scenario | {' | '.join(COLUMNS)} |", "|---|---|" + "---:|" * len(COLUMNS)]
    totals: Counter[str] = Counter()
    for one in outcomes:
        figures = dict(
            zip(
                COLUMNS,
                (one.tried, one.jobs, one.executions, one.results, one.lost, one.doubled, one.refused),
                strict=True,
            )
        )
        totals.update(figures)
        lines.append(f"| {one.stack} | {one.scenario} | {_row(figures)} |")
    lines.append(f"| **all** | | {_row(totals)} |")
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome], seed: str) -> str:
    """The same with every fault by name, and the seed."""
    return json.dumps({"seed": seed, "scenarios": [asdict(one) for one in outcomes]}, indent=1)


def _row(figures: dict[str, int] | Counter[str]) -> str:
    return " | ".join(str(figures[name]) for name in COLUMNS)
