"""Planning: what the files of a campaign are called, where the campaign file says so."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from orchestrator.planning.campaign_file import Told
from orchestrator.planning.drafts import Draft
from orchestrator.planning.findings import Findings, shown
from orchestrator.planning.scope import Scope
from orchestrator.planning.templates import Template, TemplateMistake, cells
from orchestrator.planning.variants import Variant

ENDINGS = (".png", ".jpg", ".jpeg")
PARTS = ("seed", "format")
"""What a name may be made of beside columns and parts of the variant."""

MAX_BYTES = 180
"""Of one part of a name between `/`: file systems take 255, and a file that is being written has a longer one."""

_UNWANTED = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]+')
RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of files by a template; `fixed` are the values that are the same in every variant."""

    template: Template
    fixed: Mapping[str, Any]

    def name(self, data: Mapping[str, Any], variant: Variant, seed: int, shape: str) -> str:
        """The file's name, with `/` where it is to lie in a folder of its own; .png where it has no ending.

        Raises:
            TemplateMistake: a cell is empty, or what comes out can't be a file's name on every system.
        """
        values = {"seed": seed, "format": shape, **self.fixed, **variant}
        row = cells({name: _clean(value) for name, value in data.items()})
        made = self.template.fill(row, {name: _clean(value) for name, value in values.items()})
        parts = [" ".join(part.split()) for part in unicodedata.normalize("NFC", made).split("/")]
        for part in parts:
            if wrong := _wrong(part):
                raise TemplateMistake(f"{shown(made)} can't be the name of a file: {wrong}", "Write another one")
        name = "/".join(parts)
        return name if PurePosixPath(name).suffix.lower() in ENDINGS else f"{name}.png"


def read_naming(told: Told, scope: Scope) -> Naming | None:
    """The key `name` of a campaign file; None where there is none, or, with the mistake noted, none that works."""
    if told.file.name is None or not told.sound("name"):
        return None
    names = None if scope.names is None else (*scope.names, *PARTS)
    template = replace(scope, names=names).read(told.file.name, "name")
    return None if template is None else Naming(template, scope.fixed)


def check_names(
    naming: Naming, scope: Scope, drafts: Sequence[Draft], shapes: Sequence[str], seeds: Sequence[int]
) -> None:
    """Notes names that can't be, and the first that two images would have."""
    taken: dict[str, tuple[Draft, str, int]] = {}
    broken: set[int] = set()
    for draft, shape, seed in _items(drafts, shapes, seeds):
        if draft.row.number in broken:
            continue
        try:
            name = naming.name(draft.row.data, draft.variant, seed, shape)
        except TemplateMistake as mistake:
            broken.add(draft.row.number)
            scope.note(naming.template, draft.row, mistake.what, mistake.mend, ("name", mistake.mend), "name")
            continue
        first = taken.setdefault(name.casefold(), (draft, shape, seed))
        if first != (draft, shape, seed):
            _tell_twice(name, first, (draft, shape, seed), scope.document.where("name"), scope.findings)
            return


def _items(
    drafts: Iterable[Draft], shapes: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[Draft, str, int]]:
    for draft in drafts:
        for shape in shapes:
            for seed in seeds:
                yield draft, shape, seed


def _tell_twice(
    name: str, one: tuple[Draft, str, int], other: tuple[Draft, str, int], where: str, findings: Findings
) -> None:
    """Says which two images they are, by what they differ in, and how that gets into the name."""
    told: list[tuple[str, str]] = []
    wanted: list[str] = []
    if one[0].row != other[0].row:
        told.append((f"row {one[0].row.number}", f"row {other[0].row.number}"))
        wanted.append("a column that differs, as {{ row.sku }}")
    for part, value in one[0].variant.items():
        if value != other[0].variant.get(part):
            told.append((f"{part} {shown(value)}", f"{part} {shown(other[0].variant.get(part))}"))
            wanted.append(f"{{{{ {part} }}}}")
    if one[1] != other[1]:
        told.append((one[1], other[1]))
        wanted.append("{{ format }}")
    if one[2] != other[2]:
        told.append((f"seed {one[2]}", f"seed {other[2]}"))
        wanted.append("{{ seed }}")
    first, second = (", ".join(pair[n] for pair in told) for n in (0, 1))
    findings.add(where, f"{name} would be two images: {first}, and {second}", f"Add {' and '.join(wanted)}")


def _clean(value: Any) -> Any:
    """A value without what file names can't hold: a `/` in a cell makes no folder."""
    return _UNWANTED.sub("-", value).strip() if isinstance(value, str) else value


def _wrong(part: str) -> str:
    """What keeps a part of a name from being one on every system."""
    if not part:
        return "a part of it is empty"
    if found := _UNWANTED.search(part):
        return f"it holds {found[0]!r}"
    if part.endswith("."):
        return "a part of it ends in a dot"
    if RESERVED.fullmatch(part):
        return f"Windows keeps {part} for itself"
    if len(part.encode()) > MAX_BYTES:
        return f"it has {len(part.encode())} bytes between two /, and {MAX_BYTES} are the most"
    return ""
