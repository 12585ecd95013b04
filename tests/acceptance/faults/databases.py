"""Postgres that restarts, dies, has no room or must not be written to; the line to it, cut and held."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psycopg
from faults.crew import until
from faults.scene import Scene
from faults.wire import Way

from orchestrator.records import embedded


def restart(scene: Scene) -> int:
    """As an administrator does: quickly (connections are broken off) or at once (with a recovery)."""
    number = scene.dice.choice((signal.SIGINT, signal.SIGQUIT))
    name = {signal.SIGINT: "Postgres restarted", signal.SIGQUIT: "Postgres restarted at once"}[number]
    return _end(scene, number, name)


def kill(scene: Scene) -> int:
    return _end(scene, signal.SIGKILL, "kill -9 of Postgres")


def _end(scene: Scene, number: signal.Signals, name: str) -> int:
    process = scene.stack.postgres_process()
    if process is None:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
        scene.tally[name] += 1
        # A keeper that has seen too many deaths gives up; whoever comes next starts another.
        until(60, lambda: scene.stack.postgres_process() not in (None, process) or not _kept(scene))
        embedded.ensure_running(scene.stack.postgres)
        return 1
    return 0


def _kept(scene: Scene) -> bool:
    return embedded.status(scene.stack.postgres).keeper is not None


def terminate(scene: Scene) -> int:
    """Every connection of every worker is ended by the server."""
    with _administrator(scene) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dreamline'"
        )
    scene.tally["all connections terminated"] += 1
    return 1


def crowd(scene: Scene) -> int:
    """Others have taken every connection that the server gives, just when workers need new ones."""
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(contextlib.closing(psycopg.connect(scene.stack.database_url)))
                if scene.dice.random() < 0.1:
                    terminate(scene)
                    scene.tally["all connections terminated"] -= 1
        time.sleep(scene.dice.uniform(0.5, 1.5))
    scene.tally["Postgres out of connections"] += 1
    return 1


def forbid(scene: Scene) -> int:
    """The server takes reads only, as one does whose primary has changed."""

    def allow() -> None:
        with _administrator(scene) as connection:
            connection.execute("alter system reset default_transaction_read_only")
            connection.execute("select pg_reload_conf()")

    scene.later(allow)
    with _administrator(scene) as connection:
        connection.execute("alter system set default_transaction_read_only = on")
        connection.execute("select pg_reload_conf()")
    time.sleep(scene.dice.uniform(0.5, 2.0))
    allow()
    scene.tally["Postgres read-only"] += 1
    return 1


def cut(scene: Scene) -> int:
    if not scene.stack.wires["database"].cut():
        return 0
    scene.tally["all lines to Postgres cut"] += 1
    return 1


def hold(scene: Scene) -> int:
    """Nothing gets through one way, or both; then it all arrives late, or never."""
    wire = scene.stack.wires["database"]
    ways: tuple[Way, ...] = scene.dice.choice((("up",), ("down",), ("up", "down")))
    wire.hold(*ways)
    time.sleep(scene.dice.uniform(0.3, 3.0))
    if scene.dice.random() < 0.5:
        wire.cut()
    wire.calm()
    scene.tally["line to Postgres dead " + (f"one way ({ways[0]})" if len(ways) == 1 else "both ways")] += 1
    return 1


def slow(scene: Scene) -> int:
    wire = scene.stack.wires["database"]
    wire.delay = scene.dice.uniform(0.01, 0.1)
    time.sleep(scene.dice.uniform(0.5, 2.0))
    wire.calm()
    scene.tally["line to Postgres slow"] += 1
    return 1


@contextlib.contextmanager
def _administrator(scene: Scene):  # type: ignore[no-untyped-def]
    """A connection that may write whatever the server thinks of others, and that is no worker's."""
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = psycopg.connect(
                scene.stack.database_url, autocommit=True, options="-c default_transaction_read_only=off"
            )
            break
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    with contextlib.closing(connection):
        yield connection
