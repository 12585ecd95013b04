"""Published data sets as folders of samples: which layout is read by whom, and what all of them share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from core.errors import BadInput, Infrastructure
from core.training.data.entries import Entry, require_new, without_placeholders, write_entries

log = logging.getLogger("dreamline")

MOST_SKIPPED = 5
"""Samples of which it is told why they were left out."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to import.

    Attributes:
        folder: of the data set.
        output: to write.
        split: `train` or `test`.
        number: at most so many samples.
        placeholders: share of captions that name their reference.
        quality: least rating, where a set has ratings from 0 to 5.
        panel: pixels of a panel's side; None: 1024 or 512.
    """

    folder: Path
    output: Path
    split: str = "train"
    number: int | None = None
    placeholders: float = 0.5
    quality: int = 5
    panel: int | None = None


@dataclass
class Skipped:
    """What was left out: how many, and why the first ones."""

    count: int = 0
    first: str = ""

    def add(self, error: BadInput) -> None:
        self.count += 1
        self.first = self.first or str(error)
        if self.count <= MOST_SKIPPED:
            log.warning("left out: %s", error)


Reader = Callable[[Order, Skipped], Iterator[Entry]]


def import_layout(layout: str, order: Order) -> list[str]:
    """Writes the folder; returns what to tell about it.

    Raises:
        BadInput: the data set is not laid out so, no sample of it can be read, or the folder is not empty.
        Infrastructure: the folder can't be written.
    """
    require_new(order.output)
    skipped = Skipped()
    try:
        read = islice(readers()[layout](order, skipped), order.number)
        entries = [named(entry, order.placeholders) for entry in read]
        if not entries:
            left_out = f"{skipped.count:,} rows were left out. The first: {skipped.first}"
            mend = left_out if skipped.count else "docs/data.md shows the layout"
            raise BadInput.at(str(order.folder), f"has no sample of {layout}", mend)
        write_entries(entries, order.output)
    except OSError as error:
        raise Infrastructure(f"{order.output} can't be written ({error}): make room") from error
    told = [f"{len(entries):,} samples of {layout} in {order.output}"]
    return [*told, f"{skipped.count:,} were left out"] if skipped.count else told


def readers() -> Mapping[str, Reader]:
    """By layout."""
    from core.training.data.tryon_pairs import read_dress_code, read_viton_hd
    from core.training.data.two_panels import read_subjects200k

    return {"subjects200k": read_subjects200k, "viton-hd": read_viton_hd, "dress-code": read_dress_code}


def named(entry: Entry, share: float) -> Entry:
    """The entry with its placeholder in that share of cases, else without; which ones follows from its line."""
    if Random(f"placeholders {entry.line}").random() < share:
        return entry
    caption = without_placeholders(entry.caption)
    return Entry(entry.line, entry.target, caption, entry.spoken, entry.references, entry.task)
