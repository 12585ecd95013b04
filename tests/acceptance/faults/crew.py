"""Workers as real processes, started again when they end, as a service manager would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

LATE = "the result is thrown away"
"""What a worker says of a result with which it came too late."""


class Crew:
    """Worker processes for both kinds of work, each with an environment of its own.

    What they say is in `log`; `starts` counts how often one was started; `within` is a command that they are
    started by.
    """

    def __init__(self, log: Path, within: Sequence[str] = ()) -> None:
        self.log = log
        self._within = list(within)
        self.starts = 0
        self._environments: tuple[Mapping[str, str], ...] = ()
        self._processes: list[subprocess.Popen[bytes] | None] = []
        self._guard = threading.Lock()
        self._minding = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._mind, name="crew", daemon=True)
        self._thread.start()
        log.touch()

    def equip(self, environments: Sequence[Mapping[str, str]]) -> None:
        """Starts the workers with these environments, one each; those that run with them already stay."""
        if tuple(environments) != self._environments:
            self.dismiss()
            self._environments = tuple(environments)
            self._processes = [None] * len(environments)
        self._minding.set()

    def workers(self) -> list[psutil.Process]:
        """Those that live."""
        with self._guard:
            running = [one for one in self._processes if one is not None and one.poll() is None]
        found = []
        for one in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(one.pid))
        return found

    def children(self) -> list[psutil.Process]:
        """The working processes of all workers."""
        found = []
        for worker in self.workers():
            with contextlib.suppress(psutil.Error):
                found += [one for one in worker.children() if "working.child" in " ".join(one.cmdline())]
        return found

    def dismiss(self) -> None:
        """Ends all of them at once, and starts none until they are equipped again."""
        self._minding.clear()
        with self._guard:
            processes, self._processes = self._processes, []
        for one in processes:
            if one is not None and one.poll() is None:
                end(one.pid)
                one.wait()

    def close(self) -> None:
        self._over.set()
        self.dismiss()
        self._thread.join()

    def late(self, since: int) -> int:
        """How often a worker said that it came too late, from byte `since` of the log on."""
        with self.log.open("rb") as file:
            file.seek(since)
            text = file.read().decode("utf-8", "replace")
        return text.count(LATE)

    def _mind(self) -> None:
        while not self._over.wait(0.2):
            if self._minding.is_set():
                with self._guard:
                    for slot, one in enumerate(self._processes):
                        if one is None or one.poll() is not None:
                            self._processes[slot] = self._start(slot)

    def _start(self, slot: int) -> subprocess.Popen[bytes]:
        self.starts += 1
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self._within, sys.executable, "-P", "-m", "orchestrator.cli", "worker"],
                env={**os.environ, **self._environments[slot]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def end(process: int) -> None:
    """SIGKILL to a worker and then to what it started: the children have sessions of their own."""
    family = [process]
    with contextlib.suppress(psutil.Error):
        family += [one.pid for one in psutil.Process(process).children(recursive=True)]
    for one in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGCONT)
            os.kill(one, signal.SIGKILL)


def until(seconds: float, holds: Callable[[], object]) -> bool:
    """Whether `holds()` becomes true in that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False
