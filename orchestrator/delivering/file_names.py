"""Delivering: what the files of a campaign are called.

A name follows from the brief alone: it is the same whichever images are made, held back or approved by now.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import BadInput
from orchestrator.delivering.items import Item
from orchestrator.planning.campaign_file import Told, read_campaign_text
from orchestrator.planning.findings import Findings
from orchestrator.planning.keys import variant_key
from orchestrator.planning.names import MAX_BYTES, Naming, read_naming
from orchestrator.planning.rows import Table
from orchestrator.planning.scope import Scope
from orchestrator.planning.templates import TemplateMistake
from orchestrator.planning.variants import fixed_names, variant_names


def file_names(campaign: str, items: Sequence[Item], naming: Naming | None, ending: str = ".png") -> list[str]:
    """A name for each item: as the campaign file calls it, else `row-variant-format-seed` with the ending.

    Of names that several items would have, each bears a hash of its row and variant.

    Raises:
        BadInput: by the campaign file two have one name, or one has none: the campaign was planned anew meanwhile.
    """
    if naming is not None:
        return _said_names(campaign, items, naming)
    names = [_usual_name(item) for item in items]
    times = Counter(name.casefold() for name in names)
    return [
        f"{_usual_name(item, hashed=times[name.casefold()] > 1)}{ending}"
        for item, name in zip(items, names, strict=True)
    ]


def recorded_naming(text: str, source: str) -> Naming | None:
    """The key `name` of a campaign file as it was recorded; None where it has none."""
    told = _recorded(text, source)
    if told is None:
        return None
    unknown = Table(source, Path(source).parent, None, ())
    return read_naming(told, Scope(told.document, unknown, variant_names(told), Findings(), fixed_names(told)))


def recorded_values(text: str, source: str) -> Mapping[str, Any]:
    """What its templates may name whose values are the same in every row and variant."""
    told = _recorded(text, source)
    return {} if told is None else fixed_names(told)


def _recorded(text: str, source: str) -> Told | None:
    return read_campaign_text(text, Path(source), Findings()) if text.strip() else None


def _said_names(campaign: str, items: Sequence[Item], naming: Naming) -> list[str]:
    taken: dict[str, None] = {}
    for item in items:
        where = f"campaign {campaign}, row {item.row}"
        try:
            name = naming.name(item.data, item.variant, item.seed, item.format)
        except TemplateMistake as mistake:
            raise BadInput.at(where, mistake.what, mistake.mend) from mistake
        if name in taken:
            raise BadInput.at(where, f"{name} is the name of another image too", "Plan the campaign again")
        taken[name] = None
    return list(taken)


def _usual_name(item: Item, *, hashed: bool = False) -> str:
    words = "-".join(filter(None, map(slug, (item.row, *map(str, item.variant.values())))))
    end = f"{slug(item.format)}-s{item.seed}"
    mark = variant_key({**item.variant, "row": item.row})
    most = MAX_BYTES - len(end.encode()) - len(mark) - 2
    if len(words.encode()) > most:
        words, hashed = words.encode()[:most].decode(errors="ignore").rstrip("-"), True
    return "-".join(filter(None, (words, end, mark if hashed else "")))


def slug(word: str) -> str:
    """Letters, digits and hyphens of a word, at most 40, for file names on every system."""
    return re.sub(r"[^\w]+", "-", word.lower(), flags=re.UNICODE).strip("-_")[:40]
