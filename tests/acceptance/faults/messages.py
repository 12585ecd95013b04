"""Messages that are lost, doubled, late, out of order, or no messages at all."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from faults.scene import Scene

from orchestrator.working.celery_app import LOOK, QUEUES, make_app, publish

BURST, MEDDLED = 10, 3
"""Looks that are sent to have some to meddle with, for workers take them too; and how many are, at most."""


def drop(scene: Scene) -> int:
    """What is taken away counts; what a worker was quicker to take does not."""
    with _line(scene) as (app, connection):
        taken = _take(scene, app, connection)
    scene.tally["message lost"] += len(taken)
    return len(taken)


def double(scene: Scene) -> int:
    with _line(scene) as (app, connection):
        taken = _take(scene, app, connection)
        _put(connection, [one for one in taken for _ in range(2)])
    scene.tally["message doubled"] += len(taken)
    return len(taken)


def delay(scene: Scene) -> int:
    with _line(scene) as (app, connection):
        taken = _take(scene, app, connection)
        time.sleep(scene.dice.uniform(0.5, 1.5))
        _put(connection, taken)
    scene.tally["message late"] += len(taken)
    return len(taken)


def reorder(scene: Scene) -> int:
    with _line(scene) as (app, connection):
        taken = _take(scene, app, connection)
        scene.dice.shuffle(taken)
        _put(connection, taken)
    scene.tally["message out of order"] += len(taken)
    return len(taken)


def herd(scene: Scene) -> int:
    """Many wake-ups at once for every kind of work."""
    for queue in QUEUES:
        publish(scene.settings, queue, times=60)
    scene.tally["herd of 120 wake-ups"] += 1
    return 1


def malform(scene: Scene) -> int:
    """What other programs, other versions or a cut line might leave in a queue."""
    queue = f"dreamline.{scene.dice.choice(QUEUES)}"
    what = scene.dice.choice(("words", "no task", "unknown", "arguments", "huge", "pickle", "headers"))
    with _line(scene) as (app, connection), connection.Producer() as producer:
        if what == "unknown":
            app.send_task("dreamline.nothing", args=(1,), queue=queue, connection=connection)
        elif what == "arguments":
            given: Any = scene.dice.choice(((), (1, 2, 3), ("no such queue",), (None,), ({"queue": "gpu"},)))
            app.send_task(LOOK, args=given, queue=queue, connection=connection)
        elif what == "huge":
            app.send_task(LOOK, args=(secrets.token_hex(1 << 20),), queue=queue, connection=connection)
        else:
            body, kind = {
                "words": (b"this is { no JSON", "application/json"),
                "no task": (b"[1, 2]", "application/json"),
                "pickle": (b"\x80\x04N.", "application/x-python-serialize"),
                "headers": (b"[[], {}, {}]", "application/json"),
            }[what]
            headers = {"task": LOOK, "id": None, "retries": "many"} if what == "headers" else None
            producer.publish(
                body, exchange="", routing_key=queue, content_type=kind, content_encoding="utf-8", headers=headers
            )
    scene.tally[f"malformed message ({what})"] += 1
    return 1


def garble(scene: Scene) -> int:
    """Bytes in the queue's own place that are no message even to the transport (files and Redis)."""
    queue = f"dreamline.{scene.dice.choice(QUEUES)}"
    data = scene.dice.choice((b"", b"{", b"\xff\xfe\x00", b"[]"))
    if scene.stack.name == "embedded":
        folder = scene.stack.home / "messages" / "queue"
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / "garbled"
        aside.write_bytes(data)
        aside.rename(folder / f"{time.monotonic_ns()}_garbled.{queue}.msg")
    elif scene.stack.name == "redis":
        import redis

        with contextlib.closing(redis.Redis(port=scene.stack.server.port)) as client:  # type: ignore[union-attr]
            client.lpush(queue, data)
    else:
        return malform(scene)
    scene.tally["garbage in the queue's place"] += 1
    return 1


def _take(scene: Scene, app: Any, connection: Any) -> list[Any]:
    """Sends a burst to one queue and takes back what is still there."""
    name = f"dreamline.{scene.dice.choice(QUEUES)}"
    for _ in range(BURST):
        app.send_task(LOOK, args=(name.removeprefix("dreamline."),), queue=name, connection=connection)
    queue = app.amqp.queues[name](connection.default_channel)
    taken: list[Any] = []
    while len(taken) < MEDDLED and (message := queue.get(no_ack=True)) is not None:
        taken.append((name, message))
    return taken


def _put(connection: Any, messages: Sequence[tuple[str, Any]]) -> None:
    with connection.Producer() as producer:
        for queue, message in messages:
            producer.publish(
                message.body,
                exchange="",
                routing_key=queue,
                headers=message.headers,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                correlation_id=message.properties.get("correlation_id"),
            )


@contextlib.contextmanager
def _line(scene: Scene) -> Iterator[tuple[Any, Any]]:
    """A connection to the broker of one's own, while the workers hear nothing over theirs."""
    wire = scene.stack.wires.get("broker")
    app = make_app(scene.settings)
    try:
        if wire is not None:
            wire.hold("down")
        with app.connection_for_write(connect_timeout=5) as connection:
            yield app, connection
    finally:
        if wire is not None:
            wire.calm()
