"""Delivering: what was written and stands in no manifest yet, so that a delivery cut short knows its own files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from orchestrator.delivering.manifest import Line

JOURNAL = ".delivery.jsonl"


class Journal:
    """A line for each file, noted before the file is in its place."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._file: IO[str] | None = None

    def read(self) -> list[Line]:
        """What a delivery that did not end has noted; a line that it was in the midst of is none."""
        try:
            told = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return list(_lines(told))

    def note(self, line: Line) -> None:
        """Says that this file is about to be there.

        Raises:
            OSError: the folder can't be written.
        """
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
        self._file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
        self._file.flush()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Closes the file in any case, and removes it where everything came into the manifest."""
        try:
            yield
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
        self._path.unlink(missing_ok=True)


def _lines(told: list[str]) -> Iterator[Line]:
    for one in told:
        try:
            yield Line(**json.loads(one))
        except (ValueError, TypeError):
            continue
