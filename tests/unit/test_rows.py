"""Files of rows as people have them: dialects, encodings, Excel, JSON, and what is wrong with them."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.settings import Settings
from orchestrator.planning.document import Document
from orchestrator.planning.fetching.fetcher import Fetcher
from orchestrator.planning.findings import Findings
from orchestrator.planning.rows import Table, read_rows
from orchestrator.planning.sheets import plain, tabulate

TABLE = [["sku", "noun"], ["a-1", "mug"], ["a-2", "sneaker"]]


def read(folder: Path, name: Any, data: bytes | str = b"", key: str | None = None) -> tuple[Table, Findings]:
    if data:
        folder.joinpath(name).write_bytes(data.encode() if isinstance(data, str) else data)
    findings = Findings()
    document = Document(folder / "campaign.yaml", "", {}, {("key",): 3, ("rows", 0): 5, ("rows", 1): 6})
    return read_rows(name, key, document, findings, Fetcher(Settings(home=folder))), findings


def told(findings: Findings) -> str:
    return "\n".join(str(problem) for problem in findings.problems)


def as_csv(rows: list[list[str]], **dialect: Any) -> str:
    written = io.StringIO()
    csv.writer(written, **dialect).writerows(rows)
    return written.getvalue()


def as_excel(path: Path, rows: list[list[Any]], more: str = "") -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if more:
        book.create_sheet(more).append(["other"])
    book.save(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_of_every_common_make_is_read_alike(tmp_path: Path, delimiter: str, encoding: str, end: str) -> None:
    rows = [["sku", "noun"], ["a-1", "Käse; a, b | c\tgrün"], ["a-2", 'two\nlines "quoted"']]
    data = as_csv(rows, delimiter=delimiter, lineterminator=end).encode(encoding)
    table, findings = read(tmp_path, "rows.csv", data)
    assert not findings
    assert [(row.number, row.key) for row in table.rows] == [(2, "a-1"), (3, "a-2")]
    assert [row.data["noun"] for row in table.rows] == [rows[1][1], rows[2][1]]


cell = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12).map(str.strip)


@settings(deadline=None)
@given(
    columns=st.lists(cell.filter(bool), min_size=2, max_size=4, unique=True),
    rows=st.lists(st.lists(cell, min_size=4, max_size=4), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_is_written_as_csv_is_read_back(
    columns: list[str],
    rows: list[list[str]],
    delimiter: str,
    quoting: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    columns = [column.replace('"', "'") for column in columns]
    if any(mark in "".join(columns) for mark in ",;\t|") or len(set(columns)) < len(columns):
        return
    body = [row[: len(columns)] for row in rows]
    text = as_csv(
        [["row key", *columns], *([f"k{n}", *row] for n, row in enumerate(body))],
        delimiter=delimiter,
        quoting=quoting,
    )
    if columns[0] == "row key" or text.startswith("sep="):
        return
    table, findings = read(tmp_path_factory.getbasetemp(), "given.csv", text, key="row key")
    assert not findings, told(findings)
    assert [[row.data[column] or "" for column in columns] for row in table.rows] == body


@settings(deadline=None)
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@pytest.mark.parametrize("name", ["any.csv", "any.xlsx", "any.json", "any.jsonl"])
def test_any_bytes_are_rows_or_told_of(name: str, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    table, findings = read(tmp_path_factory.getbasetemp(), name, data or b" ")
    assert table.rows or findings


def test_rows_are_numbered_as_a_spreadsheet_numbers_them(tmp_path: Path) -> None:
    table, _ = read(tmp_path, "rows.csv", 'sku,noun\na,"two\nlines"\n\n,\nb,mug\n')
    assert [(row.number, row.key) for row in table.rows] == [(2, "a"), (5, "b")]
    assert table.where(table.rows[1], "noun") == f"{tmp_path / 'rows.csv'}, row 5, column noun"


def test_leading_zeros_and_hints_of_the_separator_survive(tmp_path: Path) -> None:
    table, _ = read(tmp_path, "rows.csv", "sep=;\nsku;noun\n00123;a,b\n")
    assert table.rows[0].data == {"sku": "00123", "noun": "a,b"}


def test_windows_1252_is_read_with_a_warning_that_shows_a_word(tmp_path: Path) -> None:
    table, findings = read(tmp_path, "rows.csv", "sku,noun\na,mug\nb,schönes Kännchen\n".encode("cp1252"))
    assert table.rows[1].data["noun"] == "schönes Kännchen"
    assert "read as Windows-1252, so that row 3 says 'schönes'" in findings.warnings[0]


def test_whole_numbers_of_excel_stay_whole(tmp_path: Path) -> None:
    rows = [
        ["sku", "price", "day", "time", "sale", "note"],
        [1001, 9.5, date(2026, 7, 1), datetime.fromisoformat("2026-07-01T08:30"), True, None],
        [],
        [1002.0, 3.0, None, None, False, "  ok "],
    ]
    as_excel(tmp_path / "rows.xlsx", rows, more="Prices")
    table, findings = read(tmp_path, "rows.xlsx")
    assert not findings
    assert "has 2 sheets" in findings.warnings[0]
    assert [(row.number, row.key) for row in table.rows] == [(2, "1001"), (4, "1002")]
    assert dict(table.rows[0].data) == {
        "sku": 1001,
        "price": 9.5,
        "day": "2026-07-01",
        "time": "2026-07-01 08:30:00",
        "sale": True,
        "note": None,
    }
    assert [repr(table.rows[1].data[name]) for name in ("sku", "price", "note")] == ["1002", "3", "'ok'"]


def test_a_formula_that_failed_is_told_by_its_cell(tmp_path: Path) -> None:
    as_excel(tmp_path / "rows.xlsx", [["sku", "noun"], ["a", "#REF!"]])
    _, findings = read(tmp_path, "rows.xlsx")
    assert "row 2, column B: the formula gives #REF!" in told(findings)


def rewrite(path: Path, pattern: bytes, by: bytes) -> None:
    """Replaces bytes in every part of a workbook."""
    with zipfile.ZipFile(path) as parts:
        held = {name: parts.read(name) for name in parts.namelist()}
    with zipfile.ZipFile(path, "w") as parts:
        for name, data in held.items():
            parts.writestr(name, re.sub(pattern, by, data))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([None, "x", 7]), max_size=4).map(lambda cells: ["key", *cells]),
        min_size=1,
        max_size=6,
    ),
    blank=st.integers(0, 2),
    size=st.sampled_from(["A1", "A1:A1", "B2:C3", "A1:B2", "A1:Z99"]),
)
def test_cells_beyond_the_size_that_a_sheet_claims_are_read(
    rows: list[list[Any]], blank: int, size: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("sized") / "rows.xlsx"
    named = [[f"{cells[0]}-{n}", *cells[1:]] for n, cells in enumerate(rows)]
    as_excel(path, [["sku", "a", "b", "c", "d"], *([] for _ in range(blank)), *named])
    rewrite(path, rb'<dimension ref="[^"]*"', f'<dimension ref="{size}"'.encode())
    table, findings = read(path.parent, "rows.xlsx")
    assert not findings, told(findings)
    assert [row.number for row in table.rows] == [n + 2 + blank for n in range(len(rows))]
    assert [list(row.data.values()) for row in table.rows] == [
        cells + [None] * (5 - len(cells)) for cells in named
    ]


def test_a_row_beyond_the_last_of_excel_is_told(tmp_path: Path) -> None:
    as_excel(tmp_path / "rows.xlsx", [["sku"], ["a"]])
    rewrite(tmp_path / "rows.xlsx", rb'<row r="2"', b'<row r="99999999999"')
    _, findings = read(tmp_path, "rows.xlsx")
    assert "has a row beyond 1048576, Excel's last" in told(findings)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(hours=1, minutes=30), "1:30:00"),
        (timedelta(days=1, hours=2, seconds=5), "26:00:05"),
        (timedelta(milliseconds=1500), "0:00:01.500000"),
    ],
)
def test_a_length_of_time_is_a_text_as_excel_shows_it(tmp_path: Path, length: timedelta, text: str) -> None:
    as_excel(tmp_path / "rows.xlsx", [["sku", "runs"], ["a", length], ["b", None]])
    table, findings = read(tmp_path, "rows.xlsx")
    assert not findings, told(findings)
    assert [row.data["runs"] for row in table.rows] == [text, None]


@given(length=st.timedeltas())
def test_every_length_of_time_is_read_back_from_its_text(length: timedelta) -> None:
    text = str(plain(length))
    hours, minutes, seconds = text.removeprefix("-").split(":")
    whole, _, fraction = seconds.partition(".")
    back = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(whole), microseconds=int(fraction or 0))
    assert (-back if text.startswith("-") else back) == length


def test_a_cell_that_is_no_value_is_told_by_row_and_column_alone(tmp_path: Path) -> None:
    findings = Findings()
    sheet = tabulate("rows.xlsx", [["sku", "weight"], ["a", 1.5], ["b", float("inf")]], findings)
    assert sheet is not None
    assert [dict(record) for _, record in sheet.records] == [
        {"sku": "a", "weight": 1.5},
        {"sku": "b", "weight": None},
    ]
    (problem,) = findings.problems
    assert str(problem).startswith("rows.xlsx, row 3, column weight: inf is neither text nor number")


def test_json_rows_fill_what_they_lack_with_empty_cells(tmp_path: Path) -> None:
    rows = [{"sku": "a", "price": 3.0}, {"sku": "b", "noun": "mug"}]
    whole, _ = read(tmp_path, "rows.json", json.dumps(rows))
    lines, _ = read(tmp_path, "rows.jsonl", "\n\n".join(map(json.dumps, rows)))
    for table in (whole, lines):
        assert table.columns == ("sku", "price", "noun")
        assert [dict(row.data) for row in table.rows] == [
            {"sku": "a", "price": 3, "noun": None},
            {"sku": "b", "price": None, "noun": "mug"},
        ]
    assert [row.number for row in whole.rows] == [1, 2]
    assert [row.number for row in lines.rows] == [1, 3]


def test_rows_in_the_campaign_file_know_their_lines(tmp_path: Path) -> None:
    table, findings = read(tmp_path, [{"noun": "mug", "id": 7}, {"noun": "lamp", "id": 8}])
    assert not findings
    assert [row.key for row in table.rows] == ["7", "8"]
    assert table.where(table.rows[1]) == f"{tmp_path / 'campaign.yaml'}, line 6, row 2"


def test_without_rows_there_is_one_without_columns(tmp_path: Path) -> None:
    table, _ = read(tmp_path, None)
    assert [(row.key, dict(row.data)) for row in table.rows] == [("1", {})]


@pytest.mark.parametrize(
    ("columns", "key", "chosen"),
    [
        ("name,id,sku", None, "c"),
        ("Name,ID,x", None, "b"),
        ("x,y,z", None, "2"),
        ("sku,y,z", "y", "b"),
    ],
)
def test_a_row_is_named_by_the_first_column_that_can(
    columns: str, key: str | None, chosen: str, tmp_path: Path
) -> None:
    table, findings = read(tmp_path, "rows.csv", f"{columns}\na,b,c\n", key)
    assert not findings
    assert table.rows[0].key == chosen


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("sku,noun\na,mug\nb,lamp\na,hat\n", "row 4, column sku: 'a' names row 2 too"),
        ("sku,noun\na,mug\n,lamp\n", "row 3, column sku: is empty, and this column names the rows"),
        ("sku,noun,sku\na,b,c\n", "row 1: column 3 is called 'sku', and so is 1"),
        ("sku,,noun\na,b,c\n", "row 1: column 2 has no name"),
        ("sku,noun\na,mug, red\n", "row 2: has 3 cells where the table has 2 columns"),
        ('sku,noun\na,mug\nb,"lamp\n', "row 3: is not CSV"),
        ("sku,noun\n", "has no rows"),
        ("\n \n", "is empty"),
        ("sku,noun\na,m\x00g\n", "holds zero bytes"),
        ("sku,noun\na,m\x07g\n", "row 2, column noun: the character U+0007 can't be kept"),
    ],
)
def test_mistakes_in_csv_are_told_with_their_place(data: str, said: str, tmp_path: Path) -> None:
    _, findings = read(tmp_path, "rows.csv", data)
    assert said in told(findings)
    assert len(findings.problems) == 1


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("rows.xls", "x", "rows can't be read from a file ending in '.xls'"),
        ("lacking.csv", "", "can't be read (No such file or directory). Did you mean 'lacing.csv'?"),
        ("rows.xlsx", "no zip", "is no Excel workbook that can be read"),
        ("rows.json", '{"sku": 1}', "not a list"),
        ("rows.json", '[{"sku": [1]}, 3]', "row 1, column sku: [1] is neither text nor number"),
        ("rows.json", '[\n{"sku": 1\n]', "line 3: is not JSON"),
        ("rows.json", '[{"sku": NaN}]', "row 1, column sku: nan is neither text nor number"),
        ("rows.jsonl", '{"sku": 1}\n{"sku": }', "row 2: is not JSON"),
    ],
)
def test_mistakes_in_other_files_are_told_with_their_place(
    name: str, data: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "lacing.csv").write_text("sku\n1\n")
    _, findings = read(tmp_path, name, data)
    assert said in told(findings)


def test_what_many_rows_share_is_shown_three_times_and_counted(tmp_path: Path) -> None:
    _, findings = read(tmp_path, "rows.csv", "sku,noun\n" + "a,mug\n" * 501)
    assert len(findings.problems) == 3
    assert "(and 497 more rows)" in findings.problems[-1].what


def test_a_key_that_is_no_column_is_told_with_the_columns(tmp_path: Path) -> None:
    _, findings = read(tmp_path, "rows.csv", "sku,noun\na,mug\n", key="noum")
    assert told(findings).endswith(
        "line 3, key key: there is no column 'noum'. Did you mean 'noun'? Columns: sku, noun"
    )
