"""What can be read off a picture of the drawn world: attributes, their values, and what they truly are.

A reading maps an attribute to a value, or to None where the picture cannot show it (the hair colour of the bald,
the second colour of a plain mug). Readers give readings, the truth of a scene gives them; the two are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.training.world.captions import HAIRS, OTHER_NAMES, STYLES, TIMES, lone_side
from core.training.world.truth import Face, Look, Person, Product, Scene, Thing, World

Reading = Mapping[str, str | None]

SCENE, PRODUCT, PERSON = "scene", "product", "person"
LOOK = ("colour", "second", "pattern", "emblem")
FACE = ("skin", "hair", "hair_colour", "glasses", "beard")
GARMENT = ("garment_colour", "garment_second", "garment_pattern", "garment_emblem")
YES_NO = ("no", "yes")
MIDDLES = ("left", "middle", "right")
MOST_THINGS = 3


def values_of(world: World, subject: str) -> dict[str, tuple[str, ...]]:
    """Every attribute of a `scene`, `product` or `person` with the values that this world knows."""
    look = {
        "colour": world.colours,
        "second": world.colours,
        "pattern": world.patterns,
        "emblem": world.emblems,
    }
    if subject == PRODUCT:
        return {"kind": world.products, **look}
    if subject == PERSON:
        return {
            "skin": world.skins,
            "hair": world.hairs,
            "hair_colour": world.hair_colours,
            "glasses": YES_NO,
            "beard": YES_NO,
            "garment": world.garments,
            **{f"garment_{name}": values for name, values in look.items()},
            "pose": world.poses,
        }
    counts = tuple(str(count) for count in range(MOST_THINGS + 1))
    return {"place": world.places, "time": world.times, "style": world.styles, "count": counts, "side": MIDDLES}


def truth_of_scene(scene: Scene) -> dict[str, str | None]:
    """Place, time, style, the number of things, and of a single thing its side."""
    side = lone_side(scene.things[0].x).rpartition(" ")[2] if len(scene.things) == 1 else ""
    return {
        "place": scene.place,
        "time": scene.time,
        "style": scene.style,
        "count": str(len(scene.things)),
        "side": side or None,
    }


def truth_of_look(look: Look) -> dict[str, str | None]:
    """A second colour is only there where something shows it."""
    plain = look.pattern == "plain" and look.emblem == "none"
    return {
        "colour": look.colour,
        "second": None if plain else look.second,
        "pattern": look.pattern,
        "emblem": look.emblem,
    }


def truth_of_face(face: Face) -> dict[str, str | None]:
    """Who somebody is, as far as a small picture shows."""
    return {
        "skin": face.skin,
        "hair": face.hair,
        "hair_colour": None if face.hair == "bald" else face.hair_colour,
        "glasses": YES_NO[face.glasses],
        "beard": YES_NO[face.beard],
    }


def truth_of(thing: Thing) -> dict[str, str | None]:
    """The reading of a product or a person that makes no mistake."""
    if isinstance(thing, Product):
        return {"kind": thing.kind, **truth_of_look(thing.look)}
    look = {f"garment_{name}": value for name, value in truth_of_look(thing.garment.look).items()}
    return {**truth_of_face(thing.face), "garment": thing.garment.kind, **look, "pose": thing.pose}


def settled(reading: Reading) -> dict[str, str | None]:
    """Without what cannot show: readers name a second colour and a hair colour whatever they see."""
    found = dict(reading)
    for prefix in ("", "garment_"):
        if found.get(f"{prefix}pattern") == "plain" and found.get(f"{prefix}emblem") == "none":
            found[f"{prefix}second"] = None
    if found.get("hair") == "bald":
        found["hair_colour"] = None
    return found


def matches(reading: Reading, truth: Reading, names: Sequence[str]) -> dict[str, bool]:
    """Of these attributes, as far as the truth shows them, which ones were read right."""
    return {name: reading.get(name) == truth[name] for name in names if truth.get(name) is not None}


def told_of_scene(scene: Scene, caption: str) -> list[str]:
    """Which attributes of a scene a caption tells; a style that no reference decides counts as told."""
    told = ["place"] + ["count"] * bool(scene.things)
    if any(phrase in caption for phrase in TIMES[scene.time]):
        told.append("time")
    if scene.style == "plain" or any(phrase in caption for phrase in STYLES[scene.style]):
        told.append("style")
    if len(scene.things) == 1 and (side := lone_side(scene.things[0].x)) and side in caption:
        told.append("side")
    return told


def told_of(thing: Thing, caption: str) -> list[str]:
    """Which attributes of a thing a caption tells.

    What it leaves out counts as told where everything else of the kind is said: a person whose skin is named and
    whose glasses are not has none.
    """
    if isinstance(thing, Product):
        names = (thing.kind, *OTHER_NAMES.get(thing.kind, ()))
        told = ["kind"] if any(name in caption for name in names) else []
        return told + told_of_look(thing.look, names, caption)
    garment = [f"garment_{name}" for name in told_of_look(thing.garment.look, (thing.garment.kind,), caption)]
    worn = ["garment"] if thing.garment.kind in caption else []
    return told_of_face(thing, caption) + worn + garment + (["pose"] if thing.pose in caption else [])


def told_of_look(look: Look, names: Sequence[str], caption: str) -> list[str]:
    """The ground colour stands before the name; pattern and emblem follow with the second colour."""
    if not any(f"{look.colour} {name}" in caption for name in names):
        return []
    told = ["colour"]
    pattern, emblem = f"{look.second} {look.pattern}" in caption, f"{look.second} {look.emblem}" in caption
    told += ["pattern"] * (pattern or look.pattern == "plain") + ["emblem"] * (emblem or look.emblem == "none")
    return told + ["second"] * (pattern or emblem)


def told_of_face(person: Person, caption: str) -> list[str]:
    """Skin is named wherever a face is described at all."""
    face = person.face
    if f"{face.skin} skin" not in caption:
        return []
    if face.hair == "bald":
        hair = ["hair"] if "bald" in caption else []
    else:
        hair = ["hair", "hair_colour"] if HAIRS[face.hair].format(face.hair_colour) in caption else []
    return ["skin", *hair, "glasses", "beard"]
