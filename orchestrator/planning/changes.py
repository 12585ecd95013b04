"""Planning: why an item would get another image: how the request on record and the planned one differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 60
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that decides pixels and differs; values as people read them, empty where there is none."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before or 'none'} → {self.after or 'none'}"


def list_changes(
    before: Mapping[str, Any], pinned: Mapping[str, Any], after: Mapping[str, Any], planned: Mapping[str, Any]
) -> list[Change]:
    """All that differs and decides pixels.

    Args:
        before: the request on record (`Request.as_dict`).
        pinned: the model that it was planned with: card, generator, digest.
        after: the planned request.
        planned: the model that it is planned with.
    """
    return [
        *_model(pinned, planned),
        *_texts(before, after),
        *_numbers(before, after),
        *_references(before["references"], after["references"]),
    ]


def _model(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    if before["card"] != after["card"]:
        yield Change("model", before["card"], after["card"])
    elif before["digest"] != after["digest"]:
        yield Change(f"files or card of model {after['card']}", before["digest"][:12], after["digest"][:12])
    if before["generator"] != after["generator"]:
        yield Change("generator", before["generator"], after["generator"])


def _texts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key, what in (("prompt", "prompt"), ("negative_prompt", "negative prompt")):
        if before[key] != after[key]:
            yield Change(what, *apart(before[key], after[key]))


def _numbers(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    sizes = [f"{one['width']}x{one['height']}" for one in (before, after)]
    if sizes[0] != sizes[1]:
        yield Change("size", sizes[0], sizes[1])
    for key in _NUMBERS:
        if before.get(key) != after.get(key):
            yield Change(key.replace("_", " "), _shown(before.get(key)), _shown(after.get(key)))


_NUMBERS = (
    "seed",
    "steps",
    "guidance",
    "first_step_guidance",
    "true_cfg",
    "negative_guidance",
    "true_cfg_start",
    "true_cfg_end",
)


def _references(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    names = [one["name"] for one in before], [one["name"] for one in after]
    known = {one["name"]: one for one in before}
    if names[0] != names[1] and len(names[0]) == len(names[1]) and not set(names[0]) & set(names[1]):
        # Only called otherwise: what a reference is called decides nothing.
        known = dict(zip(names[1], before, strict=True))
    elif set(names[0]) != set(names[1]):
        yield Change("references", ", ".join(names[0]), ", ".join(names[1]))
    elif names[0] != names[1]:
        yield Change("order of references", ", ".join(names[0]), ", ".join(names[1]))
    for one in after:
        if one["name"] in known:
            yield from _reference(known[one["name"]], one)


def _reference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    name = f"[{after['name']}]"
    if before["sha256"] != after["sha256"]:
        yield Change(f"picture of {name}", *_files(before, after, "sha256"))
    if before.get("mask", "") != after.get("mask", ""):
        yield Change(f"mask of {name}", before.get("mask", "")[:12], after.get("mask", "")[:12])
    for key, what in (("kind", "kind of"), ("plugin", "plugin of")):
        if before[key] != after[key]:
            yield Change(f"{what} {name}", before[key], after[key])
    methods = [f"{one['method']['name']}/{one['method']['version']}" for one in (before, after)]
    if methods[0] != methods[1]:
        yield Change(f"method of {name}", methods[0], methods[1])
    weights = before["method"]["weights"], after["method"]["weights"]
    for file in sorted({*weights[0], *weights[1]}):
        if weights[0].get(file) != weights[1].get(file):
            yield Change(f"weights {file} of {name}", *(one.get(file, "")[:12] for one in weights))
    options = before["options"], after["options"]
    for key in sorted({*options[0], *options[1]}):
        if options[0].get(key) != options[1].get(key):
            yield Change(f"option {key} of {name}", *(_shown(one.get(key)) for one in options))


def _files(before: Mapping[str, Any], after: Mapping[str, Any], key: str) -> tuple[str, str]:
    """The files' names; of one name with other contents, also their hashes."""
    names = [str(one["source"]).rpartition("/")[2] for one in (before, after)]
    if names[0] != names[1]:
        return names[0], names[1]
    told = [f"{name} ({one[key][:12]})" for name, one in zip(names, (before, after), strict=True)]
    return told[0], told[1]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def apart(before: str, after: str) -> tuple[str, str]:
    """Where two texts differ, in whole words with one word around; the rest is `…`."""
    words = before.split(), after.split()
    shorter = min(map(len, words))
    start = next((k for k in range(shorter) if words[0][k] != words[1][k]), shorter)
    end = next((k for k in range(shorter - start) if words[0][-1 - k] != words[1][-1 - k]), shorter - start)
    told = []
    for one in words:
        first, last = max(0, start - 1), min(len(one), len(one) - end + 1)
        text = " ".join(one[first:last])
        cut = text if len(text) <= MOST else f"{text[: MOST - 1]}…"
        told.append(f"{'… ' if first else ''}{cut}{' …' if last < len(one) else ''}")
    return told[0], told[1]
