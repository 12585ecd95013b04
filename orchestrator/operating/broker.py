"""Operating: whether the broker answers, and whether it keeps what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.settings import Settings
from orchestrator.working.celery_app import make_app, on_rabbitmq, on_redis

PATIENCE = 3
"""Seconds in which a broker has to answer."""


@dataclass(frozen=True, slots=True)
class Broker:
    """What a broker says of itself.

    Attributes:
        name: `files`, `Redis 7.0.15`, `RabbitMQ 3.10.8`.
        doubts: what an operator should change, each with its mend.
    """

    name: str
    doubts: tuple[tuple[str, str], ...] = ()


def ask_broker(settings: Settings) -> Broker:
    """Connects and asks.

    Raises:
        Exception: whatever the broker's client raises when it can't be reached.
    """
    app = make_app(settings)
    if settings.broker_url is None:
        return Broker("files")
    with app.connection_for_write(connect_timeout=PATIENCE) as connection:
        connection.ensure_connection(max_retries=1, timeout=PATIENCE)
        if on_redis(settings):
            channel: Any = connection.default_channel
            return _redis(channel.client)
        if on_rabbitmq(settings):
            told = connection.connection.server_properties
            return Broker(f"{told.get('product', 'AMQP')} {told.get('version', '')}".strip())
    return Broker(settings.broker_url.split(":", 1)[0])


def _redis(client: Any) -> Broker:
    told = client.info()
    doubts = []
    if not told.get("aof_enabled"):
        what = (
            "keeps wake-ups in memory alone (AOF is off): a restart loses them, and workers find work by polling"
        )
        doubts.append((what, "Set `appendonly yes` in redis.conf, or `redis-cli config set appendonly yes`"))
    policy = told.get("maxmemory_policy", "noeviction")
    if told.get("maxmemory") and policy != "noeviction":
        what = f"throws queues away when its memory is full (maxmemory-policy {policy})"
        doubts.append((what, "Set `maxmemory-policy noeviction`, or give dreamline a Redis of its own"))
    return Broker(f"Redis {told['redis_version']}", tuple(doubts))
