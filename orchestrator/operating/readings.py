"""Operating: the statements behind the metrics, one function a statement, and the metrics that they become.

Labels are few on purpose: queues, models, states, classes of errors, and the names of campaigns under way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from sqlalchemy import Connection, text

from core.settings import Settings
from orchestrator.operating.backlog import read_open
from orchestrator.operating.clock import read_skew
from orchestrator.operating.crew import able, read_crew
from orchestrator.operating.meter import SECONDS
from orchestrator.records.states import Campaign, Work

QUEUES = ("cpu", "gpu")

Key = TypeVar("Key", bound=tuple[str, ...])


class Growing:
    """Sums that only grow.

    Rows that were deleted since were made all the same, and a counter that falls would read as a restart.
    """

    def __init__(self) -> None:
        self._last: dict[Hashable, float] = {}
        self._shown: dict[Hashable, float] = defaultdict(float)

    def take(self, key: Hashable, value: float) -> float:
        """The sum to show for `key`, now that its rows add up to `value`."""
        self._shown[key] += max(0.0, value - self._last.get(key, 0.0))
        self._last[key] = value
        return self._shown[key]


def work(connection: Connection, settings: Settings) -> Iterator[Metric]:
    """Open work by queue, model and state; how long the oldest that could be claimed waits; what nobody can do."""
    has = able(read_crew(connection, settings))
    depth: dict[tuple[str, str, str], int] = defaultdict(int)
    unserved: dict[tuple[str, str], int] = defaultdict(int)
    oldest = dict.fromkeys(QUEUES, 0.0)
    for row in read_open(connection):
        depth[row.queue, row.model, row.state] += row.number
        if row.state == "ready":
            oldest[row.queue] = max(oldest[row.queue], row.oldest)
            unserved[row.queue, row.model] += 0 if row.pin in has else row.number
    yield _gauge(
        "dreamline_work",
        "Open images (queue gpu) and references (cpu). held: no running campaign wants it; waiting: for a "
        "reference; ready: to be claimed; leased: under way; failed: to be tried again.",
        ["queue", "model", "state"],
        depth,
    )
    yield _gauge(
        "dreamline_oldest_ready_seconds",
        "How long the oldest work that could be claimed has been ready; 0 where there is none.",
        ["queue"],
        {(queue,): seconds for queue, seconds in oldest.items()},
    )
    yield _gauge(
        "dreamline_unserved_work",
        "Ready work for which no live worker has the model, the plugin or the weights.",
        ["queue", "model"],
        unserved,
    )


def workers(connection: Connection, settings: Settings, grown: Growing) -> Iterator[Metric]:
    """Workers by queue: alive, or gone without signing off within a day; and how busy generators were."""
    counted = {(queue, state): 0 for queue in QUEUES for state in ("alive", "gone")}
    for hand in read_crew(connection, settings):
        counted[hand.queue, "alive" if hand.alive else "gone"] += 1
    yield _gauge(
        "dreamline_workers",
        "Workers. gone: silent for a minute and more, without having signed off, seen within a day.",
        ["queue", "state"],
        counted,
    )
    seconds = CounterMetricFamily(
        "dreamline_generator_seconds",
        "Seconds that generators were at work (busy), and that they waited between two batches (idle).",
        labels=["state"],
    )
    sums = connection.execute(text(_BUSY)).one()
    for state, value in (("busy", sums.busy), ("idle", sums.idle)):
        seconds.add_metric([state], grown.take(state, value))
    yield seconds


def leases(connection: Connection) -> Iterator[Metric]:
    """Leases that ran out and that nobody has rescued yet."""
    late, longest = dict.fromkeys(QUEUES, 0), dict.fromkeys(QUEUES, 0.0)
    for row in connection.execute(text(_LATE)):
        late[row.queue], longest[row.queue] = row.number, row.longest
    yield _gauge(
        "dreamline_leases_not_renewed",
        "Work whose lease ran out and which nobody took back.",
        ["queue"],
        {(queue,): count for queue, count in late.items()},
    )
    yield _gauge(
        "dreamline_longest_lease_overdue_seconds",
        "How long ago the first of these leases ran out.",
        ["queue"],
        {(queue,): seconds for queue, seconds in longest.items()},
    )


def dead(connection: Connection) -> Iterator[Metric]:
    """Work that was given up, by the class of its error."""
    rows = {(row.queue, row.model, row.kind): row.number for row in connection.execute(text(_DEAD))}
    yield _gauge(
        "dreamline_dead_work",
        "Work that was given up and waits for a person (`dreamline campaign retry`), by the class of its error.",
        ["queue", "model", "class"],
        rows,
    )


def images(connection: Connection, grown: Growing) -> Iterator[Metric]:
    """Images made by model: how many, the seconds they took, and their bytes."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
    seconds: dict[str, float] = defaultdict(float)
    sizes: dict[tuple[str], int] = defaultdict(int)
    for row in connection.execute(text(_MADE), {"bounds": list(SECONDS)}):
        counts[row.model][row.bucket] = row.number
        seconds[row.model] += row.seconds
        sizes[(row.model,)] += row.size
    made = HistogramMetricFamily(
        "dreamline_image_seconds", "Seconds that each image took, for all workers.", labels=["model"]
    )
    for model, by_bucket in sorted(counts.items()):
        total, buckets = 0.0, []
        for bound, count in zip([*map(str, SECONDS), "+Inf"], by_bucket, strict=True):
            total += grown.take((model, bound), count)
            buckets.append((bound, total))
        made.add_metric([model], buckets, grown.take((model, "sum"), seconds[model]))
    yield made
    yield _gauge("dreamline_asset_bytes", "Bytes of the images that are kept.", ["model"], sizes)


def campaigns(connection: Connection) -> Iterator[Metric]:
    """Campaigns by state, and the images of those that are under way."""
    states = {(state.value,): 0 for state in Campaign}
    states |= {(row.state,): row.number for row in connection.execute(text(_CAMPAIGNS))}
    yield _gauge("dreamline_campaigns", "Campaigns by state.", ["state"], states)
    progress: dict[tuple[str, str], int] = {}
    for row in connection.execute(text(_PROGRESS)):
        for state in Work:
            progress.setdefault((row.name, state.value), 0)
        progress[row.name, row.state] = row.number
    yield _gauge(
        "dreamline_campaign_images",
        "Images of campaigns that run or are paused, by the state of their work.",
        ["campaign", "state"],
        progress,
    )


def last_image(connection: Connection) -> Iterator[Metric]:
    """How long ago an image was made, and how far this machine's clock is from the database's."""
    ago = connection.execute(text(_LAST)).scalar_one()
    if ago is not None:
        yield _gauge("dreamline_last_image_seconds", "Seconds since an image was made.", [], {(): ago})
    skew = read_skew(connection)
    yield _gauge("dreamline_clock_skew_seconds", "This machine's clock minus the database's.", [], {(): skew})


def _gauge(name: str, help_text: str, labels: Sequence[str], values: Mapping[Key, float]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), float(value))
    return family


_LATE = """
select 'gpu' as queue, count(*) as number,
    coalesce(extract(epoch from clock_timestamp() - min(lease_until)), 0)::float8 as longest
from job where state = 'leased' and lease_until < clock_timestamp()
union all
select 'cpu', count(*), coalesce(extract(epoch from clock_timestamp() - min(lease_until)), 0)::float8
from preparation where state = 'leased' and lease_until < clock_timestamp()
"""

_DEAD = """
select 'gpu' as queue, model, coalesce(error->>'class', 'unknown') as kind, count(*) as number
from job where state = 'dead' group by 1, 2, 3
union all
select 'cpu', model, coalesce(error->>'class', 'unknown'), count(*)
from preparation where state = 'dead' group by 1, 2, 3
"""

_MADE = """
select job.model, width_bucket(asset.seconds, cast(:bounds as float8[])) as bucket, count(*) as number,
    sum(asset.seconds)::float8 as seconds, sum(asset.size)::bigint as size
from asset join job on job.id = asset.job_id group by 1, 2
"""

_BUSY = "select coalesce(sum(busy), 0) as busy, coalesce(sum(idle), 0) as idle from worker where queue = 'gpu'"

_CAMPAIGNS = "select state, count(*) as number from campaign group by 1"

_PROGRESS = """
select campaign.name, job.state, count(*) as number
from campaign join item on item.campaign_id = campaign.id join job on job.id = item.job_id
where campaign.state in ('running', 'paused') and not item.obsolete group by 1, 2
"""

_LAST = "select extract(epoch from clock_timestamp() - max(made_at))::float8 from asset"
