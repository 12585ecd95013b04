"""Two samples of one subject become one of two: their targets as columns, as DreamO's warm-up data are made.

Each target gives the part that shows its thing: half of its width, so that the joined picture has the size of one,
or, where a thing needs more room, five eighths. Masks move along; the caption says what stands left, what right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from PIL import Image

from core.errors import BadInput
from core.images import on_white, read_file
from core.training.data.entries import PLACEHOLDER, Entry, require_entries
from core.training.data.fitting import LIGHT
from core.training.data.pictures import Example, Pictured, open_mask

Picture = Image.Image

COLUMNS = (1 / 2, 5 / 8)
"""Widths of a column, as shares of a target's."""
TRIES = 20
"""Pairs that are tried for each sample that is wanted."""


def join_folder(folder: Path, number: int, seed: int = 0) -> Iterator[Example]:
    """So many samples of two, by lot.

    Raises:
        BadInput: too few samples of the folder can be joined.
    """
    entries = [entry for entry in require_entries(folder) if entry.kinds == ("subject",)]
    chance, made, tried = Random(f"join {seed}"), 0, set[tuple[int, int]]()
    mend = "Samples need one subject, a mask in the target, and a thing that is not too wide for a column"
    for _ in range(TRIES * number if len(entries) > 1 else 0):
        left, right = chance.sample(entries, 2)
        joined = join(left, right) if (left.line, right.line) not in tried else None
        tried.add((left.line, right.line))
        if joined is not None:
            made += 1
            yield joined
        if made == number:
            return
    raise BadInput.at(str(folder), f"gave {made} of {number} samples", mend)


def join(left: Entry, right: Entry) -> Example | None:
    """One sample out of two; None where a thing does not fit into its column."""
    opened = [pictures_of(entry) for entry in (left, right)]
    for share in COLUMNS:
        columns = [column for target, mask in opened if (column := column_of(target, mask, share)) is not None]
        if len(columns) == 2:
            return joined(left, right, *columns)
    return None


def joined(left: Entry, right: Entry, one: tuple[Picture, Picture], other: tuple[Picture, Picture]) -> Example:
    """The columns side by side; each is a picture and its mask. The right one gets the left one's height."""
    size = (max(1, round(other[0].width * one[0].height / other[0].height)), one[0].height)
    second, second_mask = (
        picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC) for picture in other
    )
    references = [on_white(read_file(entry.references[0].picture)) for entry in (left, right)]
    return Example(
        task="two-subjects",
        target=beside([one[0], second]),
        caption=joined_caption(left, right),
        spoken=f"two panels. left: {left.spoken}. right: {right.spoken}",
        references=tuple(Pictured("subject", picture) for picture in references),
        masks=(
            beside([one[1], Image.new("L", size)]),
            beside([Image.new("L", one[0].size), second_mask]),
        ),
    )


def pictures_of(entry: Entry) -> tuple[Picture, Picture]:
    """A target and its mask; an empty one where it has none.

    Raises:
        BadInput: a file can't be read.
    """
    target = on_white(read_file(entry.target))
    return target, open_mask(entry.references[0].governs, target) or Image.new("L", target.size)


def column_of(target: Picture, mask: Picture, share: float) -> tuple[Picture, Picture] | None:
    """That share of a target's width, with its thing in the middle, and the same part of its mask."""
    box, width = mask.point(LIGHT).getbbox(), round(target.width * share)
    if box is None or box[2] - box[0] > width:
        return None
    start = min(max((box[0] + box[2] - width) // 2, 0), target.width - width)
    part = (start, 0, start + width, target.height)
    return target.crop(part), mask.crop(part)


def beside(columns: Sequence[Picture]) -> Picture:
    """Side by side."""
    joined = Image.new(columns[0].mode, (sum(one.width for one in columns), columns[0].height))
    at = 0
    for one in columns:
        joined.paste(one, (at, 0))
        at += one.width
    return joined


def joined_caption(left: Entry, right: Entry) -> str:
    """Always with placeholders: two references of a kind could not be told apart without."""
    first, second = (
        entry.caption if PLACEHOLDER.search(entry.caption) else f"{entry.caption}, from [ref#1]"
        for entry in (left, right)
    )
    return f"two panels. left: {first}. right: {PLACEHOLDER.sub('[ref#2]', second)}"
