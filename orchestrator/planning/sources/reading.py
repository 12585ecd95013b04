"""Rows from a source: what it is, its table, and its pictures in a folder where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from orchestrator.planning.campaign_file import RowSource
from orchestrator.planning.document import Document
from orchestrator.planning.findings import Findings, suggest
from orchestrator.planning.sheets import READERS, Cell, Sheet, read_sheet
from orchestrator.planning.sources import merchant, shopify
from orchestrator.planning.sources.columns import BETWEEN, holds_pictures
from orchestrator.planning.sources.feed import read_feed
from orchestrator.planning.sources.folder import pictures_in, read_folder
from orchestrator.planning.sources.pairs import read_dresscode, read_viton

FEEDS = {".xml": read_feed, ".rss": read_feed, ".atom": read_feed}

_EXPORTED = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", *FEEDS)
"""Files that shops write, or people from what shops wrote: in these a path alone is known by its columns."""

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


def read_source(rows: str | RowSource, document: Document, findings: Findings) -> Source:
    """Reads the rows that a path or a mapping names; mistakes go to `findings`."""
    entry = rows if isinstance(rows, RowSource) else RowSource(path=rows)
    path = document.path.parent / entry.path
    for key in sorted(entry.model_fields_set - {"source", "path"} - TAKES.get(entry.source or "", frozenset())):
        named = entry.source or "a path without source"
        where = document.where("rows", key)
        mend = ", ".join(name for name, keys in TAKES.items() if key in keys)
        findings.add(where, f"means nothing to {named}", f"Leave it out; it goes with source: {mend}")
    if entry.source in ("folder", *_FOLDERS):
        return Source(_read_folder(entry, path, findings), str(path), path)
    sheet = _read_table(entry, path, findings)
    if sheet is not None and entry.pictures is not None:
        sheet = _find_pictures(sheet, entry.pictures, path.parent, document, findings)
    return Source(sheet, str(path), path.parent)


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


def _read_table(entry: RowSource, path: Path, findings: Findings) -> Sheet | None:
    """A table by itself, or, where it is one of a shop, under the names that every source shares."""
    sheet = read_sheet(path, findings, {**READERS, **FEEDS})
    if sheet is None or entry.source == "table":
        return sheet
    if entry.source is not None:
        return _SHOPS[entry.source].arrange(sheet, str(path), entry.per, findings)
    for name, shop in _SHOPS.items():
        if path.suffix.lower() in _EXPORTED and shop.recognises(sheet.columns):
            arranged = shop.arrange(sheet, str(path), entry.per, findings)
            findings.warn(
                f"{path}: read as a {shop.title}, a row for each SKU; rows: {{source: {name}, path: {entry.path}, "
                "per: product} has one for each product, source: table takes the columns as they are"
            )
            return arranged
    if path.suffix.lower() in FEEDS:
        return merchant.arrange(sheet, str(path), entry.per, findings)
    return sheet


def _find_pictures(
    sheet: Sheet, pictures: str, beside: Path, document: Document, findings: Findings
) -> Sheet | None:
    """The rows with files of a folder in place of addresses that end in their names; others stay addresses."""
    folder = document.path.parent / pictures
    if not folder.is_dir():
        near = suggest(
            PurePosixPath(pictures).name, _folders(folder.parent).split(", "), f"Folders in {folder.parent}"
        )
        findings.add(document.where("rows", "pictures"), f"there is no folder {folder}", near)
        return None
    way = PurePosixPath(os.path.relpath(folder, beside).replace(os.sep, "/"))
    here = {name.rpartition("/")[2].casefold(): str(way / name) for name in pictures_in(folder, deep=True)}

    def local(address: str) -> str:
        try:
            name = unquote(urlsplit(address).path).rpartition("/")[2]
        except ValueError:
            return address
        return here.get(name.casefold(), address)

    def replaced(record: Mapping[str, Cell]) -> dict[str, Cell]:
        row = dict(record)
        for column, cell in record.items():
            if isinstance(cell, str) and holds_pictures(column):
                row[column] = BETWEEN.join(local(one) for one in cell.split(BETWEEN))
        return row

    return replace(sheet, records=[(number, replaced(record)) for number, record in sheet.records])
