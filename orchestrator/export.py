"""A campaign's images as files with names that a person can read.

The store keeps files by content; this copies them to `row-variant-format-seed.png`, or to what the campaign file
calls them. A file that is there with the right content is left alone. One whose name ends in .jpg is a JPEG, and
bears the hash of the image that it was made from.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Row, text

from core.errors import BadInput
from core.images import on_white, read_picture
from orchestrator.planning.keys import variant_key
from orchestrator.planning.names import Naming
from orchestrator.planning.templates import TemplateMistake
from orchestrator.records.storage import Storage

JPEG_ENDINGS = (".jpg", ".jpeg")
JPEG_QUALITY = 95

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

    What gates hold back is left out, unless a person approved it.

    Raises:
        BadInput: two images have one name, or one has none: the campaign was planned anew meanwhile.
    """
    rows = connection.execute(
        text("""
        select item.row_key, item.variant, item.seed, item.format, asset.sha256, asset.size, brief_row.data
        from item join campaign on campaign.id = item.campaign_id join asset on asset.job_id = item.job_id
        left join brief_row on brief_row.campaign_id = campaign.id and brief_row.key = item.row_key
        where campaign.name = :name and not item.obsolete
            and (item.gate not in ('held', 'ready') or item.verdict = 'approved')
        order by brief_row.number, item.id
        """),
        {"name": campaign},
    ).all()
    names: dict[str, Export] = {}
    for row in rows:
        name = _usual_name(row, names) if naming is None else _said_name(row, names, naming, campaign)
        names[name] = Export(name, row.sha256, row.size)
    return list(names.values())


def _usual_name(
    row: Row[tuple[str, dict[str, object], int, str, str, int, object]], taken: dict[str, Export]
) -> str:
    words = [row.row_key, *(str(value) for value in row.variant.values()), row.format]
    name = "-".join(filter(None, (slug(word) for word in words))) + f"-s{row.seed}"
    if f"{name}.png" in taken:
        name = f"{name}-{variant_key({**row.variant, 'row': row.row_key})}"
    return f"{name}.png"


def _said_name(
    row: Row[tuple[str, dict[str, object], int, str, str, int, object]],
    taken: dict[str, Export],
    naming: Naming,
    campaign: str,
) -> str:
    where = f"campaign {campaign}, row {row.row_key}"
    try:
        name = naming.name(row.data or {}, row.variant, row.seed, row.format)
    except TemplateMistake as mistake:
        raise BadInput.at(where, mistake.what, mistake.mend) from mistake
    if name in taken:
        raise BadInput.at(where, f"{name} is the name of another image too", "Plan the campaign again")
    return name


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
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.stem}.{os.getpid()}.part")
    half.write_bytes(as_jpeg(data, one.sha256) if jpeg else data)
    half.replace(path)
    return True


def as_jpeg(data: bytes, sha256: str) -> bytes:
    """An image of the store as a JPEG with full colour resolution; what is transparent turns white."""
    file = io.BytesIO()
    picture = on_white(read_picture(data, f"image {sha256}"))
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True, comment=f"{MARK}{sha256}")
    return file.getvalue()


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


def slug(word: str) -> str:
    """Letters, digits and hyphens of a word, at most 40, for file names on every system."""
    return re.sub(r"[^\w]+", "-", word.lower(), flags=re.UNICODE).strip("-_")[:40]
