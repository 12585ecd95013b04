"""Subjects200K: pictures of two panels side by side that show one thing in two scenes.

A panel is 512 or 1024 pixels a side; around and between panels may be a border. Each panel is a target whose
reference is the other one. It comes as parquet files, or as pictures with a `metadata.jsonl` of the same columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from core.errors import BadInput
from core.images import on_white, read_file, read_picture
from core.training.data.entries import Entry, Shown
from core.training.data.importing import Order, Skipped

PANELS = (1024, 512)
"""Sides of panels, the larger first."""
RATINGS = ("compositeStructure", "objectConsistency", "imageQuality")
METADATA = "metadata.jsonl"


def read_subjects200k(order: Order, skipped: Skipped) -> Iterator[Entry]:
    """Two samples of each picture; those with a rating below the least are passed over, bad rows are told."""
    line = 0
    for where, row, picture in pictures(order.folder, skipped):
        if any(rating < order.quality for rating in ratings(row)):
            continue
        try:
            panels = both(on_white(picture()), order.panel, where)
            texts = texts_of(row, where)
        except BadInput as error:
            skipped.add(error)
            continue
        paths = []
        for side, panel in zip(("left", "right"), panels, strict=True):
            path = order.output / "pictures" / f"{line // 2:06}-{side}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            panel.save(path, lossless=True, method=2)
            paths.append(path)
        for target, other, said in ((paths[1], paths[0], texts[1]), (paths[0], paths[1], texts[0])):
            line += 1
            yield Entry(line, target, *said, (Shown(other, "subject"),), "subject")


def pictures(folder: Path, skipped: Skipped) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Of each picture its place for messages, its row, and a function that decodes it; bad lines are left out.

    Raises:
        BadInput: there is nothing to read, or pyarrow is not installed for parquet.
    """
    metadata = folder / METADATA
    if metadata.is_file():
        for number, text in enumerate(metadata.read_bytes().split(b"\n"), start=1):
            if not text.strip():
                continue
            try:
                row = row_of(text, f"{metadata}, line {number}")
            except BadInput as error:
                skipped.add(error)
                continue
            path = folder / str(row["file_name"])
            yield str(path), row, lambda path=path: read_file(path)
        return
    files = sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])
    if not files:
        mend = f"Name the folder with its parquet files, or with pictures and a {METADATA}"
        raise BadInput.at(str(folder), "has neither parquet files nor metadata.jsonl", mend)
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise BadInput.at(str(files[0]), "is parquet", "`pip install pyarrow` reads it") from error
    for path in files:
        number = 0
        for batch in ParquetFile(path).iter_batches(batch_size=16):
            for row in batch.to_pylist():
                number += 1
                where = f"{path}, row {number}"
                data = part(row, "image").get("bytes") or b""
                yield where, row, lambda data=data, where=where: read_picture(data, where)


def part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within a row; empty where the row has none."""
    told = row.get(name)
    return told if isinstance(told, dict) else {}


def row_of(text: bytes, where: str) -> dict[str, Any]:
    """A line of `metadata.jsonl`.

    Raises:
        BadInput: it is no object with a file's name.
    """
    try:
        row = json.loads(text)
    except ValueError as error:
        raise BadInput.at(where, f"is not JSON ({error})", "Write one object a line") from error
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise BadInput.at(where, "has no file_name", "Say which picture it is about")
    return row


def ratings(row: Mapping[str, Any]) -> list[int]:
    """Those that the row has; a set without ratings has none."""
    told = part(row, "quality_assessment")
    return [told[name] for name in RATINGS if isinstance(told.get(name), int)]


def texts_of(row: Mapping[str, Any], where: str) -> list[tuple[str, str]]:
    """For the left and the right panel: the caption with a placeholder, and all in words.

    Raises:
        BadInput: the row does not describe its panels.
    """
    told = part(row, "description")
    item, found = str(told.get("item") or "").strip(), []
    for name in ("description_0", "description_1"):
        said = str(told.get(name) or "").strip()
        if not said or not item:
            raise BadInput.at(where, f"has no description.{name} or no description.item", "Leave it out")
        found.append((with_placeholder(said, item), said if mention(said, item) else f"{item}. {said}"))
    return found


def with_placeholder(said: str, item: str) -> str:
    """The item's first mention gets the placeholder; where it is called otherwise, it is named in front."""
    found = mention(said, item)
    if found is None:
        return f"{item} from [ref#1]. {said}"
    return f"{said[: found.end()]} from [ref#1]{said[found.end() :]}"


def mention(said: str, item: str) -> re.Match[str] | None:
    """Where the item is first named by whole words, in capitals or not: a cat is none in a category."""
    return re.search(rf"(?<!\w){re.escape(item)}(?!\w)", said, re.IGNORECASE)


def both(picture: Image.Image, side: int | None, where: str) -> tuple[Image.Image, Image.Image]:
    """The panels: the border above and below tells the one at the sides, what is left lies between them.

    Raises:
        BadInput: the picture has no room for two such panels.
    """
    sides = (side,) if side is not None else PANELS
    for one in sides:
        top = (picture.height - one) // 2
        between = picture.width - 2 * one - 2 * top
        if 0 <= top <= one // 8 and 0 <= between <= one // 4:
            second = top + one + between
            boxes = ((top, top, top + one, top + one), (second, top, second + one, top + one))
            return picture.crop(boxes[0]), picture.crop(boxes[1])
    told = " or ".join(map(str, sides))
    mend = "Say how large they are: --panel SIDE"
    raise BadInput.at(where, f"is {picture.width} x {picture.height}: no two panels of {told}", mend)
