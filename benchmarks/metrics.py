"""What asking for the metrics costs a large database: `python -m benchmarks.metrics`.

Fills a database of its own with jobs, half of them done with their assets, and two campaigns that share them, of
which one runs; then prints what each reading took, and how rarely it is taken for that.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from sqlalchemy import text

from core.settings import Settings
from orchestrator.operating.figures import SHARE, Figures
from orchestrator.operating.health import Health
from orchestrator.records import embedded
from orchestrator.records.database import Database

FILL = (
    """
    insert into job (key, pin, batch, model, request, pinned, priority, held, state, error)
    select md5(n::text), 'model ' || (n % 3), 'batch ' || (n % 15), 'model ' || (n % 3),
           jsonb_build_object('prompt', repeat('a mug on a table ', 20), 'seed', n), '{}', 0, n % 10 = 9,
           case when n % 2 = 0 then 'done' when n % 50 = 1 then 'dead' else 'queued' end,
           case when n % 50 = 1 then '{"class": "crash"}'::jsonb end
    from generate_series(1, :rows) n
    """,
    """
    insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
    select id, md5(id::text) || md5(key), 1500000, 1024, 1024, 'image/png', '{}', 1, gen_random_uuid(), id % 30
    from job where state = 'done'
    """,
    """
    insert into campaign (name, state, model, source, text)
    values ('running', 'running', 'model 0', 'f', ''), ('finished', 'finished', 'model 0', 'f', '')
    """,
    """
    insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id)
    select campaign.id, job.id::text, '', '{}', 1, 'square', job.id
    from job join campaign on (campaign.name = 'running') = (job.id % 10 = 0)
    """,
)


def main() -> None:
    """Prints the readings by cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        database = Database(settings)
        database.upgrade()
        with database.begin() as connection:
            for statement in FILL:
                connection.execute(text(statement), {"rows": rows} if ":rows" in statement else {})
        with database.engine().connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("vacuum analyze"))
        figures = Figures(settings, database, Health(settings, database))
        told = {metric.name: metric for metric in figures.collect()}
        print(f"{rows:,} jobs, {rows // 2:,} images")
        for sample in sorted(told["dreamline_reading_seconds"].samples, key=lambda one: -one.value):
            again = sample.value * SHARE
            print(f"  {sample.labels['reading']:<10} {sample.value * 1000:8.1f} ms, again after {again:6.1f} s")
        database.close()
        embedded.stop(Path(folder))


if __name__ == "__main__":
    main()
