"""Garments by their names, and taken off the person who wears them by the parser of people.

Shapes: P parts, H rows, W columns.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.images import on_white
from core.preparation.cut_outs import EDGE_SIDE, LEAST, CutOut, bounded, cut_along, touching
from core.preparation.grabcut import without_specks
from core.preparation.parsing import BODY, part_mask, part_shares

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Floats = NDArray[np.float32]

_UPPER, _LOWER = ("upper-clothes",), ("trousers",)
_SHOES = ("left-shoe", "right-shoe")
_NAMED: Mapping[tuple[str, ...], str] = {
    ("dress",): "dress gown sundress",
    ("dress", *_UPPER, *_LOWER): "jumpsuit overalls dungarees romper",
    ("skirt",): "skirt",
    _LOWER: "trousers pants jeans shorts leggings chinos",
    _UPPER: "shirt t-shirt tshirt top blouse sweater jumper pullover cardigan hoodie sweatshirt jacket coat "
    "blazer vest waistcoat polo tunic",
    (*_UPPER, *_LOWER): "suit tracksuit uniform pyjamas",
    ("hat",): "hat cap beanie helmet",
    ("sunglasses",): "sunglasses glasses",
    ("belt",): "belt",
    _SHOES: "shoes shoe boots boot sneakers sneaker trainers sandals heels loafers",
    ("bag",): "bag handbag backpack purse",
    ("scarf",): "scarf shawl",
    (): "tie gloves socks tights swimsuit bikini underwear watch jewellery",
}

GARMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: parts for parts, names in _NAMED.items() for name in names.split()}
)
"""The parts of the parser that a garment is, by its name; none for what the parser does not know."""

LARGE = ("dress", "upper-clothes", "trousers", "skirt")
"""The parts of which the largest is meant where nobody says what the garment is."""

WORN = 0.015
"""Share of a picture that hair, skin and limbs take from which on somebody wears what it shows."""

PARSER_SIDE = 128
"""Pixels of the side of what the parser tells: an edge is off by up to one of these."""


def parts_of(garment: str | None) -> tuple[str, ...] | None:
    """The parser's parts of what a garment's words name; None where they name nothing that is known.

    The last known word counts: a `shirt dress` is a dress.
    """
    known = [GARMENTS[word] for word in re.findall(r"[a-z-]+", (garment or "").lower()) if word in GARMENTS]
    return known[-1] if known else None


def garment_hint(garment: str | None) -> str | None:
    """A warning about words in which no known garment is, or None."""
    if garment is None or parts_of(garment) is not None:
        return None
    near = difflib.get_close_matches(garment.strip().lower(), GARMENTS, n=1)
    mend = f"did you mean {near[0]}?" if near else "it is known as dress, jacket, shoes …"
    return f"garment {garment!r} is none that dreamline knows: {mend}"


def wearing(shares_PHW: Floats) -> bool:
    """Whether somebody is in a picture that was taken apart by `parse`."""
    shares = part_shares(shares_PHW)
    return sum(shares[part] for part in BODY) >= WORN


def cut_worn(picture: Picture, shares_PHW: Floats, garment: str | None, source: str) -> CutOut:
    """Takes a garment off the person who wears it.

    Args:
        picture: RGB or RGBA.
        shares_PHW: the picture, taken apart by `parse`.
        garment: what is meant, in words; None: the largest garment.
        source: the file's name, for messages.

    Raises:
        BadInput: nothing of the kind is worn there, or the frame cuts it.
    """
    import numpy as np

    shares = part_shares(shares_PHW)
    parts = parts_of(garment)
    warnings: tuple[str, ...] = ()
    if parts is None:
        parts = (max(LARGE, key=shares.__getitem__),)
        warnings = (f"what the garment is was not said, or not known: the {parts[0]} is taken",)
    whole = bounded(on_white(picture), EDGE_SIDE)
    worn = [part for part in PARTS_WORN if shares[part] >= LEAST]
    if not parts:
        mend = "Give a flat photo or a mask's file"
        raise BadInput.at(source, f"is worn, and a worn {garment} can't be told from the person", mend)
    hard_HW = np.asarray(part_mask(shares_PHW, parts, whole.size)) >= 128
    if hard_HW.mean() < LEAST:
        text = f"shows nobody who wears {garment or 'a garment'} (found: {', '.join(worn) or 'nothing'})"
        raise BadInput.at(
            source, text, "Say with option `garment` what it is, or give a flat photo or a mask's file"
        )
    hard_HW = without_specks(hard_HW)
    warnings = (*warnings, *touching(hard_HW, source))
    facts = {"cut_by": "clothes", "parts": list(parts)}
    return cut_along(whole, hard_HW, 2 + ceil(max(whole.size) / PARSER_SIDE), warnings, facts)


PARTS_WORN = tuple(dict.fromkeys(part for parts in _NAMED for part in parts))
"""Every part that is a garment."""
