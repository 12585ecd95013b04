"""From what was asked and what was read off an image to numbers: what is kept of the references, and of the text.

Fidelity counts the attributes that references decide, adherence those that the caption tells; no attribute counts
in both. All measures of an image are shares between 0 and 1; a measure that an image has no part in is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.training.world.reading import (
    FACE,
    GARMENT,
    LOOK,
    Reading,
    matches,
    told_of,
    told_of_scene,
    truth_of,
    truth_of_scene,
)
from core.training.world.samples import Sample
from core.training.world.truth import Product

GOVERNED = {"subject": LOOK, "identity": FACE, "tryon": GARMENT, "style": ()}
"""What a reference of each kind decides about the thing that it shows; the kind of thing itself is told."""
RESAMPLED = 2000
MEASURES = ("fidelity", "kept", "both", "adherence", "colours", "swapped", "sides", "pasted")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read off one image: the whole, its things from left to right, how pasted the references look."""

    scene: Reading
    things: Sequence[Reading]
    pasted: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `count` images and the 95 % interval of its bootstrap."""

    mean: float
    low: float
    high: float
    count: int


def measure(sample: Sample, seen: Seen) -> dict[str, float]:
    """Every measure of one image.

    `kept`: everything that the references decide is there. `colours`: both of a thing's. `both`, of several
    products: each is of its kind and has its two colours, where it belongs. `sides`: each of several things is
    where it belongs. `swapped`: each looks like another one. `pasted`: how much the references are in the image
    as they are, a correlation and no share. Any other name is an attribute's, governed or told, as a mean over
    things.
    """
    governed, told = rights_of(sample, seen)
    found: dict[str, float] = {}
    if governed:
        found["fidelity"] = mean([right for _, _, right in governed])
        found["kept"] = float(all(right for _, _, right in governed))
    if told:
        found["adherence"] = mean([right for _, _, right in told])
    by_name: dict[str, list[bool]] = defaultdict(list)
    by_thing: dict[int, list[bool]] = defaultdict(list)
    for owner, name, right in (*governed, *told):
        by_name[name].append(right)
        if name.removeprefix("garment_") in ("colour", "second"):
            by_thing[owner].append(right)
    if by_thing:
        found["colours"] = mean([all(rights) for rights in by_thing.values()])
    if len(sample.scene.things) > 1:
        found |= ownership(sample, seen)
        if all(isinstance(placed.thing, Product) for placed in sample.scene.things):
            found["both"] = float(all(recognisable(sample, seen)))
    if seen.pasted is not None:
        found["pasted"] = seen.pasted
    return found | {name: mean(rights) for name, rights in by_name.items()}


Right = tuple[int, str, bool]
"""The thing's number (-1: the scene), the attribute, whether it was read right."""


def rights_of(sample: Sample, seen: Seen) -> tuple[list[Right], list[Right]]:
    """Of what the references decide, and of what the caption tells beyond that, what is right."""
    decided: dict[int, list[str]] = defaultdict(list)
    for drawn in sample.references:
        decided[drawn.owner] += ["style"] if drawn.kind == "style" else GOVERNED[drawn.kind]
    cases: list[tuple[int, Reading, Reading, list[str]]] = [
        (-1, seen.scene, truth_of_scene(sample.scene), told_of_scene(sample.scene, sample.caption))
    ]
    for index, (placed, reading) in enumerate(zip(sample.scene.things, seen.things, strict=True)):
        cases.append((index, reading, truth_of(placed.thing), told_of(placed.thing, sample.caption)))
    governed: list[Right] = []
    told: list[Right] = []
    for owner, reading, truth, names in cases:
        own = decided[owner]
        beyond = [name for name in names if name not in own]
        governed += [(owner, name, right) for name, right in matches(reading, truth, own).items()]
        told += [(owner, name, right) for name, right in matches(reading, truth, beyond).items()]
    return governed, told


def recognisable(sample: Sample, seen: Seen) -> list[bool]:
    """Of each product, whether one of its kind with its colours stands in its place."""
    pairs = zip(seen.things, (truth_of(placed.thing) for placed in sample.scene.things), strict=True)
    return [all(matches(reading, truth, ("kind", "colour", "second")).values()) for reading, truth in pairs]


def ownership(sample: Sample, seen: Seen) -> dict[str, float]:
    """Whether several things are where they belong, and whether looks went to the wrong one.

    Where kinds differ, things are found by their kinds before looks are compared: a mug and a bottle that have
    exchanged their places have not exchanged their colours.
    """
    truths = [truth_of(placed.thing) for placed in sample.scene.things]
    looks = LOOK if isinstance(sample.scene.things[0].thing, Product) else (*FACE, *GARMENT)
    everything = tuple(truths[0])
    by_kind = in_order_of_kinds(seen.things, truths)
    return {
        "sides": float(all(closer(seen.things, truths, everything))),
        "swapped": float(all(closer_to_another(by_kind, truths, looks))),
    }


def in_order_of_kinds(things: Sequence[Reading], truths: Sequence[Reading]) -> list[Reading]:
    """Readings in the order of the true kinds, if both have the same and no kind comes twice; else as they are."""
    kinds = [truth.get("kind") for truth in truths]
    found = {reading.get("kind"): reading for reading in things}
    if None in kinds or len(set(kinds)) < len(kinds) or set(kinds) != set(found):
        return list(things)
    return [found[kind] for kind in kinds]


def closer(things: Sequence[Reading], truths: Sequence[Reading], names: Sequence[str]) -> list[bool]:
    """Of each thing, whether it is more like its own truth than like any other."""
    table = agreements(things, truths, names)
    return [row[i] > max(row[:i] + row[i + 1 :]) for i, row in enumerate(table)]


def closer_to_another(things: Sequence[Reading], truths: Sequence[Reading], names: Sequence[str]) -> list[bool]:
    """Of each thing, whether it is more like another one's truth than like its own."""
    table = agreements(things, truths, names)
    return [row[i] < max(row[:i] + row[i + 1 :]) for i, row in enumerate(table)]


def agreements(things: Sequence[Reading], truths: Sequence[Reading], names: Sequence[str]) -> list[list[int]]:
    """How many attributes each reading (row) shares with each truth (column)."""
    return [[sum(reading.get(name) == truth[name] for name in names) for truth in truths] for reading in things]


def mean(rights: Sequence[bool]) -> float:
    """The share of what is true."""
    return sum(rights) / len(rights)


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean and the 2.5 and 97.5 % quantiles of the means of 2000 resamples."""
    numbers = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, RESAMPLED, 9).astype(int)
    means = np.concatenate(
        [
            numbers[rng.integers(0, len(numbers), (last - first, len(numbers)))].mean(1)
            for first, last in pairwise(edges)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(round(float(numbers.mean()), 4), round(float(low), 4), round(float(high), 4), len(numbers))


def gathered(measured: Sequence[Mapping[str, float]], seed: int = 0) -> dict[str, Interval]:
    """Over many images: an interval for each measure that any of them has; named measures first."""
    names = dict.fromkeys(name for one in measured for name in one)
    ordered = [name for name in MEASURES if name in names] + [name for name in names if name not in MEASURES]
    return {name: interval([one[name] for one in measured if name in one], seed) for name in ordered}
