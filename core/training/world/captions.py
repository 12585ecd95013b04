"""What is said of a drawn picture: a small grammar, lower case, in varied order.

A caption tells what no reference governs. Of what a reference governs it tells the kind alone, in half of the
captions with its placeholder. The same scene can also be `spoken`: everything in words, without any reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from core.training.world.truth import Face, Look, Person, Placed, Product, Scene, World

MOST_WORDS = 48
FULLY, WITHOUT_TRIFLES, WITHOUT_EMBLEMS, IN_SHORT = 3, 2, 1, 0
"""How much is said of each thing; trifles are poses, freckles and eyes, and in short only colours are said."""
STYLE_PREFIX = "generate a same style image."
UNTOLD_DAY = 1 / 3
FIRST_MENTION_OF_PLACE = 0.3
TOLD_SIDE = 0.4
"""Share of the captions that tell where a single thing stands, if it stands off the middle."""

HAIRS = {
    "short": "short {} hair",
    "long": "long {} hair",
    "curly": "curly {} hair",
    "bun": "{} hair in a bun",
    "spiky": "spiky {} hair",
}
PLACES: Mapping[str, tuple[str, ...]] = {
    "beach": ("on the beach", "on a beach"),
    "city": ("in the city", "in a city"),
    "forest": ("in the forest", "in a forest"),
    "kitchen": ("in the kitchen", "in a kitchen"),
    "studio": ("in the studio", "in a studio"),
    "mountains": ("in the mountains",),
    "desert": ("in the desert", "in a desert"),
    "garden": ("in the garden", "in a garden"),
    "living room": ("in the living room", "in a living room"),
    "office": ("in the office", "in an office"),
    "harbour": ("in the harbour", "in a harbour"),
    "market": ("at the market", "at a market"),
}
TIMES: Mapping[str, tuple[str, ...]] = {
    "day": ("by day", "during the day"),
    "night": ("at night",),
    "sunset": ("at sunset",),
}
STYLES: Mapping[str, tuple[str, ...]] = {
    "pixel": ("drawn as pixels", "as pixel art"),
    "sketch": ("as a pencil sketch", "drawn as a sketch"),
    "neon": ("drawn as neon", "as neon lights"),
    "pastel": ("in pastel", "drawn in pastel"),
    "halftone": ("drawn as halftone", "as a halftone print"),
    "mosaic": ("as a mosaic", "drawn as a mosaic"),
    "ink": ("in ink", "drawn in ink"),
}
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {"bag": ("tote bag",), "lamp": ("table lamp",)}
OTHERWISE = 0.25
"""Share of the captions that use another name, where a kind has one."""
SIDES: Mapping[int, tuple[str, ...]] = {
    2: ("on the left", "on the right"),
    3: ("on the left", "in the middle", "on the right"),
}
COMMON_EYES = "brown"
"""Eyes that go unsaid."""
NOTHING = ("an empty scene", "nothing")
GRAMMAR = (
    "a an and from of with wearing plain person bald skin glasses beard face "
    "two panels left right middle on in the same white worn by"
)
"""The words that every world's captions share."""


@dataclass(frozen=True, slots=True)
class Governed:
    """What references decide, by thing: number of the reference (from 1) for a product, a garment or a face.

    Attributes:
        placeholders: whether the caption names the references, `a mug from [ref#1]`.
    """

    products: Mapping[int, int] = field(default_factory=dict)
    garments: Mapping[int, int] = field(default_factory=dict)
    faces: Mapping[int, int] = field(default_factory=dict)
    placeholders: bool = False

    def source(self, number: int) -> str:
        """How a caption names a reference; nothing where it does without placeholders."""
        return f" from [ref#{number}]" if self.placeholders else ""


NOTHING_GOVERNED = Governed()


def caption(scene: Scene, governed: Governed, rng: Random, *, style_referred: bool = False) -> str:
    """One sentence about `scene`, at most 48 words: where everything can't be said, less is said of each thing.

    `style_referred`: the style is that of a reference, which the caption asks for instead of naming it.
    """
    start = rng.getstate()
    said = ""
    for detail in (FULLY, WITHOUT_TRIFLES, WITHOUT_EMBLEMS, IN_SHORT):
        rng.setstate(start)
        said = sentence(scene, governed, detail, rng, style_told=not style_referred)
        said = f"{STYLE_PREFIX} {said}" if style_referred else said
        if len(words_of(said)) <= MOST_WORDS:
            break
    return said


def sentence(scene: Scene, governed: Governed, detail: int, rng: Random, *, style_told: bool) -> str:
    """Things, place, time and style, in some order."""
    where = place_phrase(scene.place, scene.time, rng)
    things = things_phrase(scene, governed, detail, rng)
    if rng.random() < FIRST_MENTION_OF_PLACE:
        said = f"{where}, {things}"
    else:
        said = f"{things}{',' if ',' in things else ''} {where}"
    if not style_told or scene.style == "plain":
        return said
    style = rng.choice(STYLES[scene.style])
    return f"{style}, {said}" if rng.random() < 0.25 else f"{said}, {style}"


def place_phrase(place: str, time: str, rng: Random) -> str:
    """`on the beach at night`; the day goes unsaid in a third."""
    where = rng.choice(PLACES[place])
    if time == "day" and rng.random() < UNTOLD_DAY:
        return where
    return f"{where} {rng.choice(TIMES[time])}"


def things_phrase(scene: Scene, governed: Governed, detail: int, rng: Random) -> str:
    """All things of a scene, with their sides where there are several."""
    phrases = [thing_phrase(placed, index, governed, detail, rng) for index, placed in enumerate(scene.things)]
    if not phrases:
        return rng.choice(NOTHING)
    if len(phrases) == 1:
        side = lone_side(scene.things[0].x)
        return f"{side} {phrases[0]}" if side and rng.random() < TOLD_SIDE else phrases[0]
    pairs = list(zip(phrases, SIDES[len(phrases)], strict=True))
    if rng.random() < 0.3:
        rng.shuffle(pairs)
    if rng.random() < 0.5:
        return ", ".join(f"{side} {phrase}" for phrase, side in pairs)
    sided = [f"{phrase}{',' if ',' in phrase else ''} {side}" for phrase, side in pairs]
    return listed(sided)


def lone_side(x: float) -> str:
    """Where a single thing stands, if that can be said at a glance."""
    if 0.42 < x < 0.58:
        return "in the middle"
    if x < 0.38:
        return "on the left"
    return "on the right" if x > 0.62 else ""


def thing_phrase(placed: Placed, index: int, governed: Governed, detail: int, rng: Random) -> str:
    """One thing with its article, as far as no reference says it."""
    thing = placed.thing
    if isinstance(thing, Person):
        return person_phrase(thing, index, governed, detail, rng)
    if index in governed.products:
        return f"{with_article(name_of(thing.kind, rng))}{governed.source(governed.products[index])}"
    return coloured(name_of(thing.kind, rng), thing.look, detail, rng)


def name_of(kind: str, rng: Random) -> str:
    """What a product is called."""
    return rng.choice(OTHER_NAMES[kind]) if kind in OTHER_NAMES and rng.random() < OTHERWISE else kind


def coloured(kind: str, look: Look, detail: int, rng: Random) -> str:
    """`a red mug with white stripes and a white star`, `a plain red mug`."""
    extras = []
    if detail == IN_SHORT:
        return with_article(f"{look.colour} {kind}")
    if look.pattern == "band":
        extras.append(f"{with_article(look.second)} band")
    elif look.pattern != "plain":
        extras.append(f"{look.second} {look.pattern}")
    if look.emblem != "none" and detail >= WITHOUT_TRIFLES:
        extras.append(f"{with_article(look.second)} {look.emblem}")
    if not extras:
        return f"a plain {look.colour} {kind}" if rng.random() < 0.6 else with_article(f"{look.colour} {kind}")
    if rng.random() < 0.25:
        extras.reverse()
    return f"{with_article(f'{look.colour} {kind}')} with {listed(extras)}"


def person_phrase(person: Person, index: int, governed: Governed, detail: int, rng: Random) -> str:
    """`a person with short black hair and glasses, brown skin, wearing a plain blue t-shirt, waving`."""
    if index in governed.faces:
        said = f"a person{governed.source(governed.faces[index])}"
        open_ended = True
    else:
        open_ended = index in governed.garments and rng.random() < 0.5
        said = "a person" if open_ended else face_phrase(person.face, detail, rng)
    comma = "," if "," in said else ""
    if index in governed.garments:
        said += f"{comma} wearing {with_article(person.garment.kind)}{governed.source(governed.garments[index])}"
    elif not open_ended or rng.random() < 0.85:
        said += f"{comma} wearing {coloured(person.garment.kind, person.garment.look, detail, rng)}"
    if detail < FULLY or (open_ended and rng.random() < 0.3):
        return said
    return f"{said}, {person.pose}"


def face_phrase(face: Face, detail: int, rng: Random) -> str:
    """`a person with long red hair, glasses and freckles, light skin`, `a bald person with a black beard, ...`."""
    bald = face.hair == "bald"
    traits = [] if bald else [HAIRS[face.hair].format(face.hair_colour)]
    traits += ["glasses"] * face.glasses
    if face.beard:
        traits.append(f"{with_article(face.hair_colour)} beard" if bald else "a beard")
    traits += ["freckles"] * (face.freckles and detail == FULLY)
    traits += [f"{face.eyes} eyes"] * (face.eyes != COMMON_EYES and detail == FULLY)
    said = "a bald person" if bald else "a person"
    skin = f"{face.skin} skin"
    if detail == IN_SHORT and traits:
        return f"{said} with {listed(traits)}"
    if rng.random() < 0.3:
        return f"{said} with {listed([skin, *traits])}"
    return f"{said} with {listed(traits)}, {skin}" if traits else f"{said} with {skin}"


def panels(scene: Scene, told: bool, rng: Random, *, shows_garment: bool) -> str:
    """Of two panels: the left shows the thing of `scene` alone on white, the right the scene.

    `told`: with the thing's attributes. `shows_garment`: a person's garment lies on the left, not the face.
    """
    thing = scene.things[0].thing
    where = place_phrase(scene.place, scene.time, rng)
    if isinstance(thing, Product):
        name = name_of(thing.kind, rng)
        left = coloured(name, thing.look, FULLY, rng) if told else with_article(name)
        right = f"the same {name}"
    elif shows_garment:
        kind = thing.garment.kind
        left = coloured(kind, thing.garment.look, FULLY, rng) if told else with_article(kind)
        wearer = face_phrase(thing.face, WITHOUT_TRIFLES, rng) if rng.random() < 0.5 else "a person"
        right = f"the same {kind} worn by {wearer}{',' if ',' in wearer else ''}"
    else:
        person = face_phrase(thing.face, FULLY, rng) if told else "a person"
        left = f"the face of {person}{',' if ',' in person else ''}"
        right = f"the same person wearing {coloured(thing.garment.kind, thing.garment.look, FULLY, rng)}"
    return f"two panels. left: {left} on white. right: {right} {where}"


def with_article(noun: str) -> str:
    """`a mug`, `an umbrella`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def words_of(said: str) -> list[str]:
    """The words of a caption, split at spaces and at `,`, `.` and `:`; placeholders stay whole."""
    return [word for word in re.split(r"[\s,.:]+", said) if word]


def caption_words(world: World) -> tuple[str, ...]:
    """Every word that a caption of this world can hold, sorted; placeholders are not among them."""
    phrases = [GRAMMAR, STYLE_PREFIX, *NOTHING, *world.products, *world.garments, *world.colours]
    phrases += [*world.skins, *world.hair_colours, *world.poses]
    phrases += [*(set(world.patterns) - {"plain"}), *(set(world.emblems) - {"none"})]
    phrases += [HAIRS[hair].format("hair") for hair in world.hairs if hair != "bald"]
    phrases += [f"{eyes} eyes" for eyes in world.eyes if eyes != COMMON_EYES]
    phrases += ["freckles"] * world.freckles
    phrases += [name for kind in world.products for name in OTHER_NAMES.get(kind, ())]
    for table, values in ((PLACES, world.places), (TIMES, world.times), (STYLES, world.styles)):
        phrases += [phrase for value in values if value != "plain" for phrase in table[value]]
    return tuple(sorted({word for phrase in phrases for word in words_of(phrase)}))
