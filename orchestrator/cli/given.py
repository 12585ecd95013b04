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


@dataclass(frozen=True)
class Files:
    """The bytes of one reference's picture and of its mask, where it has one, and where they were read."""

    data: bytes
    path: Path
    mask: bytes | None = None
    mask_path: Path | None = None


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
    masks: Sequence[str] = (),
) -> tuple[list[Reference], list[Files]]:
    """References with their files' bytes; what is wrong goes to `problems`."""
    from core.asking import make_reference
    from core.errors import BadInput

    names = [one.name for one in given]
    by_name, mask_paths = read_options(options, names, problems), read_masks(masks, names, problems)
    references, contents = [], []
    for one in given:
        mask_path = mask_paths.get(one.name)
        try:
            data, mask = read_file(one.path), read_file(mask_path) if mask_path else None
        except BadInput as error:
            problems += error.problems
            continue
        where = f"option --option {one.name}"
        told = by_name.get(one.name, {})
        offer = offers[one.kind]
        made, wrong = make_reference(one.name, data, str(one.path), offer, told, settings, where, mask)
        problems += wrong
        if made is not None:
            references.append(made)
            contents.append(Files(data, one.path, mask, mask_path))
    return references, contents


def read_masks(texts: Sequence[str], names: Sequence[str], problems: list[Problem]) -> dict[str, Path]:
    """`mug=mask.png` → {"mug": Path("mask.png")}; a single reference need not be named."""
    from core.errors import Problem

    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if len(names) == 1 and name not in names:
            name, equals, path = names[0], "=", text
        if not equals or name not in names or name in found:
            known = ", ".join(names) or "none"
            what = f"{text!r} names no reference" if name not in found else f"{name!r} has two masks"
            problems.append(Problem("option --mask", what, f"Say NAME=FILE; references here: {known}"))
        else:
            found[name] = Path(path)
    return found


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


def remember(references: Sequence[Reference], files: Sequence[Files], settings: Settings) -> None:
    """Notes where the references' files are."""
    from core.generation.files import write_atomically

    for reference, one in zip(references, files, strict=True):
        for sha256, path in ((reference.sha256, one.path), (reference.mask, one.mask_path)):
            if path is not None:
                note = settings.home / "cache" / "pictures" / f"{sha256}.json"
                write_atomically(note, json.dumps(str(path.absolute())).encode())


def recall(sha256: str, settings: Settings) -> Path | None:
    """Where a file of that hash was, if it is there still."""
    try:
        note = settings.home / "cache" / "pictures" / f"{sha256}.json"
        path = Path(json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return path if hash_of(path) == sha256 else None
