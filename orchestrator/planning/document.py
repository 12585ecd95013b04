"""Planning: a YAML or JSON file read with the line of every key, for messages that lead to the place.

YAML is read as YAML 1.2 has it: only `true` and `false` are truth values (a country `no` stays a text), dates
stay texts, and so do numbers with leading zeros (an article number 00123). Depth and size are bounded, aliases
counted for what they stand for, so that no small file grows large.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

from core.errors import BadInput
from orchestrator.planning.findings import Findings, shown

MAX_BYTES = 20_000_000
MAX_NODES = 1_000_000
MAX_DEPTH = 40

Place = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_DECIMAL = re.compile(r"[-+]?[0-9]{0,30}\.[0-9]+([eE][-+]?[0-9]{1,3})?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_PAIR = re.compile(r"(?i)\\u(d[89ab]..)\\u(d[c-f]..)")
_QUOTES = 'Put texts that hold any of : # { } [ ] or begin with % @ ` & * into "quotes"'


@dataclass(frozen=True, slots=True)
class Document:
    """A file of keys: its value, its text, and the line (from 1) of each key and list item."""

    path: Path
    text: str
    value: Mapping[str, Any]
    lines: Mapping[Place, int]

    def where(self, *place: str | int) -> str:
        """The place in words: `campaign.yaml, line 4, key references.product.kind`."""
        near = next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self.lines), None)
        line = f", line {self.lines[near]}" if near is not None else ""
        return f"{self.path}{line}{in_words(place)}"

    def renamed(self, place: Place, name: str) -> Document:
        """The same file as if the last key of `place` had been called `name`: its lines are found under both."""
        moved = {
            (*place[:-1], name, *one[len(place) :]): line
            for one, line in self.lines.items()
            if one[: len(place)] == place
        }
        return replace(self, lines={**self.lines, **moved})


def in_words(place: Place) -> str:
    """`, key seeds, item 2` for `("seeds", 1)`; items are counted from 1."""
    keys: list[str] = []
    words = ""
    for part in place:
        if isinstance(part, int):
            words += f", key {'.'.join(keys)}, item {part + 1}" if keys else f", item {part + 1}"
            keys = []
        else:
            keys.append(part)
    return words + (f", key {'.'.join(keys)}" if keys else "")


def read_document(
    path: Path, findings: Findings, shown_in: str = "docs/campaign-file.md shows a whole campaign file"
) -> Document:
    """Reads a file whose outermost value is a mapping. A key that stands twice is noted in `findings`.

    `shown_in` says where to look for one that is right.

    Raises:
        BadInput: the file can't be read, or is neither YAML nor JSON, or is too large or deep.
    """
    return parse_document(_read_text(path), path, findings, shown_in)


def parse_document(
    text: str, path: Path, findings: Findings, shown_in: str = "docs/campaign-file.md shows a whole campaign file"
) -> Document:
    """The same of a text that was read from `path`.

    Raises:
        BadInput: as `read_document` does.
    """
    if path.suffix.lower() == ".json":
        value, lines = _read_json(text, path, findings)
    else:
        value, lines = _read_yaml(text, path, findings)
    if not isinstance(value, dict):
        told = "is empty" if value is None else f"holds {shown(value)}"
        raise BadInput.at(str(path), f"{told}, not keys with values", shown_in)
    return Document(path, text, value, lines)


def scalar(text: str) -> str | int | float | bool | None:
    """What an unquoted word means: a number, true, false, nothing, or the text itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def unwritable(text: str) -> str:
    """The first character that can't be kept (control characters, halves of pairs), or nothing."""
    found = _CONTROL.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput.at(str(path), f"can't be read ({reason})", "Check the path") from error
    if len(data) > MAX_BYTES:
        raise BadInput.at(
            str(path),
            f"is larger than {MAX_BYTES // 10**6} MB",
            "Put the rows into a file of their own: rows: FILE",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput.at(f"{path}, line {line}", "is not UTF-8 text", "Save the file as UTF-8") from error


def _read_yaml(text: str, path: Path, findings: Findings) -> tuple[Any, Mapping[Place, int]]:
    reader = _Reader(text, path, findings)
    try:
        return reader.read(), reader.lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise BadInput.at(where, f"is not YAML ({said})", _QUOTES) from error


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _read_json(text: str, path: Path, findings: Findings) -> tuple[Any, Mapping[Place, int]]:
    """Values by JSON's own rules. Lines come from YAML's reader, to which a tab outside a text is a space."""
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise BadInput.at(f"{path}, line {error.lineno}", f"is not JSON ({error.msg})", "Mend it there") from error
    except (ValueError, RecursionError) as error:
        raise BadInput.at(str(path), f"can't be read ({shown(str(error))})", "Mend it there") from error
    reader = _Reader(_PAIR.sub("?", text.replace("\t", " ")), path, findings)
    with contextlib.suppress(yaml.YAMLError):
        reader.read()
    if odd := next(filter(None, map(unwritable, _texts(value))), ""):
        raise BadInput.at(str(path), f"the character {odd} can't be kept", "Leave it out")
    return value, reader.lines


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _finite(digits: str) -> float:
    return number if math.isfinite(number := float(digits)) else _no_number(digits)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


class _Reader:
    """Builds values from YAML's events: no recursion in the parser, no node that is built twice."""

    def __init__(self, text: str, path: Path, findings: Findings) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._path = path
        self._findings = findings
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self.lines: dict[Place, int] = {}

    def read(self) -> Any:
        """The one value of the file, or None when there is none.

        Raises:
            BadInput: too much of it, or what has no meaning here.
            yaml.YAMLError: it is no YAML.
        """
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), (), 0)
        next(self._events)
        if not isinstance(after := next(self._events), yaml.StreamEndEvent):
            raise self._refuse(after, "a second document begins here", "One file holds one campaign")
        return value

    def _value(self, event: Any, place: Place, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._nodes
        self._count(event, 1)
        if depth > MAX_DEPTH:
            raise self._refuse(event, f"is nested more than {MAX_DEPTH} deep", "Brackets may be left open")
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._refuse(event, f"the tag {shown(event.tag)} has no meaning here", "Leave it out")
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(place, depth)
        else:
            value = self._mapping(place, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._nodes - before
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise self._refuse(event, f"*{event.anchor} stands for nothing", f"Mark a value with &{event.anchor}")
        value, nodes = self._anchors[event.anchor]
        self._count(event, nodes)
        return value

    def _scalar(self, event: Any) -> Any:
        if odd := unwritable(event.value):
            raise self._refuse(event, f"the character {odd} can't be kept", "Leave it out")
        return scalar(event.value) if event.implicit[0] else event.value

    def _list(self, place: Place, depth: int) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*place, len(values))
            self.lines[here] = _line(event)
            values.append(self._value(event, here, depth + 1))
        return values

    def _mapping(self, place: Place, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                mend = 'Put templates into quotes: "{{ row.noun }}"'
                raise self._refuse(event, "a text is wanted where a bracket or a * stands", mend)
            key, line = str(event.value), _line(event)
            self._scalar(event)
            here = (*place, key)
            if key in values:
                mend = f"It stands in line {self.lines[here]} too: keep one"
                self._findings.add(f"{self._path}, line {line}{in_words(here)}", "stands twice", mend)
                self._value(next(self._events), (*here, "again"), depth + 1)
                continue
            self.lines[here] = line
            values[key] = self._value(next(self._events), here, depth + 1)
        return values

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._refuse(event, f"more than {MAX_NODES} values", "Put the rows into a file of their own")

    def _refuse(self, event: Any, what: str, mend: str) -> BadInput:
        return BadInput.at(f"{self._path}, line {_line(event)}", what, mend)
