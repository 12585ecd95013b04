"""Chance in the drawn world: things and places at random, and which combinations are kept out of training.

Held out are combinations, never values: whoever has learnt a red bottle and a blue mug must draw a red mug unseen.
What is held out follows from positions in the tuples of a `World` alone, so that no list has to be kept:

- a product of kind `i` in ground colour `j`, where `5 i + j` leaves 3 on division by 8 (an eighth of the cells);
- a garment of kind `i` in ground colour `j`, where `3 i + j` leaves 6 on division by 8 (likewise);
- a product of kind `i` under the pattern at `1 + i mod (patterns - 1)`: one of each
  kind, never the plain one.

Second colours, emblems and faces are free. With eight colours or more each kind keeps most of its colours; with
three patterns or more each kind keeps `plain` and one other.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random

from core.errors import BadInput
from core.training.world.truth import Face, Garment, Look, Person, Product, Thing, World

SPLITS = ("train", "new", "held-out")
"""Training; the same distribution from seeds that training never uses; only combinations kept out of training."""

NO_EMBLEM = 0.4
SAME_KIND = 0.2
"""Share of the scenes with several products that are all of one kind."""
GLASSES, BEARD, FRECKLES = 0.4, 0.35, 0.3
BELOW_BUST = ("hands on hips",)
"""Poses that a bust does not show."""
COLOUR_ONLY, PATTERN_ONLY = 0.4, 0.3
"""Shares of the held-out products of which only the colour or only the pattern is unseen with the kind."""


def withheld_colour(world: World, kind: str, colour: str) -> bool:
    """Whether training never shows this kind of product or garment in this ground colour."""
    position = world.colours.index(colour)
    if kind in world.products:
        return (5 * world.products.index(kind) + position) % 8 == 3
    return (3 * world.garments.index(kind) + position) % 8 == 6


def withheld_pattern(world: World, kind: str, pattern: str) -> bool:
    """Whether training never shows this kind under this pattern; garments come in all of them."""
    if kind not in world.products or len(world.patterns) < 3:
        return False
    return world.patterns.index(pattern) == 1 + world.products.index(kind) % (len(world.patterns) - 1)


def unseen(world: World, thing: Thing | Garment) -> int:
    """How many of a thing's combinations training never shows: 0 to 2; a person's are those of the garment."""
    thing = thing.garment if isinstance(thing, Person) else thing
    colour = withheld_colour(world, thing.kind, thing.look.colour)
    return int(colour) + int(withheld_pattern(world, thing.kind, thing.look.pattern))


def check_split(split: str) -> None:
    """Raises BadInput for a split that there is not."""
    if split not in SPLITS:
        raise BadInput.at("split", f"{split!r} is no split", f"Known are: {', '.join(SPLITS)}.")


def choose_product(world: World, split: str, rng: Random, kinds: tuple[str, ...] = ()) -> Product:
    """A product of one of `kinds` (of any where empty), unseen in training exactly if `split` says so."""
    kinds = kinds or world.products
    odd_colour, odd_pattern = False, False
    if split == "held-out":
        draw = rng.random()
        odd_colour = draw < COLOUR_ONLY or draw >= COLOUR_ONLY + PATTERN_ONLY
        odd_pattern = draw >= COLOUR_ONLY
    fits = possible_kinds(world, kinds, odd_colour, odd_pattern)
    if not fits:
        return choose_any_unseen(world, rng, kinds)
    kind = rng.choice(fits)
    return Product(kind, choose_look(world, kind, odd_colour, odd_pattern, rng), round(rng.random(), 3))


def choose_any_unseen(world: World, rng: Random, kinds: tuple[str, ...]) -> Product:
    """A product with whatever unseen combination there is, for worlds too small for the one wished for."""
    options = [
        (kind, odd_colour, odd_pattern)
        for kind in kinds
        for odd_colour, odd_pattern in ((True, True), (True, False), (False, True))
        if possible(world, kind, odd_colour, odd_pattern)
    ]
    if not options:
        raise BadInput.at(f"world {world.name}", f"nothing is held out of {', '.join(kinds)}", "Add colours.")
    kind, odd_colour, odd_pattern = rng.choice(options)
    return Product(kind, choose_look(world, kind, odd_colour, odd_pattern, rng), round(rng.random(), 3))


def choose_garment(world: World, split: str, rng: Random) -> Garment:
    """A garment, in a colour unseen in training exactly if `split` says so."""
    odd = split == "held-out"
    fits = possible_kinds(world, world.garments, odd, False)
    if not fits:
        raise BadInput.at(f"world {world.name}", "no garment's colour is held out", "Add colours.")
    kind = rng.choice(fits)
    return Garment(kind, choose_look(world, kind, odd, False, rng))


@lru_cache(maxsize=256)
def possible_kinds(world: World, kinds: tuple[str, ...], odd_colour: bool, odd_pattern: bool) -> tuple[str, ...]:
    """Those of the kinds that have colours and patterns that are withheld, or not, as asked."""
    return tuple(kind for kind in kinds if possible(world, kind, odd_colour, odd_pattern))


def possible(world: World, kind: str, odd_colour: bool, odd_pattern: bool) -> bool:
    """Whether there are colours and patterns of `kind` that are withheld, or not, as asked."""
    return bool(colours_of(world, kind, odd_colour)) and bool(patterns_of(world, kind, odd_pattern))


def colours_of(world: World, kind: str, withheld: bool) -> list[str]:
    """The ground colours of `kind` that are withheld, or those that are not."""
    return [colour for colour in world.colours if withheld_colour(world, kind, colour) == withheld]


def patterns_of(world: World, kind: str, withheld: bool) -> list[str]:
    """The patterns of `kind` that are withheld, or those that are not."""
    return [pattern for pattern in world.patterns if withheld_pattern(world, kind, pattern) == withheld]


def choose_look(world: World, kind: str, odd_colour: bool, odd_pattern: bool, rng: Random) -> Look:
    """Colours, pattern and emblem of a product or garment, each combination withheld exactly as asked."""
    colour = rng.choice(colours_of(world, kind, odd_colour))
    second = rng.choice([other for other in world.colours if other != colour])
    pattern = rng.choice(patterns_of(world, kind, odd_pattern))
    bare = rng.random() < NO_EMBLEM or len(world.emblems) < 2
    emblem = world.emblems[0] if bare else rng.choice(world.emblems[1:])
    return Look(colour, second, pattern, emblem)


def choose_face(world: World, rng: Random) -> Face:
    """Who somebody is."""
    return Face(
        skin=rng.choice(world.skins),
        hair=rng.choice(world.hairs),
        hair_colour=rng.choice(world.hair_colours),
        eyes=rng.choice(world.eyes),
        glasses=rng.random() < GLASSES,
        beard=rng.random() < BEARD,
        freckles=rng.random() < FRECKLES and world.freckles,
    )


def choose_person(world: World, split: str, framing: str, rng: Random) -> Person:
    """Somebody, dressed, in a pose."""
    face, garment = choose_face(world, rng), choose_garment(world, split, rng)
    poses = [pose for pose in world.poses if framing == "whole" or pose not in BELOW_BUST] or world.poses
    return Person(face, garment, rng.choice(poses), framing)


def choose_place(world: World, rng: Random, other_than: str = "") -> tuple[str, str]:
    """A place (another one than that named, where there is) and a time."""
    places = [place for place in world.places if place != other_than] or list(world.places)
    return rng.choice(places), rng.choice(world.times)


def choose_products(
    world: World, split: str, count: int, rng: Random, kinds: tuple[str, ...] = ()
) -> tuple[Product, ...]:
    """Products that differ: mostly in kind, sometimes in looks alone."""
    chosen: list[Product] = []
    alike = rng.random() < SAME_KIND
    while len(chosen) < count:
        left = tuple(kind for kind in kinds or world.products if kind not in {product.kind for product in chosen})
        chosen.append(choose_product(world, split, rng, (chosen[0].kind,) if chosen and alike else left or kinds))
        if len({(product.kind, product.look) for product in chosen}) < len(chosen):
            chosen.pop()
    return tuple(chosen)


def choose_people(world: World, split: str, count: int, framing: str, rng: Random) -> tuple[Person, ...]:
    """People of different faces."""
    chosen: list[Person] = []
    while len(chosen) < count:
        person = choose_person(world, split, framing, rng)
        if person.face not in {other.face for other in chosen}:
            chosen.append(person)
    return tuple(chosen)
