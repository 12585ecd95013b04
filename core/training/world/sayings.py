"""Captions without their pictures, and what they say of the thing on the left, in the middle, on the right, alone.

Drawing a sample takes milliseconds, saying what it shows a fraction of one: enough to teach a text encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from core.training.world.captions import NOTHING_GOVERNED, Governed, lone_side
from core.training.world.reading import MIDDLES, MOST_THINGS, PERSON, PRODUCT, told_of, truth_of, values_of
from core.training.world.samples import captions_of, choose_owners, choose_scene, govern
from core.training.world.truth import Person, Scene, World

ALONE = "alone"
SLOTS = (*MIDDLES, ALONE)
"""Where a thing can stand as far as a caption tells, and the place of one that is alone."""
THING, SOURCE = "thing", "reference"
"""Beside a thing's attributes: which product it is, or that it is a person, and the number of its reference."""


@dataclass(frozen=True, slots=True)
class Saying:
    """A caption, and by slot what it tells of the thing there: attribute → value; nothing of an empty slot."""

    text: str
    slots: Mapping[str, Mapping[str, str]]


def say(world: World, task: str, seed: int, split: str = "train") -> Saying:
    """What is said of one scene of a task, in half of the cases all in words."""
    key = f"{world.name}/{split}/{task}/saying {seed}"
    rng = Random(f"{key}/scene")
    scene = choose_scene(world, task, split, rng)
    governed = govern(task, scene, choose_owners(task, rng), rng)
    said, spoken = captions_of(task, scene, governed, Random(f"{key}/words"))
    if rng.random() < 0.5:
        said, governed = spoken, NOTHING_GOVERNED
    slots = slots_of(scene, said)
    return Saying(said, {slot: told(scene, index, governed, said) for slot, index in slots.items()})


def slots_of(scene: Scene, said: str) -> dict[str, int]:
    """The number of the thing in each slot; a single thing has two where the caption names its side."""
    count = len(scene.things)
    if count == 1:
        side = lone_side(scene.things[0].x)
        return {ALONE: 0} | ({side.rpartition(" ")[2]: 0} if side and side in said else {})
    return dict(zip(MIDDLES if count == MOST_THINGS else MIDDLES[::2], range(count), strict=False))


def told(scene: Scene, index: int, governed: Governed, said: str) -> dict[str, str]:
    """What a caption tells of one thing: what it is, its attributes, its reference."""
    thing = scene.things[index].thing
    truth = truth_of(thing)
    found = {THING: PERSON if isinstance(thing, Person) else thing.kind}
    found |= {name: value for name in told_of(thing, said) if (value := truth[name]) is not None}
    found.pop("kind", None)
    numbers = [table[index] for table in (governed.products, governed.garments, governed.faces) if index in table]
    if numbers and governed.placeholders:
        found[SOURCE] = str(numbers[0])
    return found


def values_told(world: World) -> dict[str, tuple[str, ...]]:
    """Everything that `say` can tell of a thing, with the values that this world knows."""
    attributes = values_of(world, PRODUCT) | values_of(world, PERSON)
    del attributes["kind"]
    numbers = tuple(str(number) for number in range(1, MOST_THINGS + 1))
    return {THING: (*world.products, PERSON), SOURCE: numbers, **attributes}
