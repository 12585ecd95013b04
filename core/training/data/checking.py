"""A folder of samples looked through: what is wrong in which line, and what there is, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from core.errors import BadInput
from core.images import on_white, read_file
from core.training.data.copies import Looks, copied_from
from core.training.data.entries import FILE, OF_ALL, PLACEHOLDER, Entry, Shown, read_entries
from core.training.data.fitting import LIGHT
from core.training.data.pictures import Picture, read_mask

Level = Literal["error", "warning"]
Progressed = Callable[[int, int], None]

SMALLEST = 64
"""Pixels of a side below which a picture shows nothing that could be learnt."""
STEPS = (256, 512, 768, 1024)
"""Where the histogram of shorter sides is cut."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with one line.

    Attributes:
        code: which sort of thing, for counting: `unreadable`, `copy` …
        line: in `samples.jsonl`; None: the whole file.
    """

    level: Level
    code: str
    line: int | None
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        place = f"line {self.line}, " if self.line is not None else ""
        return f"{place}{self.where}: {self.what}. {self.mend}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found and counted.

    Attributes:
        samples: lines that can be read.
        tasks, kinds: how many samples and references there are of each.
        named: samples whose caption names its references by placeholders.
        masked: references, other than styles, whose part of the target is given by a mask.
        sides: targets by their shorter side in pixels.
        sizes: the commonest sizes of targets.
    """

    folder: str
    samples: int
    tasks: Mapping[str, int]
    kinds: Mapping[str, int]
    named: int
    masked: int
    sides: Mapping[str, int]
    sizes: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "errors": self.errors, "warnings": self.warnings}


def silent(done: int, total: int) -> None:
    """Shows nothing."""


def check_folder(
    folder: Path, known: Collection[str], least: int = SMALLEST, progressed: Progressed = silent
) -> Report:
    """Opens every picture of every line.

    Args:
        folder: with its `samples.jsonl`.
        known: the kinds that are installed here.
        least: pixels that a target's shorter side has to have.
        progressed: called with how many lines are done, and of how many.

    Raises:
        BadInput: there is no such file, or it is no text.
    """
    entries, problems = read_entries(folder)
    findings = [Finding("error", "line", *place_of(one.where), one.what, one.mend) for one in problems]
    if not entries and not findings:
        findings.append(Finding("error", "empty", None, FILE, "has no samples", "Write a line for each"))
    looks, sizes = Looks(), Counter[tuple[int, int]]()
    for done, entry in enumerate(entries, start=1):
        findings += check_entry(entry, known, least, looks, sizes)
        progressed(done, len(entries))
    references = [reference for entry in entries for reference in entry.references]
    return Report(
        folder=str(folder),
        samples=len(entries),
        tasks=counted(entry.task for entry in entries),
        kinds=counted(reference.kind for reference in references),
        named=sum(bool(PLACEHOLDER.search(entry.caption)) for entry in entries),
        masked=sum(reference.governs is not None and reference.kind not in OF_ALL for reference in references),
        sides=histogram(sizes),
        sizes={f"{width}x{height}": count for (width, height), count in sizes.most_common(5)},
        findings=tuple(sorted(findings, key=lambda one: (one.line or 0, one.where))),
    )


def place_of(where: str) -> tuple[int | None, str]:
    """`DIR/samples.jsonl, line 7, key caption` → 7 and `key caption`."""
    _, _, rest = where.partition(", line ")
    number, _, part = rest.partition(", ")
    return (int(number), part or "the line") if number.isdigit() else (None, where)


def counted(names: Iterable[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(names).most_common())


def histogram(sizes: Mapping[tuple[int, int], int]) -> dict[str, int]:
    """Targets by their shorter side: `under 256`, `256 to 511` and so on."""
    names = [f"under {STEPS[0]}"]
    names += [f"{low} to {high - 1}" for low, high in pairwise(STEPS)]
    names.append(f"{STEPS[-1]} and more")
    found = dict.fromkeys(names, 0)
    for size, count in sizes.items():
        found[names[sum(min(size) >= step for step in STEPS)]] += count
    return {name: count for name, count in found.items() if count}


def check_entry(
    entry: Entry, known: Collection[str], least: int, looks: Looks, sizes: Counter[tuple[int, int]]
) -> Iterator[Finding]:
    """Everything about one line: its pictures, masks, kinds and words."""
    target = yield from opened(entry.target, "target", entry.line, least)
    if target is not None:
        sizes[target.size] += 1
        before = looks.seen(target, entry.line)
        if before is not None:
            mend = "Leave one of them out, unless the same picture is meant to be learnt twice"
            yield Finding("warning", "twice", entry.line, "target", f"is the picture of line {before} again", mend)
    if len(entry.kinds) > len(set(entry.kinds)) and not PLACEHOLDER.search(entry.caption):
        what = "does not say which of the references of one kind is which"
        yield Finding("warning", "unnamed", entry.line, "caption", what, "Say [ref#1], [ref#2] …")
    for number, reference in enumerate(entry.references, start=1):
        where = f"reference {number}"
        if reference.kind not in known:
            mend = "Install its plugin; or `dreamline train kind` teaches it, and writes one"
            what = f"there is no kind {reference.kind!r} here"
            yield Finding("warning", "kind", entry.line, where, what, mend)
        yield from check_reference(entry, reference, where, target)


def check_reference(entry: Entry, reference: Shown, where: str, target: Picture | None) -> Iterator[Finding]:
    """One reference: its picture, both masks, and whether it was cut out of the target."""
    picture = yield from opened(reference.picture, where, entry.line, SMALLEST // 2)
    if picture is not None:
        yield from mask_findings(reference.mask, picture, f"{where}, mask", entry.line, full="useless")
    governs = f"{where}, governs"
    if target is None:
        return
    if reference.kind in OF_ALL:
        yield from mask_findings(reference.governs, target, governs, entry.line, full="fine")
    elif reference.governs is None:
        what = "no mask says what it governs: it is taken to govern all of the target"
        mend = "Give one, if it does not"
        yield Finding("warning", "unmasked", entry.line, where, what, mend)
    else:
        yield from mask_findings(reference.governs, target, governs, entry.line, full="useless")
    copied = copied_from(picture, target) if picture is not None and reference.kind not in OF_ALL else ""
    if copied:
        mend = "Give another picture of the same thing: a model that may paste learns to paste"
        yield Finding("warning", "copy", entry.line, where, copied, mend)


def opened(path: Path, where: str, line: int, least: int) -> Generator[Finding, None, Picture | None]:
    """The picture, RGB; None where it can't be read (`yield from` gives it)."""
    try:
        picture = on_white(read_file(path))
    except BadInput as error:
        for problem in error.problems:
            yield Finding("error", "unreadable", line, f"{where}, {path}", problem.what, problem.mend)
        return None
    if min(picture.size) < least:
        what = f"is {picture.width} x {picture.height}: a side has fewer than {least} pixels"
        yield Finding("error", "small", line, f"{where}, {path}", what, "Give a larger picture, or leave it out")
    return picture


def mask_findings(
    path: Path | None, picture: Picture, where: str, line: int, *, full: Literal["fine", "useless"]
) -> Iterator[Finding]:
    """A mask that can't be read, is of another shape, empty or full."""
    if path is None:
        return
    place = f"{where}, {path}"
    try:
        seen, flaw = read_mask(path, picture.size)
    except BadInput as error:
        for problem in error.problems:
            yield Finding("error", "unreadable", line, place, problem.what, problem.mend)
        return
    if flaw is not None:
        yield Finding("error", flaw.code, line, place, flaw.problem.what, flaw.problem.mend)
    elif full == "useless" and seen.point(LIGHT).getextrema() == (255, 255):
        what = "is white all over and says no more than none would"
        yield Finding("warning", "mask-full", line, place, what, "Paint black where the thing is not")
