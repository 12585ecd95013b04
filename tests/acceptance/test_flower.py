"""Flower sees workers over Redis and RabbitMQ: a server for people who know Celery."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from amqp.exceptions import NotFound
from kombu import Connection

DREAMLINE = (sys.executable, "-m", "orchestrator.cli")


@contextmanager
def running(command: list[str], environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file, cwd=log.parent)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def soon(answer: Callable[[], Any], log: Path, seconds: float = 60) -> Any:
    """The first answer that is one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := answer():
                return found
        except OSError:
            pass
        time.sleep(0.3)
    raise AssertionError(log.read_text()[-3000:])


@pytest.mark.timeout(200)
@pytest.mark.parametrize("broker", ["redis_url", "rabbitmq_url"])
def test_flower_sees_a_worker_and_its_queue(
    broker: str, request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> None:
    url = request.getfixturevalue(broker)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "DREAMLINE_HOME": str(tmp_path / "home"),
        "DREAMLINE_DATABASE_URL": database_url,
        "DREAMLINE_BROKER_URL": url,
        "FLOWER_UNAUTHENTICATED_API": "true",
    }
    flower = [sys.executable, "-m", "celery", f"--broker={url}", "flower", "--address=127.0.0.1", f"--port={port}"]
    log = tmp_path / "flower.log"
    with (
        running([*DREAMLINE, "worker", "-q", "gpu"], environ, tmp_path / "worker.log") as worker,
        running(flower, environ, log),
    ):
        name = f"dreamline-{worker.pid}@{socket.gethostname()}"

        def inspected() -> Any:
            with urlopen(f"http://127.0.0.1:{port}/api/workers?refresh=1", timeout=20) as answer:
                return json.load(answer).get(name)

        def online() -> Any:
            with urlopen(f"http://127.0.0.1:{port}/workers?json=1", timeout=20) as answer:
                workers = {one["hostname"]: one for one in json.load(answer)["data"]}
                return workers.get(name, {}).get("status")

        told = soon(inspected, log)
        assert [queue["name"] for queue in told["active_queues"]] == ["dreamline.gpu"]
        assert soon(online, log) is True
    if broker == "rabbitmq_url":
        with Connection(url) as connection, pytest.raises(NotFound):
            connection.channel().queue_declare("celery_delayed_27", passive=True)
