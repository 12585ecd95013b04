"""Delivering: what was written and stands in no manifest yet, so that a delivery cut short knows its own files.

Its file is also the lock of the folder: one delivery at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BadInput
from orchestrator.delivering.manifest import Line

JOURNAL = ".delivery.jsonl"


@dataclass
class Journal:
    """A line for each file, noted before the file is in its place.

    Attributes:
        owner: whose delivery this is.
        campaign: whose delivery was cut short; empty: none was.
        lines: of its files; `tables`: sha256 of the manifests for people that it wrote.
        process: its number, which is in the names of files that were being written.
    """

    path: Path
    owner: str
    campaign: str = ""
    lines: list[Line] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    process: int = 0
    _file: int = -1
    _begun: bool = False

    @classmethod
    @contextmanager
    def open(cls, folder: Path, owner: str) -> Iterator[Journal]:
        """The folder's journal, which is the caller's alone until the end.

        Where all went well the file is gone afterwards; else it stays, unless nothing was noted.

        Raises:
            BadInput: another delivery into the folder is at work.
            OSError: the folder can't be written.
        """
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        journal = cls(folder / JOURNAL, owner)
        journal._file = _locked(journal.path)
        try:
            journal._read()
            yield journal
        except BaseException:
            if not os.fstat(journal._file).st_size:
                journal.path.unlink(missing_ok=True)
            raise
        else:
            journal.path.unlink(missing_ok=True)
        finally:
            os.close(journal._file)
            if new:
                with suppress(OSError):
                    folder.rmdir()

    def note(self, line: Line) -> None:
        """Says that this file is about to be there.

        Raises:
            OSError: it can't be written.
        """
        self._append(asdict(line))

    def note_table(self, sha256: str) -> None:
        """Says that the manifest for people is about to be this one.

        Raises:
            OSError: it can't be written.
        """
        self._append({"table": sha256})

    def _append(self, told: dict[str, Any]) -> None:
        if not self._begun:
            self._begun = True
            self._append({"campaign": self.owner, "process": os.getpid()})
        os.write(self._file, json.dumps(told).encode() + b"\n")

    def _read(self) -> None:
        """What a delivery that did not end has noted; a line that it was in the midst of is none."""
        data = self.path.read_bytes()
        for one in data.split(b"\n"):
            with suppress(ValueError, TypeError, AttributeError):
                self._take(json.loads(one))
        if data and not data.endswith(b"\n"):
            os.write(self._file, b"\n")

    def _take(self, told: dict[str, Any]) -> None:
        if "campaign" in told:
            self.campaign, self.process = str(told["campaign"]), int(told["process"])
        elif "table" in told:
            self.tables.append(str(told["table"]))
        else:
            self.lines.append(Line(**told))


def _locked(path: Path) -> int:
    """The file, open and locked. One that its owner removed before it was locked here is another's."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BlockingIOError as error:
            os.close(file)
            what = "another delivery into it is at work"
            raise BadInput.at(f"folder {path.parent}", what, "Wait for it, or name another folder") from error
        os.close(file)
