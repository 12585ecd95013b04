"""A worker under watch: what it answers on its port, and what it logs as JSON, with ids, down to its children."""

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
from urllib.request import urlopen

import pytest

DREAMLINE = (sys.executable, "-m", "orchestrator.cli")
CAMPAIGN = "campaign: watched\nmodel: storyboard\nprompt: a mug {word}\nseeds: 4\nformats: [square]\n"


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        **os.environ,
        "DREAMLINE_HOME": str(tmp_path / "home"),
        "DREAMLINE_DATABASE_URL": database_url,
        "DREAMLINE_POLL_SECONDS": "0.3",
        "DREAMLINE_LOG": "DEBUG",
        "DREAMLINE_LOG_FORMAT": "json",
        "DREAMLINE_METRICS_PORT": str(port),
    }


@pytest.fixture
def worker(environ: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen([*DREAMLINE, "worker"], env=environ, stderr=log, cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


def ask(environ: dict[str, str], path: str, seconds: float = 60) -> str:
    until = time.monotonic() + seconds
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{environ['DREAMLINE_METRICS_PORT']}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.mark.timeout(200)
def test_a_worker_answers_about_itself_and_names_what_its_lines_are_about(
    environ: dict[str, str], worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert json.loads(ask(environ, "/readyz"))["status"] == "ok"
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.format(word=uuid.uuid4().hex))
    quiet = {**environ, "DREAMLINE_METRICS_PORT": "0", "DREAMLINE_LOG": "ERROR"}
    command = [*DREAMLINE, "run", "campaign.yaml", "--workers", "0", "--json"]
    done = subprocess.run(command, env=quiet, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'dreamline_worker_results_total{class="",outcome="made",work="image"} 4.0' in ask(environ, "/metrics")
    assert set(json.loads(ask(environ, "/healthz"))["silent_seconds"]) == {"cpu", "gpu"}
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=40) == 0
    lines = [json.loads(one) for one in (tmp_path / "worker.log").read_text().splitlines() if one.startswith("{")]
    assert_about(lines, worker.pid)


def assert_about(lines: list[dict[str, Any]], worker: int) -> None:
    claimed = [one for one in lines if "claimed" in one["message"] and one["logger"] == "dreamline.worker"]
    assert claimed
    for one in claimed:
        assert one["campaigns"] == ["watched"]
        assert one["queue"] == "gpu"
        assert uuid.UUID(one["worker"])
        assert one["process"] == worker
    jobs = {job for one in claimed for job in one.get("jobs", [one.get("job")])}
    assert len(jobs) == 4
    children = [one for one in lines if one["process"] != worker and "campaigns" in one]
    assert children, "the working process said nothing about a batch"
    assert all(one["campaigns"] == ["watched"] and one["worker"] == claimed[0]["worker"] for one in children)
