"""Planning: from `vary` to variants: every combination of the lists, with zipped lists going together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from orchestrator.planning.brief_file import Value
from orchestrator.planning.campaign_file import Told
from orchestrator.planning.findings import Findings, shown
from orchestrator.planning.templates import RESERVED

MAX_VARIANTS = 100_000

Variant = Mapping[str, Value]


def read_variants(told: Told, findings: Findings) -> tuple[Variant, ...]:
    """All variants in the file's order, the last list turning fastest; one empty variant without `vary`.

    Zipped lists count as one list after the others. Mistakes go to `findings`; where there are too many
    variants, the first stands for all.
    """
    vary = told.file.vary
    _check_names(told, findings)
    for name, values in vary.lists.items():
        _check_values(told, values, ("vary", name), findings)
    for name, values in vary.zip.items():
        _check_templates(told, values, ("vary", "zip", name), findings)
    zipped = _zip(told, findings)
    axes: list[list[Variant]] = [[{name: value} for value in values] for name, values in vary.lists.items()]
    axes += [zipped] if vary.zip else []
    if (count := math.prod(map(len, axes))) > MAX_VARIANTS:
        mend = f"{MAX_VARIANTS:,} is the most: shorten the lists or split the campaign"
        findings.add(told.document.where("vary"), f"makes {count:,} combinations", mend)
        return tuple(_merged(parts) for parts in itertools.islice(itertools.product(*axes), 1))
    return tuple(_merged(parts) for parts in itertools.product(*axes))


def variant_names(told: Told) -> tuple[str, ...] | None:
    """Names that templates may use; None when `vary` could not be read."""
    if ("vary",) in told.broken or ("vary", "zip") in told.broken:
        return None
    return (*told.file.vary.lists, *told.file.vary.zip)


def fixed_names(told: Told) -> Variant:
    """Names that templates may use whose values are the same in every variant."""
    return {} if told.file.market is None else {"market": told.file.market}


def _merged(parts: tuple[Variant, ...]) -> Variant:
    merged: dict[str, Any] = {}
    for part in parts:
        merged.update(part)
    return merged


def _zip(told: Told, findings: Findings) -> list[Variant]:
    lists = told.file.vary.zip
    lengths = {name: len(values) for name, values in lists.items() if told.sound("vary", "zip", name)}
    if len(set(lengths.values())) > 1:
        words = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        mend = "Lists below zip: go together, so they need one length"
        findings.add(told.document.where("vary", "zip"), words, mend)
    pairs: list[Variant] = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=False)]
    again = next((pair for index, pair in enumerate(pairs) if pair in pairs[:index]), None)
    if again is not None and len(set(lengths.values())) == 1:
        findings.add(told.document.where("vary", "zip"), f"{shown(again)} stands twice", "Keep one of them")
    return pairs


def _check_names(told: Told, findings: Findings) -> None:
    free, zipped = told.file.vary.lists, told.file.vary.zip
    places = [("vary", name) for name in free] + [("vary", "zip", name) for name in zipped]
    for place in places:
        name = place[-1]
        if not name.isidentifier() or name in RESERVED:
            mend = "Give a name of letters, digits and _ that means nothing else in templates"
            findings.add(told.document.where(*place), f"{name!r} can't be a name here", mend)
        elif name in fixed_names(told):
            findings.add(told.document.where(*place), f"{name!r} stands outside vary too", "Keep one of them")
        elif len(place) == 3 and name in free:
            findings.add(told.document.where(*place), f"{name!r} stands outside zip too", "Keep one of them")


def _check_values(told: Told, values: list[Value], place: tuple[str, ...], findings: Findings) -> None:
    _check_templates(told, values, place, findings)
    seen: dict[tuple[type, Value], int] = {}
    for index, value in enumerate(values):
        if (key := (type(value), value)) in seen:
            where = told.document.where(*place, index)
            findings.add(where, f"{shown(value)} stands twice", f"It is item {seen[key] + 1} too: keep one")
        seen.setdefault(key, index)


def _check_templates(told: Told, values: list[Value], place: tuple[str, ...], findings: Findings) -> None:
    for index, value in enumerate(values):
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            mend = "Values are taken as they stand: put the template into the prompt"
            findings.add(told.document.where(*place, index), f"{shown(value)} is a template", mend)
