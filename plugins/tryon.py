"""The kind `tryon`: a garment from a flat photo, or taken off its wearer, cut out and laid on white.

The model draws a new picture of a person who wears the garment; it does not edit a photo that it was given.
Several garments are several references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dreamline import BadInput, ConditionType, Method, Preparation, Settings, Workbench, hookimpl
from dreamline.preparation import (
    MASK,
    PARSER,
    CutOut,
    can_parse,
    crop_to_product,
    cut_out,
    cut_out_methods,
    cut_worn,
    find_faces,
    fit_cut_out,
    garment_hint,
    has_alpha,
    parse,
    tool_hashes,
    wearing,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__version__ = "1"

WORN_OR = "worn-or-"
"""Before the name of the method by which flat photos are cut out, where worn garments can be taken off too."""


@dataclass(frozen=True, slots=True)
class TryOnOptions:
    """What can be chosen for a garment."""

    method: str = field(
        default="auto",
        metadata={
            "help": "auto (the best that this machine has), alpha-or-grabcut, alpha (the file's own "
            "transparency), grabcut (plain grounds), rembg-… (a network), or worn-or-… (takes worn garments "
            "off, by the parser)"
        },
    )
    garment: str | None = field(
        default=None,
        metadata={"help": "what it is, in words: dress, jacket, shoes; says which of those worn is meant"},
    )
    flat: bool = field(
        default=False,
        metadata={"help": "nobody wears it, though a face is seen: printed on a shirt, say"},
    )
    margin: float = field(
        default=0.06, metadata={"help": "white around the garment, as a share of its longer side: 0 to 0.5"}
    )


@hookimpl
def condition_types() -> Sequence[ConditionType[Any]]:
    return [
        ConditionType(
            name="tryon",
            title="A garment to be worn, from a flat photo",
            prepare=prepare,
            options=TryOnOptions,
            methods=methods,
            by_mask=MASK,
        )
    ]


def methods(settings: Settings) -> Sequence[Method]:
    flat = cut_out_methods(settings)
    if not can_parse(settings):
        return flat
    best = flat[0]
    weights = {**best.weights, **tool_hashes(PARSER, settings)}
    return (replace(best, name=WORN_OR + best.name, weights=weights), *flat)


def prepare(picture: Picture, options: TryOnOptions, bench: Workbench) -> Preparation:
    """Cuts the garment out, crops to it, and fits it to the reference's area.

    Raises:
        BadInput: nothing can be cut out of this picture, too little, or somebody wears it and no method here can
            take it off; or `margin` is out of its range.
    """
    if not 0 <= options.margin <= 0.5:
        raise BadInput.at(f"{bench.source}, option margin", f"{options.margin} is out of range", "Give 0 to 0.5")
    cut = crop_to_product(_cut(picture, options, bench), options.margin)
    cut = fit_cut_out(cut, bench.area, bench.multiple, bench.source)
    hint = garment_hint(options.garment)
    warnings = (*cut.warnings, *([hint] if hint else []))
    return Preparation(cut.picture, cut.mask, warnings, {**cut.facts, "garment": options.garment})


def _cut(picture: Picture, options: TryOnOptions, bench: Workbench) -> CutOut:
    name = bench.method.name
    if name.startswith(WORN_OR):
        name = name.removeprefix(WORN_OR)
        if not options.flat and not has_alpha(picture):
            shares_PHW = parse(picture, bench.models)
            if wearing(shares_PHW):
                return cut_worn(picture, shares_PHW, options.garment, bench.source)
    elif name != MASK.name and not options.flat:
        _refuse_worn(picture, bench.source)
    return cut_out(picture, name, bench.source, bench.seed, mask=bench.mask, models=bench.models)


def _refuse_worn(picture: Picture, source: str) -> None:
    """A face from the front, eyes and all, says that somebody wears the garment."""
    if any(face.eyes_found for face in find_faces(picture, tilts=(0,))):
        mend = (
            "Give a flat photo, a mask's file, or fetch the parser that takes worn garments off: "
            f"`dreamline models fetch {PARSER}`; if the face is a print, set `flat: true`"
        )
        raise BadInput.at(source, "shows a garment that somebody wears (a face was found)", mend)
