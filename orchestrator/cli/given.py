"""What the command line gives to `dreamline generate`: references, their options, a size; and where files are.

Where a reference's file was is noted below the home, by its hash, so that a recipe finds it again; the recipe in
the image names no paths.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings

if TYPE_CHECKING:
    from core.cards import ModelCard
    from core.errors import Problem
    from core.registry import Offer
    from core.requests import Reference


@dataclass(frozen=True)
class Given:
    """One reference as the command line says it."""

    kind: str
    name: str
    path: Path


def read_given(given: Sequence[tuple[str, str]]) -> list[Given]:
    """`mug=a.png` has a name; a path alone is named by its kind.

    Raises:
        BadInput: two references have one name.
    """
    from core.errors import BadInput, Problem

    found: list[Given] = []
    problems = []
    for kind, text in given:
        name, equals, path = text.partition("=")
        if not equals or not NAME.fullmatch(name):
            count = sum(one.kind == kind for one in found)
            name, path = f"{kind}{count + 1}" if count else kind, text
        if name in [one.name for one in found]:
            problems.append(Problem(f"option --{kind}", f"the name {name!r} is taken", "Give each its own name"))
        found.append(Given(kind, name, Path(path)))
    BadInput.gather(problems)
    return found


NAME = re.compile(r"[A-Za-z_][\w -]*")


def read_references(
    given: Sequence[Given],
    options: Sequence[str],
    settings: Settings,
    offers: dict[str, Offer],
    problems: list[Problem],
) -> tuple[list[Reference], list[bytes]]:
    """References with their files' bytes; what is wrong goes to `problems`."""
    from core.asking import make_reference
    from core.errors import BadInput

    by_name = read_options(options, [one.name for one in given], problems)
    references, contents = [], []
    for one in given:
        try:
            data = read_file(one.path)
        except BadInput as error:
            problems += error.problems
            continue
        where = f"option --option {one.name}"
        told = by_name.get(one.name, {})
        made, wrong = make_reference(one.name, data, str(one.path), offers[one.kind], told, settings, where)
        problems += wrong
        if made is not None:
            references.append(made)
            contents.append(data)
    return references, contents


def read_options(texts: Sequence[str], names: Sequence[str], problems: list[Problem]) -> dict[str, dict[str, Any]]:
    """`mug.method=grabcut` → {"mug": {"method": "grabcut"}}; values are JSON where they can be."""
    from core.errors import Problem

    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        name, dot, option = key.rpartition(".")
        if not equals or not dot or name not in names:
            known = ", ".join(names) or "none"
            what = f"{text!r} names no option of a reference"
            problems.append(Problem("option --option", what, f"Say NAME.KEY=VALUE; references here: {known}"))
            continue
        try:
            found.setdefault(name, {})[option] = json.loads(value)
        except ValueError:
            found.setdefault(name, {})[option] = value
    return found


def read_size(text: str | None, card: ModelCard, problems: list[Problem]) -> tuple[int, int]:
    """Pixels written out or of a format; a square of the card's area where nothing is said."""
    from core import formats
    from core.asking import size_notice, size_problems
    from core.errors import Problem

    if text is None:
        return formats.native_size((1, 1), card)
    written = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if written:
        width, height = int(written[1]), int(written[2])
        problems += size_problems(card, width, height, "option --size")
        if notice := size_notice(card, width, height):
            click.echo(notice, err=True)
        return width, height
    if text in formats.FORMATS:
        return formats.native_size(formats.FORMATS[text], card)
    names = ", ".join(formats.FORMATS)
    problems.append(Problem("option --size", f"{text!r} is no size", f"Say WIDTHxHEIGHT or one of {names}"))
    return 0, 0


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        BadInput: it can't be read.
    """
    from core.errors import BadInput

    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput.at(str(path), f"can't be read ({error.strerror})", "Check the path") from error


def find_files(
    wanted: set[str], named: Sequence[Path], folders: Sequence[Path], settings: Settings
) -> dict[str, Path]:
    """Files by the hashes that are wanted: those named, where they were last, then in the folders."""
    found = {sha256: path for path in named if (sha256 := hash_of(path)) in wanted}
    found |= {sha256: path for sha256 in wanted - found.keys() if (path := recall(sha256, settings))}
    for folder in folders:
        for path in files_in(folder):
            if wanted <= found.keys():
                return found
            if (sha256 := hash_of(path)) in wanted:
                found.setdefault(sha256, path)
    return found


def files_in(folder: Path) -> Iterator[Path]:
    """Files right in a folder that may be pictures."""
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_file() and path.stat().st_size < LARGEST)


LARGEST = 200_000_000


def hash_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def joined(folders: Sequence[Path]) -> str:
    return ", ".join(dict.fromkeys(str(folder) for folder in folders))


def remember(references: Sequence[Reference], settings: Settings) -> None:
    """Notes where the references' files are."""
    from core.generation.files import write_atomically

    for reference in references:
        note = settings.home / "cache" / "pictures" / f"{reference.sha256}.json"
        write_atomically(note, json.dumps(str(Path(reference.source).absolute())).encode())


def recall(sha256: str, settings: Settings) -> Path | None:
    """Where a file of that hash was, if it is there still."""
    try:
        note = settings.home / "cache" / "pictures" / f"{sha256}.json"
        path = Path(json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return path if hash_of(path) == sha256 else None
