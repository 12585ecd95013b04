"""Planning: a table of rows - its columns, and the filled rows with the numbers that a person sees beside them.

It knows nothing of campaigns, and nothing of the files that it came from (`sheet_files`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from orchestrator.planning.document import unwritable
from orchestrator.planning.findings import Findings, shown

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of rows.

    Attributes:
        columns: their names, in order.
        records: each filled row with the number it has for a person.
        lines: where a record's number says little (JSON lines, feeds), the line of each.
        key: the column that names a row by the source's own rules; None: whichever column of the usual ones.
        origins: what the file itself calls a column that has a friendlier name here.
    """

    columns: tuple[str, ...]
    records: Sequence[tuple[int, Mapping[str, Cell]]]
    lines: Mapping[int, int] = field(default_factory=dict)
    key: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def cell_place(
    source: str, lines: Mapping[int, int], origins: Mapping[str, str], number: int, *columns: str
) -> str:
    """The place of a row's cells in words: `feed.xml, line 4, row 2, column image (image_link)`."""
    line = f", line {lines[number]}" if number in lines else ""
    named = (f"{column} ({origins[column]})" if column in origins else column for column in columns)
    names = f", column {' or '.join(named)}" if columns else ""
    return f"{source}{line}, row {number}{names}"


def plain(value: Any) -> Cell:
    """A cell as templates and the database get it: whole numbers whole, moments as ISO texts, empty as None.

    A length of time is a text as spreadsheets show it, in hours, minutes and seconds: `26:30:00`.

    Raises:
        ValueError: it is a list, a mapping or a number without end.
    """
    if isinstance(value, str):
        return value.strip() or None
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(value)
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time.min else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    raise ValueError(value)


def _duration(length: timedelta) -> str:
    seconds, rest = divmod(abs(length), timedelta(seconds=1))
    sign = "-" if length < timedelta() else ""
    fraction = f".{rest.microseconds:06}" if rest else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def tabulate(source: str, records: Iterable[list[Any]], findings: Findings) -> Sheet | None:
    """The first filled record names the columns; a person counts it as row 1 if it stands on top."""
    numbered = ((number, cells) for number, cells in enumerate(records, start=1) if any(map(_filled, cells)))
    number, header = next(numbered, (0, []))
    if not header:
        findings.add(source, "is empty", "Begin it with the names of the columns")
        return None
    columns = [str(cell).strip() if cell is not None else "" for cell in header]
    while not columns[-1]:
        columns.pop()
    if not _sound_columns(f"{source}, row {number}", columns, findings):
        return None
    return Sheet(tuple(columns), list(_records(source, columns, numbered, findings)))


def _records(
    source: str, columns: list[str], numbered: Iterator[tuple[int, list[Any]]], findings: Findings
) -> Iterator[tuple[int, Mapping[str, Cell]]]:
    width = len(columns)
    for number, cells in numbered:
        where = f"{source}, row {number}"
        if len(cells) > width and any(map(_filled, cells[width:])):
            told = f"has {len(cells)} cells where the table has {width} columns"
            findings.add(where, told, 'Put a cell that holds the separator into "quotes"', group=(source, "width"))
            continue
        record: dict[str, Cell] = dict.fromkeys(columns)
        for column, cell in zip(columns, cells, strict=False):
            record[column] = _checked(where, column, cell, findings)
        yield number, record


def _filled(cell: Any) -> bool:
    return cell is not None and (not isinstance(cell, str) or bool(cell.strip()))


def _sound_columns(where: str, columns: list[str], findings: Findings) -> bool:
    sound = True
    for index, column in enumerate(columns, start=1):
        if not column:
            findings.add(where, f"column {index} has no name", "Name it, or delete the column")
        elif (first := columns.index(column) + 1) != index:
            findings.add(where, f"column {index} is called {column!r}, and so is {first}", "Rename or delete one")
        elif odd := unwritable(column):
            findings.add(where, f"the name of column {index} holds the character {odd}", "Leave it out")
        else:
            continue
        sound = False
    return sound


def _checked(row: str, column: str, value: Any, findings: Findings) -> Cell:
    """The cell; one that can't be kept is noted, with its place, and empty where it is no value at all."""
    where = f"{row}, column {column}"
    try:
        cell = plain(value)
    except ValueError:
        told = f"{shown(value)} is neither text nor number"
        findings.add(where, told, "Give one value a cell", group=("value", column))
        return None
    if isinstance(cell, str) and not cell.isprintable() and (odd := unwritable(cell)):
        findings.add(where, f"the character {odd} can't be kept", "Leave it out", group=("odd", odd))
    return cell


def from_mappings(
    source: str, rows: Iterable[tuple[int, Any]], findings: Findings, lines: Mapping[int, int] | None = None
) -> Sheet:
    """A table from rows that name their own columns; a row without one of them has an empty cell there."""
    lines = lines or {}
    columns: dict[str, None] = {}
    records: list[tuple[int, Mapping[str, Cell]]] = []
    for number, row in rows:
        where = f"{source}, line {lines[number]}, row {number}" if number in lines else f"{source}, row {number}"
        if not isinstance(row, Mapping):
            findings.add(where, f"{shown(row)} is no row", "Give columns with values", group=(source, "row"))
            continue
        record: dict[str, Cell] = {}
        for name, value in row.items():
            column = str(name).strip()
            if column in record:
                findings.add(where, f"column {column!r} stands twice", "Keep one")
            record[column] = _checked(where, column, value, findings)
        columns.update(dict.fromkeys(record))
        records.append((number, record))
    names = tuple(columns)
    if names and not _sound_columns(source, list(names), findings):
        return Sheet((), [], lines)
    whole = [(number, {name: record.get(name) for name in names}) for number, record in records]
    return Sheet(names, whole, lines)
