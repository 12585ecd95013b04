"""A folder of training samples as text: `samples.jsonl`, one sample a line, with the paths of its pictures.

    {"target": "targets/7.jpg", "caption": "a mug from [ref#1] on a desk", "spoken": "a red mug on a desk",
     "references": [{"picture": "mugs/7.jpg", "kind": "subject", "governs": "masks/7.png", "mask": "cuts/7.png"}]}

Paths are relative to the file. Nothing here opens a picture.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BadInput, Problem
from core.training.world.samples import REFERENCES

FILE = "samples.jsonl"
MOST_REFERENCES = 9
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PLACEHOLDER = re.compile(r"\[ref#(\d+)\]")
KEYS = ("target", "caption", "spoken", "task", "references")
REFERENCE_KEYS = ("picture", "kind", "governs", "mask")
OF_ALL = ("style",)
"""Kinds that govern all of a target: they need no mask and no placeholder, and their references fill a canvas."""
MOST_TOLD = 20
"""Problems that one error lists; a file of a million lines may have as many."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One reference of a sample, by its files.

    Attributes:
        picture: what is shown.
        kind: the name of its kind.
        governs: white where the target shows what this reference decides; None: all of the target.
        mask: white where the picture shows the thing itself; None: all of it.
    """

    picture: Path
    kind: str
    governs: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a sample by its files and texts.

    Attributes:
        line: its number in the file, from 1.
        caption: as a prompt would say it, with placeholders or without.
        spoken: everything in words, without placeholders.
        task: what is learnt from it, see `task_of`.
    """

    line: int
    target: Path
    caption: str
    spoken: str
    references: tuple[Shown, ...]
    task: str

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(reference.kind for reference in self.references)


def task_of(kinds: Sequence[str]) -> str:
    """The task of samples with such references, in order: the drawn world's name of it, else `style+identity`."""
    known = [task for task, own in REFERENCES.items() if own == tuple(kinds)]
    return known[0] if known else "+".join(kinds)


def kinds_of(task: str) -> tuple[str, ...]:
    """The way back: the kinds of a task's references."""
    return REFERENCES[task] if task in REFERENCES else tuple(task.split("+"))


def without_placeholders(caption: str) -> str:
    """The caption as somebody would say it who has no references: `a mug from [ref#1] here` → `a mug here`."""
    return re.sub(r"\s*(\bfrom\s+)?\[ref#\d+\]", "", caption).strip()


def read_entries(folder: Path) -> tuple[list[Entry], list[Problem]]:
    """Every line that can be read, and what is wrong with the others.

    Raises:
        BadInput: the folder has no such file, or it is no text.
    """
    path = folder / FILE
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        mend = "Name a folder with that file; docs/data.md describes it"
        raise BadInput.at(str(path), f"can't be read ({error.strerror})", mend) from error
    except UnicodeDecodeError as error:
        raise BadInput.at(str(path), f"is not UTF-8 ({error})", "Save it as UTF-8") from error
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        found = list(problems_of_line(text, f"{path}, line {number}"))
        problems += found
        if not found:
            entries.append(entry_from(json.loads(text), number, folder))
    return entries, problems


def require_entries(folder: Path) -> list[Entry]:
    """The lines of a folder that is to be trained on.

    Raises:
        BadInput: a line can't be read, naming the first ones, or there is none.
    """
    entries, problems = read_entries(folder)
    BadInput.gather(problems[:MOST_TOLD])
    if not entries:
        raise BadInput.at(str(folder / FILE), "has no samples", "Write a line for each; docs/data.md says how")
    return entries


def entry_from(told: Mapping[str, Any], line: int, folder: Path) -> Entry:
    """The value of a line that has no problems."""

    def place(name: str | None) -> Path | None:
        return folder / name if name else None

    references = tuple(
        Shown(folder / one["picture"], one["kind"], place(one.get("governs")), place(one.get("mask")))
        for one in told.get("references", ())
    )
    caption = told["caption"].strip()
    spoken = (told.get("spoken") or without_placeholders(caption)).strip()
    task = told.get("task") or task_of([reference.kind for reference in references])
    return Entry(line, folder / told["target"], caption, spoken, references, task)


def problems_of_line(text: str, where: str) -> Iterator[Problem]:
    """What keeps a line from being a sample."""
    try:
        told = json.loads(text)
    except ValueError as error:
        yield Problem(where, f"is not JSON ({error})", "Write one object a line")
        return
    if not isinstance(told, dict):
        yield Problem(where, f"{told!r} is no object", 'Write {"target": …, "caption": …, "references": […]}')
        return
    yield from unknown_keys(told, KEYS, where)
    for key in ("target", "caption"):
        if not is_text(told.get(key)):
            yield Problem(f"{where}, key {key}", f"{told.get(key)!r} is no text", "Every sample has one")
    for key in ("spoken", "task"):
        if told.get(key) is not None and not is_text(told[key]):
            yield Problem(f"{where}, key {key}", f"{told[key]!r} is no text", "Give text, or leave the key out")
    references = told.get("references", [])
    if not isinstance(references, list) or len(references) > MOST_REFERENCES:
        yield Problem(f"{where}, key references", "is no list of 0 to 9", "Give a list in brackets")
        return
    wrong = [
        problem
        for number, one in enumerate(references, start=1)
        for problem in problems_of_reference(one, f"{where}, reference {number}")
    ]
    yield from wrong
    if not wrong:
        yield from problems_of_words(told, [one["kind"] for one in references], where)


def problems_of_reference(one: Any, where: str) -> Iterator[Problem]:
    """What keeps a value from being a reference."""
    if not isinstance(one, dict):
        yield Problem(where, f"{one!r} is no object", 'Write {"picture": …, "kind": …}')
        return
    yield from unknown_keys(one, REFERENCE_KEYS, where)
    if not is_text(one.get("picture")):
        yield Problem(f"{where}, key picture", f"{one.get('picture')!r} is no path", "Every reference has one")
    kind = one.get("kind")
    if not isinstance(kind, str) or not NAME.fullmatch(kind):
        mend = "Use lower-case letters, digits and single hyphens, a letter first"
        yield Problem(f"{where}, key kind", f"{kind!r} is no name of a kind", mend)
    for key in ("governs", "mask"):
        if one.get(key) is not None and not is_text(one[key]):
            yield Problem(f"{where}, key {key}", f"{one[key]!r} is no path", "Give a path, or leave the key out")


def problems_of_words(told: Mapping[str, Any], kinds: Sequence[str], where: str) -> Iterator[Problem]:
    """Placeholders name all things that are referred to or none, the plain caption none; the task fits."""
    caption, spoken, task = told.get("caption"), told.get("spoken"), told.get("task")
    if is_text(caption):
        named = {int(number) for number in PLACEHOLDER.findall(str(caption))}
        for number in sorted(named - set(range(1, len(kinds) + 1))):
            mend = f"It has {len(kinds)}: say [ref#1] for the first"
            yield Problem(f"{where}, key caption", f"[ref#{number}] names no reference", mend)
        for number, kind in enumerate(kinds, start=1):
            if named and number not in named and kind not in OF_ALL:
                mend = f"Say [ref#{number}] where it belongs, or name no reference at all"
                yield Problem(f"{where}, key caption", f"has no placeholder for reference {number}", mend)
    if is_text(spoken) and PLACEHOLDER.search(str(spoken)):
        mend = "Say in words what the references show"
        yield Problem(f"{where}, key spoken", "has a placeholder", mend)
    if is_text(task) and kinds_of(str(task)) != tuple(kinds):
        mend = f"Leave it out; it would be {task_of(kinds)!r}"
        yield Problem(f"{where}, key task", f"{task!r} has references of other kinds", mend)


def unknown_keys(told: Mapping[str, Any], known: Sequence[str], where: str) -> Iterator[Problem]:
    for key in told:
        if key not in known:
            yield Problem(f"{where}, key {key}", "has no meaning", f"Known are: {', '.join(known)}")


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def line_of(entry: Entry, folder: Path) -> str:
    """The entry as a line of the file in `folder`; its paths become relative to that."""
    references = []
    for one in entry.references:
        told = {"picture": relative(one.picture, folder), "kind": one.kind}
        told |= {
            key: relative(path, folder) for key, path in (("governs", one.governs), ("mask", one.mask)) if path
        }
        references.append(told)
    whole: dict[str, Any] = {"target": relative(entry.target, folder), "caption": entry.caption}
    if entry.spoken != without_placeholders(entry.caption):
        whole["spoken"] = entry.spoken
    if entry.task != task_of(entry.kinds):
        whole["task"] = entry.task
    return json.dumps({**whole, "references": references}, ensure_ascii=False)


def relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def write_entries(entries: Sequence[Entry], folder: Path) -> Path:
    """Writes `samples.jsonl`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(line_of(entry, folder) + "\n" for entry in entries)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        file.write(text)
    made = Path(file.name)
    made.chmod(0o644)
    return made.replace(folder / FILE)


def require_new(folder: Path) -> None:
    """Raises BadInput where a folder that is to be written has something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput.at(str(folder), "is not empty", "Name a new folder")
