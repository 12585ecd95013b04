"""What samples are, in one hash: their words and their pictures' bytes, wherever these lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from core.training.data.entries import Entry


def words_of(entries: Iterable[Entry]) -> str:
    """A hash of captions, kinds and tasks alone: pictures may come and go."""
    told = [[entry.caption, entry.spoken, entry.task, *entry.kinds] for entry in entries]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def contents_of(entries: Iterable[Entry]) -> str:
    """A hash of captions, kinds and tasks, and of every file's bytes; a file that can't be read counts as such."""
    told: list[list[str | None]] = []
    seen: dict[Path | None, str | None] = {None: None}
    for entry in entries:
        files = [
            entry.target,
            *(path for one in entry.references for path in (one.picture, one.governs, one.mask)),
        ]
        for path in files:
            if path is not None and path not in seen:
                seen[path] = bytes_of(path)
        told.append([entry.caption, entry.spoken, entry.task, *entry.kinds, *(seen[path] for path in files)])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def bytes_of(path: Path) -> str | None:
    """The hash of a file; None where it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
