"""What every way of cutting out ends in: a product over white with its mask, in a size that can be handled.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.errors import BadInput
from core.preparation.edges import soften, whiten
from core.preparation.ground import border

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

EDGE_SIDE = 1536
"""Pixels of the longer side at which a product's edge is drawn: the largest side that a model takes, with a
reserve."""

TOUCHES = 0.03
"""Share of the border that is not the ground from which on the product is said to touch the frame."""

CUT = 0.25
"""The same for the product being cut off by the frame, which no reference survives."""

LEAST = 0.002
"""Share of the picture that a product has to be."""


@dataclass(frozen=True, slots=True)
class CutOut:
    """A product without its ground.

    Attributes:
        picture: RGB, the product over white; its size is not the original's when that was larger than needed.
        mask: `L`, same size, 255 where the product is, soft at its edge.
        warnings: what a person should know.
        facts: how it was found, as JSON values.
    """

    picture: Picture
    mask: Picture
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the product in pixels, right and bottom not included."""
        found = self.mask.point(lambda value: 255 if value >= 128 else 0).getbbox()
        return found or (0, 0, *self.mask.size)


def bounded(picture: Picture, side: int) -> Picture:
    """The picture itself, or reduced to `side` pixels of its longer side."""
    from PIL import Image

    longer = max(picture.size)
    if longer <= side:
        return picture
    width, height = (max(1, round(length * side / longer)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX if longer > 4 * side else Image.Resampling.BICUBIC)


def cut_along(
    picture: Picture, hard_HW: Flags, band: int, warnings: tuple[str, ...], facts: Mapping[str, Any]
) -> CutOut:
    """Cuts an RGB picture along a mask of its size; the edge becomes soft, and loses the ground's colour.

    Args:
        picture: RGB.
        hard_HW: where the product is.
        band: how many pixels the true edge may be from the mask's.
        warnings: of the cut-out.
        facts: of the cut-out.
    """
    import numpy as np
    from PIL import Image

    alpha_HW, colour_HWC = soften(np.asarray(picture), hard_HW, band)
    mask = Image.fromarray(np.rint(alpha_HW * 255).astype(np.uint8))
    return CutOut(Image.fromarray(whiten(colour_HWC, alpha_HW)), mask, warnings, facts)


def settled(rgb_HWC: Bytes, found_HW: Flags) -> Flags:
    """The mask's edge brought to the middle of a blurred one, and smoothed."""
    import cv2
    import numpy as np

    longer = max(found_HW.shape)
    alpha_HW, _ = soften(rgb_HWC, found_HW, band=max(2, longer // 128))
    middle_HW = (alpha_HW >= 0.5).astype(np.uint8)
    return np.asarray(cv2.medianBlur(middle_HW, 5 if longer > 256 else 3), bool)


def touching(found_HW: Flags, source: str) -> tuple[str, ...]:
    """Warns of a product at the frame.

    Raises:
        BadInput: the frame cuts it.
    """
    share = float(found_HW[border(*found_HW.shape)].mean())
    if share >= CUT:
        text = f"shows a product that the frame cuts off ({share:.0%} of the border)"
        raise BadInput.at(source, text, "Give a picture that shows all of it")
    return ("the product touches the frame: parts of it may be missing",) if share >= TOUCHES else ()
