"""Planning: files of rows as people have them - CSV, Excel, JSON - read into a table.

Another format is another reader in `READERS`.
"""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.planning.findings import Findings, shown, suggest
from orchestrator.planning.sheets import Sheet, from_mappings, tabulate

MAX_BYTES = 200_000_000

LAST_ROW = 1_048_576
"""Of an Excel sheet; a file that names a later one is damaged."""

Reader = Callable[[str, bytes, Findings], Sheet | None]
"""Of the bytes of a file; its path, or its address, is for messages."""


def read_sheet(path: Path, findings: Findings, readers: Mapping[str, Reader] | None = None) -> Sheet | None:
    """Reads a file of rows by its ending; mistakes go to `findings`. None when nothing can be read."""
    readers = READERS if readers is None else readers
    reader = readers.get(path.suffix.lower())
    if reader is None:
        endings = ", ".join(readers)
        findings.add(str(path), f"rows can't be read from a file ending in {path.suffix!r}", f"Give {endings}")
        return None
    try:
        if path.exists() and not path.is_file():
            findings.add(str(path), "is a folder or a device, not a file", "Give the path of a file of rows")
            return None
        if (size := path.stat().st_size) > MAX_BYTES:
            findings.add(str(path), f"has {size // 10**6} MB", f"{MAX_BYTES // 10**6} MB is the most: split it")
            return None
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        findings.add(str(path), f"can't be read ({reason})", _nearby(path, readers))
        return None
    return read_data(str(path), data, reader, findings)


def read_data(source: str, data: bytes, reader: Reader, findings: Findings) -> Sheet | None:
    """Reads what has been read from a file, or fetched; mistakes go to `findings`."""
    before = len(findings)
    sheet = reader(source, data, findings)
    if sheet is not None and not sheet.records and len(findings) == before:
        findings.add(source, "has no rows", "Add a row below the names of the columns")
    return sheet


def _read_csv(source: str, data: bytes, findings: Findings) -> Sheet | None:
    text = _decode(source, data, findings)
    if "\0" in text:
        findings.add(source, "holds zero bytes: it is no text", "Export the table as CSV, UTF-8")
        return None
    named = re.match(r"sep=(.)\r?\n", text)
    text = text[named.end() :] if named else text
    delimiter = named[1] if named else _delimiter(text)
    try:
        records = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
        )
        return tabulate(source, records, findings)
    except csv.Error as error:
        row = _rows_before(text, delimiter)
        mend = 'Close the "quotes" around cells; write a quote inside them twice'
        findings.add(f"{source}, row {row}", f"is not CSV ({error})", mend)
        return None


def _decode(source: str, data: bytes, findings: Findings) -> str:
    """UTF-8 with or without mark, or UTF-16 with one; else what Excel on Windows saves, with a warning."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = data.decode("cp1252", errors="replace")
        around = data[: error.start].decode("cp1252", errors="replace")
        word = re.split(r"[\s;,\t\"]", around)[-1] + re.split(r"[\s;,\t\"]", text[len(around) :])[0]
        findings.warn(
            f"{source}: is not UTF-8 and was read as Windows-1252, so that row {around.count(chr(10)) + 1} "
            f"says {shown(word)}. Save it as UTF-8 if that is wrong"
        )
        return text


def _delimiter(text: str) -> str:
    """What parts the names of the columns: whatever gives most of them, a comma when nothing does."""

    def parts(mark: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text[:65536], newline=""), delimiter=mark), []))
        except csv.Error:
            return 0

    return max(",;\t|", key=parts)


def _rows_before(text: str, delimiter: str) -> int:
    """The number of the row at which CSV stops being CSV."""
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    row = 1
    try:
        for _ in records:
            row += 1
    except csv.Error:
        pass
    return row


def _read_excel(source: str, data: bytes, findings: Findings) -> Sheet | None:
    """The first visible sheet of a workbook, with the values that its formulas had when it was saved."""
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            if (size := sum(part.file_size for part in parts.infolist())) > 5 * MAX_BYTES:
                findings.add(source, f"has {size // 10**6} MB unpacked", "Split it")
                return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            if len(sheets) > 1:
                findings.warn(f"{source}: has {len(sheets)} sheets; rows come from the first, {sheets[0].title!r}")
            return tabulate(source, _excel_rows(source, sheets[0], findings), findings)
    except Exception as error:
        told = f"is no Excel workbook that can be read ({type(error).__name__}: {shown(str(error))})"
        findings.add(source, told, "Save it as .xlsx without a password, or as CSV")
        return None


def _excel_rows(source: str, sheet: Any, findings: Findings) -> Iterator[list[Any]]:
    """The values of each row as far as it has any: sheets may say wrongly how large they are."""
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        if number > LAST_ROW:
            findings.add(source, f"has a row beyond {LAST_ROW}, Excel's last", "Save it again in Excel")
            return
        for cell in cells:
            if cell.data_type == "e":
                where = f"{source}, row {number}, column {cell.column_letter}"
                findings.add(
                    where, f"the formula gives {cell.value}", "Mend it in Excel", group=(source, "formula")
                )
        yield [cell.value for cell in cells]


def _read_json(source: str, data: bytes, findings: Findings) -> Sheet | None:
    try:
        rows = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        findings.add(f"{source}, line {error.lineno}", f"is not JSON ({error.msg})", "Mend it there")
        return None
    except (ValueError, RecursionError) as error:
        findings.add(source, f"is not JSON ({shown(str(error))})", "Save it as JSON, UTF-8")
        return None
    if not isinstance(rows, list):
        findings.add(source, f"holds {shown(rows)}, not a list", 'Give [{"sku": "a-1", …}, …]')
        return None
    return from_mappings(source, enumerate(rows, start=1), findings)


def _read_json_lines(source: str, data: bytes, findings: Findings) -> Sheet | None:
    rows = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            try:
                rows.append((number, json.loads(line.decode("utf-8-sig"))))
            except (ValueError, RecursionError) as error:
                told = f"is not JSON ({shown(str(error))})"
                findings.add(f"{source}, row {number}", told, 'Give {"sku": "a-1", …}', group=(source, "json"))
    return from_mappings(source, rows, findings)


def _nearby(path: Path, readers: Iterable[str]) -> str:
    try:
        names = sorted(one.name for one in path.parent.iterdir() if one.suffix.lower() in readers)
    except (OSError, ValueError):
        return f"There is no folder {path.parent}"
    return suggest(path.name, names, f"Files of rows in {path.parent}")


READERS: Mapping[str, Reader] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".xlsx": _read_excel,
    ".xlsm": _read_excel,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
