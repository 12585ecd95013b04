"""How long it takes to plan 100,000 items, from the file to the rows: `python -m benchmarks.planning`.

Plans a campaign of drawn products into an embedded Postgres of its own: once as new, once again when all of
it is there, and once with one row changed; with `--existing 1000000` beside as many jobs of others.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks import claims
from core import registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import make_plan
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.records.storage import open_storage

CAMPAIGN = """
campaign: many
model: storyboard
rows: products.csv
references:
  product: {{kind: subject, image: "{{{{ row.image }}}}"}}
prompt: "a {{{{ row.noun }}}} from [product] {{{{ scene }}}}, {{{{ light }}}}"
vary:
  scene: [on the beach, in the city at night, in a studio, on a table, in a garden]
  light: [soft light, hard light]
seeds: {seeds}
formats: [square, portrait]
"""


def write_brief(folder: Path, rows: int, seeds: int) -> Path:
    """A campaign of `rows` products, each with a picture of its own, times 20 times `seeds`."""
    lines = ["sku,noun,image"]
    for k in range(rows):
        colour = (k % 256, k // 256 % 256, 128)
        Image.new("RGB", (160, 160), colour).save(folder / f"{k}.png")
        lines.append(f"SKU-{k:06},thing number {k},{k}.png")
    (folder / "products.csv").write_text("\n".join(lines))
    path = folder / "campaign.yaml"
    path.write_text(CAMPAIGN.format(seeds=seeds))
    return path


def main() -> None:
    """Prints the seconds of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--existing", type=int, default=0, help="jobs of other campaigns that are there already")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(home=folder / "home")
        plugins, database, store = registry.load(settings), Database(settings), open_storage(settings.store_url)
        database.upgrade()
        if chosen.existing:
            claims.fill(database, chosen.existing, 5)
        path = write_brief(folder, chosen.rows, chosen.seeds)
        for what in ("new", "all there", "one row changed"):
            if what == "one row changed":
                table = folder / "products.csv"
                table.write_text(table.read_text().replace("thing number 7,", "another thing,"))
            times = [time.perf_counter()]
            brief = read_brief(path, settings, plugins)
            times.append(time.perf_counter())
            plan = make_plan(brief, settings, plugins)
            times.append(time.perf_counter())
            outlook = campaigns.record(database, store, plugins, plan, start=True)
            times.append(time.perf_counter())
            read, make, write = (after - before for before, after in itertools.pairwise(times))
            print(
                f"{what}: {outlook.items:,} items, {outlook.new:,} to make: {times[-1] - times[0]:.1f} s "
                f"(read {read:.1f}, keys {make:.1f}, write and start {write:.1f})"
            )
        database.close()
        embedded.stop(settings.home)


if __name__ == "__main__":
    main()
