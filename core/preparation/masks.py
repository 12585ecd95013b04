"""Cutting out along a mask that came in a file of its own.

The mask says where the thing is, to a few pixels; how soft its edge is, and which of the ground's colour is mixed
into it, follows from the picture.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.images import on_white
from core.preparation.cut_outs import CUT, EDGE_SIDE, LEAST, TOUCHES, CutOut, bounded, cut_along
from core.preparation.ground import border
from core.requests import Method

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MASK = Method("mask", "1")
"""The method of every kind that takes a mask's file."""

EXACT_SIDE = 512
"""Pixels of the longer side in which a mask is trusted to 2 pixels."""


def cut_by_mask(picture: Picture, mask: Picture, source: str) -> CutOut:
    """What is under the light half of a mask, over white.

    Args:
        picture: RGB or RGBA; what is transparent counts as white.
        mask: `L`, of the picture's size.
        source: the picture's name, for messages.

    Raises:
        BadInput: the mask keeps next to nothing, or goes along the frame.
    """
    import numpy as np
    from PIL import Image

    where = f"the mask of {source}"
    whole = bounded(on_white(picture), EDGE_SIDE)
    hard_HW = np.asarray(mask.resize(whole.size, Image.Resampling.BILINEAR)) >= 128
    if hard_HW.mean() < LEAST:
        text = f"keeps next to nothing ({hard_HW.mean():.2%} of the picture)"
        raise BadInput.at(where, text, "Paint white where the thing is and black elsewhere")
    at_frame = float(hard_HW[border(*hard_HW.shape)].mean())
    if at_frame >= CUT:
        text = f"is white along {at_frame:.0%} of the frame"
        mend = "Paint black where the thing is not, or give a picture that shows all of it"
        raise BadInput.at(where, text, mend)
    warnings = ("the mask touches the frame: parts of the product may be missing",) if at_frame >= TOUCHES else ()
    band = 2 * ceil(max(whole.size) / EXACT_SIDE)
    return cut_along(whole, hard_HW, band, warnings, {"cut_by": "mask"})
