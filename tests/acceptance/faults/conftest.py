"""A campaign run by real processes, things that can be done to them, and what must hold afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image, ImageDraw
from sqlalchemy import text

from core.settings import Settings
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.records.storage import open_storage

JOBS = 200


@dataclass
class Stage:
    """A home with a campaign of 200 images, and the command that runs it."""

    folder: Path
    dice: random.Random
    environment: dict[str, str] = field(default_factory=dict)
    run: subprocess.Popen[bytes] | None = None
    kills: list[str] = field(default_factory=list)
    runs: int = 0

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def settings(self) -> Settings:
        return Settings.from_env(self.environment)

    def write_campaign(self) -> None:
        """Five products, two places, ten seeds, two formats."""
        rows = ["sku,noun,image"]
        for k, colour in enumerate(("red", "blue", "green", "orange", "purple")):
            picture = Image.new("RGB", (192, 192), (240, 240, 238))
            ImageDraw.Draw(picture).ellipse((50, 40, 150, 150), fill=colour)
            picture.save(self.folder / f"{colour}.png")
            rows.append(f"P{k},ball,{colour}.png")
        (self.folder / "products.csv").write_text("\n".join(rows))
        (self.folder / "campaign.yaml").write_text(
            "campaign: faults\nmodel: storyboard\nrows: products.csv\n"
            'references: {product: {kind: subject, image: "{{ row.image }}"}}\n'
            'prompt: "a {{ row.noun }} from [product] {{ scene }}"\n'
            "vary: {scene: [on the beach, in a studio]}\nseeds: 10\nformats: [square, portrait]\n"
        )

    def start(self) -> None:
        self.runs += 1
        if self.run is not None:
            self.run.wait()
        with (self.folder / "errors.log").open("ab") as errors, (self.folder / "report.json").open("wb") as report:
            self.run = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli", "run", "campaign.yaml", "--json"],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=report,
                stderr=errors,
            )

    def running(self) -> bool:
        return self.run is not None and self.run.poll() is None

    def wait(self, seconds: float) -> dict[str, Any]:
        """The report of a run that comes to its end."""
        assert self.run is not None
        self.run.wait(timeout=seconds)
        assert self.run.returncode == 0, (self.folder / "errors.log").read_text()[-4000:]
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return report

    def processes(self, words: str) -> list[psutil.Process]:
        """Live processes below the run whose command line has `words`."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            command = " ".join(process.info["cmdline"] or [])
            home = (process.info["environ"] or {}).get("DREAMLINE_HOME")
            if words in command and home == str(self.home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def kill(self, what: str) -> bool:
        """SIGKILL to one process of that sort; False when there is none just now."""
        if what == "command line":
            if not self.running():
                return False
            assert self.run is not None
            self.run.kill()
            self.run.wait()
        elif what == "postgres":
            process_id = embedded.status(self.home).postgres
            if process_id is None or not psutil.pid_exists(process_id):
                return False
            os.kill(process_id, 9)
        else:
            targets = self.processes({"worker": "orchestrator.cli worker", "child": "working.child"}[what])
            if not targets:
                return False
            self.dice.choice(targets).kill()
        self.kills.append(what)
        return True

    def command(self, *words: str) -> str:
        """Output of another dreamline command on the same home."""
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", *words],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self) -> None:
        for words in ("orchestrator.cli", "working.child"):
            for process in self.processes(words):
                process.kill()
        embedded.stop(self.home)

    def check(self) -> dict[str, int]:
        """Holds what must be true after any faults; returns counts for the record."""
        settings = self.settings()
        database, store = Database(settings), open_storage(settings.store_url)
        with database.begin() as connection:
            jobs = connection.execute(text("select id, state, fence from job")).all()
            assets = connection.execute(text("select job_id, sha256, fence from asset")).all()
            events = connection.execute(text("select kind, work_id, facts from event order by id")).all()
            files = set(
                connection.execute(text("select sha256 from asset union select sha256 from reference")).scalars()
            )
            files |= set(
                connection.execute(text("select result from preparation where result is not null")).scalars()
            )
            files |= set(connection.execute(text("select mask from preparation where mask is not null")).scalars())
        assert len(jobs) == JOBS
        assert {job.state for job in jobs} == {"done"}
        assert sorted(asset.job_id for asset in assets) == sorted(job.id for job in jobs)
        fences = {job.id: job.fence for job in jobs}
        for asset in assets:
            assert asset.fence == fences[asset.job_id]
            assert hashlib.sha256(store.get(asset.sha256)).hexdigest() == asset.sha256
        claims: dict[int, list[int]] = {}
        finishes: dict[int, list[int]] = {}
        for event in events:
            if event.kind == "job.claimed":
                claims.setdefault(event.work_id, []).append(event.facts["fence"])
            elif event.kind == "job.done":
                finishes.setdefault(event.work_id, []).append(event.facts["fence"])
        for job in jobs:
            assert claims[job.id] == list(range(1, job.fence + 1))
            assert finishes[job.id] == [job.fence]
        assert {sha256 for sha256, _ in store.all()} == files
        database.close()
        return {"jobs": len(jobs), "claims": sum(map(len, claims.values())), "results": len(assets)}


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Each with dice of its own; `FAULTS_SEED` repeats what was printed."""
    seed = os.environ.get("FAULTS_SEED") or str(time.time_ns() % 100_000)
    print(f"FAULTS_SEED={seed}")
    stage = Stage(tmp_path, random.Random(f"{seed} {request.node.name}"))
    stage.environment = {
        "DREAMLINE_HOME": str(stage.home),
        "DREAMLINE_LEASE_SECONDS": "3",
        "DREAMLINE_POLL_SECONDS": "0.5",
        "DREAMLINE_RETRY_SECONDS": "0.2",
        "DREAMLINE_FAKE_SECONDS": "0.2",
        "DREAMLINE_MAX_ATTEMPTS": "12",
    }
    stage.write_campaign()
    yield stage
    stage.end()
