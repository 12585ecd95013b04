"""A campaign's images as files with names that a person can read.

The store keeps files by content; this copies them to `row-variant-format-seed.png`. A file that is there
with the right content is left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from core.errors import BadInput
from orchestrator.planning.keys import variant_key
from orchestrator.records.storage import Storage


@dataclass(frozen=True, slots=True)
class Export:
    """Where an item's image is to lie."""

    name: str
    sha256: str
    size: int


def list_exports(connection: Connection, campaign: str) -> list[Export]:
    """The finished images of a campaign with their file names, in the order of its rows.

    What gates hold back is left out, unless a person approved it.
    """
    rows = connection.execute(
        text("""
        select item.row_key, item.variant, item.seed, item.format, asset.sha256, asset.size
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
        words = [row.row_key, *(str(value) for value in row.variant.values()), row.format]
        name = "-".join(filter(None, (slug(word) for word in words))) + f"-s{row.seed}"
        if name in names:
            name = f"{name}-{variant_key({**row.variant, 'row': row.row_key})}"
        names[name] = Export(f"{name}.png", row.sha256, row.size)
    return list(names.values())


def export(store: Storage, exports: list[Export], folder: Path) -> int:
    """Writes the files that are not there yet; returns how many were written."""
    try:
        return _write(store, exports, folder)
    except OSError as error:
        raise BadInput.at(
            f"folder {folder}", f"can't be written ({error.strerror})", "Name another one with --output"
        ) from error


def _write(store: Storage, exports: list[Export], folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for one in exports:
        path = folder / one.name
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == one.sha256:
            continue
        half = path.with_suffix(f".{os.getpid()}.part")
        half.write_bytes(store.get(one.sha256))
        half.replace(path)
        written += 1
    return written


def slug(word: str) -> str:
    """Letters, digits and hyphens of a word, at most 40, for file names on every system."""
    return re.sub(r"[^\w]+", "-", word.lower(), flags=re.UNICODE).strip("-_")[:40]
