"""A kind that no trained model has seen: `palette`, a card of colour swatches that decides a product's colours.

The larger swatch is the product's ground, the smaller one what is drawn on it. The caption tells the product, its
pattern and its emblem, and no colour.
"""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

from core.training.world import captions, choices
from core.training.world.captions import Governed, name_of, place_phrase, with_article
from core.training.world.palette import COLOURS, darker, shade
from core.training.world.samples import Drawn, Sample, arrange, check
from core.training.world.scenes import Canvas, draw_scene
from core.training.world.truth import Look, Product, Scene, World

PALETTE = "palette"
"""The task, and the kind of its reference."""
MARGIN = (0.06, 0.14)
FIRST = (0.56, 0.7)
"""The larger swatch's share of the card."""


def draw_palette_sample(
    world: World, task: str, seed: int, canvas: Canvas, reference: Canvas, split: str = "train"
) -> Sample:
    """The sample of this number: a scene with one product, and a card with its two colours.

    Raises:
        BadInput: no such split, or sides that are no multiples of 16.
    """
    check("subject", split, canvas, reference)
    key = f"{world.name}/{split}/{task}/{seed}"
    rng = Random(f"{key}/scene")
    place, time = choices.choose_place(world, rng)
    things = choices.choose_products(world, split, 1, rng)
    scene = Scene(place, time, world.styles[0], arrange(things, place, rng), rng.randrange(2**31))
    drawing = draw_scene(scene, canvas)
    words = Random(f"{key}/words")
    spoken = captions.caption(drawing.scene, captions.NOTHING_GOVERNED, words)
    said = palette_caption(drawing.scene, Governed({0: 1}, placeholders=words.random() < 0.5), words)
    (product,) = things
    assert isinstance(product, Product)
    card = draw_card(product.look, reference, Random(f"{key}/card"))
    mask = drawing.visible[0].whole
    return Sample(task, drawing.scene, drawing.picture, said, spoken, (Drawn(PALETTE, card, 0),), (mask,))


def palette_caption(scene: Scene, governed: Governed, rng: Random) -> str:
    """`a mug from [ref#1] with stripes and a star on the beach`: everything but colours."""
    product = scene.things[0].thing
    assert isinstance(product, Product)
    look, extras = product.look, []
    if look.pattern != "plain":
        extras.append("a band" if look.pattern == "band" else look.pattern)
    if look.emblem != "none":
        extras.append(with_article(look.emblem))
    name = name_of(product.kind, rng)
    said = f"{with_article(name) if extras else f'a plain {name}'}{governed.source(1)}"
    said += f" with {captions.listed(extras)}" if extras else ""
    where = place_phrase(scene.place, scene.time, rng)
    return f"{where}, {said}" if rng.random() < captions.FIRST_MENTION_OF_PLACE else f"{said} {where}"


def draw_card(look: Look, canvas: Canvas, rng: Random) -> Image.Image:
    """Both colours side by side or one above the other, on white; the ground's is the larger one."""
    card = Image.new("RGB", canvas.size, "white")
    pen = ImageDraw.Draw(card)
    edge = rng.uniform(*MARGIN) * canvas.shorter
    left, top, right, bottom = edge, edge, canvas.width - edge, canvas.height - edge
    share, upright, turned = rng.uniform(*FIRST), rng.random() < 0.5, rng.random() < 0.5
    colours = [shade(COLOURS[name], rng) for name in (look.colour, look.second)]
    if turned:
        colours.reverse()
        share = 1 - share
    if upright:
        cut = top + share * (bottom - top)
        boxes = [(left, top, right, cut), (left, cut, right, bottom)]
    else:
        cut = left + share * (right - left)
        boxes = [(left, top, cut, bottom), (cut, top, right, bottom)]
    for colour, box in zip(colours, boxes, strict=True):
        pen.rectangle(box, fill=colour, outline=darker(colour, 0.25))
    return card
