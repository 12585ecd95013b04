"""A campaign's images as files with names that a person can read, to look at: approved or not.

The store keeps files by content; this copies them to `row-variant-format-seed.png`, or to what the campaign file
calls them. A file that is there with the right content is left alone. One whose name ends in .jpg is a JPEG, and
bears the hash of the image that it was made from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from core.errors import BadInput
from core.images import read_picture
from orchestrator.delivering.file_names import file_names
from orchestrator.delivering.items import read_items
from orchestrator.delivering.rendering.images import encode_jpeg
from orchestrator.delivering.whole_files import write_whole
from orchestrator.planning.names import Naming
from orchestrator.records.storage import Storage

JPEG_ENDINGS = (".jpg", ".jpeg")

MARK = "dreamline image sha256:"
"""Begins the comment in a JPEG; the hash of the image as it lies in the store follows."""


@dataclass(frozen=True, slots=True)
class Export:
    """Where an item's image is to lie, relative to the folder of the export."""

    name: str
    sha256: str
    size: int


def list_exports(connection: Connection, campaign: str, naming: Naming | None = None) -> list[Export]:
    """The finished images of a campaign with their file names, in the order of its rows.

    What people rejected is left out, and what gates hold back unless a person approved it.

    Raises:
        BadInput: two images have one name, or one has none: the campaign was planned anew meanwhile.
    """
    items = read_items(connection, campaign)
    return [
        Export(name, item.sha256, item.size)
        for name, item in zip(file_names(campaign, items, naming), items, strict=True)
        if item.sha256 and not item.kept_back
    ]


def export(store: Storage, exports: list[Export], folder: Path) -> int:
    """Writes the files that are not there yet; returns how many were written.

    Raises:
        BadInput: the folder can't be written.
    """
    try:
        return sum(_write(store, one, folder / one.name) for one in exports)
    except OSError as error:
        raise BadInput.at(
            f"folder {folder}", f"can't be written ({error.strerror})", "Name another one with --output"
        ) from error


def _write(store: Storage, one: Export, path: Path) -> bool:
    jpeg = path.suffix.lower() in JPEG_ENDINGS
    if path.exists() and (_mark_in(path) if jpeg else hashlib.sha256(path.read_bytes()).hexdigest()) == one.sha256:
        return False
    data = store.get(one.sha256)
    write_whole(path, as_jpeg(data, one.sha256) if jpeg else data)
    return True


def as_jpeg(data: bytes, sha256: str) -> bytes:
    """An image of the store as a JPEG that bears its hash."""
    return encode_jpeg(read_picture(data, f"image {sha256}"), comment=f"{MARK}{sha256}")


def _mark_in(path: Path) -> str:
    """The hash of the image that a JPEG was made from; nothing where it is another's file."""
    from PIL import Image

    try:
        with Image.open(path, formats=["JPEG"]) as picture:
            comment = picture.info.get("comment", b"")
    except (OSError, SyntaxError, ValueError):
        return ""
    text_ = comment.decode("ascii", errors="replace") if isinstance(comment, bytes) else str(comment)
    return text_.removeprefix(MARK) if text_.startswith(MARK) else ""
