"""Planning: the rows of a campaign, each with the number that a person sees and the key that names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.planning.campaign_file import RowSource
from orchestrator.planning.document import Document
from orchestrator.planning.fetching.fetcher import Fetcher
from orchestrator.planning.findings import Findings, suggest
from orchestrator.planning.sheets import Cell, Sheet, cell_place, from_mappings
from orchestrator.planning.sources.reading import read_source

MAX_ROWS = 1_000_000

KEY_COLUMNS = ("sku", "id", "name")
"""Columns that name a row where the campaign file does not say which does."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `number` is what a person counts (in CSV and Excel the names of the columns are row 1)."""

    number: int
    key: str
    data: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """All rows with what messages need to lead to them.

    Attributes:
        source: the file that they stand in, as messages name it.
        folder: what paths in cells are relative to.
        columns: None when the rows could not be read, so that nothing is known about them.
        rows: in the file's order.
        lines: of rows whose numbers say little: in the campaign file itself, in feeds.
        origins: what the file calls a column that has another name here.
    """

    source: str
    folder: Path
    columns: tuple[str, ...] | None
    rows: tuple[Row, ...]
    lines: Mapping[int, int] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def where(self, row: Row, *columns: str) -> str:
        """The place in words: `products.csv, row 7, column image (Image Src)`."""
        return cell_place(self.source, self.lines, self.origins, row.number, *columns)


def read_rows(
    rows: str | RowSource | Sequence[Mapping[str, Any]] | None,
    key: str | None,
    document: Document,
    findings: Findings,
    fetcher: Fetcher,
) -> Table:
    """Reads the rows that a campaign file names or holds.

    Args:
        rows: a path relative to the campaign file, a source with its path, the rows themselves, or None for one
            row without columns.
        key: the column that names a row; None: the one that the source says, else `sku`, `id` or `name`,
            whichever there is, else the row's number.
        document: the campaign file.
        findings: takes all mistakes.
        fetcher: gets a table that lies at an address.
    """
    folder, before = document.path.parent, len(findings)
    if rows is None:
        if key is not None:
            findings.add(document.where("key"), f"{key!r} names a column, but there are no rows", "Add rows:")
        return Table(str(document.path), folder, (), (Row(1, "1", {}),))
    if isinstance(rows, str | RowSource):
        read = read_source(rows, document, findings, fetcher)
        sheet, source, folder = read.sheet, read.name, read.folder
    else:
        source = str(document.path)
        lines = {
            n: document.lines[place]
            for n in range(1, len(rows) + 1)
            if (place := ("rows", n - 1)) in document.lines
        }
        sheet = from_mappings(source, enumerate(rows, start=1), findings, lines)
    if sheet is not None and not sheet.columns and len(findings) == before:
        findings.add(document.where("rows"), "has no rows with columns", "Add one, or leave out rows:")
    if sheet is None or not sheet.columns:
        return Table(source, folder, None, ())
    if len(sheet.records) > MAX_ROWS:
        findings.add(source, f"has {len(sheet.records)} rows", f"{MAX_ROWS} is the most: split the campaign")
        return Table(source, folder, sheet.columns, ())
    column = _key_column(key, sheet, document, findings)
    named = tuple(_name_rows(source, sheet, column, findings))
    return Table(source, folder, sheet.columns, named, sheet.lines, sheet.origins)


def _key_column(key: str | None, sheet: Sheet, document: Document, findings: Findings) -> str | None:
    if key is not None:
        if key in sheet.columns:
            return key
        findings.add(document.where("key"), f"there is no column {key!r}", suggest(key, sheet.columns, "Columns"))
        return None
    if sheet.key is not None:
        return sheet.key
    folded = {column.casefold(): column for column in reversed(sheet.columns)}
    return next((folded[name] for name in KEY_COLUMNS if name in folded), None)


def _name_rows(source: str, sheet: Sheet, column: str | None, findings: Findings) -> Iterable[Row]:
    first: dict[str, int] = {}
    for number, record in sheet.records:
        value = number if column is None else record[column]
        key = "" if value is None else str(value)
        if column is not None and (not key or key in first):
            where = cell_place(source, sheet.lines, sheet.origins, number, column)
            if key:
                told, mend = f"{key!r} names row {first[key]} too", "Give every row a name of its own"
            else:
                told, mend = "is empty, and this column names the rows", "Fill it"
            findings.add(where, told, f"{mend}, or name another column with key:", group=("row key", bool(key)))
        first.setdefault(key, number)
        yield Row(number, key, record)
