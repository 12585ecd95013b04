"""A sheet of prepared references for people: as given, what was kept, what the model sees, and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import Problem
from core.requests import Preparation

if TYPE_CHECKING:
    from PIL import ImageFont
    from PIL.Image import Image as Picture

CELL, GAP, WORDS = 240, 16, 440
"""Pixels of a picture's side, between cells, and of the column of words."""

HEAD = 2 * GAP + 14
"""Pixels above the first row."""

INK, FAINT, GROUND, LINE = "#1d2430", "#6b7480", "#f4f5f7", "#dcdfe4"
REFUSED, WARNED = "#b42318", "#9a6700"


@dataclass(frozen=True, slots=True)
class Entry:
    """One reference on the sheet: prepared, or refused with reason and mend.

    Attributes:
        title: which file, as what.
        method: how it was, or would have been, prepared.
        given: the picture as it was read, reduced; None where it can't be.
        mask: of what was kept, reduced; None where the whole picture counts.
        kept: what the model sees, reduced; None where it was refused.
        words: lines on what was prepared, each with its colour.
        refused: why.
    """

    title: str
    method: str
    given: Picture | None = None
    mask: Picture | None = None
    kept: Picture | None = None
    words: tuple[tuple[str, str], ...] = ()
    refused: tuple[Problem, ...] = ()


def entry(
    title: str,
    method: str,
    given: Picture | None,
    prepared: Preparation | None,
    refused: tuple[Problem, ...] = (),
) -> Entry:
    """An entry that keeps small copies, so that thousands fit into memory."""
    if prepared is None:
        return Entry(title, method, reduced(given), refused=refused)
    picture = prepared.picture
    tokens = picture.width * picture.height // 256
    told = ", ".join(f"{name}: {value}" for name, value in prepared.facts.items() if value is not None)
    words = (
        (f"{picture.width} x {picture.height} pixels, {tokens} tokens", INK),
        *((warning, WARNED) for warning in prepared.warnings),
        (told, FAINT),
    )
    return Entry(title, method, reduced(given), reduced(prepared.mask), reduced(picture), words, refused)


def reduced(picture: Picture | None) -> Picture | None:
    """A copy that fits into a cell; small pictures stay as large as they are."""
    from PIL import Image

    if picture is None:
        return None
    small = picture.convert("RGBA" if picture.mode == "RGBA" else "RGB")
    small.thumbnail((CELL - 2, CELL - 2), Image.Resampling.LANCZOS)
    return small


def most_entries(ending: str) -> int:
    """Rows that a sheet of that file format can have: WebP and JPEG end at some height."""
    highest = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}.get(ending.lower(), 1_000_000)
    return (highest - HEAD) // (CELL + GAP)


def draw_sheet(entries: Sequence[Entry]) -> Picture:
    """A row for each entry: as given, mask, as the model sees it, and what there is to say."""
    from PIL import Image, ImageDraw, ImageFont

    small, width = ImageFont.load_default(13), 3 * CELL + WORDS + 5 * GAP
    sheet = Image.new("RGB", (width, HEAD + len(entries) * (CELL + GAP)), GROUND)
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(("as given", "mask", "as the model sees it")):
        pen.text((GAP + column * (CELL + GAP), GAP), name, FAINT, small)
    for number, entry in enumerate(entries):
        top = HEAD + number * (CELL + GAP)
        pictures = (entry.given, entry.mask, entry.kept)
        for column, picture in enumerate(pictures):
            _place(sheet, picture, GAP + column * (CELL + GAP), top)
        _write(sheet, entry, 3 * (CELL + GAP) + GAP, top)
    return sheet


def _place(sheet: Picture, picture: Picture | None, left: int, top: int) -> None:
    """A picture in the middle of its cell; an empty cell is a frame."""
    from PIL import ImageDraw

    ImageDraw.Draw(sheet).rectangle((left, top, left + CELL - 1, top + CELL - 1), outline=LINE)
    if picture is None:
        return
    shown = picture.convert("RGBA")
    place = (left + (CELL - shown.width) // 2, top + (CELL - shown.height) // 2)
    ground = _checks(shown.size) if picture.mode == "RGBA" else shown
    ground.paste(shown, (0, 0), shown)
    sheet.paste(ground.convert("RGB"), place)


def _checks(size: tuple[int, int]) -> Picture:
    """The usual chessboard behind what is transparent."""
    from PIL import Image

    board = Image.new("L", (2, 2), 255)
    board.putpixel((0, 0), 225)
    board.putpixel((1, 1), 225)
    tiled = Image.new("L", size)
    board = board.resize((16, 16), Image.Resampling.NEAREST)
    for left in range(0, size[0], 16):
        for top in range(0, size[1], 16):
            tiled.paste(board, (left, top))
    return tiled.convert("RGBA")


def _write(sheet: Picture, entry: Entry, left: int, top: int) -> None:
    from PIL import ImageDraw, ImageFont

    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(16), ImageFont.load_default(13)
    lines: list[tuple[str, str, ImageFont.FreeTypeFont | ImageFont.ImageFont]] = [(entry.title, INK, large)]
    lines.append((f"method {entry.method}", FAINT, small))
    for problem in entry.refused:
        lines += [(f"Refused: {problem.what}.", REFUSED, small), (problem.mend, INK, small)]
    lines += [(text, colour, small) for text, colour in entry.words]
    at = float(top)
    for text, colour, font in lines:
        for line in _wrapped(text, font, WORDS):
            if at > top + CELL - 16:
                return
            pen.text((left, at), line, colour, font)
            at += 22 if font is large else 18
        at += 4


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Lines of words no wider than `width`; a single longer word is cut."""
    lines, line = [], ""
    for word in text.split():
        while font.getlength(word) > width:
            word = word[:-1]
        if line and font.getlength(f"{line} {word}") > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines
