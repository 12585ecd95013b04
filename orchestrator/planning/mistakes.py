"""Planning: what is wrong in a campaign file, by place and in words, and something harmless instead of it.

pydantic says what does not fit its models; a message of ours names the place as the file has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.planning.document import Document, Place
from orchestrator.planning.findings import Findings, nearest, shown, suggest

STAND_IN = "x"
KEY = "[key]"
"""How pydantic ends the place of a bad name."""


def known_keys(
    value: Mapping[str, Any], place: Place, model: type[BaseModel], document: Document, findings: Findings
) -> tuple[dict[str, Any], Document]:
    """The keys that `model` has; others are noted.

    One that is plainly another's misspelling is taken for it, so that it is told once; its lines are found under
    both names.
    """
    kept = {key: one for key, one in value.items() if key in model.model_fields}
    for key in (key for key in value if key not in kept):
        mend = suggest(key, model.model_fields, "Keys here")
        findings.add(document.where(*place, key), "there is no such key", mend)
        meant = nearest(key, model.model_fields, cutoff=0.75)
        if meant is not None and meant not in kept:
            kept[meant] = value[key]
            document = document.renamed((*place, key), meant)
    return kept, document


def find_mistakes(value: Any, error: ValidationError) -> dict[Place, str]:
    """What pydantic found, one mistake a place: of the branches of a choice, the one that got furthest."""
    found: dict[Place, list[str]] = {}
    for one in error.errors(include_url=False):
        place = _place(value, one["loc"])
        if one["type"] == "missing":
            place, told = (*place, one["loc"][-1]), "is missing"
        else:
            told = _in_words(one)
        if told not in found.setdefault(place, []):
            found[place].append(told)
    deepest = [place for place in found if not any(one != place and one[: len(place)] == place for one in found)]
    return {place: _joined(found[place]) for place in deepest}


def _place(value: Any, loc: Iterable[str | int]) -> Place:
    """The part of pydantic's location that is in the file: names of branches are not, `KEY` marks a bad name."""
    place: list[str | int] = []
    for part in loc:
        if part == KEY:
            place.append(part)
            break
        inside = isinstance(value, Mapping) and part in value
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
            place.append(part)
    return tuple(place)


def _in_words(one: ErrorDetails) -> str:
    if one["type"] in _NO:
        return f"{shown(one['input'])} is not {_NO[one['type']]}"
    limits = one.get("ctx", {})
    if one["type"] == "literal_error":
        return f"{shown(one['input'])} is none of {str(limits['expected']).replace(' or ', ', ')}"
    if one["type"] in _BEYOND:
        word, limit = _BEYOND[one["type"]]
        return f"{shown(one['input'])} is {word} {limits[limit]}"
    if one["type"] in ("too_short", "string_too_short"):
        return "is empty"
    if one["type"] == "string_pattern_mismatch":
        return f"{shown(one['input'])} can't be a name here"
    return f"{shown(one['input'])}: {one['msg']}"


_NO = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
}
_BEYOND = {"greater_than_equal": ("less than", "ge"), "less_than_equal": ("more than", "le")}


def _joined(told: list[str]) -> str:
    """The branches of a choice in one message: `5 is not a text or a list`."""
    first, *others = told
    return " or ".join([first, *(one.partition(" is not ")[2] or one for one in others)])


def without_mark(place: Place) -> Place:
    """The place of what has a bad name, without the mark of that."""
    return place[:-1] if place[-1] == KEY else place


def repair(value: dict[str, Any], place: Place) -> dict[str, Any]:
    """The value with something harmless at the place."""
    top, *rest = place
    if top == "prompt" and rest and isinstance(value[top], Mapping):
        return {**value, top: without(value[top], tuple(rest))}
    if top in ("campaign", "model", "prompt"):
        return {**value, top: STAND_IN}
    if top in ("gates", "stop") and rest:
        return {**value, top: {name: one for name, one in value[top].items() if name != rest[0]}}
    if top == "references" and rest:
        entries = dict(value[top])
        entry = entries.pop(str(rest[0]), None)
        if len(rest) > 1 and rest[1] != KEY and isinstance(entry, Mapping):
            kept = {key: one for key, one in entry.items() if key != rest[1]}
            entries[str(rest[0])] = {"kind": STAND_IN, "image": STAND_IN, **kept}
        return {**value, top: entries}
    if top == "vary" and rest and rest != ["zip"]:
        lists = dict(value[top])
        if rest[0] == "zip":
            lists["zip"] = {**lists["zip"], rest[1]: [STAND_IN]}
        else:
            lists[str(rest[0])] = [STAND_IN]
        return {**value, top: lists}
    if top == "vary" and rest:
        return {**value, top: {name: one for name, one in value[top].items() if name != "zip"}}
    return {key: one for key, one in value.items() if key != top}


def without(value: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The value without the key at the place, or without the one above it where that is no mapping."""
    top, *rest = place
    inner = value.get(str(top))
    if rest and isinstance(inner, Mapping) and rest[0] in inner:
        return {**value, str(top): without(inner, tuple(rest))}
    return {key: one for key, one in value.items() if key != top}
