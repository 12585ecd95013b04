"""Delivering: text set in lines of one size with a font that a person gave, for `lettering`.

A font is refused before anything is drawn when it can't be read or lacks a character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from core.errors import BadInput
from orchestrator.delivering.rendering.contrast import Box

if TYPE_CHECKING:
    from PIL.ImageFont import Axis, FreeTypeFont

LINES = {"headline": 3, "price": 1, "label": 3}


Pair = tuple[int, int]
"""Across and down, pixels: a size or a place."""


LETTERS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"


OPENING = "\u300c\u300e\u3010\u300a\uff08"


CLOSING = (
    "\u300d\u300f\u3011\u300b\uff09\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1a\uff1b\u30fc\u3083\u3085\u3087\u3063"
)


PIECE = re.compile(f"[{OPENING}]*(?:[{LETTERS}][{CLOSING}]* ?|[^ {OPENING}{LETTERS}]+ ?)|[{OPENING}]+ ?")
"""What a line may end after: a word with its space; in Chinese and Japanese any letter, save before and after
what has to stand with its neighbour."""


@dataclass(frozen=True, slots=True)
class Face:
    """A font at one size."""

    font: FreeTypeFont

    def breadth(self, line: str) -> int:
        """Pixels that a line takes at most."""
        left, _, right, _ = self.font.getbbox(line, anchor="ls")
        return ceil(right) - int(left // 1)

    def ink(self, line: str) -> Box:
        """The box of the pixels that a line colours, relative to where its baseline begins."""
        mask, (across, down) = self.font.getmask2(line, "L", anchor="ls")
        left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
        return left + across, top + down, right + across, bottom + down


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one size, each with its ink relative to its baseline; `leading` pixels are between baselines."""

    face: Face
    lines: tuple[tuple[str, Box], ...]
    leading: int

    @property
    def size(self) -> Pair:
        """Width and height of its ink."""
        width = max(right - left for _, (left, _, right, _) in self.lines)
        return width, self.leading * (len(self.lines) - 1) + self.lines[-1][1][3] - self.lines[0][1][1]


class TooLarge(Exception):
    """A text, which the message names, does not fit at one size; a smaller size may do."""


def set_lines(name: str, paragraphs: tuple[str, ...], face: Face, width: int) -> Block:
    """Paragraphs broken into the fewest lines, and those about equally long.

    Raises:
        TooLarge: they are too many, or a word is too long.
    """
    breadth = cache(face.breadth)
    lines: list[str] = []
    for paragraph in paragraphs:
        pieces = pieces_of(paragraph)
        fewest = wrap(pieces, breadth, width, LINES[name] - len(lines))
        if not fewest:
            raise TooLarge(f"the {name} does")
        low, high = 1, width
        while low < high:
            middle = (low + high) // 2
            fits = wrap(pieces, breadth, middle, len(fewest))
            low, high = (low, middle) if fits else (middle + 1, high)
        lines += wrap(pieces, breadth, high, len(fewest))
    inks = [face.ink(line) for line in lines]
    apart = max((above[3] - below[1] for above, below in pairwise(inks)), default=0)
    leading = ceil(max(1.1 * face.font.size, apart + 0.1 * face.font.size))
    return Block(face, tuple(zip(lines, inks, strict=True)), leading)


def wrap(pieces: list[str], breadth: Callable[[str], int], width: int, most: int) -> list[str]:
    """Lines no wider than `width`, each as full as can be; none at all where that takes more than `most`."""
    lines: list[str] = []
    for piece in pieces:
        longer = (lines[-1] if lines else "") + piece
        if lines and breadth(longer.rstrip()) <= width:
            lines[-1] = longer
        elif len(lines) < most and breadth(piece.rstrip()) <= width:
            lines.append(piece)
        else:
            return []
    return [line.rstrip() for line in lines]


def lines_of(text: str) -> tuple[str, ...]:
    """Lines that are not empty, composed as Unicode's NFC; only spaces that may not break a line stay special."""
    lines = (re.sub(r"[^\S\xa0\u202f\u2007]+", " ", line).strip() for line in text.splitlines())
    return tuple(unicodedata.normalize("NFC", line) for line in lines if line)


def pieces_of(line: str) -> list[str]:
    """What stays together; a font need not have the special spaces, which have done their work now."""
    return [piece.translate(dict.fromkeys((0xA0, 0x202F, 0x2007), " ")) for piece in PIECE.findall(line)]


@contextmanager
def drawing_with_font(where: str) -> Iterator[None]:
    """Whatever Pillow finds wrong with a font, at whichever letter and size, becomes `BadInput`."""
    try:
        yield
    except OSError as error:
        what = f"the font can't be read ({error})"
        raise BadInput.at(where, what, "Give a TrueType or OpenType file with outlines") from error


def open_font(data: bytes, text: str, where: str) -> FreeTypeFont:
    """The font, or Inter, once it has been seen to draw every character of a text.

    Raises:
        BadInput: it lacks a character, or this machine can't join letters as the text's script asks.
        OSError: it can't be read, or has no outlines that can be scaled.
    """
    from PIL import ImageFont, features

    font = ImageFont.truetype(BytesIO(data or inter()), 40)
    if lacking := missing(font, text):
        names = ", ".join(f"{letter!r} (U+{ord(letter):04X})" for letter in lacking[:5])
        raise BadInput.at(where, f"the font has no {names}", "Give a font that has it, or leave it out")
    if any(map(shaped, text)) and not features.check("raqm"):
        what = "this machine's Pillow can't join letters or write leftward"
        raise BadInput.at(where, what, "Install libfribidi (Debian: libfribidi0), which its layout engine needs")
    return font


def check_font(data: bytes, where: str) -> None:
    """Sees whether a font can be read and drawn with; `where` names it in errors.

    Raises:
        BadInput: it can't.
    """
    with drawing_with_font(where):
        open_font(data, "", where).getmask("0")


@cache
def inter() -> bytes:
    """The font that comes along (SIL Open Font License)."""
    return (files(__package__) / "fonts" / "Inter.ttf").read_bytes()


def missing(font: FreeTypeFont, text: str) -> list[str]:
    """Characters whose glyph is that of a code point that no font has; those that only steer others need none."""
    from PIL import ImageFont

    plain = font.font_variant(layout_engine=ImageFont.Layout.BASIC)

    def glyph(letter: str) -> tuple[Pair, bytes, float]:
        mask = plain.getmask(letter, "L")
        return mask.size, bytes(mask), plain.getlength(letter)

    none = glyph("\uffff")
    return [letter for letter in sorted(set(text)) if not steers(letter) and glyph(letter) == none]


def steers(letter: str) -> bool:
    """Whether a character is not drawn itself: spaces, joiners, marks of direction, selectors of a variant."""
    return letter.isspace() or unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


def shaped(letter: str) -> bool:
    """Whether a character's look or place depends on its neighbours', as in Arabic, Hebrew or Devanagari."""
    return unicodedata.category(letter) in ("Mn", "Mc", "Cf") or unicodedata.bidirectional(letter) in ("R", "AL")


def place_on(axis: Axis, wanted: float | None) -> float:
    """The place on an axis of a variable font that is nearest to the wanted one; its default for None."""
    place = axis["default"] if wanted is None else wanted
    return min(max(axis["minimum"] or 0, place or 0), axis["maximum"] or 0)
