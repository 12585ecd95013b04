"""Records: where the embedded Postgres of a home lies, and what its keeper and its clients tell each other there.

Imports nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "dreamline"  # of the database and of its owner


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of a home's cluster lie. `root` is `home/postgres`, an absolute path without links."""

    root: Path

    @classmethod
    def of(cls, home: Path) -> Place:
        return cls(Path(os.path.realpath(home)) / "postgres")

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def keeper_lock(self) -> Path:
        """Locked by the keeper for as long as it lives; holds its process id."""
        return self.root / "keeper.lock"

    @property
    def clients_lock(self) -> Path:
        """Locked, shared, by every process that uses the database; by the keeper alone when it goes."""
        return self.root / "clients.lock"

    @property
    def running_file(self) -> Path:
        """What the keeper says about the server once it answers; see `Running`."""
        return self.root / "running.json"

    @property
    def password_file(self) -> Path:
        return self.root / "password"

    @property
    def port_file(self) -> Path:
        """The port of the last start: taken again when it is free, so that addresses stay true."""
        return self.root / "port"

    @property
    def tag(self) -> str:
        """In the command line and title of every process of this cluster, so that they are known by it."""
        return f"dreamline-{hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]}"

    def exists(self) -> bool:
        return (self.data / "PG_VERSION").is_file()

    def log_tail(self, lines: int = 8) -> str:
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
                return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: the process ids of its keeper and of Postgres, its port on 127.0.0.1."""

    keeper: int
    postgres: int
    port: int

    @classmethod
    def read(cls, place: Place) -> Running | None:
        try:
            return cls(**json.loads(place.running_file.read_text("ascii")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, place: Place) -> None:
        replace_file(place.running_file, json.dumps(asdict(self)))


def replace_file(path: Path, text: str) -> None:
    """Writes a small file, readable by its owner only, so that others see the old or the new one."""
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def command_lines() -> dict[int, bytes]:
    """Every process that this user may see, with its command line."""
    processes_folder = Path("/proc")
    if (processes_folder / "self" / "cmdline").exists():
        found = {}
        for entry in processes_folder.iterdir():
            if entry.name.isdigit():
                try:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
        return found
    listed = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, check=False).stdout.splitlines()
    return {int(line.split()[0]): line for line in listed}


def processes(place: Place) -> list[int]:
    """Postgres processes of this cluster, whoever started them: known by their command or their title."""
    title, setting = f"postgres: {place.tag}".encode(), f"cluster_name={place.tag}".encode()
    return [
        pid
        for pid, line in command_lines().items()
        if (line.startswith(title) or (setting in line and line.partition(setting)[0].count(b"/postgres")))
        and is_near(pid, place)
    ]


def is_near(pid: int, place: Place) -> bool:
    """Whether a process counts process ids as this one does and finds the same folder at the place.

    Root sees the processes of containers, too, whose paths may be the same as here and whose folders are others.
    Where the system keeps to itself what a process finds, its ids decide.
    """
    process = Path("/proc") / str(pid)
    try:
        status = (process / "status").read_bytes()
    except OSError:
        return not Path("/proc/self/status").exists()  # it has ended; or nothing is told here of any process
    # Its id in each namespace from this one down to its own.
    ids = next((line.split()[1:] for line in status.splitlines() if line.startswith(b"NSpid:")), [b""])
    return len(ids) == 1 and _finds(process / "root", place.root)


def _finds(root: Path, folder: Path) -> bool:
    """Whether a folder below another root is the same as here."""
    there = root / folder.relative_to("/")
    try:
        return there.samefile(folder) if folder.exists() else not there.exists()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
