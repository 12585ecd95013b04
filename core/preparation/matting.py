"""Cutting a product out of its picture: by its own transparency, or from a plain ground by GrabCut.

The model-free floor. GrabCut (Rother, Kolmogorov, Blake: "GrabCut", SIGGRAPH 2004; OpenCV's) is seeded from
the ground's colour as the border tells it. The same picture and seed give the same bytes.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import TYPE_CHECKING, Any

from core.errors import BadInput
from core.images import fit, on_white
from core.preparation.edges import soften, whiten
from core.preparation.grabcut import find_product
from core.preparation.ground import border, learn
from core.requests import Method

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

CUT_OUT_METHODS = (Method("alpha-or-grabcut", "1"), Method("alpha", "1"), Method("grabcut", "1"))
"""Ways of cutting out that need no weights, best first; the versions change whenever their results do."""

SEARCH_SIDE = 512
"""Pixels of the longer side at which the product is looked for."""

EDGE_SIDE = 1536
"""Pixels of the longer side at which its edge is drawn: the largest side that a model takes, with a reserve."""

PLAIN = 0.5
"""Share of the border that has to be one ground."""

TOUCHES = 0.03
"""Share of the border that is not the ground from which on the product is said to touch the frame."""

CUT = 0.25
"""The same for the product being cut off by the frame, which no reference survives."""

THINNEST = 8
"""A cut-out is at most so many times as long as it is wide; DreamO never saw longer ones."""

_ELSE = "Give a photo on a plain ground or a PNG with transparency"


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


def cut_out(picture: Picture, method: str, source: str, seed: int) -> CutOut:
    """Cuts a product out by the name of one of `CUT_OUT_METHODS`.

    Raises:
        BadInput: it can't be done with this picture; the message says what can.
    """
    if method == "alpha" or (method == "alpha-or-grabcut" and has_alpha(picture)):
        return cut_by_alpha(picture, source)
    return cut_by_ground(picture, source, seed)


def has_alpha(picture: Picture) -> bool:
    """Whether transparency says what the product is: at least 1 of 100 pixels are (nearly) transparent."""
    if picture.mode != "RGBA":
        return False
    counts = picture.getchannel("A").histogram()
    return sum(counts[:26]) >= 0.01 * sum(counts)


def cut_by_alpha(picture: Picture, source: str) -> CutOut:
    """The transparency of the picture itself, as it is.

    Args:
        picture: RGBA.
        source: the file's name, for messages.

    Raises:
        BadInput: nothing in it is opaque, or nothing transparent.
    """
    if not has_alpha(picture):
        raise BadInput.at(source, "has no transparent ground", "Set `method: grabcut` or give a PNG cut out")
    small = _bounded(picture, EDGE_SIDE)
    mask = small.getchannel("A")
    if sum(mask.histogram()[128:]) == 0:
        raise BadInput.at(source, "is transparent everywhere", "Give a picture that shows the product")
    return CutOut(on_white(small), mask, facts={"cut_by": "alpha"})


def cut_by_ground(picture: Picture, source: str, seed: int) -> CutOut:
    """GrabCut, seeded from the colour of the ground along the border.

    Args:
        picture: RGB or RGBA; what is transparent counts as white.
        source: the file's name, for messages.
        seed: for OpenCV's random generator.

    Raises:
        BadInput: the border is not of one ground, nothing stands out from it, or the frame cuts the product.
    """
    import numpy as np
    from PIL import Image

    whole = _bounded(on_white(picture), EDGE_SIDE)
    rgb_HWC = np.asarray(_bounded(whole, SEARCH_SIDE))
    ground = learn(rgb_HWC)
    if ground.plain < PLAIN:
        text = f"has a busy background: only {ground.plain:.0%} of its border are of one colour"
        raise BadInput.at(source, text, _ELSE)
    found_HW = find_product(rgb_HWC, ground, seed)
    if not found_HW.any():
        raise BadInput.at(source, "shows nothing that stands out from its ground", _ELSE)
    warnings = tuple(_touching(found_HW, source))
    found_HW = _settled(rgb_HWC, found_HW)
    fine_HWC, scale = np.asarray(whole), max(whole.size) / max(rgb_HWC.shape[:2])
    hard = Image.fromarray(found_HW.astype(np.uint8) * 255).resize(whole.size, Image.Resampling.BILINEAR)
    alpha_HW, colour_HWC = soften(fine_HWC, np.asarray(hard) >= 128, band=2 + int(np.ceil(scale)))
    facts = {"cut_by": "grabcut", "ground_plain": round(ground.plain, 3), "ground_noise": round(ground.noise, 2)}
    mask = Image.fromarray(np.rint(alpha_HW * 255).astype(np.uint8))
    return CutOut(Image.fromarray(whiten(colour_HWC, alpha_HW)), mask, warnings, facts)


def crop_to_product(cut: CutOut, margin: float) -> CutOut:
    """Cuts picture and mask to the product and `margin` around it, as a share of its longer side.

    Where the picture ends before the margin does, white is added; also beside what is very long and thin.
    """
    from PIL import Image

    left, top, right, bottom = cut.box
    longer = max(right - left, bottom - top)
    around, least = round(longer * margin), longer // THINNEST
    size = (max(right - left + 2 * around, least), max(bottom - top + 2 * around, least))
    place = ((size[0] - right - left) // 2, (size[1] - bottom - top) // 2)
    picture, mask = Image.new("RGB", size, "white"), Image.new("L", size, 0)
    picture.paste(cut.picture, place)
    mask.paste(cut.mask, place)
    return replace(cut, picture=picture, mask=mask)


def fit_cut_out(cut: CutOut, area: int, multiple: int, source: str) -> CutOut:
    """Resizes picture and mask to the reference's area.

    Raises:
        BadInput: the product would have to be enlarged more than four times along a side.
    """
    left, top, right, bottom = cut.box
    longer, least = max(right - left, bottom - top), isqrt(area) // 4
    if longer < least:
        text = f"shows a product of only {right - left} x {bottom - top} pixels"
        raise BadInput.at(source, text, f"Give a picture in which it is at least {least} pixels wide or high")
    warnings = cut.warnings
    if longer < 2 * least:
        warnings = (*warnings, f"the product is only {longer} pixels long: it will look soft")
    fitted = CutOut(fit(cut.picture, area, multiple), fit(cut.mask, area, multiple), warnings)
    return replace(fitted, facts={**cut.facts, "box": list(fitted.box)})


def _bounded(picture: Picture, side: int) -> Picture:
    from PIL import Image

    longer = max(picture.size)
    if longer <= side:
        return picture
    width, height = (max(1, round(length * side / longer)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX if longer > 4 * side else Image.Resampling.BICUBIC)


def _settled(rgb_HWC: Bytes, found_HW: Flags) -> Flags:
    """The mask's edge brought to the middle of a blurred one, and smoothed."""
    import cv2
    import numpy as np

    longer = max(found_HW.shape)
    alpha_HW, _ = soften(rgb_HWC, found_HW, band=max(2, longer // 128))
    middle_HW = (alpha_HW >= 0.5).astype(np.uint8)
    return np.asarray(cv2.medianBlur(middle_HW, 5 if longer > 256 else 3), bool)


def _touching(found_HW: Flags, source: str) -> list[str]:
    """Warns of a product at the frame; refuses one that the frame cuts."""
    share = float(found_HW[border(*found_HW.shape)].mean())
    if share >= CUT:
        text = f"shows a product that the frame cuts off ({share:.0%} of the border)"
        raise BadInput.at(source, text, "Give a picture that shows all of it")
    return ["the product touches the frame: parts of it may be missing"] if share >= TOUCHES else []
