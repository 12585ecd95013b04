"""Samples of the drawn world: a picture, what is said of it, its references and the masks of what they govern.

A reference is never a crop of the target: the same truth is drawn once more, at another size, angle and shade. All
of a sample follows from the world's name, the task, the seed, the canvases and the split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from PIL import Image

from core.errors import BadInput
from core.training.world import captions, choices
from core.training.world.captions import Governed
from core.training.world.faces import draw_face
from core.training.world.garments import draw_garment
from core.training.world.places import ground
from core.training.world.products import draw_product
from core.training.world.scenes import Canvas, Visible, draw_scene, on_white, turned, within
from core.training.world.truth import Face, Garment, Person, Placed, Product, Scene, Thing, World

__all__ = ("HELD_OUT_TASKS", "REFERENCES", "TASKS", "Canvas", "Drawn", "Sample", "draw_sample")

REFERENCES: Mapping[str, tuple[str, ...]] = {
    "text": (),
    "panels": (),
    "subject": ("subject",),
    "two-subjects": ("subject", "subject"),
    "three-subjects": ("subject", "subject", "subject"),
    "identity": ("identity",),
    "two-people": ("identity", "identity"),
    "stylised-identity": ("identity",),
    "tryon": ("tryon",),
    "style": ("style",),
    "style-subject": ("style", "subject"),
    "identity-tryon": ("identity", "tryon"),
    "two-garments": ("tryon", "tryon"),
}
"""Of each task the kinds of its references, in order."""

TASKS: tuple[str, ...] = tuple(REFERENCES)
HELD_OUT_TASKS = ("identity-tryon", "two-garments")
"""Never trained: whether kinds of references combine untaught is measured on them."""

STYLED = ("stylised-identity", "style", "style-subject")
STYLED_TEXT, EMPTY_TEXT = 0.15, 0.1
SUBJECT_ANGLE, GARMENT_ANGLE, FACE_TURN = 20.0, 8.0, 0.4
MARGIN = (0.06, 0.1)
SHADE = (0.93, 1.06)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A reference: its kind, its picture (RGB), and which thing of the scene it shows (-1: a style, none)."""

    kind: str
    picture: Image.Image
    owner: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One example to learn from or to be measured by.

    Attributes:
        target: RGB; twice the canvas' width for panels, whose right half shows `scene`.
        caption: says what no reference governs; in half of the samples with placeholders, `a mug from [ref#1]`.
        spoken: says everything in words, without placeholders.
        masks: one per reference, of the target's size: 255 where what the reference governs is visible. A style
            governs all.
    """

    task: str
    scene: Scene
    target: Image.Image
    caption: str
    spoken: str
    references: tuple[Drawn, ...]
    masks: tuple[Image.Image, ...]


def draw_sample(
    world: World, task: str, seed: int, canvas: Canvas, reference: Canvas, split: str = "train"
) -> Sample:
    """The sample of this number; `reference` is the size of each reference.

    Splits: `train` shows no combination that is held out (see `choices`), `new` neither, from seeds that training
    never uses; of `held-out` every thing has one that is. The canvases change how things are drawn, not what is.

    Raises:
        BadInput: no such task or split, or sides that are no multiples of 16.
    """
    check(task, split, canvas, reference)
    key = f"{world.name}/{split}/{task}/{seed}"
    rng = Random(f"{key}/scene")
    scene = choose_scene(world, task, split, rng)
    if task == "panels":
        return draw_panels(scene, canvas, Random(f"{key}/panels"))
    owners = choose_owners(task, rng)
    governed = govern(task, scene, owners, rng)
    drawing = draw_scene(scene, canvas)
    said, spoken = captions_of(task, drawing.scene, governed, Random(f"{key}/words"))
    references = tuple(
        draw_reference(world, kind, owner, drawing.scene, reference, split, Random(f"{key}/reference {i}"))
        for i, (kind, owner) in enumerate(zip(REFERENCES[task], owners, strict=True))
    )
    masks = tuple(mask_of(drawn, drawing.visible, canvas) for drawn in references)
    return Sample(task, drawing.scene, drawing.picture, said, spoken, references, masks)


def captions_of(task: str, scene: Scene, governed: Governed, rng: Random) -> tuple[str, str]:
    """What is said beside the references, and everything in words; the same where there are none."""
    spoken = captions.caption(scene, captions.NOTHING_GOVERNED, rng)
    if not REFERENCES[task]:
        return spoken, spoken
    return captions.caption(scene, governed, rng, style_referred="style" in REFERENCES[task]), spoken


def check(task: str, split: str, *canvases: Canvas) -> None:
    """Raises BadInput for what can't be drawn."""
    if task not in REFERENCES:
        raise BadInput.at("task", f"{task!r} is no task", f"Known are: {', '.join(TASKS)}.")
    choices.check_split(split)
    for canvas in canvases:
        if canvas.width % 16 or canvas.height % 16 or canvas.shorter < 32:
            size = f"{canvas.width} x {canvas.height}"
            raise BadInput.at("canvas", f"{size} is no size for a picture", "Give multiples of 16 from 32 on.")


def choose_scene(world: World, task: str, split: str, rng: Random) -> Scene:
    """A scene for `task`, before anything is drawn."""
    place, time = choices.choose_place(world, rng)
    styled = task in STYLED or (task == "text" and rng.random() < STYLED_TEXT)
    style = rng.choice(world.styles[1:]) if styled else world.styles[0]
    things = choose_things(world, task, split, rng)
    return Scene(place, time, style, arrange(things, place, rng), rng.randrange(2**31))


def choose_things(world: World, task: str, split: str, rng: Random) -> tuple[Thing, ...]:
    """What a scene of `task` shows."""
    kinds = REFERENCES[task]
    if "subject" in kinds:
        return choices.choose_products(world, split, kinds.count("subject"), rng)
    if "identity" in kinds or "tryon" in kinds:
        framing = "whole" if "tryon" in kinds else "bust"
        count = max(kinds.count("identity"), kinds.count("tryon"))
        return choices.choose_people(world, split, count, framing, rng)
    if task == "panels":
        if rng.random() < 0.5:
            return choices.choose_products(world, split, 1, rng)
        return choices.choose_people(world, split, 1, rng.choice(("whole", "bust")), rng)
    if task == "text" and split != "held-out" and rng.random() < EMPTY_TEXT:
        return ()
    return choose_mixed(world, split, rng)


def choose_mixed(world: World, split: str, rng: Random) -> tuple[Thing, ...]:
    """Products in 60 %, people in 40 %, of each mostly one."""
    if rng.random() < 0.6:
        return choices.choose_products(world, split, rng.choices((1, 2, 3), (55, 30, 15))[0], rng)
    framing = rng.choice(("bust", "whole"))
    return choices.choose_people(world, split, rng.choices((1, 2), (75, 25))[0], framing, rng)


def arrange(things: tuple[Thing, ...], place: str, rng: Random) -> tuple[Placed, ...]:
    """Where the things stand: from left to right, products on the ground, people cut by the lower edge."""
    middles = {0: (), 1: (rng.uniform(0.25, 0.75),), 2: (0.26, 0.74), 3: (0.18, 0.5, 0.82)}[len(things)]
    sway = 0.0 if len(things) == 1 else 0.04 if len(things) == 2 else 0.02
    placed = []
    for thing, middle in zip(things, middles, strict=True):
        x = round(middle + rng.uniform(-sway, sway), 4)
        flipped = rng.random() < 0.5
        if isinstance(thing, Person):
            height = person_height(thing.framing, len(things), rng)
            placed.append(Placed(thing, x, 1.0, height, 0.0, flipped))
            continue
        bottom = round(min(ground(place) + rng.uniform(-0.03, 0.07), 0.97), 4)
        angle = round(rng.uniform(-15, 15), 2)
        placed.append(Placed(thing, x, bottom, product_height(len(things), rng), angle, flipped))
    return tuple(placed)


def product_height(count: int, rng: Random) -> float:
    """A product's height where `count` share the picture, as a share of the shorter side."""
    usual = rng.random() < 0.8
    low, high = {1: (0.5, 0.7) if usual else (0.45, 0.75), 2: (0.38, 0.5), 3: (0.27, 0.36)}[count]
    return round(rng.uniform(low, high), 4)


def person_height(framing: str, count: int, rng: Random) -> float:
    """A person's height, as a share of the shorter side."""
    if framing == "whole":
        return round(rng.uniform(0.85, 0.97), 4)
    low, high = (0.8, 0.95) if count == 1 else (0.56, 0.64)
    return round(rng.uniform(low, high), 4)


def choose_owners(task: str, rng: Random) -> tuple[int, ...]:
    """Which thing each reference shows, so that the first reference is not always the left one."""
    kinds = REFERENCES[task]
    if task == "identity-tryon":
        return 0, 0
    count = sum(kind != "style" for kind in kinds)
    order = rng.sample(range(count), count)
    return tuple(-1 if kind == "style" else order.pop() for kind in kinds)


def govern(task: str, scene: Scene, owners: tuple[int, ...], rng: Random) -> Governed:
    """What the references decide; placeholders in half, and always where two things are of one kind."""
    by_kind: dict[str, dict[int, int]] = {"subject": {}, "tryon": {}, "identity": {}, "style": {}}
    for number, (kind, owner) in enumerate(zip(REFERENCES[task], owners, strict=True), start=1):
        by_kind[kind][owner] = number
    names = [
        placed.thing.kind if isinstance(placed.thing, Product) else "person"
        for i, placed in enumerate(scene.things)
        if i in owners
    ]
    needed = len(set(names)) < len(names)
    placeholders = rng.random() < 0.5 or needed
    return Governed(by_kind["subject"], by_kind["tryon"], by_kind["identity"], placeholders)


def draw_reference(
    world: World, kind: str, owner: int, scene: Scene, canvas: Canvas, split: str, rng: Random
) -> Drawn:
    """What a reference shows, drawn afresh on a canvas of its own."""
    if kind == "style":
        return Drawn(kind, draw_style(world, scene, canvas, split, rng), owner)
    thing = scene.things[owner].thing
    if isinstance(thing, Product):
        return Drawn(kind, draw_alone(thing, canvas, rng), owner)
    return Drawn(kind, draw_alone(thing.face if kind == "identity" else thing.garment, canvas, rng), owner)


def draw_style(world: World, scene: Scene, canvas: Canvas, split: str, rng: Random) -> Image.Image:
    """Another place with other things, in the style of `scene`."""
    place, time = choices.choose_place(world, rng, scene.place)
    shown = {placed.thing.kind for placed in scene.things if isinstance(placed.thing, Product)}
    kinds = tuple(kind for kind in world.products if kind not in shown)
    if rng.random() < 0.6:
        things: tuple[Thing, ...] = choices.choose_products(world, split, rng.choice((1, 1, 2)), rng, kinds)
    else:
        things = choices.choose_people(world, split, 1, rng.choice(("bust", "whole")), rng)
    other = Scene(place, time, scene.style, arrange(things, place, rng), rng.randrange(2**31))
    return draw_scene(other, canvas).picture


def draw_alone(what: Product | Garment | Face, canvas: Canvas, rng: Random) -> Image.Image:
    """A product, a garment or a face on white, filling `canvas` up to a margin."""
    margin, shade = rng.uniform(*MARGIN), rng.uniform(*SHADE)
    flipped = rng.random() < 0.5
    height = round(canvas.height * (1 - 2 * MARGIN[0]))
    if isinstance(what, Product):
        angle = rng.uniform(-SUBJECT_ANGLE, SUBJECT_ANGLE)
        cut = turned(draw_product(what, height, rng), angle, flipped)
    elif isinstance(what, Garment):
        angle = rng.uniform(-GARMENT_ANGLE, GARMENT_ANGLE)
        cut = turned(draw_garment(what, height, rng), angle, flipped)
    else:
        cut = turned(draw_face(what, height, rng, turn=rng.uniform(-FACE_TURN, FACE_TURN)), 0.0, flipped)
    scale = within(cut.size, canvas, margin)
    size = (max(round(cut.width * scale), 1), max(round(cut.height * scale), 1))
    table = [min(round(value * shade), 255) for value in range(256)]
    cut = cut.resize(size, Image.Resampling.BICUBIC).point([*table * 3, *range(256)])
    return on_white(cut, canvas)


def mask_of(drawn: Drawn, visible: tuple[Visible, ...], canvas: Canvas) -> Image.Image:
    """The visible part of what a reference governs."""
    if drawn.owner < 0:
        return Image.new("L", canvas.size, 255)
    seen = visible[drawn.owner]
    part = {"subject": seen.whole, "identity": seen.face, "tryon": seen.garment}[drawn.kind]
    return part or Image.new("L", canvas.size)


def draw_panels(scene: Scene, canvas: Canvas, rng: Random) -> Sample:
    """Two panels side by side: a thing alone on white, and the scene that has it."""
    thing = scene.things[0].thing
    shows_garment = isinstance(thing, Person) and thing.framing == "whole"
    alone = thing if isinstance(thing, Product) else thing.garment if shows_garment else thing.face
    drawing = draw_scene(scene, canvas)
    target = Image.new("RGB", (2 * canvas.width, canvas.height))
    target.paste(draw_alone(alone, canvas, rng), (0, 0))
    target.paste(drawing.picture, (canvas.width, 0))
    spoken = captions.panels(drawing.scene, rng.random() < 0.5, rng, shows_garment=shows_garment)
    return Sample("panels", drawing.scene, target, spoken, spoken, (), ())
