"""How long others wait while a large database is upgraded: `python -m benchmarks.upgrading`.

Fills the tables of the first version with a million jobs and items, and upgrades them while one connection writes
as workers do and another one keeps a long transaction open. Prints the longest that any write took.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from sqlalchemy import text

from core.settings import Settings
from orchestrator.records import embedded
from orchestrator.records.database import Database, alembic_config

JOBS = """
insert into job (key, pin, batch, model, request, pinned, held, state)
select md5(n::text), 'model', 'model square', 'model', jsonb_build_object('prompt', repeat('a mug ', 40)), '{}',
       false, case when n % 2 = 0 then 'done' else 'queued' end from generate_series(1, :rows) n
"""

CAMPAIGN = "insert into campaign (name, state, model, source, text) values ('many', 'running', 'model', '', '')"

ITEMS = """
insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id)
select 1, id::text, '', '{}', 0, 'square', id from job
"""

WRITES = (
    "update job set priority = priority + 1 where id = %s",
    "update item set version = version + 1 where id = %s",
    "insert into event (kind, work_id) values ('job.claimed', %s)",
)


@contextmanager
def writer(url: str, rows: int) -> Iterator[dict[str, list[float]]]:
    """Writes all the time; seconds of each write, by statement."""
    waits: dict[str, list[float]] = {statement: [] for statement in WRITES}
    ended = threading.Event()

    def write() -> None:
        number = 0
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.is_set():
                number = (number + 7919) % rows
                for statement in WRITES:
                    began = time.perf_counter()
                    connection.execute(statement, [number + 1])
                    waits[statement].append(time.perf_counter() - began)

    thread = threading.Thread(target=write)
    thread.start()
    yield waits
    ended.set()
    thread.join()


@contextmanager
def reader(url: str, seconds: float) -> Iterator[None]:
    """Keeps a transaction open that has read the large tables, as a report or a careless session does."""
    begun = threading.Event()

    def read() -> None:
        with psycopg.connect(url) as connection:
            connection.execute("select 1 from job, item limit 1")
            begun.set()
            time.sleep(seconds)

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait()
    yield
    thread.join()


def main() -> None:
    """Prints how long the upgrade took and the longest wait of each kind of write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--reader", type=float, default=5.0, help="seconds that a transaction of others stays open"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Settings(home=Path(folder)))
        with database.engine().connect() as connection:
            command.upgrade(alembic_config(connection), "0001")
        with database.begin() as connection:
            connection.execute(text(JOBS), {"rows": chosen.rows})
            connection.execute(text(CAMPAIGN))
            connection.execute(text(ITEMS))
        url = embedded.ensure_running(Path(folder))
        with writer(url, chosen.rows) as waits:
            time.sleep(2)
            quiet = {statement: max(times) for statement, times in waits.items()}
            with reader(url, chosen.reader):
                began = time.perf_counter()
                database.upgrade()
                took = time.perf_counter() - began
        print(f"{chosen.rows:,} jobs and items upgraded in {took:.1f} s; longest writes before it and meanwhile:")
        for statement, times in waits.items():
            words = " ".join(statement.split()[:3])
            print(f"  {words:<18} {quiet[statement] * 1000:7.1f} ms  {max(times) * 1000:7.1f} ms")
        database.close()
        embedded.stop(Path(folder))


if __name__ == "__main__":
    main()
