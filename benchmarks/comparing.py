"""How long `dreamline plan` takes to hold 100,000 items against the records: `python -m benchmarks.comparing`.

A campaign of drawn products is recorded in an embedded Postgres of its own, then looked at: as it is, with one row
changed, with every prompt changed, and with a pilot of 24.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from benchmarks.planning import write_brief
from core import registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.prospect import look_ahead
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.records.storage import open_storage


def look(database: Database, plan: Plan, settings: Settings, what: str, pilot: int = 0) -> None:
    """Prints the seconds of one look, which may write nothing, and those that this process worked of them."""
    began, worked = time.perf_counter(), time.process_time()
    with database.begin() as connection:
        connection.execute(text("set transaction read only"))
        prospect = look_ahead(connection, plan, settings, pilot=pilot)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    changed = prospect.comparison.count("changed")
    told = f"{prospect.outlook.items:,} items, {changed:,} changed"
    print(f"{what}: {told}: {seconds:.1f} s, of which {worked:.1f} s worked here")


def main() -> None:
    """Prints the seconds of each look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(home=folder / "home")
        plugins, database, store = registry.load(settings), Database(settings), open_storage(settings.store_url)
        database.upgrade()
        path = write_brief(folder, chosen.rows, chosen.seeds)
        table = folder / "products.csv"

        def plan() -> Plan:
            return make_plan(read_brief(path, settings, plugins), settings, plugins)

        look(database, plan(), settings, "new")
        campaigns.record(database, store, plugins, plan(), start=True)
        look(database, plan(), settings, "all there")
        table.write_text(table.read_text().replace("thing number 7,", "another thing,"))
        look(database, plan(), settings, "one row changed")
        table.write_text(table.read_text().replace("thing", "object"))
        look(database, plan(), settings, "every prompt changed")
        look(database, plan(), settings, "the same with a pilot of 24", pilot=24)
        database.close()
        embedded.stop(settings.home)


if __name__ == "__main__":
    main()
