"""What a plan would do, before anything is spent: what changes, what it takes, what speaks against it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.errors import Problem
from core.settings import Settings
from orchestrator import pilots
from orchestrator.pilots import Pilot
from orchestrator.planning.comparison import Comparison, compare
from orchestrator.planning.estimate import Estimate, Shape, Speed, count_workers, estimate, read_speeds
from orchestrator.planning.plan import Plan
from orchestrator.planning.sample import cell_of, draw_sample
from orchestrator.planning.stops import in_time, read_rules
from orchestrator.planning.writing import Outlook, count_outlook, read_sampled_cells
from orchestrator.records.models import hash_files
from orchestrator.tallies import read_spent


@dataclass(frozen=True, slots=True)
class Prospect:
    """A plan with all that can be said of it beforehand.

    Attributes:
        plan: what is looked at.
        outlook: its images in numbers.
        comparison: item by item against what is recorded.
        estimate: of all images that are to be made.
        sample: of those of the pilot that was asked for; None without one.
        lacking: why nobody can make it as things are, with the mend; None: somebody can.
        over: why its budget can't be enough; None: it may be.
        warnings: what to know beforehand, those of the brief left out.
        pilot: what the campaign's pilot says so far.
        rest: of the images that the pilot left out, each made once; None without a forecast.
    """

    plan: Plan
    outlook: Outlook
    comparison: Comparison
    estimate: Estimate
    sample: Estimate | None
    lacking: Problem | None
    over: Problem | None
    warnings: tuple[str, ...]
    pilot: Pilot | None
    rest: Estimate | None

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """All that speaks against making it now."""
        return tuple(one for one in (self.lacking, self.over) if one is not None)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        brief, against = self.plan.brief, self.comparison
        return {
            "campaign": brief.campaign,
            "model": asdict(self.plan.model),
            **asdict(self.outlook),
            "formats": {shape.name: str(shape) for shape in brief.shapes},
            "example": self.plan.example(),
            "warnings": [*brief.warnings, *self.warnings],
            "notice": brief.card.notice,
            "compared": {what: against.count(what) for what in ("new", "changed", "same", "obsolete")},
            "reused_from": dict(against.sources),
            "approved_lost": against.lost(),
            "changes": [
                {
                    "what": cause.what,
                    "items": cause.items,
                    "rows": len(cause.rows),
                    "examples": [
                        {"row": row, "before": one.before, "after": one.after} for row, one in cause.examples
                    ],
                }
                for cause in against.causes()
            ],
            "estimate": self.estimate.as_dict(),
            "pilot_estimate": self.sample.as_dict() if self.sample is not None else None,
            "pilot": self.pilot.as_dict() if self.pilot is not None else None,
            "rest_estimate": self.rest.as_dict() if self.rest is not None else None,
            "refusals": [problem.as_dict() for problem in self.refusals],
        }

    def list_rows(self) -> list[dict[str, Any]]:
        """Each row with its number in the table (None: it is gone), how many items of each sort, and why."""
        numbers = {row.key: row.number for row in self.plan.brief.rows}
        why: dict[str, dict[str, str]] = {}
        for one in self.comparison.items:
            for change in one.changes:
                why.setdefault(one.cell[0], {}).setdefault(change.what, str(change))
        return [
            {
                "row": key,
                "number": numbers.get(key),
                **{str(what): count for what, count in counts.items()},
                "why": list(why.get(key, {}).values()),
            }
            for key, counts in self.comparison.rows().items()
        ]


def look_ahead(
    connection: Connection | None, plan: Plan, settings: Settings, *, workers: int = 0, pilot: int = 0
) -> Prospect:
    """Looks at a plan from all sides.

    Args:
        connection: None where there is no database yet.
        plan: the plan.
        settings: where weights are.
        workers: that will make its images; 0: those that run now, or one.
        pilot: how many items a pilot would make first; 0: there is none.
    """
    against = compare(connection, plan)
    images = {item.job: one.image for item, one in zip(plan.items, against.items, strict=False)}
    open_jobs = [job for job, image in images.items() if image in ("to make", "under way")]
    able = count_workers(connection, plan.model.name)
    shapes = _Shapes(plan, read_speeds(connection, plan.brief.card.name), workers or able or 1)
    whole = shapes.estimate(open_jobs)
    campaign = _campaign(connection, plan)
    chosen = _sampled(connection, campaign, plan, pilot)
    sample = shapes.estimate([job for job in open_jobs if job in chosen]) if pilot else None
    found = pilots.read_pilot(connection, campaign) if connection is not None and campaign is not None else None
    rest = None
    if found is not None and found.forecast is not None:
        cells = read_sampled_cells(connection, campaign)  # type: ignore[arg-type]
        own = {item.job for item in plan.items if cell_of(item) in cells}
        rest = shapes.estimate([job for job in open_jobs if job not in own])
    over = _budget(connection, campaign, plan, sample or whole)
    return Prospect(
        plan,
        count_outlook(connection, plan, images),
        against,
        whole,
        sample,
        lacking=_weights(plan, settings, able),
        over=over if isinstance(over, Problem) else None,
        warnings=(over,) if isinstance(over, str) else (),
        pilot=found,
        rest=rest,
    )


class _Shapes:
    """Estimates for jobs of one plan."""

    def __init__(self, plan: Plan, speeds: dict[Shape, Speed], workers: int) -> None:
        self._plan = plan
        self._speeds = speeds
        self._workers = workers
        self._shapes: dict[str, Shape] = {}

    def estimate(self, jobs: Collection[str]) -> Estimate:
        shapes = (self._shape(job) for job in jobs)
        plan = self._plan
        return estimate(shapes, self._speeds, plan.price, self._workers, plan.brief.card.name)

    def _shape(self, key: str) -> Shape:
        """Jobs of one batch key have one shape, so that few requests are read."""
        job = self._plan.jobs[key]
        if job.batch not in self._shapes:
            request = json.loads(job.request)
            self._shapes[job.batch] = Shape(request["width"], request["height"], request["steps"])
        return self._shapes[job.batch]


def _campaign(connection: Connection | None, plan: Plan) -> int | None:
    if connection is None:
        return None
    query = text("select id from campaign where name = :name")
    return connection.execute(query, {"name": plan.brief.campaign}).scalar_one_or_none()


def _sampled(connection: Connection | None, campaign: int | None, plan: Plan, size: int) -> set[str]:
    """Jobs of a pilot of that size."""
    if not size:
        return set()
    known = connection is not None and campaign is not None
    before = read_sampled_cells(connection, campaign) if known else set()  # type: ignore[arg-type]
    return {plan.items[place].job for place in draw_sample(plan.items, size, before)}


def _weights(plan: Plan, settings: Settings, able: int) -> Problem | None:
    """Nobody who runs has the model, and neither has this machine."""
    card = plan.brief.card
    if not card.base or able or hash_files(card, settings):
        return None
    return Problem(
        f"model {card.name!r}",
        "its weights are not on this machine, and no worker that runs has them",
        f"`dreamline models fetch {card.name}` here, or start `dreamline worker` where they are",
    )


def _budget(
    connection: Connection | None, campaign: int | None, plan: Plan, estimate: Estimate
) -> Problem | str | None:
    """What the budget says of the estimate: a problem where it can't be enough, a warning where it may not be."""
    rules = read_rules(plan.brief.stop, plan.price.currency)
    rule = next((one for one in rules if one.name == "budget"), None)
    needed = estimate.cost if rule is not None and rule.unit != "s" else estimate.seconds
    if rule is None or needed is None:
        return None
    before = 0.0
    if connection is not None and campaign is not None:
        spent = read_spent(connection, campaign, counted=True)
        before = (spent.seconds if rule.unit == "s" else spent.seconds / 3600 * plan.price.hour) or 0.0
    low, high = before + needed[0], before + needed[1]
    if high <= rule.limit or not estimate.images:
        return None
    amounts = [in_time(one) if rule.unit == "s" else f"{one:,.2f} {rule.unit}" for one in (low, high, rule.limit)]
    told = (
        f"{amounts[0]} to {amounts[1]}{' with what was spent' if before else ''}, and the budget is {amounts[2]}"
    )
    if low > rule.limit:
        mend = "Raise budget, make less, or `dreamline run FILE --anyway`: it is paused when the budget is spent"
        return Problem(f"{plan.brief.path}, key stop.budget", f"the plan takes {told}", mend)
    return f"the plan may take {told}: it would be paused there"
