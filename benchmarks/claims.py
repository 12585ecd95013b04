"""How long a claim and a look at progress take when the tables are small and when they are large.

`python -m benchmarks.claims` fills a database of its own with jobs of many campaigns and three owners, some done,
some held, the others ready, and times claims of eight that are finished one by one, and the progress of one
campaign of 5,000 images; both sizes in one run, since only their ratio says something on a shared machine. The
pages that a claim with its results, or a look at progress, touches are told beside: they depend on no load.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from core.settings import Settings
from orchestrator.progress import read_progress
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.working import claims
from orchestrator.working.rescue import rescue

JOBS = """
insert into job (key, pin, batch, model, request, pinned, priority, held, state, owner, turn)
select md5(n::text || :salt), 'model ' || (n % 3), 'model ' || (n % 3) || ' ' || (n % 5), 'model',
       jsonb_build_object('prompt', repeat('a mug on a table ', 20), 'seed', n), '{}', 0, n % 10 = 9,
       case when n % 10 < :done then 'done' else 'queued' end, 'owner ' || (n % 7 % 3), n
from generate_series(1, :rows) n
"""

CAMPAIGNS = """
insert into campaign (name, state, model, source, text)
select 'campaign ' || n, 'running', 'model', '', '' from generate_series(1, :campaigns) n
"""

ITEMS = """
insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id)
select campaign.id, job.id::text, '', '{}', 0, 'square', job.id
from job join campaign on campaign.id = (job.id - 1) / 5000 + 1
"""


def time_claims(database: Database, rounds: int) -> list[float]:
    """Seconds of each claim of eight with its rescue, as a worker does them."""
    worker, times = uuid.uuid4(), []
    for _ in range(rounds):
        began = time.perf_counter()
        with database.begin() as connection:
            rescue(connection, 5)
            found = claims.claim(connection, "job", worker, ["model 0", "model 1"], 8, 60)
        times.append(time.perf_counter() - began)
        assert len(found) == 8
        with database.begin() as connection:
            for one in found:
                claims.finish(connection, "job", one)
    return times


def time_progress(database: Database, rounds: int) -> list[float]:
    """Seconds of each look at the progress of one campaign."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        with database.begin() as connection:
            (found,) = read_progress(connection, "campaign 1")
        times.append(time.perf_counter() - began)
        assert found.total == 5000
    return times


def pages(database: Database) -> int:
    """Pages of tables and indexes that were touched so far, by Postgres' own count."""
    time.sleep(1.5)  # until those who touched them have said so
    query = """
    select sum(coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0)
               + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0)) from pg_statio_user_tables
    """
    with database.begin() as connection:
        return int(connection.execute(text(query)).scalar_one())


def fill(database: Database, rows: int, done: int) -> None:
    """Jobs, `done` of ten of them done, in campaigns of 5,000."""
    with database.begin() as connection:
        connection.execute(text(CAMPAIGNS), {"campaigns": rows // 5000})
        connection.execute(text(JOBS), {"rows": rows, "salt": str(rows), "done": done})
        connection.execute(text(ITEMS))
    with database.engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("vacuum analyze"))


def main() -> None:
    """Prints the median and the 95th percentile of both at each size, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--done", type=int, nargs="+", default=[5, 0], help="of ten jobs, how many are done")
    chosen = parser.parse_args()
    timed: dict[str, Callable[[Database, int], list[float]]] = {"claim": time_claims, "progress": time_progress}
    for done in chosen.done:
        print(f"{done * 10} % of the jobs done")
        medians: dict[str, list[float]] = {name: [] for name in timed}
        for rows in chosen.sizes:
            with tempfile.TemporaryDirectory() as folder:
                database = Database(Settings(home=Path(folder)))
                database.upgrade()
                fill(database, rows, done)
                for name, measure in timed.items():
                    measure(database, 10)
                    before = pages(database)
                    times = sorted(measure(database, chosen.rounds))
                    touched = (pages(database) - before) / chosen.rounds
                    median, late = statistics.median(times), times[int(len(times) * 0.95)]
                    medians[name].append(median)
                    told = f"{median * 1000:.2f} ms, p95 {late * 1000:.2f} ms, least {times[0] * 1000:.2f} ms"
                    print(f"  {rows:>9,} rows: {name} {told}, {touched:,.0f} pages")
                database.close()
                embedded.stop(Path(folder))
        for name, found in medians.items():
            print(f"  {name}, {chosen.sizes[-1]:,} rows against {chosen.sizes[0]:,}: {found[-1] / found[0]:.2f}")


if __name__ == "__main__":
    main()
