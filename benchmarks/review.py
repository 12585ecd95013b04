"""How quick the review is: `python -m benchmarks.review [--items 100000] [--no-browser]`.

Queries are measured at `--items` assets in one campaign, the grid in a headless Chromium at 1000 and 3000 items
against a server of its own. Everything runs in an embedded Postgres of its own that is deleted afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.seeding import seed
from core import registry as registries
from core.settings import Settings
from dashboard import queries
from dashboard.changes import read_changes
from dashboard.listing import read_items
from dashboard.questions import Question, read_counts
from orchestrator.previews import Previews
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.records.storage import open_storage
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Role
from orchestrator.reviewing.wishes import Wish

KEYS_TO_PAINT = """
async (count) => {
  const root = document.querySelector('[data-testid="stBidiComponentIsolated"]').shadowRoot;
  const took = [];
  for (let k = 0; k < count; k++) {
    await new Promise((done) => setTimeout(done, 60));
    const began = performance.now();
    document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'p', bubbles: true, composed: true}));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    took.push(performance.now() - began);
  }
  return took;
}
"""


def main() -> None:
    """Measures and prints."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--items", type=int, default=100_000)
    asked.add_argument("--no-browser", action="store_true")
    given = asked.parse_args()
    home = Path(tempfile.mkdtemp(prefix="dreamline-review-"))
    home.chmod(0o755)
    settings = Settings(home=home)
    database, store = Database(settings), open_storage(settings.store_url)
    try:
        database.upgrade()
        with database.begin() as connection:
            items = seed(connection, store, "large", given.items, pictures=8, side=96).items
        print(f"\nqueries at {given.items:,} assets in one campaign, milliseconds (median of 9, worst)\n")
        measure_queries(database, items)
        if not given.no_browser:
            with database.begin() as connection:
                for name, count in (("drop-1000", 1000), ("drop-3000", 3000)):
                    seed(connection, store, name, count, pictures=40, side=512, previews=Previews(settings, store))
            print("\nbrowser, milliseconds\n")
            measure_browser(settings)
    finally:
        database.close()
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def measure_queries(database: Database, items: list[int]) -> None:
    """Each of the pages' questions."""
    with database.begin() as connection:
        reads: dict[str, Callable[[], Any]] = {
            "counts of the filters": lambda: read_counts(connection, Question(campaign="large")),
            "first 200, as in the brief": lambda: _listing(connection, limit=200),
            "first 200, worst score first": lambda: _listing(
                connection, order="worst", score="likeness", limit=200
            ),
            "first 200, searched": lambda: _listing(connection, search="SKU-12", limit=200),
            "first 3000, as in the brief": lambda: _listing(connection),
            "list of campaigns": lambda: queries.read_overviews(connection),
            "what others did": lambda: read_changes(connection, "large", 0),
            "the last pictures": lambda: queries.read_recent(connection, "large"),
        }
        for name, read in reads.items():
            tell(name, timed(read, 9))
    registry = registries.load(Settings())
    actor = Actor("bench", Role.REVIEWER)
    left = iter(items)

    def twenty() -> None:
        wishes = [
            Wish(id=uuid.uuid4(), item=next(left), version=1, seen=None, verdict="approved") for _ in range(20)
        ]
        decide(database, registry, actor, "large", wishes)

    tell("20 decisions recorded", timed(twenty, 9))


def _listing(connection: Any, **more: Any) -> Any:
    return read_items(connection, Question(campaign="large", **more))


def measure_browser(settings: Settings) -> None:
    """First screen, pictures asked for, key to paint, and the page's script."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium is installed here")
        return
    server = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli", "dashboard", "--no-open", "--port", "0", "-w", "0"],
        env={**os.environ, "DREAMLINE_HOME": str(settings.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    url = next(line.split()[1] for line in server.stdout if line.startswith("Dashboard: "))
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for campaign in ("drop-1000", "drop-3000"):
                _measure_grid(browser, url, campaign)
            browser.close()
    finally:
        server.terminate()
        server.wait()


def _measure_grid(browser: Any, url: str, campaign: str) -> None:
    firsts = []
    for _ in range(4):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        asked: list[str] = []
        page.on(
            "request", lambda request, asked=asked: asked.append(request.url) if "/img/" in request.url else None
        )
        began = time.perf_counter()
        page.goto(f"{url}/review?campaign={campaign}")
        page.wait_for_function(FIRST_SCREEN, timeout=60_000)
        firsts.append((time.perf_counter() - began) * 1000)
        if len(firsts) < 4:
            page.close()
    tell(f"{campaign}: first screen with its pictures (4 loads, the first is cold)", firsts)
    print(f"    {campaign}: {sum('/img/' in one for one in asked)} pictures asked for")
    tell(f"{campaign}: key to paint, 100 keys 60 ms apart", page.evaluate(KEYS_TO_PAINT, 100), p95=True)
    page.wait_for_selector('.saving[data-unsent="0"]')
    reruns = []
    for _ in range(5):
        began = time.perf_counter()
        page.get_by_label("Search").fill(f"SKU-1{_}")
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => location.search.includes('SKU-1{_}')")
        reruns.append((time.perf_counter() - began) * 1000)
    tell(f"{campaign}: a filter changed, until the page's script has run", reruns)
    page.close()


FIRST_SCREEN = """
() => {
  const host = document.querySelector('[data-testid="stBidiComponentIsolated"]');
  const pictures = [...(host?.shadowRoot?.querySelectorAll('.card .picture') ?? [])];
  return pictures.length > 10 && pictures.every((one) => one.complete && one.naturalWidth > 0);
}
"""


def timed(work: Callable[[], Any], times: int) -> list[float]:
    """Milliseconds of each of `times` calls."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return took


def tell(name: str, took: list[float], *, p95: bool = False) -> None:
    """One line of the table."""
    high = statistics.quantiles(took, n=20)[-1] if p95 else max(took)
    print(f"{name:<64} {statistics.median(took):8.1f} {'p95' if p95 else 'max'} {high:8.1f}")


if __name__ == "__main__":
    main()
