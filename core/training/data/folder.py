"""A folder of samples as a source of batches: sorted by task and by the shapes that a recipe trains on.

A batch has one task and one shape, and its samples are drawn by lot: which ones follows from the chance that is
handed in, so that a resumed run goes on with the batches of one that was never stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from PIL import Image

from core.errors import BadInput, Problem
from core.images import probe_file
from core.training.data.entries import MOST_TOLD, Entry, require_entries
from core.training.data.fitting import nearest
from core.training.data.pictures import Example, open_example
from core.training.world.scenes import Canvas

log = logging.getLogger("dreamline")

SPARE = 16
"""Samples that may be left out of one batch because their files turn out to be damaged."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that samples of one batch share: of the target, and of each reference in order."""

    canvas: Canvas
    references: tuple[Canvas, ...]


Shelves = Mapping[str, Mapping[Shape, tuple[Entry, ...]]]
"""By task and shape."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Its samples by task, and within a task by shape."""

    path: Path
    shelves: Shelves

    @classmethod
    def read(cls, path: Path, canvases: Sequence[Canvas], references: Sequence[Canvas]) -> DataFolder:
        """Reads every line and the size of every picture.

        Args:
            path: of the folder.
            canvases: sizes that targets may get.
            references: sizes that references may get.

        Raises:
            BadInput: naming the first lines and files that can't be used.
        """
        return cls.of(path, require_entries(path), canvases, references)

    @classmethod
    def of(
        cls, path: Path, entries: Sequence[Entry], canvases: Sequence[Canvas], references: Sequence[Canvas]
    ) -> DataFolder:
        """Sorts these lines."""
        shelves, problems = sorted_by_shape(entries, canvases, references)
        BadInput.gather(problems[:MOST_TOLD])
        return cls(path, shelves)

    def batch(self, task: str, count: int, chance: Random) -> list[Example]:
        """So many samples of one shape; none twice while there are enough."""
        by_shape = self.shelves[task]
        shape = chance.choices([*by_shape], [len(own) for own in by_shape.values()])[0]
        own = by_shape[shape]
        order = chance.sample(own, min(len(own), count + SPARE)) + chance.choices(own, k=count + SPARE)
        found = [*islice(readable(order, shape), count)]
        if len(found) < count:
            mend = "`dreamline train data check` says which and why"
            raise BadInput.at(str(self.path), f"has too many samples of {task} that can't be read", mend)
        return found

    def first(self, task: str, count: int) -> list[Example]:
        """Up to so many samples of the task's commonest shape, from its beginning; none of damaged files."""
        shape, own = max(self.shelves[task].items(), key=lambda pair: len(pair[1]))
        return [*islice(readable(own, shape), count)]


def sorted_by_shape(
    entries: Sequence[Entry], canvases: Sequence[Canvas], references: Sequence[Canvas]
) -> tuple[Shelves, list[Problem]]:
    """The lines whose pictures have sizes, by task and shape, and what is wrong with the others."""
    shelves: dict[str, dict[Shape, list[Entry]]] = {}
    problems: list[Problem] = []
    for entry in entries:
        try:
            shape = shape_of(entry, canvases, references)
        except BadInput as error:
            problems += error.problems
            continue
        shelves.setdefault(entry.task, {}).setdefault(shape, []).append(entry)
    return {
        task: {shape: tuple(own) for shape, own in by_shape.items()} for task, by_shape in shelves.items()
    }, problems


def readable(entries: Sequence[Entry], shape: Shape) -> Iterator[Example]:
    """Those that can be opened: days into a run, one picture that turns out to be damaged must not end it."""
    for entry in entries:
        try:
            yield open_example(entry, shape.canvas, shape.references)
        except BadInput as error:
            log.warning("left out: %s", error)


def shape_of(entry: Entry, canvases: Sequence[Canvas], references: Sequence[Canvas]) -> Shape:
    """The sizes whose proportions are nearest to those of the sample's pictures; only headers are read.

    Raises:
        BadInput: naming a picture that can't be read.
    """
    return Shape(
        nearest(size_of(entry.target), canvases),
        tuple(nearest(size_of(reference.picture), references) for reference in entry.references),
    )


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of the picture once it is upright; only the header is read.

    Raises:
        BadInput: naming the file, which can't be read.
    """
    header = probe_file(path)
    if header.type in OF_CAMERAS:
        with Image.open(path, formats=OF_CAMERAS) as opened:
            if opened.getexif().get(ORIENTATION, 1) >= LYING:
                return header.height, header.width
    return header.width, header.height


OF_CAMERAS = ("JPEG", "MPO", "TIFF")
"""Types whose EXIF is looked at; a PNG would have to be decoded for it."""
ORIENTATION, LYING = 0x0112, 5
"""EXIF's tag, and the first of its values that exchange width and height."""
