"""Rows from the folders of try-on research, VITON-HD and DressCode: a person and a garment in each.

VITON-HD: `test_pairs.txt` beside `test/image/` and `test/cloth/` (or these two right beside it). DressCode: in
each of `dresses/`, `lower_body/` and `upper_body/` a `test_pairs_unpaired.txt` and `images/` with both. A line of
a pairs file names the person's picture and the garment's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.planning.findings import Findings, shown, suggest
from orchestrator.planning.sheets import Cell, Sheet

CATEGORIES = ("dresses", "lower_body", "upper_body")
PREFERRED = ("test_pairs.txt", "test_pairs_unpaired.txt", "test_pairs_paired.txt", "train_pairs.txt")
MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class _List:
    """One pairs file: where the pictures of persons, garments and garments' masks lie, relative to the root."""

    file: Path
    persons: str
    garments: str
    masks: str
    category: str = ""


def read_viton(root: Path, pairs: str | None, findings: Findings) -> Sheet | None:
    """A row for each line of a pairs file: `person`, `garment`, `garment_mask` where there are masks, `pair`."""
    file = _pairs_file(root, pairs, findings)
    if file is None:
        return None
    split = file.name.partition("_pairs")[0]
    inside = next((part for part in (f"{split}/", "") if (root / part / "cloth").is_dir()), None)
    if inside is None or not (root / inside / "image").is_dir():
        told = f"has no image/ and cloth/, and neither has {root / split}"
        findings.add(str(root), told, "Name the folder that holds the pairs files, as VITON-HD is unpacked")
        return None
    masks = f"{inside}cloth-mask" if (root / inside / "cloth-mask").is_dir() else ""
    return _read([_List(file, f"{inside}image", f"{inside}cloth", masks)], root, findings)


def read_dresscode(root: Path, pairs: str | None, findings: Findings) -> Sheet | None:
    """A row for each line of the pairs files of all categories: `person`, `garment`, `category`, `pair`."""
    here = [name for name in CATEGORIES if (root / name / "images").is_dir()]
    if not here:
        told = f"has none of {', '.join(f'{name}/images/' for name in CATEGORIES)}"
        findings.add(str(root), told, "Name the folder that holds the categories, as DressCode is unpacked")
        return None
    lists = []
    for name in here:
        file = _pairs_file(root / name, pairs, findings)
        if file is None:
            return None
        lists.append(_List(file, f"{name}/images", f"{name}/images", "", name))
    return _read(lists, root, findings)


def _pairs_file(folder: Path, pairs: str | None, findings: Findings) -> Path | None:
    """The pairs file that is meant: the one named, or the usual one of those here, with a word on the others."""
    try:
        names = sorted(path.name for path in folder.iterdir() if re.fullmatch(r"\w+_pairs\w*\.txt", path.name))
    except OSError as error:
        findings.add(str(folder), f"can't be read ({error.strerror})", "Name the folder that was unpacked")
        return None
    if pairs is not None:
        if pairs in names:
            return folder / pairs
        findings.add(str(folder), f"has no pairs file {shown(pairs)}", suggest(pairs, names, "Pairs files here"))
        return None
    if not names:
        findings.add(
            str(folder), "has no pairs file", "Put test_pairs.txt there: in each line a person and a garment"
        )
        return None
    chosen = next((name for name in PREFERRED if name in names), names[0])
    if len(names) > 1:
        others = ", ".join(name for name in names if name != chosen)
        findings.warn(f"{folder}: pairs come from {chosen}; pairs: names another ({others})")
    return folder / chosen


def _read(lists: Sequence[_List], root: Path, findings: Findings) -> Sheet | None:
    before, several = len(findings), len(lists) > 1
    rows: list[dict[str, Cell]] = []
    lines: dict[int, int] = {}
    for one in lists:
        for line, person, garment in _lines(one.file, findings):
            rows.append(_row(one, person, garment))
            lines[len(rows)] = line
    if len(findings) > before:
        return None
    if not rows:
        findings.add(str(lists[0].file), "names no pair", "Give a person's picture and a garment's in each line")
        return None
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    whole = [(n, {column: row.get(column) for column in columns}) for n, row in enumerate(rows, start=1)]
    return Sheet(columns, whole, {} if several else lines, "pair")


def _lines(file: Path, findings: Findings) -> Iterator[tuple[int, str, str]]:
    """Number of the line, person and garment; a number after them, which DressCode's lists may have, is left."""
    try:
        if file.stat().st_size > MAX_BYTES:
            findings.add(
                str(file), f"has {file.stat().st_size // 10**6} MB", f"{MAX_BYTES // 10**6} MB is the most"
            )
            return
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        findings.add(str(file), f"can't be read ({error})", "Save it as UTF-8 text")
        return
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("\t") if "\t" in line else line.split()
        words = [word.strip() for word in words if word.strip()]
        if not words:
            continue
        if len(words) not in (2, 3) or not "".join(words).isprintable():
            mend = "Write two names with a space or tab between them: 00891_00.jpg 01430_00.jpg"
            findings.add(f"{file}, line {number}", f"{shown(line)} is no pair", mend, group=(file, "pair"))
            continue
        yield number, words[0], words[1]


def _row(one: _List, person: str, garment: str) -> dict[str, Cell]:
    names = [PurePosixPath(name).stem for name in (person, garment)]
    pair = "-".join((one.category, *names)) if one.category else "-".join(names)
    row: dict[str, Cell] = {
        "pair": pair,
        "sku": names[1],
        "person": f"{one.persons}/{person}",
        "garment": f"{one.garments}/{garment}",
    }
    if one.masks:
        row["garment_mask"] = f"{one.masks}/{garment}"
    if one.category:
        row["category"] = one.category
    return row
