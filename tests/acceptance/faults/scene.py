"""One scenario under way on one stack: a campaign, workers, dice, and what was done to them."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from faults.crew import Crew, end, until
from faults.history import Outcome, damaged, overdue, read_history
from faults.stacks import LEASE, POLL, Stack
from sqlalchemy import text

from core import registry
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage, open_storage

DREAMLINE = (sys.executable, "-P", "-m", "orchestrator.cli")

GRACE = 20.0
"""Seconds that workers on a busy machine may take to free what was lost, once they are there."""


@dataclass
class Scene:
    """What faults are given: everything they may touch, and where they write down what they did.

    `again` are jobs that were made once more on purpose; `calming` are called, last first, when the faults are
    over; `run` is a `dreamline run` that works beside the crew, or instead of it.
    """

    stack: Stack
    crew: Crew
    dice: random.Random
    folder: Path
    name: str
    settings: Settings
    database: Database
    store: Storage
    plugins: Registry
    tally: Counter[str] = field(default_factory=Counter)
    campaigns: list[str] = field(default_factory=list)
    again: set[int] = field(default_factory=set)
    calming: list[Callable[[], object]] = field(default_factory=list)
    run: subprocess.Popen[bytes] | None = None
    _log_from: int = 0
    _began: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, stack: Stack, crew: Crew, name: str, seed: str) -> Scene:
        """A scene with dice of its own: the same seed throws the same."""
        settings = stack.settings()
        folder = stack.folder / "briefs" / "-".join(re.findall(r"\w+", name.lower()))[:30]
        folder.mkdir(parents=True, exist_ok=True)
        scene = cls(
            stack,
            crew,
            random.Random(f"{seed} {stack.name} {name}"),
            folder,
            name,
            settings,
            Database(settings),
            open_storage(settings.store_url),
            registry.load(settings),
        )
        scene._log_from = crew.log.stat().st_size
        return scene

    def close(self) -> None:
        self.calm()
        if self.run is not None:
            end(self.run.pid)
            self.run.wait()
        self.database.close()

    # The campaign

    def plan(self, jobs: int, orders: dict[str, int] | None = None) -> Plan:
        """A campaign of its own name, of `jobs` plain images and those that `orders` count by misdeed."""
        number = len(self.campaigns) + 1
        name = f"{self.folder.name}-{self.stack.name}-{number}-{self.dice.randrange(10**6)}"
        rows = [f"- {{sku: p{k}, order: do plain 0}}" for k in range(jobs)]
        for order, count in (orders or {}).items():
            rows += [f"- {{sku: {order.replace(' ', '-')}-{k}, order: {order}}}" for k in range(count)]
        look = self.folder / f"{name}.png"
        self._draw(look)
        path = self.folder / f"{name}.yaml"
        listed = "\n  ".join(rows)
        path.write_text(
            f"campaign: {name}\nmodel: trouble\nrows:\n  {listed}\n"
            f"references: {{look: {{kind: style, image: {look.name}}}}}\n"
            f'prompt: "{{{{ row.order }}}} {{{{ row.sku }}}} of {name} like [look]"\nformats: [square]\n'
        )
        return make_plan(read_brief(path, self.settings, self.plugins), self.settings, self.plugins)

    def submit(self, jobs: int, orders: dict[str, int] | None = None) -> str:
        """Plans and starts a campaign; its name."""
        plan = self.plan(jobs, orders)
        campaigns.record(self.database, self.store, self.plugins, plan, start=True)
        self.accept(plan)
        return plan.brief.campaign

    def accept(self, plan: Plan) -> None:
        """From here on the campaign's images have to come to an end."""
        self.campaigns.append(plan.brief.campaign)

    def values(self, query: str, **given: Any) -> list[Any]:
        """The first column of what a statement returns."""
        with self.database.begin() as connection:
            return list(connection.execute(text(query), given).scalars())

    def open_jobs(self) -> int:
        """Images of this scene that have not ended."""
        (count,) = self.patient(
            """
            select count(distinct job.id) from job join item on item.job_id = job.id
            join campaign on campaign.id = item.campaign_id
            where campaign.name = any(:names) and job.state in ('queued', 'leased', 'failed')
            """,
            names=self.campaigns,
        )
        return int(count)

    def under_way(self, seconds: float = 30.0) -> bool:
        """Waits until a worker has an image of this scene in hand; False where none came to that."""
        query = """
        select count(*) from job join item on item.job_id = job.id
        join campaign on campaign.id = item.campaign_id
        where campaign.name = any(:names) and job.state = 'leased'
        """
        return until(seconds, lambda: self.patient(query, names=self.campaigns)[0])

    def patient(self, query: str, **given: Any) -> list[Any]:
        """As `values`, while the database comes and goes."""
        return self.database.patiently(lambda connection: list(connection.execute(text(query), given).scalars()))

    # What faults do

    def pause(self, least: float = 0.1, most: float = 0.6) -> None:
        time.sleep(self.dice.uniform(least, most))

    def worker(self) -> psutil.Process | None:
        """One of the living workers; one that has work in hand where there is any."""
        workers = self.crew.workers()
        busy = self.patient(
            "select distinct process from worker where id in (select worker from job where state = 'leased')"
        )
        chosen = [one for one in workers if one.pid in busy] or workers
        return self.dice.choice(chosen) if chosen else None

    def later(self, undo: Callable[[], object]) -> Callable[[], object]:
        """Makes sure that a fault is over at the end of the scene."""
        self.calming.append(undo)
        return undo

    def calm(self) -> None:
        """Ends every fault that lasts."""
        while self.calming:
            self.calming.pop()()
        self.stack.calm()
        for worker in self.crew.workers():
            with contextlib.suppress(psutil.Error):
                worker.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def beside(self, *works: Callable[[], object]) -> Iterator[None]:
        """Runs works in threads for the length of a block; what they raise is raised at its end."""
        errors: list[BaseException] = []

        def run(work: Callable[[], object]) -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
        for one in threads:
            one.start()
        try:
            yield
        finally:
            for one in threads:
                one.join(120)
        assert not errors, errors
        assert not any(one.is_alive() for one in threads)

    def start_run(self) -> subprocess.Popen[bytes]:
        """`dreamline run` of the last campaign, with workers of its own; started where it does not run."""
        if self.run is None or self.run.poll() is not None:
            with self.crew.log.open("ab") as log:
                self.run = subprocess.Popen(
                    [
                        *DREAMLINE,
                        "run",
                        f"{self.campaigns[-1]}.yaml",
                        "--json",
                    ],
                    cwd=self.folder,
                    env={**os.environ, **self.stack.environment(wired=False)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        return self.run

    # The end

    def wait(self, seconds: float) -> None:
        """Until all has ended. Once the faults are over no lease may stay without its owner for long."""
        quiet = time.monotonic() + LEASE + POLL
        deadline = time.monotonic() + seconds
        while open_ := self.open_jobs():
            assert time.monotonic() < deadline, f"{open_} images did not end; {self.crew.log} says why"
            if self.run is not None:
                self.start_run()
            if time.monotonic() > quiet:
                found = self.database.patiently(lambda connection: overdue(connection, GRACE))
                assert not found, f"leases without an owner: {found}"
            time.sleep(0.2)

    def outcome(self) -> Outcome:
        """Holds what must be true; the row of the table."""
        outcome = Outcome(self.stack.name, self.name, dict(self.tally))
        wrong: list[str] = []
        for name in self.campaigns:
            (number,) = self.values("select id from campaign where name = :name", name=name)
            with self.database.begin() as connection:
                history = read_history(connection, number)
            wrong += [*history.violations(self.again), *damaged(history.files, self.store.get)]
            outcome.jobs += len(history.jobs)
            outcome.executions += history.executions
            outcome.results += len(history.assets)
            outcome.lost += history.lost
            outcome.doubled += history.doubled(self.again)
        outcome.refused = self.crew.late(self._log_from)
        outcome.seconds = time.monotonic() - self._began
        assert not wrong, wrong[:10]
        return outcome

    def _draw(self, path: Path) -> None:
        """A reference that no other campaign has."""
        from PIL import Image

        Image.frombytes("RGB", (64, 64), self.dice.randbytes(64 * 64 * 3)).save(path)
