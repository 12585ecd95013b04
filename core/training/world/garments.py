"""The drawn world's wardrobe: garments laid flat, and the same garments on a body.

Shapes are given in heads: a wearer's head is one unit high, (0, 0) is its middle, y runs downwards. The chin is at
0.5, the shoulders at 0.75, the hips at 1.9.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image, ImageDraw

from core.errors import BadInput
from core.training.world.palette import COLOURS, RGB, darker, lighter
from core.training.world.patterns import paint
from core.training.world.truth import Garment

Point = tuple[float, float]
Outline = tuple[Point, ...]
Arms = tuple[Outline, Outline]

ENLARGED = 3
NOTHING, BODY, GARMENT, FACE = 0, 60, 120, 180
STEEL: RGB = (200, 204, 210)
IVORY: RGB = (250, 246, 232)
LINE = 0.045
PERIOD = 0.27
FLAT_ARMS: Arms = (((-0.42, 0.86), (-0.8, 1.3), (-1.0, 1.86)), ((0.42, 0.86), (0.8, 1.3), (1.0, 1.86)))


class Sheet:
    """A canvas in heads, `ENLARGED` times the final size, that remembers what each pixel shows.

    Attributes:
        colours: RGB canvas.
        roles: L canvas of NOTHING, BODY, GARMENT or FACE; where it is NOTHING the picture is transparent.
        role: what is being drawn now.
    """

    def __init__(self, left: float, top: float, right: float, bottom: float, unit: float) -> None:
        self.left, self.top, self.unit = left, top, unit * ENLARGED
        size = (round((right - left) * self.unit), round((bottom - top) * self.unit))
        self.colours, self.roles = Image.new("RGB", size), Image.new("L", size)
        self._paint, self._mark = ImageDraw.Draw(self.colours), ImageDraw.Draw(self.roles)
        self.role = BODY

    def at(self, points: Outline) -> list[Point]:
        """Heads to pixels."""
        return [((x - self.left) * self.unit, (y - self.top) * self.unit) for x, y in points]

    def fill(self, points: Outline, colour: RGB, edge: RGB | None = None) -> None:
        """A polygon, with an outline where `edge` is given."""
        pixels = self.at(points)
        self._paint.polygon(pixels, fill=colour)
        self._mark.polygon(pixels, fill=self.role)
        if edge is not None:
            self.stroke((*points, points[0], points[1]), edge, LINE)

    def stroke(self, points: Outline, colour: RGB, width: float) -> None:
        """A line through the points, `width` heads thick."""
        pixels, thick = self.at(points), max(1, round(width * self.unit))
        self._paint.line(pixels, fill=colour, width=thick, joint="curve")
        self._mark.line(pixels, fill=self.role, width=thick, joint="curve")

    def disc(self, x: float, y: float, wide: float, high: float, colour: RGB) -> None:
        """An ellipse with these radii."""
        box = self.at(((x - wide, y - high), (x + wide, y + high)))
        self._paint.ellipse(box, fill=colour)
        self._mark.ellipse(box, fill=self.role)

    def ring(self, x: float, y: float, wide: float, high: float, colour: RGB, width: float) -> None:
        """The rim of an ellipse, drawn inwards; its middle is left as it is."""
        box = self.at(((x - wide, y - high), (x + wide, y + high)))
        self._paint.ellipse(box, outline=colour, width=max(1, round(width * self.unit)))

    def limb(self, points: Outline, width: float, colour: RGB) -> None:
        """An arm or a leg: a thick bent line, round at its start and its joints."""
        self.stroke(points, colour, width)
        for x, y in points[:-1]:
            self.disc(x, y, width / 2, width / 2, colour)

    def cloth(self, mask: Image.Image, garment: Garment, seed: float) -> None:
        """Fill a mask of the canvas's size with a garment's look; the same seed gives the same shades."""
        box = mask.getbbox()
        if box is None:
            return
        shape = mask.crop(box)
        scale = PERIOD * self.unit / min(shape.size)
        painted = paint(shape, garment.look, random.Random(seed), scale=scale)
        self.colours.paste(painted.convert("RGB"), box, shape)
        self.roles.paste(self.role, box, shape)

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what was drawn, in pixels of the canvas."""
        return self.roles.getbbox() or (0, 0, *self.roles.size)

    def picture(self, height: int) -> Image.Image:
        """RGBA of what was drawn, cut tight, `height` pixels high."""
        image = self.colours.copy()
        image.putalpha(self.roles.point(_seen(NOTHING)))
        return image.resize(self._size(height), Image.Resampling.BOX, box=self.box())

    def shown(self, role: int, height: int) -> Image.Image:
        """L mask of one role in `picture(height)`."""
        mask = self.roles.point(_seen(role))
        return mask.resize(self._size(height), Image.Resampling.BOX, box=self.box())

    def _size(self, height: int) -> tuple[int, int]:
        left, top, right, bottom = self.box()
        return max(1, round((right - left) * height / (bottom - top))), height


@lru_cache
def _seen(role: int) -> list[int]:
    """Lookup table to 0 or 255: one role, or with NOTHING every role."""
    return [255 if (level == role if role else level > 0) else 0 for level in range(256)]


@lru_cache(maxsize=512)
def rounded(points: Outline, rounds: int = 2) -> Outline:
    """A closed outline with its corners cut, twice as many points a round (Chaikin's scheme)."""
    for _ in range(rounds):
        turned = (*points[1:], points[0])
        points = tuple(
            (a[0] * keep + b[0] * (1 - keep), a[1] * keep + b[1] * (1 - keep))
            for a, b in zip(points, turned, strict=True)
            for keep in (0.75, 0.25)
        )
    return points


def mirrored(right: Outline) -> Outline:
    """The closed outline whose right side is given from top to bottom."""
    return (*right, *((-x, y) for x, y in reversed(right)))


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
    return sheet.picture(height)


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
    sleeves = Image.new("L", sheet.roles.size)
    if garment.kind == "hoodie":
        _hood(sheet, edge, sleeves, skin is not None)
    for arm in arms:
        _sleeve(sheet, shortened(arm, cut.reach), cut.wide, edge, sleeves)
    sheet.cloth(sleeves, replace(garment, look=look), seed)
    for arm in arms:
        _cuff(sheet, shortened(arm, cut.reach), cut.wide, edge)
    side = cut.side if skin is None else tuple(_on_body(x, y) for x, y in cut.side)
    trunk = rounded(mirrored(side))
    mask = Image.new("L", sheet.roles.size)
    ImageDraw.Draw(mask).polygon(sheet.at(trunk), fill=255)
    sheet.cloth(mask, garment, seed)
    sheet.stroke((*trunk, trunk[0], trunk[1]), edge, LINE)
    inside = darker(colour, 0.45) if skin is None else skin
    cut.details(sheet, Tailoring(edge, inside, skin is not None, _kept_free(sheet, garment)))


def _kept_free(sheet: Sheet, garment: Garment) -> tuple[float, float]:
    """From where to where the emblem lies, which is in the middle of what the sheet shows of the trunk."""
    shown = min(cut_of(garment).side[-1][1], sheet.top + sheet.roles.height / sheet.unit)
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
    draw.line(pixels, fill=255, width=round(2 * half), joint="curve")
    for x, y in pixels[:-1]:
        draw.ellipse((x - half, y - half, x + half, y + half), fill=255)


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
    ImageDraw.Draw(mask).polygon(sheet.at(shape), fill=255)


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
