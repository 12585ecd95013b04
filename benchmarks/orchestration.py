"""What dreamline itself costs while images are made: `python -m benchmarks.orchestration`.

Three parts, each with a database of its own and the fake generator:

- `cost`: what the worker's supervisor does for an image (claims, messages, results, events), in milliseconds, and
  where they go. What its children do meanwhile (drawing, PNG, previews, scores) is not in it.
- `idle`: how much of the time a generator of 1.5 s an image waits between two batches.
- `scale`: images a second of four workers against one, with a generator that sleeps.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import text

from core import registry
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import make_plan
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.records.storage import open_storage
from orchestrator.working.desks import DESKS
from orchestrator.working.looking import Looker

CARD = (
    'name = "{name}"\ntitle = "Small"\ngenerator = "fake"\nsteps = 12\narea = {area}\nsides = [{side}, {side}]\n'
)

BRIEF = 'campaign: {name}\nmodel: {model}\nprompt: "picture for {name}"\nseeds: {images}\nformats: [square]\n'


class Place:
    """A home with a database and cards of the fake generator for small and for large images."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        cards = folder / "cards"
        cards.mkdir()
        for name, side in (("small", 64), ("large", 1024)):
            (cards / f"{name}.toml").write_text(CARD.format(name=name, side=side, area=side * side))
        self.folder = folder
        self.settings = replace(settings, home=folder / "home", cards=(str(cards),))
        self.database = Database(self.settings)
        self.database.upgrade()
        self.registry: Registry = registry.load(self.settings)

    def start(self, name: str, model: str, images: int) -> None:
        """Plans a campaign and starts it."""
        path = self.folder / f"{name}.yaml"
        path.write_text(BRIEF.format(name=name, model=model, images=images))
        plan = make_plan(read_brief(path, self.settings, self.registry), self.settings, self.registry)
        store = open_storage(self.settings.store_url)
        campaigns.record(self.database, store, self.registry, plan, start=True)

    def looker(self) -> Looker:
        """A worker for images, in this process."""
        return Looker(self.settings, self.database, self.registry, DESKS["gpu"], lambda queue: None)

    def number(self, query: str) -> float:
        """What a query answers, 0 for nothing."""
        with self.database.begin() as connection:
            return float(connection.execute(text(query)).scalar() or 0)


@contextmanager
def place(settings: Settings) -> Iterator[Place]:
    """A place for the length of a block. Children read the environment: it is set to the same."""
    with tempfile.TemporaryDirectory() as name:
        made = Place(Path(name), settings)
        os.environ["DREAMLINE_HOME"] = str(made.settings.home)
        os.environ["DREAMLINE_CARDS"] = made.settings.cards[0]
        os.environ["DREAMLINE_FAKE_SECONDS"] = str(settings.fake_seconds)
        os.environ["DREAMLINE_POLL_SECONDS"] = str(settings.poll_seconds)
        try:
            yield made
        finally:
            made.database.close()
            embedded.stop(made.settings.home)


def measure_cost(images: int, seconds: float) -> None:
    """Prints milliseconds of the supervisor an image, and under a profiler its most expensive functions.

    With a generator that draws as fast as it can, and keeps the processors busy, or that waits so many seconds an
    image, as one does whose work is on a GPU.
    """
    with place(Settings(fake_seconds=seconds)) as here:
        here.start("warm", "small", 64)
        looker = here.looker()
        looker.look()
        here.start("measured", "small", images)
        with _waiting() as waits:
            began, processor = time.perf_counter(), time.process_time()
            looker.look()
            took, busy = time.perf_counter() - began, time.process_time() - processor
        here.start("profiled", "small", images)
        profile = cProfile.Profile()
        profile.runcall(looker.look)
        looker.stop()
        looker.leave()
        made = here.number("select count(*) from asset") - images - 64
    print(f"{made:.0f} images in {took:.1f} s: {1000 * took / images:.1f} ms an image in all")
    print(
        f"  of these orchestration {1000 * (took - sum(waits)) / images:.2f} ms an image "
        f"({1000 * busy / images:.2f} ms of the processor); under a profiler:"
    )
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    rows = sorted(stats.items(), key=lambda pair: -pair[1][3])
    for (path, _, function), (_, calls, _, cumulative, _) in rows:
        if "orchestrator" in path and 1000 * cumulative / images > 0.02:
            where = f"{Path(path).parent.name}/{Path(path).name}:{function}"
            print(f"    {1000 * cumulative / images:6.2f} ms  {calls:7,} calls  {where}")


@contextmanager
def _waiting() -> Iterator[list[float]]:
    """Seconds of each time that a supervisor waits for its children to say something."""
    waits: list[float] = []

    def timed(*given: Any, **more: Any) -> Any:
        began = time.perf_counter()
        heard = wait(*given, **more)
        waits.append(time.perf_counter() - began)
        return heard

    with patch("orchestrator.working.supervisor.wait", timed):
        yield waits


def measure_idle(images: int, seconds: float) -> None:
    """Prints the share of the time that the generator waits between two batches, of eight images and of one."""
    for size in (8, 1):
        os.environ["DREAMLINE_BATCH_SIZE"] = str(size)
        with place(Settings(fake_seconds=seconds, batch_size=size)) as here:
            here.start("measured", "large", images if size > 1 else images // 2)
            looker = here.looker()
            looker.look()
            looker.stop()
            looker.leave()
            busy, idle = here.number("select max(busy) from worker"), here.number("select max(idle) from worker")
        print(
            f"batches of {size}: busy {busy:.1f} s, idle between batches {idle:.3f} s: {idle / (busy + idle):.2%}"
        )
    del os.environ["DREAMLINE_BATCH_SIZE"]


def measure_scale(images: int, seconds: float) -> None:
    """Prints images a second of one worker and of four, from the first claim to the last result."""
    rates = {}
    for count in (1, 4):
        with place(Settings(fake_seconds=seconds, poll_seconds=1.0)) as here:
            command = [sys.executable, "-P", "-m", "orchestrator.cli", "worker", "-q", "gpu"]
            workers = [subprocess.Popen(command) for _ in range(count)]
            here.start("warm", "small", 32 * count)
            _wait(here)
            here.start("measured", "small", images)
            _wait(here)
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(30)
            took = here.number(_TOOK)
            shares = here.number(_WORKERS)
        rates[count] = images / took
        print(f"{shares:.0f} of {count} workers: {images} images in {took:.1f} s, {rates[count]:.2f} a second")
    print(f"four against one: {rates[4] / rates[1]:.2f} times")


def _wait(here: Place) -> None:
    while here.number("select count(*) from job where state <> 'done'"):
        time.sleep(0.2)


_OF_MEASURED = """
job_id in (select job_id from item join campaign on campaign.id = campaign_id where name = 'measured')
"""

_TOOK = f"""
select extract(epoch from (select max(made_at) from asset where {_OF_MEASURED}) - min(at)) from event
where kind = 'job.claimed' and work_id in (select job_id from asset where {_OF_MEASURED})
"""

_WORKERS = f"select count(distinct worker) from asset where {_OF_MEASURED}"


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["cost", "idle", "scale"], help="cost, idle, scale")
    parser.add_argument("--images", type=int, default=1000, help="images of `cost`")
    parser.add_argument("--rounds", type=int, default=3, help="times that `cost` is measured")
    parser.add_argument("--seconds", type=float, default=0.0, help="that the generator of `cost` waits an image")
    chosen = parser.parse_args()
    if "cost" in chosen.parts:
        for _ in range(chosen.rounds):
            measure_cost(chosen.images, chosen.seconds)
    if "idle" in chosen.parts:
        measure_idle(40, 1.5)
    if "scale" in chosen.parts:
        measure_scale(160, 0.5)


if __name__ == "__main__":
    main()
