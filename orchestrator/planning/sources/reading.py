"""Rows from a source: what it is, its table, and its pictures in a folder where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from orchestrator.planning.campaign_file import RowSource
from orchestrator.planning.document import Document
from orchestrator.planning.fetching.fetcher import Fetcher, public_part
from orchestrator.planning.fetching.refused import Refused
from orchestrator.planning.findings import Findings, shown, suggest
from orchestrator.planning.pictures import place_of
from orchestrator.planning.sheet_files import READERS, read_data, read_sheet
from orchestrator.planning.sheets import Sheet
from orchestrator.planning.sources import merchant, shopify
from orchestrator.planning.sources.feed import read_feed
from orchestrator.planning.sources.folder import read_folder
from orchestrator.planning.sources.pairs import read_dresscode, read_viton
from orchestrator.planning.sources.photos import take_photos

FEEDS = {".xml": read_feed, ".rss": read_feed, ".atom": read_feed}

_READERS = {**READERS, **FEEDS}
_MAPPINGS = (".json", ".jsonl", ".ndjson")
"""Files that no shop writes: in all others a path alone is known by its columns."""

TAKES: Mapping[str, frozenset[str]] = {
    "table": frozenset(),
    "shopify": frozenset(("per", "pictures")),
    "merchant": frozenset(("per", "pictures")),
    "folder": frozenset(("pattern",)),
    "viton-hd": frozenset(("pairs",)),
    "dresscode": frozenset(("pairs",)),
}
"""By source: the keys beside `source` and `path` that mean something to it."""


class _Shop(NamedTuple):
    """How a shop's table is told from others, and how it is put under the names that all share."""

    title: str
    recognises: Callable[[Sequence[str]], bool]
    arrange: Callable[[Sheet, str, str, Findings], Sheet | None]


_SHOPS = {
    "shopify": _Shop("Shopify product export", shopify.recognises, shopify.arrange),
    "merchant": _Shop("Merchant product feed", merchant.recognises, merchant.arrange),
}
_FOLDERS: Mapping[str, Callable[[Path, str | None, Findings], Sheet | None]] = {
    "viton-hd": read_viton,
    "dresscode": read_dresscode,
}


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: the rows, what messages call the place, and what paths in cells are relative to."""

    sheet: Sheet | None
    name: str
    folder: Path


def read_source(rows: str | RowSource, document: Document, findings: Findings, fetcher: Fetcher) -> Source:
    """Reads the rows that a path, an address or a mapping names; mistakes go to `findings`."""
    if not rows:
        findings.add(document.where("rows"), "is an empty text", "Name a file of rows, or leave the key out")
        return Source(None, str(document.path), document.path.parent)
    entry = rows if isinstance(rows, RowSource) else RowSource(path=rows)
    for key in sorted(entry.model_fields_set - {"source", "path"} - TAKES.get(entry.source or "", frozenset())):
        named = entry.source or "a path without source"
        where = document.where("rows", key)
        mend = ", ".join(name for name, keys in TAKES.items() if key in keys)
        findings.add(where, f"means nothing to {named}", f"Leave it out; it goes with source: {mend}")
    try:
        place = place_of(entry.path, document.path.parent, strange=fetcher.strange)
    except Refused as refused:
        findings.add(document.where("rows"), f"{shown(public_part(entry.path))} {refused.what}", refused.mend)
        return Source(None, entry.path, document.path.parent)
    if entry.source in ("folder", *_FOLDERS):
        path = place if isinstance(place, Path) else document.path.parent / place
        return Source(_read_folder(entry, path, findings), str(path), path)
    if isinstance(place, Path):
        sheet, name, folder = read_sheet(place, findings, _READERS), str(place), place.parent
    else:
        sheet, name = _read_fetched(place, document, findings, fetcher), public_part(place)
        folder = document.path.parent
    if sheet is not None:
        sheet = _arrange(sheet, entry, name, findings)
    if sheet is not None and entry.pictures is not None:
        photos = _photos_folder(entry.pictures, document, findings)
        sheet = None if photos is None else take_photos(sheet, name, photos, folder, findings)
    return Source(sheet, name, folder)


def _read_folder(entry: RowSource, path: Path, findings: Findings) -> Sheet | None:
    if not path.is_dir():
        told = "is a file, not a folder" if path.exists() else "is not there"
        mend = (
            "Name a folder"
            if path.exists()
            else f"Check the path; folders in {path.parent}: {_folders(path.parent)}"
        )
        findings.add(str(path), told, mend)
        return None
    if entry.source == "folder":
        return read_folder(path, entry.pattern, findings)
    return _FOLDERS[str(entry.source)](path, entry.pairs, findings)


def _folders(parent: Path) -> str:
    try:
        return ", ".join(sorted(one.name for one in parent.iterdir() if one.is_dir())[:5]) or "none"
    except OSError:
        return "none"


def _read_fetched(address: str, document: Document, findings: Findings, fetcher: Fetcher) -> Sheet | None:
    """The table at an address, read by the ending of its name or, without one, by how it begins."""
    (found,) = fetcher.fetch([address]).values()
    if found.path is None or found.refused is not None:
        mistake = found.refused or Refused("is not there", "Plan again")
        findings.add(document.where("rows"), f"{found.address} {mistake.what}", mistake.mend)
        return None
    if found.warning:
        findings.warn(found.warning)
    data = found.path.read_bytes()
    by_start = {b"<": ".xml", b"PK": ".xlsx", b"[": ".json", b"{": ".jsonl"}
    begins = data[:100].lstrip(b"\xef\xbb\xbf \t\r\n")
    usual = next((ending for start, ending in by_start.items() if begins.startswith(start)), ".csv")
    reader = _READERS.get(_ending(address)) or _READERS[usual]
    return read_data(found.address, data, reader, findings)


def _ending(name: str) -> str:
    return PurePosixPath(urlsplit(name).path).suffix.lower() if "://" in name else Path(name).suffix.lower()


def _arrange(sheet: Sheet, entry: RowSource, source: str, findings: Findings) -> Sheet | None:
    """A table by itself, or, where it is one of a shop, under the names that every source shares."""
    if entry.source == "table":
        return sheet
    if entry.source is not None:
        return _SHOPS[entry.source].arrange(sheet, source, entry.per, findings)
    for name, shop in _SHOPS.items():
        if _ending(source) not in _MAPPINGS and shop.recognises(sheet.columns):
            arranged = shop.arrange(sheet, source, entry.per, findings)
            findings.warn(
                f"{source}: read as a {shop.title}, a row for each SKU; rows: {{source: {name}, path: "
                f"{public_part(entry.path)}, per: product}} has one for each product, source: table takes the "
                "columns as they are"
            )
            return arranged
    if _ending(source) in FEEDS:
        return merchant.arrange(sheet, source, entry.per, findings)
    return sheet


def _photos_folder(pictures: str, document: Document, findings: Findings) -> Path | None:
    """The folder that `pictures` names, or None, with the mistake noted."""
    folder = document.path.parent / pictures
    if folder.is_dir():
        return folder
    near = suggest(
        PurePosixPath(pictures).name, _folders(folder.parent).split(", "), f"Folders in {folder.parent}"
    )
    findings.add(document.where("rows", "pictures"), f"there is no folder {folder}", near)
    return None
