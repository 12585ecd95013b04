"""Rows from a folder of pictures: one for each picture, with what its name says as columns."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from orchestrator.planning.document import unwritable
from orchestrator.planning.findings import Findings
from orchestrator.planning.sheets import Cell, Sheet

ENDINGS = frozenset(
    (*(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".avif"), ".heic", ".heif", ".jfif")
)

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|(\*)")
_TAKEN = ("name", "image", "file", "folder")
_WRITE = "Write as in {sku}_{view}.jpg: names in braces, each once, and * for what is not needed"


def read_folder(folder: Path, pattern: str | None, findings: Findings) -> Sheet | None:
    """A row for each picture, in the order of their names; None, with the mistake noted, if there is none.

    Args:
        folder: pictures right in it, or below it where the pattern has a `/`.
        pattern: `{sku}_{view}.jpg` names what stands between fixed parts. Without one the parts between `_` are
            `part_1`, `part_2` and so on.
        findings: takes all mistakes.
    """
    matcher = None
    if pattern is not None:
        read = _matcher(pattern)
        if isinstance(read, str):
            findings.add(f"pattern {pattern!r}", read, _WRITE)
            return None
        matcher = read
    before = len(findings)
    names = pictures_in(folder, findings, deep="/" in (pattern or ""))
    if len(findings) > before:
        return None
    if not names:
        findings.add(str(folder), "holds no pictures", "Name a folder of JPEG, PNG, WebP, TIFF or HEIC files")
        return None
    found = [(name, _parts(name, matcher)) for name in names]
    rows = [_row(name, parts) for name, parts in found if parts is not None]
    missed = [name for name, parts in found if parts is None]
    if not rows:
        findings.add(f"pattern {pattern!r}", f"fits none of the {len(names)} pictures, as {names[0]}", _WRITE)
        return None
    if missed:
        some = ", ".join(missed[:3]) + (", …" if len(missed) > 3 else "")
        pictures = "picture doesn't" if len(missed) == 1 else "pictures don't"
        findings.warn(f"{folder}: {len(missed)} {pictures} fit the pattern {pattern} and make no row: {some}")
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    whole = [(n, {column: row.get(column) for column in columns}) for n, row in enumerate(rows, start=1)]
    return Sheet(columns, whole, key="name")


def pictures_in(folder: Path, findings: Findings, *, deep: bool) -> list[str]:
    """Names of pictures relative to their folder, with `/` between folders; hidden files are none.

    Names that can't be kept - not UTF-8, or with control characters - are left out, and noted in `findings`.
    """
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if deep else []
        inside = Path(place).relative_to(folder).as_posix()
        names = (name for name in files if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS)
        found += [name if inside == "." else f"{inside}/{name}" for name in names]
    odd = sorted(name for name in found if unwritable(name))
    if odd:
        _note_names(folder, odd, findings)
    return sorted(set(found).difference(odd))


def _note_names(folder: Path, names: Sequence[str], findings: Findings) -> None:
    some = ", ".join(map(_printable, names[:3])) + (", …" if len(names) > 3 else "")
    pictures = "a picture has a name" if len(names) == 1 else f"{len(names)} pictures have names"
    mend = "Rename it, or the folder that it lies in" if len(names) == 1 else "Rename them, or their folders"
    findings.add(str(folder), f"{pictures} that can't be kept, not UTF-8 or with control characters: {some}", mend)


def _printable(name: str) -> str:
    r"""A name with bytes that are no text, and control characters, as `\xe9`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _matcher(pattern: str) -> re.Pattern[str] | str:
    """The pattern as a regular expression, or what is wrong with it. An early name takes as much as it can."""
    parts, names, end = [], [], 0
    for found in _FIELD.finditer(pattern):
        parts.append(re.escape(pattern[end : found.start()]))
        end = found.end()
        name = found[1]
        if name in names:
            return f"names {name} twice"
        if name in _TAKEN:
            return f"names {name}, which every row has by itself"
        names += [name] if name else []
        parts.append(f"(?P<{name}>[^/]+)" if name else "[^/]*")
    if not names:
        return "names nothing"
    if re.search(r"[{}]", _FIELD.sub("", pattern)):
        return "has a brace that holds no name"
    parts.append(re.escape(pattern[end:]))
    ending = "" if _has_ending(pattern) else r"\.\w+"
    return re.compile("".join(parts) + ending, re.IGNORECASE)


def _has_ending(pattern: str) -> bool:
    """Whether a pattern ends as pictures do, `.jpg` or `.*`: the dot of `{sku}.{view}` begins no ending."""
    suffix = re.escape(PurePosixPath(pattern).suffix.lower()).replace(r"\*", ".*")
    return any(re.fullmatch(suffix, ending) for ending in ENDINGS)


def _parts(name: str, matcher: re.Pattern[str] | None) -> dict[str, str] | None:
    if matcher is not None:
        found = matcher.fullmatch(name)
        return found.groupdict() if found else None
    words = [word for word in PurePosixPath(name).stem.split("_") if word.strip()]
    return {f"part_{n}": word for n, word in enumerate(words, start=1)} if len(words) > 1 else {}


def _row(name: str, parts: dict[str, str]) -> dict[str, Cell]:
    path = PurePosixPath(name)
    row: dict[str, Cell] = {"name": path.with_suffix("").as_posix(), "image": name, "file": path.name}
    if path.parent.parts:
        row["folder"] = path.parent.as_posix()
    return row | {column: value.strip() or None for column, value in parts.items()}
