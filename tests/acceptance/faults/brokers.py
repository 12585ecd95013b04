"""Brokers that stop, die, forget, are slow or can't be reached."""

from __future__ import annotations

import shutil
import signal
import time

from faults.scene import Scene


def stop(scene: Scene) -> int:
    """Silent for a while: connections stay open and nobody answers."""
    seconds = scene.dice.uniform(0.5, 2.0)
    if scene.stack.server is None:
        return _replace_folder(scene, seconds)
    scene.later(lambda: server.signal(signal.SIGCONT))
    server = scene.stack.server
    server.signal(signal.SIGSTOP)
    time.sleep(seconds)
    server.signal(signal.SIGCONT)
    scene.tally["broker stopped for a while"] += 1
    return 1


def kill(scene: Scene) -> int:
    """Killed, and started again with what it had written down."""
    if scene.stack.server is None:
        return _replace_folder(scene, 0.3)
    scene.stack.server.kill()
    scene.pause(0.0, 1.0)
    scene.stack.server.start()
    scene.tally["broker killed"] += 1
    return 1


def wipe(scene: Scene) -> int:
    """All queues with all they hold are gone."""
    if scene.stack.server is None:
        shutil.rmtree(scene.stack.home / "messages", ignore_errors=True)
    elif scene.stack.name == "redis":
        import redis

        client = redis.Redis(port=scene.stack.server.port)
        client.flushall()
        client.close()
    else:
        from orchestrator.working.celery_app import QUEUES, make_app

        with make_app(scene.settings).connection_for_write(connect_timeout=5) as connection:
            for queue in QUEUES:
                connection.default_channel.queue_delete(f"dreamline.{queue}")
    scene.tally["broker wiped"] += 1
    return 1


def slow(scene: Scene) -> int:
    if scene.stack.server is None:
        return _replace_folder(scene, 1.0)
    wire = scene.stack.wires["broker"]
    wire.delay = scene.dice.uniform(0.05, 0.4)
    time.sleep(scene.dice.uniform(1.0, 2.0))
    wire.calm()
    scene.tally["broker slow"] += 1
    return 1


def cut(scene: Scene) -> int:
    if scene.stack.server is None:
        return wipe(scene)
    scene.stack.wires["broker"].cut()
    scene.tally["broker's connections cut"] += 1
    return 1


def refuse(scene: Scene) -> int:
    """Every connection is cut and no new one is let in for a while."""
    if scene.stack.server is None:
        return _replace_folder(scene, 1.0)
    wire = scene.stack.wires["broker"]
    wire.refusing = True
    wire.cut()
    time.sleep(scene.dice.uniform(0.5, 2.0))
    wire.calm()
    scene.tally["broker refuses"] += 1
    return 1


def _replace_folder(scene: Scene, seconds: float) -> int:
    """A file lies where the messages' folder was: none can be written or read."""
    folder = scene.stack.home / "messages"
    aside = folder.with_name("messages.aside")
    if not folder.is_dir():
        return 0

    def back() -> None:
        if aside.exists():
            folder.unlink() if folder.is_file() else shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)

    scene.later(back)
    folder.rename(aside)
    folder.touch()
    time.sleep(seconds)
    back()
    scene.tally["messages' folder away"] += 1
    return 1
