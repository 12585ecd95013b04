"""What the readers of a drawn world read off an image, beside what they read off its references.

For models of a drawn world (a model card's `world`) alone: the readers (`core/training/world`) know its products,
people and places, and name the nearest of these whatever they see. They make mistakes on references too: of plain
drawings they read the same attributes off reference and image in about 9 of 10 cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import permutations
from typing import TYPE_CHECKING

from core.cards import load_card
from core.errors import BadInput
from core.requests import Score
from core.scoring.references import Shown
from core.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from core.training.world.readers import Readers

Found = Mapping[str, str | None]

MOST_THINGS = 3
"""Readers tell so many things beside each other apart."""


def by_readers(
    image: Picture, references: Sequence[Shown], prompt: str, model: str, settings: Settings
) -> Iterator[Score]:
    """`kept:NAME` of references that readers know, and `place`; nothing for other models, or without torch."""
    readers = readers_of(world_of(model, settings))
    if readers is None:
        return
    scene = readers.scene(image)
    yield from _place(scene, prompt)
    yield from (
        _kept(one, readers.scene(one.prepared.picture), scene, ("style",)) for one in _of(references, "style")
    )
    products, faces, garments = (_of(references, kind) for kind in ("subject", "identity", "tryon"))
    if products and (faces or garments):
        return
    yield from _things(image, products, faces, garments, readers)


def world_of(model: str, settings: Settings) -> str:
    """The drawn world that a model knows; empty for all others and where its card is gone."""
    try:
        return load_card(model, settings).world
    except BadInput:
        return ""


def _of(references: Sequence[Shown], kind: str) -> list[Shown]:
    return [one for one in references if one.kind == kind]


def _things(
    image: Picture,
    products: Sequence[Shown],
    faces: Sequence[Shown],
    garments: Sequence[Shown],
    readers: Readers,
) -> Iterator[Score]:
    """Products, or people with their faces and garments, from left to right."""
    from core.training.world.cuts import column
    from core.training.world.reading import FACE, GARMENT, LOOK, PERSON, PRODUCT

    count = len(products) or max(len(faces), len(garments))
    if not 0 < count <= MOST_THINGS:
        return
    subject = PRODUCT if products else PERSON
    seen = readers.things([image], subject, count)[0]
    for group, names in ((products, ("kind", *LOOK)), (faces, FACE), (garments, GARMENT)):
        told = [_read_reference(one, readers) for one in group]
        for one, truth, place in zip(group, told, _best_places(told, seen, names), strict=True):
            yield _kept(one, truth, seen[place], names, column(subject, place, count))


def _read_reference(one: Shown, readers: Readers) -> Found:
    """Faces by the reader of people; products, and garments that nobody wears, by that of products."""
    if one.kind == "identity":
        return readers.people(one.prepared.picture, 1)[0]
    found = readers.products(one.prepared.picture, 1)[0]
    return found if one.kind == "subject" else {f"garment_{name}": value for name, value in found.items()}


def _best_places(told: Sequence[Found], seen: Sequence[Found], names: Sequence[str]) -> tuple[int, ...]:
    """For each reference the thing that it is: the assignment under which most is kept."""

    def alike(places: tuple[int, ...]) -> int:
        pairs = [(truth, seen[place]) for truth, place in zip(told, places, strict=True)]
        return sum(len(_alike(truth, found, names)) for truth, found in pairs)

    return max(permutations(range(len(seen)), len(told)), key=alike)


def _alike(truth: Found, found: Found, names: Sequence[str]) -> list[str]:
    return [name for name in names if truth[name] is not None and found.get(name) == truth[name]]


def _kept(
    one: Shown,
    truth: Found,
    found: Found,
    names: Sequence[str],
    crop: tuple[float, float, float, float] | None = None,
) -> Score:
    asked = [name for name in names if truth[name] is not None]
    kept = _alike(truth, found, names)
    told = [
        f"{_plain(name)} {truth[name]}" if name in kept else f"{_plain(name)} {found.get(name)} for {truth[name]}"
        for name in asked
    ]
    compared = f"what readers read off the image with what they read off {one.name}: {', '.join(told)}"
    return Score(f"kept:{one.name}", round(len(kept) / len(asked), 4), compared, crop=crop)


def _plain(name: str) -> str:
    return name.removeprefix("garment_").replace("_", " ")


def _place(scene: Found, prompt: str) -> Iterator[Score]:
    """1 where the image shows the place that the prompt names; nothing where it names none, or several."""
    from core.training.world.captions import PLACES

    named = [place for place, phrases in PLACES.items() if any(phrase in prompt for phrase in phrases)]
    if len(named) == 1:
        compared = f"the place in the prompt, {named[0]}, with what readers see, {scene['place']}"
        yield Score("place", float(scene["place"] == named[0]), compared)


@cache
def readers_of(world: str) -> Readers | None:
    """The readers that ship for a world, kept for the process; None where there are none, or no torch."""
    if not world or find_spec("torch") is None:
        return None
    from core.training.world.readers import FILE, SHIPPED, load_readers

    folder = SHIPPED / world
    return load_readers(folder) if (folder / FILE).is_file() else None
