"""Cutting a product out of its picture: by its own transparency, a mask, a network, or from a plain ground.

The floor needs no weights: GrabCut (Rother, Kolmogorov, Blake: "GrabCut", SIGGRAPH 2004; OpenCV's) is seeded from
the ground's colour as the border tells it. The same picture and seed give the same bytes.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, isqrt
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.images import fit, on_white
from core.preparation.cut_outs import EDGE_SIDE, CutOut, bounded, cut_along, settled, touching
from core.preparation.grabcut import find_product
from core.preparation.ground import learn
from core.preparation.masks import MASK, cut_by_mask
from core.preparation.networks import PREFIX, cut_by_network, network_methods
from core.requests import Method
from core.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

CUT_OUT_METHODS = (Method("alpha-or-grabcut", "1"), Method("alpha", "1"), Method("grabcut", "1"))
"""Ways of cutting out that need no weights, best first; the versions change whenever their results do."""

SEARCH_SIDE = 512
"""Pixels of the longer side at which the product is looked for."""

PLAIN = 0.5
"""Share of the border that has to be one ground."""

THINNEST = 8
"""A cut-out is at most so many times as long as it is wide; DreamO never saw longer ones."""

ALPHA_OR = "alpha-or-"
"""Before the name of a method that is used only where the file has no transparency of its own."""

_ELSE = (
    "Give a photo on a plain ground, a PNG with transparency or a mask's file; or fetch a network that cuts out "
    "(`dreamline models fetch u2net`)"
)


def cut_out_methods(settings: Settings) -> tuple[Method, ...]:
    """The ways of cutting out that this machine has, best first: learned ones where they are present.

    A file's own transparency comes before any network: whoever cut it out knew better.
    """
    learned = network_methods(settings)
    first = tuple(replace(method, name=ALPHA_OR + method.name) for method in learned)
    return (*first, *CUT_OUT_METHODS, *learned)


def cut_out(
    picture: Picture,
    method: str,
    source: str,
    seed: int,
    *,
    mask: Picture | None = None,
    models: Path | None = None,
) -> CutOut:
    """Cuts a product out by the name of a method.

    Args:
        picture: RGB or RGBA.
        method: of `CUT_OUT_METHODS`, `cut_out_methods`, or `mask`.
        source: the file's name, for messages.
        seed: for every random generator.
        mask: for the method `mask`: `L`, of the picture's size.
        models: for learned methods: the folder of weights.

    Raises:
        BadInput: it can't be done with this picture; the message says what can.
        WeightsMissing: the method's weights are not on this machine.
    """
    if method == MASK.name:
        if mask is None:
            raise BadInput.at(source, "has no mask beside it", "Give one, or choose another method")
        return cut_by_mask(picture, mask, source)
    if method == "alpha" or (method.startswith(ALPHA_OR) and has_alpha(picture)):
        return cut_by_alpha(picture, source)
    name = method.removeprefix(ALPHA_OR)
    if name.startswith(PREFIX) and models is not None:
        return cut_by_network(picture, name, models, source)
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
    small = bounded(picture, EDGE_SIDE)
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

    whole = bounded(on_white(picture), EDGE_SIDE)
    rgb_HWC = np.asarray(bounded(whole, SEARCH_SIDE))
    ground = learn(rgb_HWC)
    if ground.plain < PLAIN:
        text = f"has a busy background: only {ground.plain:.0%} of its border are of one colour"
        raise BadInput.at(source, text, _ELSE)
    found_HW = find_product(rgb_HWC, ground, seed)
    if not found_HW.any():
        raise BadInput.at(source, "shows nothing that stands out from its ground", _ELSE)
    warnings = touching(found_HW, source)
    found_HW = settled(rgb_HWC, found_HW)
    scale = max(whole.size) / max(rgb_HWC.shape[:2])
    hard = Image.fromarray(found_HW.astype(np.uint8) * 255).resize(whole.size, Image.Resampling.BILINEAR)
    facts = {"cut_by": "grabcut", "ground_plain": round(ground.plain, 3), "ground_noise": round(ground.noise, 2)}
    return cut_along(whole, np.asarray(hard) >= 128, 2 + ceil(scale), warnings, facts)


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
