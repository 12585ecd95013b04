"""Queues as they are on real brokers: quorum queues on RabbitMQ, sends that are confirmed, a Redis that keeps."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from amqp.exceptions import PreconditionFailed
from kombu import Connection

from core.settings import Settings
from orchestrator.examining.connections import broker
from orchestrator.examining.finding import Finding
from orchestrator.operating.broker import ask_broker
from orchestrator.working.celery_app import MOST_WAITING, QUEUES, make_app, publish


@pytest.mark.parametrize("queue", QUEUES)
def test_rabbitmq_has_a_quorum_queue_once_something_was_sent(
    settings: Settings, rabbitmq_url: str, queue: str
) -> None:
    publish(replace(settings, broker_url=rabbitmq_url), queue)
    with Connection(rabbitmq_url) as connection:
        channel = connection.channel()
        assert channel.queue_declare(f"dreamline.{queue}", passive=True).message_count >= 0
        bounded = {"x-max-length": MOST_WAITING}
        with pytest.raises(PreconditionFailed, match=r"x-queue-type.*'quorum'"):
            channel.queue_declare(f"dreamline.{queue}", durable=True, auto_delete=False, arguments=bounded)


def test_rabbitmq_confirms_what_is_sent(settings: Settings, rabbitmq_url: str) -> None:
    with make_app(replace(settings, broker_url=rabbitmq_url)).connection_for_write() as connection:
        connection.ensure_connection()
        assert connection.connection.confirm_publish


def test_rabbitmq_says_who_it_is(settings: Settings, rabbitmq_url: str) -> None:
    told = ask_broker(replace(settings, broker_url=rabbitmq_url))
    assert told.name.startswith("RabbitMQ ")
    assert told.doubts == ()


Start = Callable[..., str]


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Start]:
    """Starts a Redis server of the test's own with these options; returns its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    servers = []

    def start(*options: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            program,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(tmp_path),
            *options,
        ]
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return f"redis://127.0.0.1:{port}/0"
        raise AssertionError("redis-server did not start")

    yield start
    for server in servers:
        server.kill()
        server.wait()


def test_a_redis_that_keeps_what_it_is_given_is_well(settings: Settings, start_redis: Start) -> None:
    url = start_redis("--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
    (found,) = broker(replace(settings, broker_url=url))
    assert found.level == "ok"
    assert found.message.startswith("Redis ")


def test_a_redis_that_loses_or_evicts_is_named_with_the_mend(settings: Settings, start_redis: Start) -> None:
    url = start_redis("--appendonly", "no", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    found: list[Finding] = list(broker(replace(settings, broker_url=url)))
    assert [one.level for one in found] == ["warning", "warning"]
    assert "AOF is off" in found[0].message
    assert "appendonly yes" in found[0].mend
    assert "allkeys-lru" in found[1].message
    assert "noeviction" in found[1].mend
