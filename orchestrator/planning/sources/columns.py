"""Rows of shop exports: the columns that every source calls alike, so that one prompt serves them all.

Whatever a shop calls them, a row has `sku`, `title`, `description` as plain text, `image`, the picture to use,
and `images`, all pictures with ` | ` between them; the second and further ones are `image_2`, `image_3`, … too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html.parser import HTMLParser

from orchestrator.planning.sheets import Cell

BETWEEN = " | "
"""Between the pictures in `images`: `{{ row.images | split("|") | last }}`. No address holds it."""

MOST_NUMBERED = 10
"""Pictures beyond the tenth are in `images` alone."""


def number_pictures(pictures: Sequence[str]) -> dict[str, Cell]:
    """`images`, `image_2`, `image_3`, … of a row; `image` is for the source to choose."""
    numbered: dict[str, Cell] = {"images": BETWEEN.join(pictures) or None}
    numbered |= {f"image_{n}": one for n, one in enumerate(pictures[:MOST_NUMBERED], start=1) if n > 1}
    return numbered


def holds_pictures(column: str) -> bool:
    """Whether a column of a shop's row is one that names pictures."""
    return re.fullmatch(r"images?|image_\d+", column) is not None


def column_name(words: str) -> str:
    """A name that a template can write after the dot: `Heel height` is `row.heel_height`."""
    name = re.sub(r"\W+", "_", words.strip().casefold()).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def in_order(rows: Iterable[Mapping[str, Cell]], first: Sequence[str]) -> tuple[str, ...]:
    """All columns of rows that differ in them: those in `first`, then the others as they come up.

    A column without any cell that is filled is left out, but for those in `first`.
    """
    found = dict.fromkeys(first)
    for row in rows:
        for column, cell in row.items():
            if cell is not None and column not in found:
                found[column] = None
    return tuple(found)


def plain_text(html: str) -> str:
    """What a reader sees of a description: no tags, no entities, each run of spaces and line ends one space."""
    if "<" not in html and "&" not in html:
        return " ".join(html.split())
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return " ".join("".join(reader.parts).split())


class _Reader(HTMLParser):
    """Gathers the text of HTML; tags that stand between words part them."""

    INLINE = frozenset(("a", "abbr", "b", "em", "font", "i", "mark", "small", "span", "strong", "sub", "sup", "u"))
    UNSEEN = frozenset(("script", "style", "template"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in self.UNSEEN
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in self.UNSEEN))
        self._part(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)

    def _part(self, tag: str) -> None:
        if tag not in self.INLINE:
            self.parts.append(" ")
