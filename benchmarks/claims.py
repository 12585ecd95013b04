"""How long a claim takes when the table is small and when it is large: `python -m benchmarks.claims`.

Fills a database of its own with jobs, most of them done, some held, some ready, and times claims of eight
that are finished one by one; both sizes in one run, since only their ratio says something on a shared machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from sqlalchemy import text

from core.settings import Settings
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.working import claims
from orchestrator.working.rescue import rescue

FILL = """
insert into job (key, pin, batch, model, request, pinned, priority, held, state)
select md5(n::text || :salt), 'model ' || (n % 3), 'model ' || (n % 3) || ' ' || (n % 5), 'model',
       jsonb_build_object('prompt', repeat('a mug on a table ', 20), 'seed', n), '{}', 0, n % 10 = 9,
       case when n % 10 < :done then 'done' else 'queued' end
from generate_series(1, :rows) n
"""


def measure(database: Database, rounds: int) -> list[float]:
    """Seconds of each claim of eight with its rescue, as a worker does them."""
    worker, times = uuid.uuid4(), []
    for _ in range(rounds):
        began = time.perf_counter()
        with database.begin() as connection:
            rescue(connection, 5)
            found = claims.claim(connection, "job", worker, ["model 0", "model 1"], 8, 60)
        times.append(time.perf_counter() - began)
        with database.begin() as connection:
            for one in found:
                claims.finish(connection, "job", one)
    return times


def main() -> None:
    """Prints the median and the 95th percentile of a claim at each size, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=200)
    sizes = parser.parse_args()
    medians = {}
    for done in (5, 0):
        print(f"{done * 10} % of the jobs done")
        for rows in sizes.sizes:
            with tempfile.TemporaryDirectory() as folder:
                database = Database(Settings(home=Path(folder)))
                database.upgrade()
                with database.begin() as connection:
                    connection.execute(text(FILL), {"rows": rows, "salt": str(rows), "done": done})
                with database.engine().connect() as connection:
                    connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("vacuum analyze job"))
                times = sorted(measure(database, sizes.rounds))
                medians[rows] = statistics.median(times)
                late = times[int(len(times) * 0.95)]
                print(f"  {rows:>9,} rows: median {medians[rows] * 1000:.2f} ms, p95 {late * 1000:.2f} ms")
                database.close()
                embedded.stop(Path(folder))
        first, last = sizes.sizes[0], sizes.sizes[-1]
        print(f"  {last:,} against {first:,}: {medians[last] / medians[first]:.2f}")


if __name__ == "__main__":
    main()
