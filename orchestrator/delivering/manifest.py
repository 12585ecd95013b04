"""Delivering: what was delivered, and on whose word: `manifest.json` for programs, `manifest.csv` for people."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BadInput

FORM = "dreamline/delivery/1"
JSON, CSV = "manifest.json", "manifest.csv"


@dataclass(frozen=True, slots=True)
class Line:
    """One delivered file.

    Attributes:
        file: relative to the folder, with `/`.
        sha256: of its bytes.
        width, height: pixels.
        image: sha256 of the image in the store; `native` is its size, `768x1024`.
        made: all that decides the bytes beside the image: a file whose line is the same need not be made again.
        references: kind and sha256 of each reference, in order.
        approved_at: in UTC.
        decision, decision_hash: its number in the campaign's chain, and its hash there (`dreamline audit`).
        destination: whose file it is; empty: in the pixels of its format.
        copy: the texts that stand on it, by name.
    """

    file: str
    row: str
    variant: dict[str, Any]
    format: str
    seed: int
    width: int
    height: int
    bytes: int
    sha256: str
    image: str
    native: str
    made: str
    model: str
    prompt: str
    references: list[str]
    approved_by: str
    approved_at: str
    decision: int
    decision_hash: str
    destination: str = ""
    copy: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A delivery. `decisions` and `head` are number and hash of the last decision in the chain at that time."""

    campaign: str
    program: str
    delivered_by: str
    delivered_at: str
    source_type: str
    decisions: int
    head: str
    files: tuple[Line, ...]

    def as_json(self) -> bytes:
        """`manifest.json`."""
        return (json.dumps({"form": FORM, **asdict(self)}, indent=1, ensure_ascii=False) + "\n").encode()

    def as_csv(self) -> bytes:
        """`manifest.csv`, one line a file, in UTF-8 with the mark by which spreadsheets know it."""
        file = io.StringIO()
        writer = csv.DictWriter(file, list(Line.__dataclass_fields__), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in asdict(line).items()} for line in self.files)
        return file.getvalue().encode("utf-8-sig")


def read_manifest(folder: Path) -> Manifest | None:
    """What an earlier delivery left in a folder; None where there was none.

    Raises:
        BadInput: there is a `manifest.json` that none of ours is.
    """
    path = folder / JSON
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("form") != FORM:
            raise ValueError("another form")
        return Manifest(**{**told, "files": tuple(Line(**line) for line in told["files"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput.at(
            str(path), f"is no manifest of a delivery ({error})", "Name another folder with --output"
        ) from error


def _cell(value: object) -> object:
    """Lists and mappings as JSON; a text that a spreadsheet would take for a formula gets a quote in front."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
