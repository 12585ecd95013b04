"""What docker/compose.yaml starts, started by hand: its very commands, environments and health checks.

No container engine is needed: addresses and folders of the containers are replaced by those of the test, and
nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

COMPOSE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "docker" / "compose.yaml").read_text(encoding="utf-8")
)
CAMPAIGN = "campaign: composed\nmodel: storyboard\nprompt: a mug {word}\nseeds: 6\nformats: [square]\n"


class Composed:
    """The services of the compose file as processes."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        self.folder = folder
        self.broker_url = broker_url
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[tuple[str, str], str] = {}
        for name in ("secrets", "store", "models"):
            (folder / name).mkdir()
        (folder / "secrets" / "database_url").write_text(f"{database_url}\n")

    def here(self, name: str, words: str) -> str:
        """What a service says of its container, as it is in the test."""
        replaced = {
            "/run/secrets": str(self.folder / "secrets"),
            "/srv/store": str(self.folder / "store"),
            "/srv/models": str(self.folder / "models"),
            "redis://redis:6379/0": self.broker_url,
            "9464": self.port(name, "9464"),
            "8501": self.port(name, "8501"),
        }
        for theirs, ours in replaced.items():
            words = words.replace(theirs, ours)
        return words

    def port(self, name: str, theirs: str) -> str:
        if (name, theirs) not in self.ports:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.ports[name, theirs] = str(free.getsockname()[1])
        return self.ports[name, theirs]

    def environ(self, name: str) -> dict[str, str]:
        given = {key: self.here(name, value) for key, value in COMPOSE["services"][name]["environment"].items()}
        own = {"DREAMLINE_HOME": str(self.folder / f"home-{name}"), "HOME": str(self.folder / f"home-{name}")}
        Path(own["HOME"]).mkdir(exist_ok=True)
        return {**os.environ, **own, **given}

    def start(self, name: str) -> None:
        """The service's command, as its image's entry point has it."""
        words = [self.here(name, word) for word in COMPOSE["services"][name]["command"]]
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "orchestrator.cli", *words],
                env=self.environ(name),
                cwd=self.folder / f"home-{name}",
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def healthy(self, name: str, seconds: float = 90) -> None:
        """Waits until the service's own health check succeeds."""
        test = COMPOSE["services"][name]["healthcheck"]["test"]
        assert test[:2] == ["CMD", "python"]
        command = [sys.executable, *(self.here(name, word) for word in test[2:])]
        until = time.monotonic() + seconds
        while subprocess.run(command, capture_output=True, check=False).returncode != 0:
            assert self.processes[name].poll() is None, self.log(name).read_text()[-3000:]
            assert time.monotonic() < until, self.log(name).read_text()[-3000:]
            time.sleep(0.5)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of a person who has the same environment as a worker."""
        environ = {**self.environ("cpu-worker"), "DREAMLINE_METRICS_PORT": "0"}
        command = [sys.executable, "-P", "-m", "orchestrator.cli", *words]
        return subprocess.run(command, env=environ, cwd=self.folder, capture_output=True, text=True, check=False)

    def stop(self) -> dict[str, int]:
        """Tells all to end as the engine does; returns their exit codes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        codes = {}
        for name, process in self.processes.items():
            try:
                codes[name] = process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        self.processes.clear()
        return codes


@pytest.fixture
def composed(cluster: str, redis_url: str, tmp_path: Path) -> Iterator[Composed]:
    """An empty database, as Postgres' image makes one, and Redis."""
    name = f"composed_{uuid.uuid4().hex[:12]}"
    address, _, options = cluster.partition("?")
    server = address.rsplit("/", 1)[0]
    with psycopg.connect(f"{server}/postgres?{options}", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    found = Composed(tmp_path, f"{server}/{name}?{options}", redis_url)
    yield found
    found.stop()
    with psycopg.connect(f"{server}/postgres?{options}", autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.mark.timeout(280)
def test_the_services_come_up_are_well_make_a_campaign_and_end(composed: Composed) -> None:
    composed.start("migrate")
    assert composed.processes.pop("migrate").wait(timeout=90) == 0, composed.log("migrate").read_text()
    services = ("gpu-worker", "cpu-worker", "metrics", "dashboard")
    for name in services:
        composed.start(name)
    for name in services:
        composed.healthy(name)
    campaign = composed.folder / "campaign.yaml"
    campaign.write_text(CAMPAIGN.format(word=uuid.uuid4().hex))
    done = composed.run("run", str(campaign), "--workers", "0", "--json")
    assert done.returncode == 0, done.stderr + composed.log("gpu-worker").read_text()[-3000:]
    assert json.loads(done.stdout)["made"] == 6
    assert len([path for path in (composed.folder / "store").rglob("*") if path.is_file()]) == 6
    metrics = subprocess.run(
        [sys.executable, "-c", ASK, f"http://127.0.0.1:{composed.port('metrics', '9464')}/metrics"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 'dreamline_image_seconds_count{model="storyboard"} 6.0' in metrics
    assert 'dreamline_workers{queue="gpu",state="alive"} 1.0' in metrics
    codes = composed.stop()
    assert codes["gpu-worker"] == codes["cpu-worker"] == codes["metrics"] == 0
    assert codes["dashboard"] in (0, -signal.SIGTERM)


ASK = "import sys, urllib.request as web; print(web.urlopen(sys.argv[1], timeout=20).read().decode())"
