"""Delivering: a folder with deliveries: which of its files are ours, and which are somebody else's."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import BadInput, Problem
from orchestrator.delivering.journal import Journal
from orchestrator.delivering.manifest import CSV, JSON, Line, Manifest, read_manifest
from orchestrator.delivering.refusals import in_short
from orchestrator.delivering.whole_files import half_of, write_whole

ELSEWHERE = "Name another folder with --output"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Folder:
    """What earlier deliveries left.

    Attributes:
        manifest: of the last one that ended.
        known: what deliveries have written by file, in the manifest or cut short before.
    """

    path: Path
    manifest: Manifest | None
    known: Mapping[str, Sequence[Line]]
    journal: Journal

    @classmethod
    @contextmanager
    def open(cls, path: Path, campaign: str) -> Iterator[Folder]:
        """A folder for one delivery, which need not be there before.

        Raises:
            BadInput: it holds another campaign's delivery or a manifest that is none, or another one is at work.
            OSError: it can't be written.
        """
        with Journal.open(path, campaign) as journal:
            before = read_manifest(path)
            for whose in (before.campaign if before is not None else "", journal.campaign):
                if whose not in ("", campaign):
                    raise BadInput.at(f"folder {path}", f"holds a delivery of {whose}", ELSEWHERE)
            known: dict[str, list[Line]] = defaultdict(list)
            for line in (*(before.files if before is not None else ()), *journal.lines):
                known[line.file].append(line)
            for line in journal.lines:
                half_of(path / line.file, journal.process).unlink(missing_ok=True)
            yield cls(path, before, dict(known), journal)

    @property
    def fresh(self) -> bool:
        """Whether no delivery wrote anything here before."""
        return self.manifest is None and not self.known

    @property
    def earlier(self) -> tuple[Line, ...]:
        """The lines of the manifest."""
        return self.manifest.files if self.manifest is not None else ()

    def held(self) -> list[Line]:
        """The lines whose files are there as they were delivered."""
        found = []
        for file, lines in self.known.items():
            there = digest(self.path / file)
            found += [line for line in reversed(lines) if line.sha256 == there][:1]
        return found

    def refuse_strangers(self, files: Iterable[str]) -> None:
        """Raises BadInput with every file in the way that no delivery wrote so."""
        mend = f"Move it away, or {ELSEWHERE[0].lower()}{ELSEWHERE[1:]}"
        what = "is there already, and no delivery wrote it so"
        strange = [file for file in files if not self._is_ours(file)]
        if digest(self.path / CSV) not in self._tables():
            strange.append(CSV)
        BadInput.gather(in_short([Problem(str(self.path / file), what, mend) for file in strange]))

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

    def end(self, manifest: Manifest, gone: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Writes both manifests, and in between takes away these files of ours: see `_take_away`.

        Raises:
            OSError: it can't be written.
        """
        self.write_table(manifest)
        removed, left = self._take_away(gone)
        write_whole(self.path / JSON, manifest.as_json())
        return removed, left

    def write_table(self, manifest: Manifest) -> None:
        """Writes the manifest for people.

        Raises:
            OSError: it can't be written.
        """
        table = manifest.as_csv()
        self.journal.note_table(hashlib.sha256(table).hexdigest())
        write_whole(self.path / CSV, table)

    def mend_table(self) -> None:
        """Writes the manifest for people where it is missing.

        Raises:
            OSError: it can't be written.
        """
        if self.manifest is not None and not (self.path / CSV).exists():
            self.write_table(self.manifest)

    def without(self, lines: Sequence[Line]) -> list[str]:
        """Our files that are in none of these lines."""
        return sorted(self.known.keys() - {line.file for line in lines})

    def _take_away(self, files: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
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

    def _tables(self) -> set[str | None]:
        """What the manifest for people may be: none, or one of ours."""
        last = [] if self.manifest is None else [hashlib.sha256(self.manifest.as_csv()).hexdigest()]
        return {None, *last, *self.journal.tables}


def digest(path: Path) -> str | None:
    """Of a file's bytes; None where there is none, `UNREADABLE` where something else is in its way."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
    except OSError:
        return UNREADABLE
