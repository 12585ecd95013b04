"""One campaign, whole: how far it is, what it spent, what failed, what it waits for, what its pilot foretells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.registry import Registry
from core.settings import Settings
from orchestrator import pilots
from orchestrator.pilots import Pilot
from orchestrator.planning.estimate import Estimate, Shape, count_workers, estimate, read_speeds
from orchestrator.planning.plan import Price
from orchestrator.progress import Failure, Progress, read_failures, read_progress
from orchestrator.tallies import Spent, read_spent
from orchestrator.unserved import Lacking, read_lacking


@dataclass(frozen=True, slots=True)
class Portrait:
    """What `dreamline campaign show` tells.

    Attributes:
        progress: counts and rate.
        spent: images, seconds and money since it was recorded.
        failures: causes of dead images.
        lacking: what its open work waits for.
        pilot: what its pilot says; None: it has none.
        rest: what the images take that the pilot left out, each made once; None without a forecast.
    """

    progress: Progress
    spent: Spent
    failures: tuple[Failure, ...]
    lacking: tuple[Lacking, ...]
    pilot: Pilot | None
    rest: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            **self.progress.as_dict(),
            "spent": asdict(self.spent),
            "pilot_says": self.pilot.as_dict() if self.pilot is not None else None,
            "rest_estimate": self.rest.as_dict() if self.rest is not None else None,
            "failures": [
                {"message": one.message, "class": one.kind, "images": one.images, "example": one.example}
                for one in self.failures
            ],
            "lacking": [one.as_dict() for one in self.lacking],
        }


def read_portrait(connection: Connection, name: str, registry: Registry, settings: Settings) -> Portrait:
    """All of a campaign that there is."""
    (progress,) = read_progress(connection, name)
    pilot = pilots.read_pilot(connection, progress.id)
    wanted = pilot is not None and pilot.forecast is not None
    return Portrait(
        progress,
        read_spent(connection, progress.id),
        tuple(read_failures(connection, name)),
        tuple(read_lacking(connection, name, registry, settings)),
        pilot,
        _estimate_rest(connection, progress) if wanted else None,
    )


def _estimate_rest(connection: Connection, progress: Progress) -> Estimate:
    rows = connection.execute(text(_REST), {"campaign": progress.id}).all()
    price = connection.execute(text("select price from campaign where id = :id"), {"id": progress.id}).scalar_one()
    shapes = (Shape(row.width, row.height, row.steps) for row in rows for _ in range(row.images))
    workers = max((count_workers(connection, row.pin) for row in rows), default=0)
    speeds = read_speeds(connection, progress.model)
    told = Price(price.get("hour", 0.0), price.get("currency", ""))
    return estimate(shapes, speeds, told, workers or 1, progress.model)


_REST = """
select min(job.pin) as pin, (request->>'width')::int as width, (request->>'height')::int as height,
       (request->>'steps')::int as steps, count(*) as images
from job where state not in ('done', 'dead')
    and id in (select job_id from item where campaign_id = :campaign and not obsolete and not pilot)
group by 2, 3, 4
"""
