"""Records: the process that owns a home's Postgres: `keeper.py HOME BIN_FOLDER`, started by `embedded`.

It starts the server as its direct child, starts it again when it dies, and ends it, and itself, when no client
has held the clients' lock for a few seconds. It begins as a child that says on standard error why it could not
start (exit code 1, as JSON), or ends with 0 when the server answers and the keeper goes on alone in the
background, or with 75 when another keeper is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    # Run by its path, isolated and without the site's packages: it starts in a few hundredths of a second.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from core.errors import DreamlineError, Infrastructure
from orchestrator.records import cluster, privileges
from orchestrator.records.place import Place, Running, replace_file
from orchestrator.records.privileges import Identity
from orchestrator.records.strays import STOPPING, end_strays

BUSY = 75
IDLE_SECONDS = 3.0  # without clients, until Postgres is stopped
START_SECONDS = 3600.0  # recovery after a crash may take a while, and would begin anew when it is broken off
LOG_BYTES = 4 << 20  # the log is cut when it is longer; one older piece is kept
_WATCH_SECONDS = 0.5
_RESTARTS = 5  # within a minute; then the keeper gives up


@dataclass
class Keeper:
    """What the keeper holds while it lives."""

    place: Place
    bin_folder: Path
    identity: Identity | None
    lock: int
    clients: int
    server: subprocess.Popen[bytes] | None = None
    idle_since: float | None = None
    asked_to_stop: bool = False
    starts: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Starts the server and returns when it answers; makes the cluster first when there is none.

        Raises:
            DreamlineError: with the end of Postgres' log and the mend.
        """
        place = self.place
        end_strays(place)
        cluster.check(place)
        cluster.clear_unfinished(place)
        if self.identity is not None:
            cluster.take_over(place, self.identity)
        if not place.exists():
            cluster.make(place, self.bin_folder, self.identity)
        cluster.password(place, self.bin_folder, self.identity)
        said = ""
        for _ in range(4):
            said = self._try_start()
            if self.server is not None:
                return
            if "Address already in use" not in said and "shared memory block" not in said:
                break
            end_strays(place)
        tail = "\n".join(said.splitlines()[-8:])
        raise Infrastructure(
            f"The embedded Postgres in {place.data} does not start. {cluster.mend_of(said)} ({place.log}).\n{tail}"
        )

    def _try_start(self) -> str:
        """What the server said when it did not start; `self.server` is None then."""
        place = self.place
        port = last_port(place)
        if port is None or not cluster.is_free(port):
            port = cluster.free_port()
        log_end = place.log.stat().st_size if place.log.exists() else 0
        self.server = cluster.start(place, self.bin_folder, self.identity, port)
        self.starts.append(time.monotonic())
        if self._wait_until_it_answers(port):
            replace_file(place.port_file, str(port))
            Running(os.getpid(), self.server.pid, port).write(place)
            return ""
        self.stop()
        return place.log.read_bytes()[log_end:].decode("utf-8", "replace")

    def _wait_until_it_answers(self, port: int) -> bool:
        """False when the server ended, takes too long, or is not wanted any more."""
        assert self.server is not None
        until = time.monotonic() + START_SECONDS
        pause = 0.005
        while self.server.poll() is None and not self.asked_to_stop and time.monotonic() < until:
            if cluster.is_ready(self.place, self.server.pid) and cluster.answers(port):
                return True
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)
        return False

    def stop(self) -> None:
        """Ends the server cleanly, with force when it takes too long."""
        if self._has_its_folder():  # else the file is another keeper's
            self.place.running_file.unlink(missing_ok=True)
        if self.server is None:
            return
        for how, seconds in STOPPING:
            if self.server.poll() is None:
                self.server.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.server.wait(seconds)
        self.server = None

    def watch(self, wake: int) -> None:
        """Keeps the server running until nobody needs it, or it was told to end, or its folder is gone."""
        while True:
            if select.select([wake], [], [], _WATCH_SECONDS)[0]:
                os.read(wake, 512)
            if self.asked_to_stop or not self._has_its_folder():
                break
            if self.server is None or self.server.poll() is not None:
                self._restart()
            cut(self.place.log)
            if self._is_idle() and self._nobody_comes():
                break
        self.stop()

    def _restart(self) -> None:
        self.place.running_file.unlink(missing_ok=True)
        code = self.server.returncode if self.server else None
        say(f"Postgres ended with {code}")
        now = time.monotonic()
        self.starts = [at for at in self.starts if now - at < 60]
        if len(self.starts) > _RESTARTS:
            raise Infrastructure(f"Postgres ended {_RESTARTS} times within a minute: {self.place.log} says why.")
        self.start()

    def _has_its_folder(self) -> bool:
        """False when the home was removed, or removed and made anew, under the keeper."""
        try:
            seen = self.place.keeper_lock.stat()
        except OSError:
            return False
        return seen.st_ino == os.fstat(self.lock).st_ino

    def _is_idle(self) -> bool:
        now = time.monotonic()
        if not try_lock(self.clients):
            self.idle_since = None
            return False
        fcntl.flock(self.clients, fcntl.LOCK_UN)
        if self.idle_since is None:
            self.idle_since = now
        return now - self.idle_since >= IDLE_SECONDS

    def _nobody_comes(self) -> bool:
        """Shuts the door: whoever comes from here on waits until this process has ended."""
        return try_lock(self.clients)


def try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def cut(log: Path) -> None:
    """Keeps the log bounded: a long one is copied aside and emptied; Postgres goes on appending to it."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            log.with_name(f"{log.name}.1").write_bytes(log.read_bytes())
            os.truncate(log, 0)


def say(text: str) -> None:
    """A line in the log, between Postgres' own."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    with contextlib.suppress(OSError):  # a full disk must not end the keeper
        os.write(2, f"{stamp} [{os.getpid()}] KEEPER:  {text}\n".encode())


def last_port(place: Place) -> int | None:
    try:
        return int(place.port_file.read_text("ascii"))
    except (OSError, ValueError):
        return None


def main(home: str, bin_folder: str) -> int:
    os.umask(0o077)
    place = Place.of(Path(home))
    lock = os.open(place.keeper_lock, os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(5):
        if try_lock(lock):
            break
        time.sleep(0.002)  # clients try the lock for an instant, to see whether it is held
    else:
        return BUSY
    os.truncate(lock, 0)
    place.running_file.unlink(missing_ok=True)
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        sys.stderr.buffer.write(said)
        return 0 if said == b"" else 1
    os.close(reading)
    _detach(place)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    code = _keep(place, Path(bin_folder), lock, writing)
    os.truncate(lock, 0)
    os._exit(code)


def _detach(place: Place) -> None:
    os.setsid()
    os.chdir("/")
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)


def _keep(place: Place, bin_folder: Path, lock: int, report: int) -> int:
    """The keeper's life. What goes wrong is written to the log, and to `report` before the server answers."""
    try:
        owner = place.data.stat().st_uid if place.data.exists() else None
        identity = privileges.choose(bin_folder / "postgres", place.root, owner)
        clients = os.open(place.clients_lock, os.O_RDWR | os.O_CREAT, 0o600)
        keeper = Keeper(place, bin_folder, identity, lock, clients)
        wake = _listen(keeper)
        try:
            keeper.start()
            os.close(report)
            report = -1
            keeper.watch(wake)
        finally:
            keeper.stop()
    except Exception as error:
        lasting = isinstance(error, DreamlineError) and not isinstance(error, Infrastructure)
        text = str(error)
        if not isinstance(error, DreamlineError):
            mend = cluster.mend_of(text)
            text = f"The embedded Postgres in {place.root} failed: {error!r}. {mend} ({place.log})."
        if report != -1:
            with contextlib.suppress(BrokenPipeError):  # who asked may have gone
                os.write(report, json.dumps({"message": text, "lasting": lasting}).encode())
        say(text)
        return 1
    return 0


def _listen(keeper: Keeper) -> int:
    """What can be waited on: it has something to read after every signal, a child's end among them."""
    wake, told = os.pipe()
    for side in (wake, told):
        os.set_blocking(side, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def end(_signal: int, _frame: object) -> None:
        keeper.asked_to_stop = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    return wake


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
