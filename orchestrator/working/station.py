"""Working: one child process, seen from its supervisor: what it is at, what it takes, what it said last.

Nothing here waits for the child: a thread sends what is sent to it, and what it says is taken when it is there.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any, Literal

from orchestrator.working.limits import memory_of
from orchestrator.working.messages import Doing, Ready
from orchestrator.working.retries import LAST_LINES, last_lines

RoleName = Literal["prepare", "make", "finish"]


class Station:
    """A process of one role, started when it is needed; what it has said lies in `wire`."""

    def __init__(self, role: RoleName) -> None:
        self.role = role
        self.doing = Doing("it was started")
        self.since = 0.0
        self.ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Connection | None = None
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lines: deque[str] = deque(maxlen=LAST_LINES)

    @property
    def wire(self) -> Connection | None:
        """What the process says; None while none was started."""
        return self._wire

    def start(self) -> None:
        """Starts the process unless there is one; it says `Ready` once its plugins are loaded.

        One that has ended is there until it was heard to its end and stopped: what it said last is not lost, and
        whoever hears the end settles what it was at.
        """
        if self._process is not None:
            return
        self._lines.clear()
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.working.child", str(theirs.fileno()), self.role],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        self._wire = Connection(os.dup(ours.fileno()))
        ours.close()
        self._outbox = queue.SimpleQueue()
        self.begin(Doing("it was started"))
        self._threads = [
            threading.Thread(target=work, name=f"{name} {self.role}", daemon=True)
            for name, work in (("send", self._send_on), ("pass on", self._pass_on))
        ]
        for thread in self._threads:
            thread.start()

    def send(self, message: Any) -> None:
        """Sends a message as soon as the process takes it."""
        self._outbox.put(message)

    def receive(self) -> Any:
        """The next thing that the process said; to be called when the wire has something.

        Raises:
            EOFError: it has ended.
            OSError: it has ended badly.
        """
        assert self._wire is not None
        message = self._wire.recv()
        if isinstance(message, Ready):
            self.ready = True
        if isinstance(message, Doing):
            self.begin(message)
        return message

    def begin(self, doing: Doing) -> None:
        """Notes what it is at, from now."""
        self.doing, self.since = doing, time.monotonic()

    def memory(self) -> int:
        """Bytes that it takes; 0 when it is gone, which is told elsewhere."""
        return (memory_of(self._process.pid) if self._process is not None else None) or 0

    def last_words(self) -> list[str]:
        """The last lines that it wrote to standard error."""
        return list(self._lines)

    def how_it_ended(self) -> str:
        """Signal or exit code, after its wire has broken."""
        code = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(timeout=10)
        return "it fell silent" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """Ends the process at once, with whatever a plugin started: it leads a process group of its own."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join(timeout=2)
        if self._wire is not None:
            self._wire.close()
        self._wire = self._process = None
        self._threads = []
        self.ready = False

    def _send_on(self) -> None:
        wire, outbox = self._wire, self._outbox
        assert wire is not None
        with contextlib.suppress(OSError):
            while (message := outbox.get()) is not None:
                wire.send(message)

    def _pass_on(self) -> None:
        """What the process writes goes to our own standard error; the last lines are kept."""
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._lines.extend(last_lines([line.decode(errors="replace")]))
                with contextlib.suppress(OSError):
                    os.write(2, line)
