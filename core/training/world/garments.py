"""The drawn world's wardrobe: garments laid flat, and the same garments on a body.

Shapes are given in heads: a wearer's head is one unit high, (0, 0) is its middle, y runs downwards. The chin is at
0.5, the shoulders at 0.75, the hips at 1.9.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from core.errors import BadInput
from core.training.world.palette import COLOURS, RGB, darker, lighter
from core.training.world.sheet import (
    BODY,
    GARMENT,
    LINE,
    Outline,
    Point,
    Sheet,
    mirrored,
    rounded,
)
from core.training.world.strokes import stroke
from core.training.world.truth import Garment

Arms = tuple[Outline, Outline]

STEEL: RGB = (200, 204, 210)
IVORY: RGB = (250, 246, 232)
FLAT_ARMS: Arms = (((-0.42, 0.86), (-0.8, 1.3), (-1.0, 1.86)), ((0.42, 0.86), (0.8, 1.3), (1.0, 1.86)))


@dataclass(frozen=True, slots=True)
class Cut:
    """How a kind of garment is sewn.

    Attributes:
        side: right edge of the trunk from the collar to the hem, laid flat.
        reach: where sleeves end; 1 is the elbow, 2 the wrist.
        wide: thickness of a sleeve.
        details: draws what is sewn on; is told the colour of its lines and whether a body is inside.
    """

    side: Outline
    reach: float
    wide: float
    details: Callable[[Sheet, Tailoring], None]


@dataclass(frozen=True, slots=True)
class Tailoring:
    """What the details of one garment depend on.

    Attributes:
        edge: colour of its lines.
        inside: what is seen in the neckline.
        worn: whether a body is in it.
        emblem: from where to where an emblem keeps the front free; twice the same height where there is none.
    """

    edge: RGB
    inside: RGB
    worn: bool
    emblem: tuple[float, float]

    def free(self, *heights: float) -> list[float]:
        """Those of the heights at which nothing would lie on the emblem."""
        first, last = self.emblem
        return [y for y in heights if not first < y < last]


def edge_of(colour: RGB) -> RGB:
    """The line round a thing of that colour: darker, or lighter where it is nearly black."""
    return lighter(colour, 0.3) if sum(colour) < 160 else darker(colour, 0.36)


def draw_garment(garment: Garment, height: int, rng: random.Random) -> Image.Image:
    """A flat-lay photo of a garment: RGBA, cut tight, `height` pixels high.

    Raises:
        BadInput: for a kind of garment the drawn world does not have.
    """
    hem = cut_of(garment).side[-1][1]
    top = 0.3 if garment.kind == "hoodie" else 0.55
    sheet = Sheet(-1.3, top - 0.1, 1.3, hem + 0.15, height / (hem - top))
    wear(sheet, garment, FLAT_ARMS, rng, None)
    return sheet.cut(height)[0]


def cut_of(garment: Garment) -> Cut:
    """How this garment is sewn; BadInput where there is no such kind."""
    if garment.kind not in CUTS:
        known = ", ".join(CUTS)
        raise BadInput.at("garment.kind", f"{garment.kind!r} is no drawn garment", f"Known are: {known}.")
    return CUTS[garment.kind]


def wear(sheet: Sheet, garment: Garment, arms: Arms, rng: random.Random, skin: RGB | None) -> None:
    """Draw a garment with its sleeves along `arms` (shoulder, elbow, wrist); `skin` is of who is in it, if any."""
    cut, colour = cut_of(garment), COLOURS[garment.look.colour]
    edge, seed, sheet.role = edge_of(colour), rng.random(), GARMENT
    plain = garment.look.pattern == "band"
    look = replace(garment.look, emblem="none", pattern="plain" if plain else garment.look.pattern)
    sleeves = Image.new("1", sheet.canvas.size)
    if garment.kind == "hoodie":
        _hood(sheet, edge, sleeves, skin is not None)
    for arm in arms:
        _sleeve(sheet, shortened(arm, cut.reach), cut.wide, edge, sleeves)
    sheet.cloth(sleeves, replace(garment, look=look), seed)
    for arm in arms:
        _cuff(sheet, shortened(arm, cut.reach), cut.wide, edge)
    side = cut.side if skin is None else tuple(_on_body(x, y) for x, y in cut.side)
    trunk = rounded(mirrored(side))
    mask = Image.new("1", sheet.canvas.size)
    ImageDraw.Draw(mask).polygon(sheet.at(trunk), fill=1)
    sheet.cloth(mask, garment, seed)
    sheet.stroke((*trunk, trunk[0], trunk[1]), edge, LINE)
    inside = darker(colour, 0.45) if skin is None else skin
    cut.details(sheet, Tailoring(edge, inside, skin is not None, _kept_free(sheet, garment)))


def _kept_free(sheet: Sheet, garment: Garment) -> tuple[float, float]:
    """From where to where the emblem lies, which is in the middle of what the sheet shows of the trunk."""
    shown = min(cut_of(garment).side[-1][1], sheet.top + sheet.canvas.height / sheet.unit)
    middle = (0.62 + shown) / 2
    room = 0.36 * min(1.0, shown - 0.68) if garment.look.emblem != "none" else 0.0
    return middle - room, middle + room


def _on_body(x: float, y: float) -> Point:
    """Where a point of a flat trunk lies on a body: a little narrower, most of all at the waist."""
    waist = max(0.0, 1 - abs(y - 1.5) / 0.5)
    return x * (0.95 - 0.09 * waist), y


def shortened(arm: Outline, reach: float) -> Outline:
    """The arm as far as a sleeve covers it."""
    whole, rest = int(reach), reach - int(reach)
    if rest == 0:
        return arm[: whole + 1]
    (ax, ay), (bx, by) = arm[whole], arm[whole + 1]
    return (*arm[: whole + 1], (ax + (bx - ax) * rest, ay + (by - ay) * rest))


def _sleeve(sheet: Sheet, arm: Outline, wide: float, edge: RGB, mask: Image.Image) -> None:
    sheet.limb(arm, wide + LINE, edge)
    draw, pixels, half = ImageDraw.Draw(mask), sheet.at(arm), wide / 2 * sheet.unit
    stroke(draw, pixels, 1, round(2 * half))
    for x, y in pixels[:-1]:
        draw.ellipse((x - half, y - half, x + half, y + half), fill=1)


def _cuff(sheet: Sheet, arm: Outline, wide: float, edge: RGB) -> None:
    """A line across the end of a sleeve."""
    (ax, ay), (bx, by) = arm[-2:]
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5 or 1.0
    across, along = ((by - ay) / length * wide / 2, (ax - bx) / length * wide / 2), LINE / 2 / length
    x, y = bx + (ax - bx) * along, by + (ay - by) * along
    sheet.stroke(((x - across[0], y - across[1]), (x + across[0], y + across[1])), edge, LINE)


def _hood(sheet: Sheet, edge: RGB, mask: Image.Image, worn: bool) -> None:
    """The hood behind the neck; it joins the sleeves' mask, so that it gets their cloth."""
    shape = rounded(mirrored(HOOD_WORN if worn else HOOD_FLAT))
    sheet.stroke((*shape, shape[0], shape[1]), edge, LINE * 2)
    ImageDraw.Draw(mask).polygon(sheet.at(shape), fill=1)


def _neckline(sheet: Sheet, sewn: Tailoring, deep: float = 0.16, wide: float = 0.23) -> None:
    """A round neck hole with its rib."""
    top = 0.61
    hole = tuple((wide * x, top + deep * y) for x, y in HALF_CIRCLE)
    sheet.role = BODY if sewn.worn else GARMENT
    sheet.fill(((-wide, top - 0.06), *hole, (wide, top - 0.06)), sewn.inside)
    sheet.role = GARMENT
    sheet.stroke(hole, sewn.edge, LINE * 1.3)


def _ribbed_hem(sheet: Sheet, sewn: Tailoring, y: float, half: float) -> None:
    sheet.stroke(((-half, y), (half, y)), sewn.edge, LINE * 0.8)


def _front(sheet: Sheet, sewn: Tailoring, top: float, bottom: float, colour: RGB, wide: float) -> None:
    """A line down the front that spares the emblem."""
    for first, last in ((top, sewn.emblem[0]), (sewn.emblem[1], bottom)):
        if last > first:
            sheet.stroke(((0.0, first), (0.0, last)), colour, wide)


def _tee(sheet: Sheet, sewn: Tailoring) -> None:
    _neckline(sheet, sewn)


def _hoodie(sheet: Sheet, sewn: Tailoring) -> None:
    _neckline(sheet, sewn, 0.2, 0.24)
    pocket = ((-0.2, 1.56), (0.2, 1.56), (0.34, 1.8), (-0.34, 1.8))
    sheet.stroke((*pocket, pocket[0], pocket[1]), sewn.edge, LINE)
    for side in (-1, 1):
        end = min(1.06, max(0.84, sewn.emblem[0])) if sewn.emblem[0] < sewn.emblem[1] else 1.06
        sheet.stroke(((0.15 * side, 0.74), (0.16 * side, end)), IVORY, LINE * 1.1)
        sheet.disc(0.16 * side, end, 0.035, 0.035, IVORY)


def _dress(sheet: Sheet, sewn: Tailoring) -> None:
    _neckline(sheet, sewn, 0.22, 0.2)
    half = 0.29 if sewn.worn else 0.34
    sheet.stroke(((-half, 1.31), (half, 1.31)), sewn.edge, LINE * 1.8)
    for x in (-0.3, 0.3):
        sheet.stroke(((x * 0.6, 2.1), (x, 2.56)), sewn.edge, LINE * 0.7)


def _jacket(sheet: Sheet, sewn: Tailoring) -> None:
    _neckline(sheet, sewn, 0.16, 0.2)
    _front(sheet, sewn, 0.84, 1.88, STEEL, LINE * 1.5)
    for side in (-1, 1):
        collar = ((0.0, 0.86), (0.24 * side, 0.62), (0.3 * side, 0.74), (0.1 * side, 0.92))
        sheet.fill(collar, sewn.edge)
        sheet.stroke(((0.24 * side, 1.5), (0.36 * side, 1.68)), STEEL, LINE)
    _ribbed_hem(sheet, sewn, 1.78, 0.44)


def _shirt(sheet: Sheet, sewn: Tailoring) -> None:
    _neckline(sheet, sewn, 0.14, 0.18)
    _front(sheet, sewn, 0.84, 1.92, sewn.edge, LINE * 0.7)
    for side in (-1, 1):
        collar = ((0.0, 0.82), (0.19 * side, 0.6), (0.31 * side, 0.78), (0.16 * side, 0.97))
        sheet.fill(collar, IVORY, sewn.edge)
    for y in sewn.free(0.92, 1.15, 1.38, 1.61, 1.84):
        sheet.disc(0.0, y, 0.035, 0.035, IVORY)


def _coat(sheet: Sheet, sewn: Tailoring) -> None:
    _neckline(sheet, sewn, 0.24, 0.2)
    _front(sheet, sewn, 0.9, 2.62, sewn.edge, LINE)
    for side in (-1, 1):
        lapel = ((0.0, 1.04), (0.18 * side, 0.62), (0.34 * side, 0.8), (0.26 * side, 0.96))
        sheet.fill(lapel, sewn.edge)
        sheet.stroke(((0.26 * side, 2.0), (0.48 * side, 2.0)), sewn.edge, LINE * 1.6)
        for y in sewn.free(1.16, 1.48, 1.8, 2.2):
            sheet.disc(0.13 * side, y, 0.042, 0.042, IVORY)


HALF_CIRCLE: Outline = (
    *((-1, 0), (-0.92, 0.38), (-0.71, 0.71), (-0.38, 0.92), (0, 1)),
    *((0.38, 0.92), (0.71, 0.71), (0.92, 0.38), (1, 0)),
)
HOOD_WORN: Outline = ((0.2, 0.4), (0.48, 0.4), (0.6, 0.6), (0.4, 0.9))
HOOD_FLAT: Outline = ((0.16, 0.28), (0.42, 0.4), (0.36, 0.9))
TEE_SIDE: Outline = ((0.23, 0.59), (0.28, 0.62), (0.5, 0.72), (0.52, 0.9), (0.52, 1.8), (0.51, 1.9), (0.42, 1.92))
JACKET_SIDE: Outline = ((0.23, 0.59), (0.28, 0.62), (0.5, 0.72), (0.54, 0.9), (0.56, 1.7), (0.5, 1.9), (0.4, 1.92))
DRESS_SIDE: Outline = (
    *((0.22, 0.6), (0.27, 0.63), (0.45, 0.72), (0.47, 0.95), (0.38, 1.3)),
    *((0.64, 1.95), (0.84, 2.5), (0.83, 2.6), (0.7, 2.66)),
)
COAT_SIDE: Outline = (
    *((0.23, 0.59), (0.28, 0.62), (0.5, 0.72), (0.54, 0.9)),
    *((0.51, 1.5), (0.64, 2.5), (0.63, 2.6), (0.5, 2.63)),
)
CUTS: Mapping[str, Cut] = {
    "t-shirt": Cut(TEE_SIDE, 0.72, 0.36, _tee),
    "hoodie": Cut(JACKET_SIDE, 2, 0.32, _hoodie),
    "dress": Cut(DRESS_SIDE, 0.3, 0.3, _dress),
    "jacket": Cut(JACKET_SIDE, 2, 0.3, _jacket),
    "shirt": Cut(TEE_SIDE, 2, 0.27, _shirt),
    "coat": Cut(COAT_SIDE, 2, 0.32, _coat),
}
