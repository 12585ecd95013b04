"""Messages over files, Redis and RabbitMQ: a worker that hardly ever looks by itself is woken by them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestrator.records import embedded

BROKERS = {
    "files": "",
    "redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/13"),
    "rabbitmq": os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}

CAMPAIGN = "campaign: woken\nmodel: storyboard\nprompt: a mug on a table\nseeds: 5\nformats: [square]\n"


def require(url: str) -> None:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=2).close()
    except OSError:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to run {address.scheme} at {address.hostname}:{address.port}")
        pytest.skip(f"nothing answers at {address.hostname}:{address.port}")


@pytest.fixture(params=BROKERS)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    url = BROKERS[request.param]
    if url:
        require(url)
    yield {
        **os.environ,
        "DREAMLINE_HOME": str(tmp_path / "home"),
        "DREAMLINE_BROKER_URL": url,
        "DREAMLINE_POLL_SECONDS": "600",
        "DREAMLINE_LOG": "INFO",
    }
    embedded.stop(tmp_path / "home")


@pytest.mark.timeout(120)
def test_a_message_wakes_a_worker(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.replace("mug", f"mug {uuid.uuid4().hex}"))
    dreamline = (sys.executable, "-m", "orchestrator.cli")
    common = {"cwd": tmp_path, "env": environment}
    subprocess.run([*dreamline, "db", "upgrade"], check=True, capture_output=True, **common)
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        worker = subprocess.Popen([*dreamline, "worker", "-q", "gpu"], stderr=file, **common)
    try:
        deadline = time.monotonic() + 30
        while "ready" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        time.sleep(2.0)
        command = [*dreamline, "run", "campaign.yaml", "--workers", "0", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=True, **common)
    finally:
        worker.terminate()
        assert worker.wait(timeout=30) == 0, log.read_text()
    assert json.loads(done.stdout)["made"] == 5
