"""Delivering: where headline, price, label and logo stand on a picture, in the largest letters that fit.

All sizes go by one unit, so that pictures of all channels look like one hand's work.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from core.errors import BadInput
from orchestrator.delivering.rendering.contrast import Box
from orchestrator.delivering.rendering.copy import Copy, Margins
from orchestrator.delivering.rendering.typesetting import (
    LINES,
    Block,
    Face,
    Pair,
    TooLarge,
    open_font,
    place_on,
    set_lines,
)

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

MARGIN, GAP = 0.05, 0.032
"""Kept free, of the unit (`unit_of`): inside the safe zone, and between two things."""


SIZES = {"headline": 0.1, "price": 0.062, "label": 0.022}
"""Letters where there is room, of the unit; the label's are of the shorter side, as its least is."""


SMALLEST = {"headline": (0.036, 14), "price": (0.032, 14), "label": (0.018, 12)}
"""The least sizes of letters: of the shorter side, and in pixels, however small the picture."""


HEADLINE_HEIGHT, WIDE_HEADLINE_HEIGHT, LEAST_HEIGHT = 0.165, 0.22, 56
"""The most of the unit that a headline takes down a picture and a wide one, or pixels: longer ones get smaller."""


MEASURE = 0.62
"""The most of a wide picture's breadth that a line of the headline takes: the rest is the product's."""


WIDE, BANNER = 1.3, 2.5
"""From these breadths, in heights of the free room: the price stands across; the logo may stand beside texts."""


LONGEST = 500
"""Characters of a text; more never fit, and would only take long to refuse."""


BOLD, MEDIUM = 700, 500
"""Weights of a variable font for headline and price, and for the label."""


Texts = Mapping[str, tuple[str, ...]]
"""Lines of texts by name."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A block with its corner at the top left, in pixels; its lines end at the right where `rightward`."""

    block: Block
    left: int
    top: int
    rightward: bool = False

    def lines(self) -> Iterator[tuple[str, Pair, Box]]:
        """Each line, where its baseline begins, and the box of its ink."""
        baseline = self.top - self.block.lines[0][1][1]
        for text, (left, top, right, bottom) in self.block.lines:
            start = self.left + (self.block.size[0] - right + left if self.rightward else 0)
            yield text, (start - left, baseline), (start, baseline + top, start + right - left, baseline + bottom)
            baseline += self.block.leading

    def zones(self) -> list[Box]:
        """What has to contrast with each line: its box and a little around it."""
        near = 2 + ceil(self.block.face.font.size / 8)
        return [(box[0] - near, box[1] - near, box[2] + near, box[3] + near) for _, _, box in self.lines()]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands: texts by name, the box around the price, the corner of the logo."""

    texts: Mapping[str, Placed]
    pill: Box | None
    corner: Pair


def unit_of(size: Pair) -> float:
    """What large sizes go by, pixels: the shorter side; more in a banner, whose height alone would starve it."""
    width, height = size
    return max(min(size), min(width / 2, 4 * height))


def smallest(name: str, size: Pair) -> int:
    """The least size of a text's letters on a picture of that size, pixels."""
    share, pixels = SMALLEST[name]
    return max(pixels, ceil(share * min(size)))


def room_in(size: Pair, safe: Margins, where: str) -> Box:
    """The safe zone less a margin of our own.

    Raises:
        BadInput: not even a label's line is left.
    """
    own = max(4, round(MARGIN * min(unit_of(size), 1.6 * min(size))))
    room = (safe.left + own, safe.top + own, size[0] - safe.right - own, size[1] - safe.bottom - own)
    if min(room[2] - room[0], room[3] - room[1]) < smallest("label", size):
        left = f"{max(0, room[2] - room[0])} x {max(0, room[3] - room[1])}"
        what = f"the safe zone leaves {left} of {size[0]} x {size[1]} pixels, too little for any text"
        raise BadInput.at(where, what, "Make its margins smaller, or take a larger picture")
    return room


def lay_out(copy: Copy, size: Pair, room: Box, logo: Pair, where: str) -> Layout:
    """The largest letters that fit, in the way that suits the room.

    Raises:
        BadInput: none do, or the font can't draw them.
    """
    texts, unit = copy.texts, unit_of(size)
    if not texts:
        return Layout({}, None, room[:2])
    for name, lines in texts.items():
        if len(lines) > LINES[name] or sum(map(len, lines)) > LONGEST:
            what = f"the {name} has {sum(map(len, lines))} characters in {len(lines)} lines"
            mend = f"{LONGEST} characters in {LINES[name]} lines are the most: shorten it"
            raise BadInput.at(where, what, mend)
    font = open_font(copy.font, "".join(line for lines in texts.values() for line in lines), where)
    breadth = (room[2] - room[0]) / (room[3] - room[1])
    ways = [(True, False), (True, True)] if breadth > BANNER else [(breadth > WIDE, False)]
    reason = TooLarge()
    for scale in scales(size):
        faces = {name: face_at(font, name, scale, size) for name in texts}
        for across, beside in ways:
            try:
                return arrange(texts, faces, room, logo, unit, across, beside)
            except TooLarge as too_large:
                reason = too_large
    free = f"{room[2] - room[0]} x {room[3] - room[1]} pixels"
    what = f"{reason} not fit into {free} even at the smallest legible size"
    raise BadInput.at(where, what, "Shorten it, or leave something out")


def scales(size: Pair) -> Iterator[float]:
    """From 1 down to where the headline has its smallest size."""
    scale, least = 1.0, min(1, smallest("headline", size) / (SIZES["headline"] * unit_of(size)))
    while scale > least:
        yield scale
        scale *= 0.94
    yield least


def arrange(
    texts: Texts,
    faces: Mapping[str, Face],
    room: Box,
    logo: Pair,
    unit: float,
    across: bool,
    beside: bool,
) -> Layout:
    """Everything at its place: the price across from the headline or below it, the logo beside the texts or above.

    Raises:
        TooLarge: there is not enough room.
    """
    left, top, right, bottom = room
    gap, corner = round(GAP * unit), (left, top)
    if logo[0] and beside:
        corner = left, top + (bottom - top - logo[1]) // 2
        left += logo[0] + 2 * gap
    elif logo[0]:
        top += logo[1] + gap
    blocks = set_texts(texts, faces, (right - left, bottom - top), unit, across)
    sizes = {name: pill_size(block) if name == "price" else block.size for name, block in blocks.items()}
    leftward = reads_leftward(texts)
    corners = stack(sizes, (left, top, right, bottom), gap, across, leftward)
    placed = {name: Placed(block, *corners[name], leftward) for name, block in blocks.items()}
    if "price" not in placed:
        return Layout(placed, None, corner)
    (x, y), (width, height), price = corners["price"], sizes["price"], blocks["price"]
    baseline = y + (height + capital(price)) // 2
    placed["price"] = Placed(price, x + (width - price.size[0]) // 2, baseline + price.lines[0][1][1], leftward)
    return Layout(placed, (x, y, x + width, y + height), corner)


def stack(sizes: Mapping[str, Pair], free: Box, gap: int, across: bool, leftward: bool) -> dict[str, Pair]:
    """Corners of what has these widths and heights, in rows on the floor of the free room.

    In a banner, what is above the label stands in the middle of the height that is left.

    Raises:
        TooLarge: there is not enough height.
    """
    left, top, right, bottom = free
    rows = (("headline", "price"), ("label",)) if across else (("headline",), ("price",), ("label",))
    filled = [row for row in ([name for name in names if name in sizes] for names in rows) if row]
    heights = [max(sizes[name][1] for name in row) for row in filled]
    spare = bottom - top - sum(heights) - gap * (len(filled) - 1)
    if spare < 0:
        raise TooLarge("the texts together do")
    y = top + (spare // 2 if right - left > BANNER * (bottom - top) else spare)
    corners = {}
    for row, height in zip(filled, heights, strict=True):
        y = bottom - height if row == ["label"] else y
        for place, name in enumerate(row):
            width, own = sizes[name]
            drop = (height - own) // (2 if own > height / 2 else 1)
            corners[name] = (right - width if leftward != bool(place) else left), y + drop
        y += height + gap
    return corners


def set_texts(texts: Texts, faces: Mapping[str, Face], free: Pair, unit: float, across: bool) -> dict[str, Block]:
    """The lines of every text for a room of that width and height.

    Raises:
        TooLarge: one is too wide or, as a headline, too high.
    """
    width, height = free
    blocks = {name: set_lines(name, texts[name], faces[name], width) for name in texts if name != "headline"}
    if "price" in blocks and pill_size(blocks["price"])[0] > width:
        raise TooLarge("the price does")
    if "headline" in texts:
        if across and "price" in blocks:
            width -= pill_size(blocks["price"])[0] + 2 * round(GAP * unit)
        if free[0] <= BANNER * height:
            width = min(width, round(max(MEASURE * free[0], 0.95 * unit)))
        headline = set_lines("headline", texts["headline"], faces["headline"], width)
        most = WIDE_HEADLINE_HEIGHT if across else HEADLINE_HEIGHT
        if headline.size[1] > max(most * unit, LEAST_HEIGHT):
            raise TooLarge("the headline does")
        blocks["headline"] = headline
    return blocks


def pill_size(price: Block) -> Pair:
    """Width and height around a price: its figures are in the middle, and what goes beyond them has room."""
    cap, (_, top, _, bottom) = capital(price), price.lines[0][1]
    half = max(4, cap, 0.25 * cap + max(-top - cap / 2, bottom + cap / 2))
    return price.size[0] + 2 * max(cap, 4), 2 * ceil(half)


def capital(block: Block) -> int:
    """Height of a figure, pixels."""
    return -block.face.ink("0")[1]


def reads_leftward(texts: Texts) -> bool:
    """Whether the first letter that has a direction is of a script such as Arabic or Hebrew."""
    kinds = (unicodedata.bidirectional(letter) for lines in texts.values() for line in lines for letter in line)
    return next((kind != "L" for kind in kinds if kind in ("L", "R", "AL")), False)


def face_at(font: FreeTypeFont, name: str, scale: float, size: Pair) -> Face:
    """The font at a text's size; bold for headline and price if it is variable."""
    unit = min(size) if name == "label" else unit_of(size)
    pixels = max(smallest(name, size), round(SIZES[name] * unit * scale))
    face = font.font_variant(size=pixels)
    wanted = {b"Weight": MEDIUM if name == "label" else BOLD, b"Optical size": pixels}
    with suppress(OSError):  # what Pillow raises for a font that is not variable
        axes = face.get_variation_axes()
        face.set_variation_by_axes([place_on(axis, wanted.get(axis.get("name", b""))) for axis in axes])
    return Face(face)
