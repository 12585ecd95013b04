"""Delivering: a folder with deliveries: which of its files are ours, and which are somebody else's."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import BadInput, Problem
from orchestrator.delivering.journal import Journal
from orchestrator.delivering.manifest import Line, read_manifest
from orchestrator.delivering.whole_files import write_whole

ELSEWHERE = "Name another folder with --output"


@dataclass(frozen=True, slots=True)
class Folder:
    """What earlier deliveries left.

    Attributes:
        fresh: none ended here before.
        earlier: the lines of its manifest.
        known: what deliveries have written by file, in the manifest or cut short before.
    """

    path: Path
    fresh: bool
    earlier: tuple[Line, ...]
    known: Mapping[str, Sequence[Line]]
    journal: Journal

    @classmethod
    def read(cls, path: Path, campaign: str) -> Folder:
        """Looks into a folder, which need not be there.

        Raises:
            BadInput: it holds another campaign's delivery, or a manifest that is none.
        """
        before, journal = read_manifest(path), Journal(path)
        if before is not None and before.campaign != campaign:
            raise BadInput.at(f"folder {path}", f"holds a delivery of {before.campaign}", ELSEWHERE)
        earlier = before.files if before is not None else ()
        known: dict[str, list[Line]] = defaultdict(list)
        for line in (*earlier, *journal.read()):
            known[line.file].append(line)
        return cls(path, before is None, earlier, dict(known), journal)

    def refuse_strangers(self, files: Iterable[str]) -> None:
        """Raises BadInput with every file in the way that no delivery wrote so."""
        mend = f"Move it away, or {ELSEWHERE[0].lower()}{ELSEWHERE[1:]}"
        BadInput.gather(
            Problem(str(self.path / file), "is there already, and no delivery wrote it so", mend)
            for file in files
            if not self._is_ours(file)
        )

    def find(self, file: str, image: str, made: str) -> Line | None:
        """The line of a file that is there already, made of this image in this way."""
        there = digest(self.path / file)
        for line in self.known.get(file, ()):
            if (line.image, line.made, line.sha256) == (image, made, there):
                return line
        return None

    def write(self, line: Line, data: bytes) -> None:
        """Puts a file into its place, noted before.

        Raises:
            OSError: it can't be written.
        """
        self.journal.note(line)
        write_whole(self.path / line.file, data)

    def without(self, lines: Sequence[Line]) -> list[str]:
        """Our files that are in none of these lines."""
        return sorted(self.known.keys() - {line.file for line in lines})

    def take_away(self, files: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Removes files of ours; names those that are gone, and those left since somebody changed them."""
        removed, left = [], []
        for file in files:
            path = self.path / file
            if not path.resolve().is_relative_to(self.path.resolve()) or not self._is_ours(file):
                left.append(file)
                continue
            path.unlink(missing_ok=True)
            removed.append(file)
            for parent in PurePosixPath(file).parents[:-1]:
                if (inside := self.path / parent).is_dir() and not any(inside.iterdir()):
                    inside.rmdir()
        return tuple(removed), tuple(left)

    def _is_ours(self, file: str) -> bool:
        """Whether nothing is there, or what a delivery wrote."""
        there = digest(self.path / file)
        return there is None or there in {line.sha256 for line in self.known.get(file, ())}


def digest(path: Path) -> str | None:
    """Of a file's bytes; None where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
