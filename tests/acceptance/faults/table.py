"""The table of what was tried and what came of it, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from faults.history import Outcome

COLUMNS = ("faults", "jobs", "executions", "results", "lost", "doubled", "late writes refused")


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """A row for each scenario, on whatever stacks it was played, one for each stack, and one for all."""
    rows: dict[str, Counter[str]] = {}
    totals: dict[str, Counter[str]] = {}
    for one in outcomes:
        figures = (one.tried, one.jobs, one.executions, one.results, one.lost, one.doubled, one.refused)
        counted = Counter(dict(zip(COLUMNS, figures, strict=True)))
        for sums, name in ((rows, one.scenario), (totals, f"**{one.stack}**"), (totals, "**all**")):
            sums.setdefault(name, Counter()).update(counted)
    totals["**all**"] = totals.pop("**all**", Counter())
    lines = [f"| scenario | {' | '.join(COLUMNS)} |", "|---|" + "---:|" * len(COLUMNS)]
    lines += [
        f"| {name} | {' | '.join(f'{counted[column]:,}' for column in COLUMNS)} |"
        for name, counted in (*rows.items(), *totals.items())
    ]
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome], seed: str) -> str:
    """Every scenario on every stack with every fault by name, and the seed."""
    return json.dumps({"seed": seed, "scenarios": [asdict(one) for one in outcomes]}, indent=1)
