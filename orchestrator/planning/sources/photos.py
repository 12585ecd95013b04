"""Pictures of a folder in place of the addresses that end in their names.

A file fits an address by its last parts: of `SKU1/main.jpg` and `SKU2/main.jpg` the one whose folders are the
address's own is taken. Where that does not tell namesakes apart nothing is chosen: it is a mistake.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from orchestrator.planning.fetching.fetcher import public_part
from orchestrator.planning.findings import Findings
from orchestrator.planning.sheets import Cell, Sheet, cell_place
from orchestrator.planning.sources.columns import BETWEEN, holds_pictures
from orchestrator.planning.sources.folder import pictures_in

Parts = tuple[str, ...]
"""Of a path, what stands between `/`, the name last; of an address its host is the first."""

SIZES = frozenset(("v", "width", "height"))
"""What shops ask for another size or version of one picture by, after the `?`."""


def take_photos(sheet: Sheet, source: str, folder: Path, beside: Path, findings: Findings) -> Sheet:
    """The rows with paths of files in place of the addresses that they fit; other addresses stay.

    Args:
        sheet: rows of a shop, under the names that all sources share.
        source: the name of their file, for messages.
        folder: where the pictures are, at any depth.
        beside: what paths in cells are relative to.
        findings: takes files that fit several addresses, and addresses that several files fit.
    """
    names = pictures_in(folder, findings, deep=True)
    cells: dict[str, tuple[int, str]] = {}
    for number, record in sheet.records:
        for column, address in _addresses(record):
            cells.setdefault(address, (number, column))

    def place(address: str) -> str:
        return cell_place(source, sheet.lines, sheet.origins, *cells[address])

    way = PurePosixPath(os.path.relpath(folder, beside).replace(os.sep, "/"))
    fitting = closest(cells, names)
    _note_doubts(fitting, folder, place, findings)
    here = {address: str(way / files[0]) for address, files in fitting.items() if len(files) == 1}

    def replaced(record: Mapping[str, Cell]) -> dict[str, Cell]:
        row = dict(record)
        for column in dict(_addresses(record)):
            row[column] = BETWEEN.join(here.get(one, one) for one in str(record[column]).split(BETWEEN))
        return row

    return replace(sheet, records=[(number, replaced(record)) for number, record in sheet.records])


def _addresses(record: Mapping[str, Cell]) -> Iterator[tuple[str, str]]:
    """Columns of a row that hold pictures, each with every address in it."""
    for column, cell in record.items():
        if isinstance(cell, str) and holds_pictures(column):
            for address in cell.split(BETWEEN):
                yield column, address


def closest(addresses: Iterable[str], names: Iterable[str]) -> dict[str, Sequence[str]]:
    """By address, the files that have most of its last parts: none, the one to take, or several alike.

    Case plays no part, nor whether an accent is a character of its own (macOS), unless that tells files apart. A
    file with more parts of another address is that one's.
    """
    folded: dict[Parts, list[str]] = {}
    exact: dict[Parts, list[str]] = {}
    for name in names:
        for end in _ends(tuple(name.split("/"))):
            exact.setdefault(end, []).append(name)
            folded.setdefault(_fold(end), []).append(name)

    found: dict[str, tuple[Parts, Sequence[str]]] = {}
    claimed: dict[str, int] = {}
    for address in addresses:
        end = next((end for end in _ends(_parts(address)) if _fold(end) in folded), ())
        alike = folded.get(_fold(end), [])
        files = exact[end] if len(alike) > 1 and len(exact.get(end, ())) == 1 else alike
        found[address] = _fold(end), files
        if len(files) == 1:
            claimed[files[0]] = max(claimed.get(files[0], 0), len(end))

    @cache
    def anothers(end: Parts) -> bool:
        return all(claimed.get(name, 0) > len(end) for name in folded.get(end, ()))

    return {address: () if anothers(end) else files for address, (end, files) in found.items()}


def _note_doubts(
    fitting: Mapping[str, Sequence[str]], folder: Path, place: Callable[[str], str], findings: Findings
) -> None:
    """Notes addresses that several files fit equally well, and those that fit the file of another one."""
    takers: dict[str, str] = {}
    for address, files in fitting.items():
        told = public_part(address)
        if len(files) > 1:
            some = " and ".join(files[:3]) + (" and others" if len(files) > 3 else "")
            mend = f"Keep one of them, or lay the right one into the folders of its address: {_path(address)}"
            findings.add(place(address), f"{some} in {folder} fit {told}", mend, group=(folder, "alike"))
        elif files and _identity(other := takers.setdefault(files[0], address)) != _identity(address):
            what = f"{folder / files[0]} would be {told} and {public_part(other)} ({place(other)})"
            mend = "Take it out, and both are fetched"
            if _path(other) != _path(address):
                mend += f", or lay each into the folders of its address: {_path(other)}, {_path(address)}"
            findings.add(place(address), what, mend, group=(folder, "shared"))


def _parts(address: str) -> Parts:
    try:
        url = urlsplit(address)
        return ((url.hostname,) if url.hostname else ()) + tuple(unquote(url.path).lstrip("/").split("/"))
    except ValueError:
        return ()


def _ends(parts: Parts) -> Iterator[Parts]:
    """All that a path can end in, the longest first."""
    return (parts[start:] for start in range(len(parts)))


def _fold(parts: Parts) -> Parts:
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)


def _path(address: str) -> str:
    """What to lay a picture down as, so that it fits this address."""
    return "/".join(_parts(address))


def _identity(address: str) -> tuple[Parts, tuple[tuple[str, str], ...]]:
    """What tells the addresses of two pictures apart."""
    asked = parse_qsl(urlsplit(address).query, keep_blank_values=True)
    return _parts(address), tuple(sorted(pair for pair in asked if pair[0] not in SIZES))
