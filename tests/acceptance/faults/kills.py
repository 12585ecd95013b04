"""Processes that are killed, stopped and signalled, at random moments and around a COMMIT."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable

import psutil
from faults.crew import until
from faults.scene import Scene
from faults.stacks import LEASE
from faults.wire import Trap, When

TRANSACTIONS = {
    "a claim": ("fence = fence + 1",),
    "a renewal": ("set lease_until = clock_timestamp()",),
    "a result": ("set state = 'done'",),
}
"""Transactions of workers, by words of a statement that only they hold."""

MOMENTS: tuple[When, ...] = ("before", "in", "after")

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGWINCH,
    signal.SIGSTOP,
    signal.SIGCONT,
)


def kill_worker(scene: Scene) -> int:
    """The supervisor alone: its children find out by themselves."""
    worker = scene.worker()
    if worker is None:
        return 0
    with contextlib.suppress(psutil.Error):
        worker.kill()
        scene.tally["kill -9 of a worker"] += 1
        return 1
    return 0


def kill_child(scene: Scene) -> int:
    children = scene.crew.children()
    if not children:
        return 0
    with contextlib.suppress(psutil.Error):
        scene.dice.choice(children).kill()
        scene.tally["kill -9 of a working process"] += 1
        return 1
    return 0


def kill_at_commit(scene: Scene) -> int:
    """The worker whose transaction it is."""

    def kill(port: int) -> None:
        for worker in scene.crew.workers():
            with contextlib.suppress(psutil.Error):
                if any(one.laddr.port == port for one in worker.net_connections("tcp")):
                    worker.kill()

    return _at_commit(scene, "kill -9", kill)


def cut_at_commit(scene: Scene) -> int:
    """The connection; whether the COMMIT was kept its client can't know."""
    return _at_commit(scene, "connection cut", lambda port: None)


def _at_commit(scene: Scene, what: str, act: Callable[[int], object]) -> int:
    name, when = scene.dice.choice(sorted(TRANSACTIONS)), scene.dice.choice(MOMENTS)
    trap = Trap(TRANSACTIONS[name], when, act)
    scene.stack.wires["database"].await_commit(trap)
    if not trap.sprung.wait(8):
        scene.stack.wires["database"].calm()
        return 0
    scene.tally[f"{what} {when} the COMMIT of {name}"] += 1
    return 1


def stop_past_lease(scene: Scene) -> int:
    """A worker sleeps until its work is another's, and wakes up as if nothing had happened."""
    worker = scene.worker()
    if worker is None:
        return 0
    with contextlib.suppress(psutil.Error):
        worker.suspend()
        time.sleep(LEASE * scene.dice.uniform(1.1, 1.7))
        worker.resume()
        scene.tally["SIGSTOP past the lease, then SIGCONT"] += 1
        return 1
    return 0


def starve(scene: Scene) -> int:
    """A worker gets so little of the processor that it renews late or not at all."""
    worker = scene.worker()
    if worker is None:
        return 0
    over = time.monotonic() + LEASE * scene.dice.uniform(1.2, 2.0)
    with contextlib.suppress(psutil.Error):
        while time.monotonic() < over:
            worker.suspend()
            time.sleep(LEASE * scene.dice.uniform(0.3, 0.6))
            worker.resume()
            time.sleep(0.02)
        scene.tally["renewal starved of the processor"] += 1
        return 1
    return 0


def signals(scene: Scene) -> int:
    """A few signals in any order, close together; each counts."""
    worker = scene.worker()
    if worker is None:
        return 0
    sent = 0
    with contextlib.suppress(psutil.Error):
        for number in scene.dice.choices(SIGNALS, k=scene.dice.randint(2, 4)):
            worker.send_signal(number)
            scene.tally[number.name] += 1
            sent += 1
            time.sleep(scene.dice.uniform(0.0, 0.3))
    with contextlib.suppress(psutil.Error):
        worker.send_signal(signal.SIGCONT)
    return sent


def kill_run(scene: Scene) -> int:
    """`dreamline run` with workers of its own: the command, one of its workers, or what does their work."""
    running = scene.start_run()
    if not until(60, lambda: scene.open_jobs() == 0 or len(_family(running)) > 3):
        return 0
    scene.pause(0.2, 2.5)
    what = scene.dice.choice(("the command line", "its worker", "its working process"))
    words = {"its worker": "orchestrator.cli worker", "its working process": "working.child"}
    targets = [one for one in _family(running) if what in words and words[what] in _words(one)]
    if what == "the command line":
        targets = [psutil.Process(running.pid)] if running.poll() is None else []
    with contextlib.suppress(psutil.Error, IndexError):
        scene.dice.choice(targets).kill()
        scene.tally[f"kill -9 of {what}"] += 1
        return 1
    return 0


def _family(running: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(running.pid).children(recursive=True)
    except psutil.Error:
        return []


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
