"""What is true of a drawn picture: which things it shows, what they look like, where they stand.

Everything here is plain data: drawing reads it, captions say it, readers are measured against it. A `World` says
which values there are: a small one is learnt well by a small budget, the full one wants a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Look:
    """How a product or a garment is coloured.

    Attributes:
        colour: of its ground.
        second: of its pattern and emblem; never equal to `colour`.
        pattern: `plain`, or what is drawn in the second colour all over it.
        emblem: `none`, or the shape drawn once on its middle in the second colour, on a patch of the first.
    """

    colour: str
    second: str
    pattern: str
    emblem: str


@dataclass(frozen=True, slots=True)
class Product:
    """A thing to sell. `proportion` runs from 0 (squat) to 1 (tall)."""

    kind: str
    look: Look
    proportion: float


@dataclass(frozen=True, slots=True)
class Garment:
    """A thing to wear."""

    kind: str
    look: Look


@dataclass(frozen=True, slots=True)
class Face:
    """Who somebody is, as far as a drawing tells."""

    skin: str
    hair: str
    hair_colour: str
    eyes: str
    glasses: bool
    beard: bool
    freckles: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A face, what is worn below it, and how the body stands (`pose`).

    `framing` is `bust` (head and shoulders fill the height) or `whole` (from head to knees).
    """

    face: Face
    garment: Garment
    pose: str
    framing: str


Thing = Product | Person


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing in a scene.

    Attributes:
        thing: what it is.
        x: the middle, as a share of the picture's width.
        bottom: its lower edge, as a share of the picture's height.
        height: as a share of the picture's shorter side.
        angle: degrees, counter-clockwise; people stand upright.
        flipped: seen from the other side (left and right exchanged).
    """

    thing: Thing
    x: float
    bottom: float
    height: float
    angle: float = 0.0
    flipped: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole picture.

    `style` is `plain` or a way of drawing; `seed` decides what no word says (clouds, trees).
    """

    place: str
    time: str
    style: str
    things: tuple[Placed, ...]
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class World:
    """Which values there are. Order is part of a world: readers and reports count by it."""

    name: str
    products: tuple[str, ...]
    garments: tuple[str, ...]
    colours: tuple[str, ...]
    patterns: tuple[str, ...]
    emblems: tuple[str, ...]
    places: tuple[str, ...]
    times: tuple[str, ...]
    styles: tuple[str, ...]
    skins: tuple[str, ...]
    hairs: tuple[str, ...]
    hair_colours: tuple[str, ...]
    eyes: tuple[str, ...]
    freckles: bool
    poses: tuple[str, ...]


FULL = World(
    name="full",
    products=(
        *("mug", "bottle", "bag", "lamp", "sneaker", "cap"),
        *("teapot", "chair", "guitar", "camera", "backpack", "umbrella"),
    ),
    garments=("t-shirt", "hoodie", "dress", "jacket", "shirt", "coat"),
    colours=(
        *("red", "yellow", "green", "blue", "purple", "pink", "white", "black"),
        *("orange", "teal", "brown", "grey"),
    ),
    patterns=("plain", "stripes", "dots", "checks", "band", "zigzags", "triangles"),
    emblems=("none", "star", "heart", "circle", "moon", "leaf", "bolt"),
    places=(
        *("beach", "city", "forest", "kitchen", "studio", "mountains"),
        *("desert", "garden", "living room", "office", "harbour", "market"),
    ),
    times=("day", "night", "sunset"),
    styles=("plain", "pixel", "sketch", "neon", "pastel", "halftone", "mosaic", "ink"),
    skins=("light", "tan", "brown", "dark"),
    hairs=("short", "long", "curly", "bald", "bun", "spiky"),
    hair_colours=("black", "brown", "blond", "red", "grey"),
    eyes=("brown", "blue", "green"),
    freckles=True,
    poses=("standing", "waving", "hands on hips", "arms raised"),
)

SMALL = World(
    name="small",
    products=FULL.products[:6],
    garments=FULL.garments[:3],
    colours=FULL.colours[:8],
    patterns=FULL.patterns[:4],
    emblems=FULL.emblems[:3],
    places=FULL.places[:6],
    times=FULL.times[:2],
    styles=FULL.styles[:5],
    skins=FULL.skins,
    hairs=FULL.hairs[:4],
    hair_colours=FULL.hair_colours[:4],
    eyes=FULL.eyes[:1],
    freckles=False,
    poses=FULL.poses[:3],
)

WORLDS: Mapping[str, World] = {world.name: world for world in (SMALL, FULL)}
