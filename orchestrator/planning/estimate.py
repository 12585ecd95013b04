"""Planning: how long images will take and what they will cost, as ranges, from the seconds on record.

A worker makes images in batches, whose seconds are the batch's and not each image's: what counts are the means of
stretches of `STRETCH` images in the order in which they were made. The range goes from the fastest tenth of these
stretches to the slowest. Where no image of a size is on record, another size of the model stands in for it, by its
pixels and steps, with a wider range; where the model has made nothing yet, nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from orchestrator.planning.plan import Price

STRETCH = 20
LATEST = 4_000
"""Images of the model that are looked at, the latest ones."""

FEW = (0.7, 1.5)
"""A range by itself where fewer than three stretches are on record: shares of the mean."""

SCALED = (0.7, 1.5)
"""How much wider a range is that another size stands in for."""


class Shape(NamedTuple):
    """What decides how long an image takes, beside the model and the machine."""

    width: int
    height: int
    steps: int

    @property
    def work(self) -> int:
        """What it takes, in pixels times steps."""
        return self.width * self.height * self.steps


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds an image, as a range, with the number of images that say so."""

    low: float
    high: float
    images: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What some images will take.

    Attributes:
        images: how many are to be made.
        seconds: of making, on one worker after the other; None: nothing is on record.
        workers: that make them side by side.
        cost: of these seconds; None: nothing is on record, or no price was said.
        currency: of the cost.
        basis: in words, what it rests on.
    """

    images: int
    seconds: tuple[float, float] | None
    workers: int
    cost: tuple[float, float] | None
    currency: str
    basis: str

    @property
    def wait(self) -> tuple[float, float] | None:
        """Seconds by the clock."""
        if self.seconds is None:
            return None
        share = max(1, min(self.workers, self.images))
        return self.seconds[0] / share, self.seconds[1] / share

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "images": self.images,
            "seconds_of_making": self.seconds,
            "workers": self.workers,
            "seconds": self.wait,
            "cost": self.cost,
            "currency": self.currency if self.cost is not None else None,
            "basis": self.basis,
        }


def read_speeds(connection: Connection | None, model: str) -> dict[Shape, Speed]:
    """Seconds an image of a model took lately, by shape."""
    if connection is None:
        return {}
    rows = connection.execute(text(_SECONDS), {"model": model, "latest": LATEST})
    seconds: dict[Shape, list[float]] = {}
    for row in rows:
        seconds.setdefault(Shape(row.width, row.height, row.steps), []).append(row.seconds)
    return {shape: measure(found) for shape, found in seconds.items()}


def measure(seconds: Sequence[float]) -> Speed:
    """The speed that seconds in the order of making say."""
    means = sorted(
        sum(some) / len(some)
        for start in range(0, len(seconds), STRETCH)
        if len(some := seconds[start : start + STRETCH]) == STRETCH
    )
    mean = sum(seconds) / len(seconds)
    if len(means) < 3:
        return Speed(mean * FEW[0], mean * FEW[1], len(seconds))
    cut = len(means) // 10
    return Speed(means[cut], means[-1 - cut], len(seconds))


def estimate(
    wanted: Iterable[Shape], speeds: Mapping[Shape, Speed], price: Price, workers: int, model: str
) -> Estimate:
    """What images of these shapes take.

    Args:
        wanted: the shape of each image that is to be made.
        speeds: what is on record.
        price: of an hour of one worker.
        workers: that make images side by side.
        model: its name, for words.
    """
    counts = Counter(wanted)
    images = counts.total()
    if not images:
        return Estimate(0, (0.0, 0.0), workers, (0.0, 0.0) if price.hour else None, price.currency, "")
    if not speeds:
        basis = f"nothing is recorded of {model} yet: a pilot (`dreamline run FILE --pilot 24`) would measure it"
        return Estimate(images, None, workers, None, price.currency, basis)
    ranges = [(_speed(shape, speeds), count) for shape, count in counts.items()]
    seconds = sum(one.low * count for one, count in ranges), sum(one.high * count for one, count in ranges)
    cost = (seconds[0] / 3600 * price.hour, seconds[1] / 3600 * price.hour) if price.hour else None
    return Estimate(images, seconds, workers, cost, price.currency, _basis(counts, speeds, model))


def _speed(shape: Shape, speeds: Mapping[Shape, Speed]) -> Speed:
    if shape in speeds:
        return speeds[shape]
    near, speed = max(speeds.items(), key=lambda one: (one[0].steps == shape.steps, one[1].images))
    share = shape.work / near.work
    return Speed(speed.low * share * SCALED[0], speed.high * share * SCALED[1], speed.images)


def _basis(counts: Counter[Shape], speeds: Mapping[Shape, Speed], model: str) -> str:
    known = sum(speed.images for shape, speed in speeds.items() if shape in counts)
    missing = sorted({f"{shape.width}x{shape.height}" for shape in counts if shape not in speeds})
    told = f"from {known:,} images of {model} on record" if known else ""
    if not missing:
        return told
    scaled = f"{', '.join(missing)} by other sizes of {model}"
    return f"{told}; {scaled}" if told else scaled


def count_workers(connection: Connection | None, pin: str) -> int:
    """Workers that run now and could make a model's images."""
    if connection is None:
        return 0
    return int(connection.execute(text(_WORKERS), {"pin": pin}).scalar_one())


# The latest assets first by an index; a model that made none of those is looked for in a wider sweep.
_SECONDS = """
with lately as materialized (
    select job_id, seconds, made_at from asset order by made_at desc limit 20000
), of_model as materialized (
    select job.request, lately.seconds, lately.made_at from lately join job on job.id = lately.job_id
    where job.model = :model order by lately.made_at desc limit :latest
), older as materialized (
    select job.request, asset.seconds, asset.made_at from job join asset on asset.job_id = job.id
    where not exists (select 1 from of_model) and job.model = :model and job.state = 'done' limit :latest
)
select (request->>'width')::int as width, (request->>'height')::int as height, (request->>'steps')::int as steps,
       seconds
from (select * from of_model union all select * from older) found order by made_at
"""

_WORKERS = """
select count(*) from worker
where stopped_at is null and seen_at > now() - interval '2 minutes' and pins ? :pin
"""
