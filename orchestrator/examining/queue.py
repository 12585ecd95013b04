"""Examining: the queue: leases that ran out, work that waits wrongly or for nobody, workers that went."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text

from core.settings import Settings
from orchestrator.examining.finding import Finding
from orchestrator.operating.backlog import read_ready
from orchestrator.operating.crew import able, read_crew
from orchestrator.records.database import Database
from orchestrator.working.rescue import rescue

PATIENCE = 900.0
"""Seconds that ready work may wait while nobody works on its queue."""

FIX = "`dreamline doctor --fix`"


def leases(database: Database, config: Settings, *, fix: bool) -> Iterator[Finding]:
    """Leases that nobody renewed and nobody took back."""
    with database.begin() as connection:
        lost = connection.execute(text(_LOST)).scalar_one()
        if lost and fix:
            rescue(connection, config.max_attempts)
    if lost:
        message = f"{lost} ran out with their work unfinished"
        mend = f"{FIX} frees them; so does any worker that looks for work: is one running?"
        yield Finding("leases", "warning", message, mend, "freed" if fix else "")
    else:
        yield Finding("leases", "ok", "none ran out")


def waiting(database: Database, *, fix: bool) -> Iterator[Finding]:
    """Images whose count of references to wait for is wrong."""
    with database.begin() as connection:
        if fix:
            wrong = connection.execute(text(_COUNT_AGAIN)).rowcount
        else:
            wrong = connection.execute(text(_MISCOUNTED)).scalar_one()
    if wrong:
        message = f"{wrong} images wait for the wrong number of references"
        yield Finding("queue", "warning", message, f"{FIX} counts again", "mended" if fix else "")
    else:
        yield Finding("queue", "ok", "every image waits for what it needs")


def workers(database: Database, config: Settings) -> Iterator[Finding]:
    """Workers that went without a word, and ready work that nobody takes."""
    with database.begin() as connection:
        crew = read_crew(connection, config)
        ready = read_ready(connection)
    gone = [hand for hand in crew if not hand.alive]
    for hand in gone:
        message = (
            f"the worker for {hand.queue} on {hand.host} (process {hand.process}) has been silent for "
            f"{_time(hand.silent)} and never signed off"
        )
        mend = (
            f"Look at its log there and start it again: `dreamline worker -q {hand.queue}`. What it held is "
            "rescued by itself; it is named here for a day"
        )
        yield Finding("workers", "warning", message, mend)
    has, busy = able(crew), {hand.queue for hand in crew if hand.leased}
    stuck = []
    for row in ready:
        noun = f"{row.number} {'images' if row.queue == 'gpu' else 'references'}"
        if row.pin not in has:
            message = f"{noun} wait {_time(row.oldest)} for a worker that has {row.pin}"
            mend = f"Start `dreamline worker -q {row.queue}` where it is (`dreamline models`, `dreamline plugins`)"
            stuck.append(Finding("workers", "warning", message, mend))
        elif row.oldest > PATIENCE and row.queue not in busy:
            message = f"{noun} wait {_time(row.oldest)}, and no worker for {row.queue} takes them"
            stuck.append(Finding("workers", "warning", message, "Look at the workers' logs; start them anew"))
    yield from stuck
    if not gone and not stuck:
        counts = {queue: sum(hand.alive and hand.queue == queue for hand in crew) for queue in ("cpu", "gpu")}
        told = ", ".join(f"{count} for {queue}" for queue, count in counts.items())
        yield Finding("workers", "ok", f"{told}; no ready work waits for one that is missing")


def _time(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


_LOST = """
select (select count(*) from job where state = 'leased' and lease_until < clock_timestamp())
    + (select count(*) from preparation where state = 'leased' and lease_until < clock_timestamp())
"""

_RIGHT_COUNT = """
select r.job_id, count(*) filter (where p.state <> 'done') as waiting
from job_reference r join preparation p on p.id = r.preparation_id group by r.job_id
"""

_MISCOUNTED = f"""
select count(*) from job join ({_RIGHT_COUNT}) right_count on right_count.job_id = job.id
where job.waiting <> right_count.waiting and job.state <> 'done'
"""  # noqa: S608 - constants of ours

_COUNT_AGAIN = f"""
update job set waiting = right_count.waiting from ({_RIGHT_COUNT}) right_count
where right_count.job_id = job.id and job.waiting <> right_count.waiting and job.state <> 'done'
"""  # noqa: S608 - constants of ours
