"""From the truth of a scene to its picture, and to what of each thing is visible in it.

Things that stand lower in the picture stand nearer and cover the others. Pixels count from the upper left corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from PIL import Image, ImageChops, ImageOps

from core.training.world.people import draw_person
from core.training.world.places import draw_place
from core.training.world.products import draw_product
from core.training.world.styles import draw_in
from core.training.world.truth import Person, Placed, Product, Scene

WIDEST = 0.92
"""Share of a picture's width that a single product may take; it is drawn smaller where it would take more."""
TOLERANCE = 2
"""Pixels by which a thing may be wider than that: turning and rounding never come out even."""
LOWEST = 8
"""Pixels of height below which nothing is drawn any smaller."""
SHADOW = 110
"""How dark a product's contact shadow is in its middle, of 255."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture's size in pixels, multiples of 16."""

    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def shorter(self) -> int:
        return min(self.size)


@dataclass(frozen=True, slots=True)
class Visible:
    """What is to be seen of a thing (L, 255 = visible, of the picture's size).

    A product's `garment` and `face` are None; a person's `whole` is the body with all that is worn.
    """

    whole: Image.Image
    garment: Image.Image | None = None
    face: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A scene with its things where they came to stand, its picture (RGB) and what is visible of each thing."""

    scene: Scene
    picture: Image.Image
    visible: tuple[Visible, ...]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A thing cut out: its picture (RGBA) and, of a person, the masks of garment and face (L)."""

    picture: Image.Image
    garment: Image.Image | None = None
    face: Image.Image | None = None


def draw_scene(scene: Scene, canvas: Canvas) -> Drawing:
    """Draws a scene; what would reach over the sides is moved in, what is too wide drawn smaller.

    The scene that comes back says where everything came to stand: drawn again, it stays as it is.
    """
    picture = draw_place(scene.place, scene.time, canvas.width, canvas.height, scene.seed)
    width = WIDEST if len(scene.things) < 2 else WIDEST / len(scene.things) * 1.1
    settled = [settle(placed, canvas, width, Random(f"{scene.seed}/{i}")) for i, placed in enumerate(scene.things)]
    things = tuple(placed for placed, _ in settled)
    corners = [corner(placed, sprite.picture, canvas) for placed, sprite in settled]
    order = sorted(range(len(things)), key=lambda i: things[i].bottom)
    for i in order:
        if isinstance(things[i].thing, Product):
            cast_shadow(picture, corners[i], settled[i][1].picture.size)
    alphas = [sprite.picture.getchannel("A") for _, sprite in settled]
    for i in order:
        picture.paste(settled[i][1].picture, corners[i], alphas[i])
    visible = [visible_of(sprite, at, canvas) for (_, sprite), at in zip(settled, corners, strict=True)]
    for place, i in enumerate(order):
        for j in order[:place]:
            cover(visible[j], corners[i], alphas[i])
    if scene.style != "plain":
        picture = draw_in(scene.style, picture)
    return Drawing(replace(scene, things=things), picture, tuple(visible))


def settle(placed: Placed, canvas: Canvas, widest: float, rng: Random) -> tuple[Placed, Sprite]:
    """A thing as it will be seen, and where it stands once it fits between the sides.

    `widest` is the share of the width that it may take. A product that takes more is drawn smaller; people keep
    their size, and a raised hand may leave the picture.
    """
    start, limit = rng.getstate(), widest * canvas.width
    sprite = cut_out(placed, canvas, rng)
    while isinstance(placed.thing, Product) and sprite.picture.width > limit + TOLERANCE:
        fitting = int(round(placed.height * canvas.shorter) * limit / sprite.picture.width)
        if fitting < LOWEST:
            break
        placed = replace(placed, height=round(fitting / canvas.shorter, 4))
        rng.setstate(start)
        sprite = cut_out(placed, canvas, rng)
    half = min(sprite.picture.width / canvas.width, widest) / 2
    return replace(placed, x=round(min(max(placed.x, half), 1 - half), 4)), sprite


def cut_out(placed: Placed, canvas: Canvas, rng: Random) -> Sprite:
    """A thing at its size, flipped and turned, with nothing empty around it."""
    height = max(round(placed.height * canvas.shorter), LOWEST)
    if isinstance(placed.thing, Person):
        figure = draw_person(placed.thing, height, rng)
        parts = [figure.picture, figure.garment, figure.face]
        if placed.flipped:
            parts = [part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for part in parts]
        return Sprite(*parts)
    return Sprite(turned(draw_product(placed.thing, height, rng), placed.angle, placed.flipped))


def turned(picture: Image.Image, angle: float, flipped: bool) -> Image.Image:
    """Flipped first, then turned by `angle` degrees counter-clockwise; cut to what is not empty."""
    if flipped:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        # Without empty pixels around it, an edge that touches the border would come out jagged.
        picture = ImageOps.expand(picture, 2).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    box = picture.getchannel("A").point(SOLID).getbbox()
    return picture.crop(box) if box else picture


SOLID = [0] * 24 + [255] * 232
"""Which alpha values count when a picture is cut to its content."""


def corner(placed: Placed, sprite: Image.Image, canvas: Canvas) -> tuple[int, int]:
    """Where the upper left corner of a thing's picture lies."""
    left = placed.x * canvas.width - sprite.width / 2
    return round(left), round(placed.bottom * canvas.height) - sprite.height


def visible_of(sprite: Sprite, at: tuple[int, int], canvas: Canvas) -> Visible:
    """The masks of a thing laid on an empty canvas."""
    alpha = sprite.picture.getchannel("A")
    parts: list[Image.Image | None] = []
    for part in (alpha, sprite.garment, sprite.face):
        if part is None:
            parts.append(None)
            continue
        mask = Image.new("L", canvas.size)
        mask.paste(part, at)
        parts.append(mask)
    whole = parts[0] or Image.new("L", canvas.size)
    return Visible(whole, parts[1], parts[2])


def cover(visible: Visible, at: tuple[int, int], alpha: Image.Image) -> None:
    """Takes away from a thing what a nearer one with this alpha hides."""
    for mask in (visible.whole, visible.garment, visible.face):
        if mask is not None:
            mask.paste(0, at, alpha)


def cast_shadow(picture: Image.Image, at: tuple[int, int], size: tuple[int, int]) -> None:
    """A soft dark ellipse where a product of `size` at `at` touches the ground."""
    width, height = round(size[0] * 1.1), max(round(size[0] * 0.2), 5)
    left = at[0] - (width - size[0]) // 2
    top = at[1] + size[1] - round(height * 0.62)
    picture.paste(0, (left, top), ellipse().resize((width, height), Image.Resampling.BILINEAR))


@lru_cache(maxsize=1)
def ellipse() -> Image.Image:
    """A disc that fades outwards (64 x 64, L)."""
    disc = ImageChops.invert(Image.radial_gradient("L")).resize((64, 64), Image.Resampling.BOX)
    return disc.point([round(SHADOW * min(max((value - 64) / 120, 0.0), 1.0)) for value in range(256)])


def on_white(cut: Image.Image, canvas: Canvas) -> Image.Image:
    """A cut-out (RGBA, no larger than `canvas`) in the middle of a white picture."""
    picture = Image.new("RGB", canvas.size, "white")
    at = ((canvas.width - cut.width) // 2, (canvas.height - cut.height) // 2)
    picture.paste(cut, at, cut.getchannel("A"))
    return picture


def within(size: Sequence[int], canvas: Canvas, margin: float) -> float:
    """By how much to scale something of `size` so that it fills `canvas` up to a margin (share of either side)."""
    return min((1 - 2 * margin) * side / max(length, 1) for side, length in zip(canvas.size, size, strict=True))
