"""Working: Celery, with each setting for a reason that was measured (docs/operations.md).

A message holds no work: it says "look", and losing or doubling it changes no result.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu import Queue

from core.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("dreamline.celery")

LOOK = "dreamline.look"
QUEUES = ("cpu", "gpu")

MOST_WAITING = 1000
"""Wake-ups that RabbitMQ keeps in a queue: where nobody takes them, older ones say nothing that newer don't."""


def make_app(settings: Settings) -> Celery:
    """The Celery application of these settings; without a broker URL messages are files below the home."""
    app = Celery("dreamline", broker=settings.broker_url or "filesystem://localhost", set_as_current=False)
    app.conf.update(
        # Postgres says what is done: results of tasks would be a second truth.
        task_ignore_result=True,
        # A message is only a wake-up: acknowledged at once, never sent twice for a killed worker.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        # A wake-up must not wait behind a busy worker while another is idle (Redis).
        worker_disable_prefetch=on_redis(settings),
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_hijack_root_logger=False,
        # What children write is passed on to our standard error, which Celery's stand-in can't take.
        worker_redirect_stdouts=False,
        # Flower and `celery inspect` see workers and wake-ups, where there is a server to ask.
        worker_enable_remote_control=settings.broker_url is not None,
        worker_send_task_events=settings.broker_url is not None,
        worker_consumer="orchestrator.working.consuming:LookConsumer",
        task_queues=[_queue(name, settings) for name in QUEUES],
        task_default_queue="dreamline.cpu",
        broker_transport_options=_transport(settings),
    )
    return app


def publish(settings: Settings, queue: str, times: int = 1) -> None:
    """Wakes `times` workers of a queue, if it can: without the message the poll finds the work."""
    try:
        app = make_app(settings)
        with app.connection_for_write(connect_timeout=3) as connection:
            for _ in range(times):
                app.send_task(LOOK, args=(queue,), queue=f"dreamline.{queue}", connection=connection, retry=False)
    except Exception as error:
        log.warning("no wake-up could be sent (%s); workers find the work by themselves", error)


def _queue(name: str, settings: Settings) -> Queue:
    """A queue whose exchange is called like it, so that "look" for one kind of work reaches no other.

    On RabbitMQ it is a quorum queue: in a cluster it outlives any one server, and a wake-up is not lost with it.
    """
    arguments = {"x-queue-type": "quorum", "x-max-length": MOST_WAITING} if on_rabbitmq(settings) else None
    return Queue(f"dreamline.{name}", routing_key=f"dreamline.{name}", queue_arguments=arguments)


def on_rabbitmq(settings: Settings) -> bool:
    return (settings.broker_url or "").startswith(("amqp", "pyamqp"))


def on_redis(settings: Settings) -> bool:
    return (settings.broker_url or "").startswith(("redis", "rediss"))


def _transport(settings: Settings) -> dict[str, Any]:
    url = settings.broker_url
    if url is None:
        folder = _message_folder(settings.home)
        return {
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.2,
        }
    if on_rabbitmq(settings):
        return {"confirm_publish": True, "connect_timeout": 3}
    # A connection that a firewall forgot is noticed by the system, not by the next message that is lost.
    return {"socket_connect_timeout": 3, "socket_keepalive": True}


def _message_folder(home: Path) -> Path:
    folder = home / "messages"
    for part in ("queue", "control"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return folder
