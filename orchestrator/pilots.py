"""Pilots: a small sample of a campaign is made and reviewed first; what people said of it forecasts the rest.

While a campaign's `pilot` is not 0, only its pilot's items are released. Once those are made the campaign is
paused, until somebody goes on with the rest; attempts that reviewers ask for meanwhile are made.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.reviewing.reasons import limits
from orchestrator.tallies import STANDING

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """A share that was measured on some of many: what was found, and between what the true one lies.

    `low` and `high` are Wilson's interval at `CONFIDENCE` (E. B. Wilson 1927): it holds for few, too.
    """

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """What was found; 0 where nothing was."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to come of the images that the pilot left out, each as a range at `CONFIDENCE`.

    Attributes:
        rest: images that are not made yet, the pilot's own left out.
        approved: of them at first sight.
        rejected: of them at first sight.
        attempts: images in all where each rejected one is tried again, as often as reviewers may ask.
        approved_at_last: with those attempts.
    """

    rest: int
    approved: tuple[float, float]
    rejected: tuple[float, float]
    attempts: tuple[float, float]
    approved_at_last: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pilot:
    """How a campaign's pilot stands.

    Attributes:
        size: items in it.
        made: of them have an image, `failed` never will, `held` are held back by gates.
        open: wait for a decision.
        rate: items whose first image was approved, of those that people decided about; None before the first
            decision.
        forecast: None without a rate or without a rest.
    """

    size: int
    made: int
    failed: int
    held: int
    open: int
    rate: Rate | None
    forecast: Forecast | None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        told = asdict(self)
        if self.rate is not None:
            told["rate"]["share"] = self.rate.share
        return told


def measure(count: int, of: int, confidence: float = CONFIDENCE) -> Rate:
    """A share with Wilson's interval; of nothing it is anything from 0 to 1."""
    if not of:
        return Rate(0, 0, 0.0, 1.0)
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    share = count / of
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    reach = sqrt(z2) / (1 + z2 / of) * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    # At the ends the formula is exact but for rounding.
    low = 0.0 if count == 0 else max(0.0, middle - reach)
    high = 1.0 if count == of else min(1.0, middle + reach)
    return Rate(count, of, low, high)


def forecast(rate: Rate, rest: int, shown: float = 1.0) -> Forecast:
    """What becomes of `rest` images, of which the share `shown` comes before people's eyes."""
    seen = rest * shown
    most = limits().attempts
    # With the chance p of a right one it takes 1 + q + q^2 + … images, q = 1 - p, up to the last that may be made.
    attempts = tuple(seen * sum((1 - p) ** k for k in range(most + 1)) for p in (rate.high, rate.low))
    at_last = tuple(seen * (1 - (1 - p) ** (most + 1)) for p in (rate.low, rate.high))
    return Forecast(
        rest,
        (seen * rate.low, seen * rate.high),
        (seen * (1 - rate.high), seen * (1 - rate.low)),
        (attempts[0], attempts[1]),
        (at_last[0], at_last[1]),
    )


def read_pilot(connection: Connection, campaign: int) -> Pilot | None:
    """The pilot of a campaign; None where it has none."""
    row = connection.execute(text(_PILOT), {"campaign": campaign}).one()
    if not row.size:
        return None
    decided = connection.execute(text(_DECIDED), {"campaign": campaign, "since": row.created_at}).one()
    rate = measure(decided.approved, decided.approved + decided.rejected) if decided.whole else None
    shown = (row.made - row.held) / (row.made + row.failed) if row.made + row.failed else 1.0
    told = forecast(rate, row.rest, shown) if rate is not None and row.rest else None
    return Pilot(row.size, row.made, row.failed, row.held, row.open, rate, told)


def pause_made(connection: Connection, campaign: str | None = None) -> list[tuple[str, int]]:
    """Pauses running campaigns (or the one) whose whole pilot is made and judged, with a rest; names and sizes.

    Where there is no rest the campaign ends as any other.
    """
    # Two statements: the second sees what a verb that held one of these rows has committed meanwhile.
    running = connection.execute(
        text("""
        select id from campaign where state = 'running' and pilot > 0
            and (cast(:name as text) is null or name = :name)
        order by id for update skip locked
        """),
        {"name": campaign},
    )
    rows = connection.execute(text(_PAUSE_MADE), {"running": list(running.scalars())}).all()
    for row in rows:
        connection.execute(
            text("""
            insert into event (kind, campaign_id, facts)
            values ('campaign.piloted', :id, jsonb_build_object('items', cast(:pilot as integer)))
            """),
            {"id": row.id, "pilot": row.pilot},
        )
    return [(row.name, row.pilot) for row in rows]


_PILOT = """
select c.created_at, count(*) filter (where item.pilot) as size,
       count(*) filter (where item.pilot and job.state = 'done') as made,
       count(*) filter (where item.pilot and job.state = 'dead') as failed,
       count(*) filter (where item.pilot and job.state = 'done' and item.gate = 'held'
           and item.verdict = 'open') as held,
       count(*) filter (where item.pilot and job.state = 'done' and item.gate not in ('held', 'ready')
           and item.verdict in ('open', 'proposed')) as open,
       count(*) filter (where not item.pilot and job.state not in ('done', 'dead')) as rest
from campaign c left join item on item.campaign_id = c.id and not item.obsolete
left join job on job.id = item.job_id
where c.id = :campaign group by c.id
"""

_DECIDED = f"""
select count(*) filter (where verdict = 'approved') as approved,
       count(*) filter (where verdict = 'rejected') as rejected, count(*) as whole
from (
    select distinct on (standing.item_id) standing.verdict
    from ({STANDING}) standing join item on item.id = standing.item_id
    where item.pilot and standing.verdict in ('approved', 'rejected') order by standing.item_id, standing.version
) at_first
"""  # noqa: S608 - a constant of ours

_OPEN = """
exists (
    select 1 from item join job on job.id = item.job_id
    where item.campaign_id = campaign.id and not item.obsolete and {which}
        and job.state in ('queued', 'leased', 'failed')
)
"""

_PAUSE_MADE = f"""
update campaign set state = 'paused', paused_by = 'pilot', changed_at = now(),
    reason = 'the pilot of ' || pilot || ' is made: review it, then go on with the rest'
where id = any(:running) and not {_OPEN.format(which="item.pilot")}
    and {_OPEN.format(which="not item.pilot")}
    and not exists (
        select 1 from item join job on job.id = item.job_id
        where item.campaign_id = campaign.id and item.pilot and not item.obsolete
            and (item.gate = 'ready' or (item.gate = 'due' and job.state = 'done'))
    )
returning id, name, pilot
"""  # noqa: S608 - constants of ours
