"""The drawn world's products: a silhouette a kind, the look large on it, small neutral parts around.

`draw_product` is the way in. Here stand mug, bottle, bag, lamp, sneaker and cap; the other kinds stand beside, in
`products_more`. Geometry follows from the product and the height alone; chance only moves shades.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from PIL import Image

from core.errors import BadInput
from core.training.world.easel import COFFEE, PAPER, RUBBER, STEEL, Easel, mirrored
from core.training.world.palette import darker, lighter
from core.training.world.products_more import MORE_KINDS
from core.training.world.truth import Product

SQUAT, TALL = 1.26, 0.76
"""Width against the kind's usual width, at proportion 0 and at 1."""


def draw_product(product: Product, height: int, rng: random.Random) -> Image.Image:
    """The product on nothing, cut to its content.

    Args:
        product: what to draw.
        height: of the picture, pixels; 8 or more.
        rng: moves shades a little.

    Returns:
        RGBA, `height` high; the width follows from the kind and the proportion.

    Raises:
        BadInput: for a kind or look that the drawn world does not have, a proportion outside 0..1, or a height
            too small to show anything.
    """
    if product.kind not in KINDS:
        raise BadInput.at("product.kind", f"there is no {product.kind!r}", f"use one of {', '.join(KINDS)}")
    if not 0.0 <= product.proportion <= 1.0:
        raise BadInput.at("product.proportion", f"{product.proportion} is outside 0..1", "give a share")
    if height < 8:
        raise BadInput.at("height", f"{height} pixels show nothing", "give 8 or more")
    aspect, draw = KINDS[product.kind]
    stretch = SQUAT + (TALL - SQUAT) * product.proportion
    easel = Easel(max(4, round(height * aspect * stretch)), height, product.look, rng)
    draw(easel)
    return easel.finish(height)


def _mug(easel: Easel) -> None:
    easel.tube(
        easel.curve([(0.72, 0.26), (0.9, 0.26), (0.955, 0.46), (0.9, 0.69), (0.7, 0.76)]), easel.tone, 0.085
    )
    body = [(0.0, 0.07), (0.78, 0.07), (0.755, 0.92), (0.62, 1.0), (0.16, 1.0), (0.025, 0.92)]
    easel.dress(easel.polygon(body, [0.0, 0.0, 0.09, 0.14, 0.14, 0.09]), scale=0.29)
    easel.fill(easel.oval((0.39, 0.075), 0.385, 0.07), lighter(easel.tone, 0.3))
    easel.fill(easel.oval((0.39, 0.08), 0.335, 0.043), COFFEE, outlined=False)
    easel.gleam(easel.polygon([(0.07, 0.24), (0.11, 0.25), (0.12, 0.82), (0.085, 0.8)], 0.03))


def _bottle(easel: Easel) -> None:
    easel.fill(easel.polygon([(0.31, 0.08), (0.69, 0.08), (0.69, 0.26), (0.31, 0.26)], 0.01), lighter(STEEL, 0.35))
    half = [(0.66, 0.19), (0.7, 0.24), (1.0, 0.36), (1.0, 1.0)]
    easel.dress(easel.polygon(mirrored(half), [0.01, 0.03, 0.1, 0.06, 0.06, 0.1, 0.03, 0.01]), period_of=0.15)
    easel.fill(easel.polygon([(0.24, 0.0), (0.76, 0.0), (0.76, 0.1), (0.24, 0.1)], 0.02), RUBBER)
    easel.gleam(easel.polygon([(0.1, 0.42), (0.18, 0.38), (0.18, 0.9), (0.1, 0.88)], 0.02))


def _bag(easel: Easel) -> None:
    for side in (0.03, 0.0):
        handle = [(0.26, 0.42), (0.28 + side, 0.14), (0.5, 0.035 + side), (0.72 - side, 0.14), (0.74, 0.42)]
        easel.tube(easel.curve(handle), easel.tone if side == 0.0 else darker(easel.tone, 0.25), 0.035)
    body = [(0.07, 0.33), (0.93, 0.33), (1.0, 1.0), (0.0, 1.0)]
    easel.dress(easel.polygon(body, [0.02, 0.02, 0.06, 0.06]), scale=0.29)
    easel.fill(easel.polygon([(0.065, 0.33), (0.935, 0.33), (0.942, 0.39), (0.058, 0.39)], 0.01), easel.tone)
    for x in (0.26, 0.74):
        easel.fill(easel.disc((x, 0.36), 0.026), PAPER)


def _lamp(easel: Easel) -> None:
    easel.tube(easel.curve([(0.5, 0.5), (0.5, 0.92)]), STEEL, 0.04)
    easel.fill(easel.polygon([(0.24, 0.93), (0.76, 0.93), (0.8, 1.0), (0.2, 1.0)], 0.03), RUBBER)
    easel.tube(easel.curve([(0.7, 0.6), (0.7, 0.72)]), STEEL, 0.008)
    easel.fill(easel.disc((0.7, 0.735), 0.018), STEEL)
    easel.dress(
        easel.polygon([(0.24, 0.0), (0.76, 0.0), (1.0, 0.62), (0.0, 0.62)], [0.03, 0.03, 0.04, 0.04]), scale=0.29
    )
    easel.gleam(easel.polygon([(0.24, 0.1), (0.3, 0.1), (0.19, 0.53), (0.11, 0.53)], 0.02))


def _sneaker(easel: Easel) -> None:
    easel.fill(easel.polygon([(0.3, 0.04), (0.46, 0.0), (0.6, 0.2), (0.44, 0.34)], 0.05), easel.tone)
    collar = [(0.03, 0.06), (0.1, 0.03), (0.2, 0.1), (0.36, 0.06), (0.45, 0.12)]
    front = [(0.57, 0.33), (0.68, 0.44), (0.8, 0.49), (0.84, 0.66), (0.84, 0.85)]
    easel.dress(easel.curve([*collar, *front, (0.4, 0.86), (0.03, 0.85), (0.04, 0.45)], closed=True), scale=0.31)
    toe = [(0.81, 0.49), (0.91, 0.55), (0.97, 0.69), (0.975, 0.85), (0.79, 0.86), (0.77, 0.66)]
    easel.fill(easel.curve(toe, closed=True), PAPER)
    easel.fill(easel.polygon([(0.0, 0.8), (1.0, 0.8), (0.99, 1.0), (0.01, 1.0)], [0.03, 0.05, 0.1, 0.1]), PAPER)
    easel.stroke(easel.curve([(0.015, 0.915), (0.985, 0.915)]), easel.tone, 0.03)
    for x, y in ((0.48, 0.14), (0.55, 0.26), (0.63, 0.37)):
        easel.tube(easel.curve([(x - 0.055, y + 0.085), (x + 0.02, y)]), PAPER, 0.035)


def _cap(easel: Easel) -> None:
    dome = [(0.0, 0.9), (0.02, 0.5), (0.13, 0.16), (0.34, 0.05), (0.52, 0.11), (0.65, 0.34), (0.7, 0.9)]
    easel.dress(easel.polygon(dome, [0.04, 0.2, 0.2, 0.2, 0.2, 0.2, 0.03]), scale=0.3)
    easel.fill(easel.oval((0.34, 0.05), 0.045, 0.05), easel.tone)
    brim = [
        (0.0, 0.83),
        (0.5, 0.83),
        (0.7, 0.74),
        (0.88, 0.8),
        (1.0, 1.0),
        (0.84, 0.94),
        (0.64, 0.95),
        (0.0, 0.95),
    ]
    easel.fill(easel.polygon(brim, [0.03, 0.1, 0.1, 0.12, 0.03, 0.12, 0.1, 0.03]), easel.tone)
    easel.stroke(
        easel.curve([(0.58, 0.86), (0.72, 0.82), (0.85, 0.85), (0.94, 0.93)]), lighter(easel.tone, 0.4), 0.02
    )


KINDS: Mapping[str, tuple[float, Callable[[Easel], None]]] = {
    "mug": (1.1, _mug),
    "bottle": (0.5, _bottle),
    "bag": (0.8, _bag),
    "lamp": (0.72, _lamp),
    "sneaker": (1.5, _sneaker),
    "cap": (1.4, _cap),
    **MORE_KINDS,
}
"""Usual width over height, and how it is drawn."""
