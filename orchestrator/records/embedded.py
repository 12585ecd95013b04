"""Records: the Postgres that dreamline runs itself when no database is named.

One keeper process owns the server of a home, every process that uses it is a client: it holds a lock for as
long as it lives, however it ends, and the keeper stops the server when nobody holds it. See `keeper`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import DreamlineError, Infrastructure
from orchestrator.records import cluster, keeper
from orchestrator.records.place import NAME, Place, Running, command_lines, is_near

START_SECONDS = 120.0  # that a caller waits; the keeper goes on, since recovery after a crash may take longer
STOP_SECONDS = 30.0  # that a caller who stops it waits

_holds: dict[Path, int] = {}  # the clients' locks of this process, by place
_guard = threading.Lock()
_follows_forks = False


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a home's embedded Postgres. `keeper` and `postgres` are process ids."""

    created: bool
    running: bool
    keeper: int | None
    postgres: int | None
    port: int | None
    data: Path
    log: Path


def ensure_running(home: Path) -> str:
    """Makes sure that the Postgres of `home` runs until this process ends; makes it when there is none.

    Returns:
        `postgresql://…`, with the password, when the server takes connections. It stays the same for as long as
        the server's port does; call again when a connection breaks.

    Raises:
        Infrastructure: it does not start now; with the end of its log and the mend.
        DreamlineError: it can't run here as things are.
    """
    place = Place.of(home)
    with _explaining(place), _guard:
        return _url(place, _reach(place, time.monotonic() + START_SECONDS))


def _reach(place: Place, until: float) -> Running:
    """Becomes a client and returns when the server answers; starts a keeper whenever there is none."""
    _make_folders(place)
    _hold(place, until)
    pause = 0.005
    while True:
        kept = _is_kept(place)
        running = Running.read(place)
        if kept and running and cluster.answers(running.port):
            return running
        if time.monotonic() > until:
            raise _too_long(place)
        if kept:
            time.sleep(pause)
            pause = min(pause * 1.3, 0.1)
        else:
            _start_keeper(place, until)


@contextlib.contextmanager
def _explaining(place: Place) -> Iterator[None]:
    """Says of a refusal of the file system which home it is about and what to do."""
    try:
        yield
    except OSError as error:
        raise Infrastructure(
            f"The embedded Postgres in {place.root} can't be reached: {error}. The home may belong to another"
            " user, be read-only or lie on a full disk: set DREAMLINE_HOME to a folder of your own."
        ) from error


def _too_long(place: Place) -> Infrastructure:
    return Infrastructure(
        f"The embedded Postgres in {place.data} has an owner but does not answer yet. It may be recovering: try"
        f" again, {place.log} says how far it is. Or it belongs to another container or machine: give each its own"
        " DREAMLINE_HOME, or all of them one Postgres by DREAMLINE_DATABASE_URL.\n" + place.log_tail()
    )


def exists(home: Path) -> bool:
    """Whether a cluster was ever made in `home`."""
    place = Place.of(home)
    with _explaining(place):
        return place.exists()


def status(home: Path) -> Status:
    """Looks without starting or holding anything."""
    place = Place.of(home)
    with _explaining(place):
        running = Running.read(place) if _is_kept(place) else None
        created = place.exists()
    return Status(
        created,
        running is not None and cluster.answers(running.port),
        running.keeper if running else None,
        running.postgres if running else None,
        running.port if running else None,
        place.data,
        place.log,
    )


def stop(home: Path) -> None:
    """Stops the server of `home`, also under clients that use it; does nothing when none runs.

    Raises:
        Infrastructure: it did not end.
    """
    place = Place.of(home)
    with _explaining(place), _guard:
        _let_go(place)
        until = time.monotonic() + STOP_SECONDS
        while _is_kept(place):
            if time.monotonic() > until:
                raise Infrastructure(
                    f"The keeper of {place.data} does not end. {place.log} may say why. If it belongs to a"
                    " container, stop it there."
                )
            with contextlib.suppress(OSError, ValueError):
                pid = int(place.keeper_lock.read_text("ascii"))
                if _is_keeper(pid, place):
                    os.kill(pid, signal.SIGTERM)
            time.sleep(0.05)


def _is_keeper(pid: int, place: Place) -> bool:
    """Whether this is the home's keeper: the number in its lock may be one that a container counts by."""
    line = command_lines().get(pid, b"")
    return b"keeper" in line and os.fsencode(place.root.parent) in line and is_near(pid, place)


def _url(place: Place, running: Running) -> str:
    secret = place.password_file.read_text("ascii").strip()
    return f"postgresql://{NAME}:{secret}@127.0.0.1:{running.port}/{NAME}?sslmode=disable"


def _make_folders(place: Place) -> None:
    for folder in (place.root.parent, place.root):
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                # The user that Postgres runs as under root must be able to walk through, whatever the umask is.
                folder.chmod(0o711)


def _hold(place: Place, until: float) -> None:
    """Takes the clients' lock for the life of this process; waits for a keeper that is just leaving."""
    _follow_forks()
    held = _holds.get(place.root)
    if held is not None and _is_same_file(held, place.clients_lock):
        return
    _let_go(place)
    handle = os.open(place.clients_lock, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(handle)
                raise _too_long(place) from None
            time.sleep(0.01)
        else:
            break
    _holds[place.root] = handle


def _let_go(place: Place) -> None:
    handle = _holds.pop(place.root, None)
    if handle is not None:
        os.close(handle)


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _follow_forks() -> None:
    """A forked child is no client until it asks: else it would hold its parent's lock and outlive it."""
    global _follows_forks
    if not _follows_forks:
        _follows_forks = True
        os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    global _guard
    _guard = threading.Lock()
    for handle in _holds.values():
        os.close(handle)
    _holds.clear()


def _is_kept(place: Place) -> bool:
    """Whether a keeper lives, by its lock."""
    try:
        handle = os.open(place.keeper_lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _start_keeper(place: Place, until: float) -> None:
    """Returns when the server answers, or when another keeper was quicker."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", keeper.__file__, place.root.parent, cluster.programs()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # an interrupt from the terminal is not for the keeper
            timeout=max(1.0, until - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_long(place) from None
    if done.returncode in (0, keeper.BUSY):
        return
    said = done.stderr.decode("utf-8", "replace")
    try:
        report = json.loads(said)
    except ValueError:
        raise Infrastructure(
            f"The keeper of the embedded Postgres in {place.data} ended with {done.returncode} before it could"
            f" start. {place.log} may say why.\n{said[-2000:]}"
        ) from None
    raise (DreamlineError if report["lasting"] else Infrastructure)(report["message"])
