"""Records: what is left of an embedded Postgres whose keeper or server was killed, and its end.

Imports nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from orchestrator.records.place import Place, command_lines, processes

STOPPING = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""How a server is ended, with the seconds that each way is given: cleanly, at once, with force."""


def end_strays(place: Place) -> None:
    """Ends what is left of an earlier server whose keeper or postmaster was killed.

    Backends of a killed postmaster end by themselves unless they compute; a server without its keeper was told
    to stop where the system can do that (Linux) and is told here elsewhere.
    """
    for how, seconds in STOPPING:
        until = time.monotonic() + seconds
        left = processes(place)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        while left and time.monotonic() < until:
            time.sleep(0.02)
            left = processes(place)
        if not left:
            break
    forget_strangers_pid(place)


def forget_strangers_pid(place: Place) -> None:
    """Removes a lock file whose process id is some other program's by now, as after a reboot.

    Postgres would take that program for itself and refuse to start. A dead process id it handles better than
    we could, and a live Postgres that somebody else started on this data must be left alone.
    """
    lock = place.data / "postmaster.pid"
    try:
        pid = int(lock.read_bytes().split(b"\n", 1)[0])
    except (OSError, ValueError):
        return
    if b"postgres" not in command_lines().get(pid, b"postgres"):
        lock.unlink(missing_ok=True)
