"""Fetching: files from addresses, kept below the home: a note for each address, the bytes by their hash.

Nothing here is needed to go on: what is deleted is fetched again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core.settings import Settings
from orchestrator.planning.fetching.downloads import Version


@dataclass(frozen=True, slots=True)
class Note:
    """What is kept of one address.

    Attributes:
        address: for people who look into the folder; its query may be a key, so notes are for their owner alone.
        sha256: of the bytes; empty where nothing is here.
        etag: of the server, or the mark of an object in a bucket.
        modified: of the server.
        checked: when it was last asked for, in seconds since 1970.
        size: of the bytes.
    """

    address: str
    sha256: str = ""
    etag: str = ""
    modified: str = ""
    checked: float = 0.0
    size: int = 0

    @property
    def version(self) -> Version:
        """What a server is asked with; nothing where there are no bytes to go with it."""
        return Version(self.etag, self.modified) if self.sha256 else Version()


@dataclass(frozen=True, slots=True)
class Kept:
    """The folder of what was fetched."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Kept:
        """That of a home; nothing is created yet."""
        return cls(settings.home / "cache" / "fetched")

    def note(self, address: str) -> Note:
        """What is known of an address; an empty note where nothing is, or where its bytes are gone."""
        try:
            told = Note(**json.loads(self._at(address, "json").read_text(encoding="utf-8")))
            whole = told.address == address and self.path(told.sha256).stat().st_size == told.size
        except (OSError, ValueError, TypeError):
            return Note(address)
        return told if whole else Note(address)

    def path(self, sha256: str) -> Path:
        """Where bytes lie."""
        return self.folder / "contents" / sha256

    def keep(self, part: Path, note: Note) -> Note:
        """Moves a whole file to its place and notes it; returns the note with its hash."""
        with part.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            os.fsync(file.fileno())
        place = self.path(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)
        whole = replace(note, sha256=sha256, size=size)
        self.write(whole)
        return whole

    def write(self, note: Note) -> None:
        """Puts a note in the place of the one before, whole or not at all."""
        place = self._at(note.address, "json")
        half = place.with_suffix(f".{os.getpid()}.{id(note)}.half")
        half.touch(mode=0o600)
        half.write_text(json.dumps(asdict(note)), encoding="utf-8")
        half.replace(place)

    def use(self, note: Note) -> None:
        """Says that what is noted was asked for, though its server was not."""
        with contextlib.suppress(OSError):
            os.utime(self._at(note.address, "json"))

    def old(self, days: float) -> list[Path]:
        """What nobody has asked for in so many days: notes, contents that no later note names, what broke off."""
        notes = list(self.folder.glob("*.json"))
        late = {_named(note) for note in notes if age(note) <= days}
        contents = [one for one in self.folder.glob("contents/*") if one.name not in late]
        # Locks stay: deleted while one is held, the next would be another's.
        parts = [one for one in self.folder.glob("parts/*") if one.suffix != ".lock"]
        found = [*notes, *self.folder.glob("*.half"), *contents, *parts]
        return [one for one in found if age(one) > days]

    @contextmanager
    def part(self, address: str) -> Iterator[Path]:
        """The file into which an address is fetched: what broke off is found there again.

        While somebody else fetches the same address, or one that shares its lock, this is a file of its own, and
        gone afterwards.
        """
        (self.folder / "parts").mkdir(parents=True, exist_ok=True)
        shared = self.folder / "parts" / _name(address)
        with (shared.parent / f"{shared.name[:2]}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                own = shared.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
                try:
                    yield own
                finally:
                    for path in (own, own.with_name(f"{own.name}.mark")):
                        path.unlink(missing_ok=True)
                return
            yield shared

    def _at(self, address: str, ending: str) -> Path:
        return self.folder / f"{_name(address)}.{ending}"


def age(path: Path) -> float:
    """Days since a file was last changed; 0 for one that is gone."""
    try:
        return (time.time() - path.stat().st_mtime) / 86_400
    except FileNotFoundError:
        return 0.0


def _named(note: Path) -> str:
    """The content that a note names; nothing where it can't be read."""
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _name(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:40]
