"""Watching a piece of work: which files it writes, whom it calls, how long it takes and how much memory.

Python tells of opened files, sockets and processes by audit events; files that C code writes are found in the
work's own empty folder. An audit hook can't be taken away again: it is added by the first watch of a process
and does nothing outside of one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

FILES = {
    "os.mkdir": "makes the folder",
    "os.remove": "removes",
    "os.rename": "renames",
    "os.rmdir": "removes the folder",
    "os.truncate": "cuts off",
    "os.symlink": "makes a link to",
    "os.link": "makes a link to",
    "os.chdir": "changes the working folder to",
    "os.putenv": "sets the environment variable",
    "os.unsetenv": "removes the environment variable",
}
CALLS = {
    "socket.connect": "opens a connection",
    "socket.bind": "listens on the network",
    "socket.sendto": "sends to the network",
    "socket.getaddrinfo": "looks up the address of",
    "socket.gethostbyname": "looks up the address of",
    "subprocess.Popen": "starts the program",
    "os.system": "starts the program",
    "os.exec": "starts the program",
    "os.posix_spawn": "starts the program",
    "os.fork": "splits off a process",
}
"""Audit events (docs.python.org/3/library/audit_events.html) that pure work has no cause for, in words."""

OF_OPENCV = "LD_LIBRARY_PATH"
"""The environment variable that importing OpenCV sets."""

COMPILED = (".pyc", "__pycache__")
"""What an import writes is not the work's doing."""


@dataclass(slots=True)
class Seen:
    """What a watch saw, in words, each once. `models` is a folder of weights for the work, empty at first."""

    models: Path
    deeds: list[str] = field(default_factory=list)

    def add(self, deed: str) -> None:
        if deed not in self.deeds:
            self.deeds.append(deed)


class _Recorder:
    """The audit hook. It must not raise: that would break what it watches."""

    def __init__(self) -> None:
        self.seen: Seen | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is not None and (deed := _in_words(event, arguments)):
            self.seen.add(deed)


@cache
def _recorder() -> _Recorder:
    recorder = _Recorder()
    sys.addaudithook(recorder)
    return recorder


@contextlib.contextmanager
def empty_folder() -> Iterator[Path]:
    """An empty folder as the process's working folder; it and the way back are cleared up."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path(name)


@contextlib.contextmanager
def watch() -> Iterator[Seen]:
    """Notes what is done inside, in an empty folder as working folder. One watch at a time."""
    with empty_folder() as models, empty_folder() as folder:
        seen, recorder = Seen(models), _recorder()
        recorder.seen = seen
        try:
            yield seen
        finally:
            recorder.seen = None
        left = sorted(path.name for place in (folder, models) for path in place.rglob("*"))
        told = " ".join(seen.deeds)
        for one in left:
            if one not in told:
                seen.add(f"leaves the file {one!r} behind")


def _in_words(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "open":
        path, mode, flags = arguments
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else flags & WRITES
        if not writes or isinstance(path, int) or _compiled(path) or str(path) == os.devnull:
            return ""
        return f"writes the file {_named(path)!r}"
    if event == "os.putenv" and _named(arguments[0]) == OF_OPENCV:
        return ""
    if event in FILES:
        return "" if _compiled(arguments[0]) else f"{FILES[event]} {_named(arguments[0])!r}"
    if event in CALLS:
        about = next((one for one in arguments if isinstance(one, (str, bytes, tuple))), "")
        return f"{CALLS[event]} {about!r}" if about else CALLS[event]
    return ""


def _compiled(path: Any) -> bool:
    return any(part in str(path) for part in COMPILED)


def _named(path: Any) -> str:
    return os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else str(path)


@dataclass(slots=True)
class Cost:
    """Seconds that work took, and bytes by which the process grew meanwhile at most."""

    seconds: float = 0.0
    grown: int = 0


@contextlib.contextmanager
def measure(every: float = 0.01) -> Iterator[Cost]:
    """Measures what is done inside; memory is looked at `every` so many seconds."""
    import psutil

    process, ended, cost = psutil.Process(), threading.Event(), Cost()
    before = process.memory_info().rss

    def look() -> None:
        while not ended.wait(every):
            cost.grown = max(cost.grown, process.memory_info().rss - before)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    began = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - began
        ended.set()
        looking.join()
