"""The kind `subject`: a product, a character, an animal - cut out and laid on white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dreamline import BadInput, ConditionType, Method, Preparation, Settings, Workbench, hookimpl
from dreamline.preparation import (
    KEEP_WHOLE,
    MASK,
    crop_to_product,
    cut_out,
    cut_out_methods,
    fit_cut_out,
    keep_whole,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__version__ = "1"


@dataclass(frozen=True, slots=True)
class SubjectOptions:
    """What can be chosen for a subject."""

    method: str = field(
        default="auto",
        metadata={
            "help": "auto (the best that this machine has), alpha-or-grabcut, alpha (the file's own "
            "transparency), grabcut (plain grounds), rembg-… (a network, where it is) or keep-background "
            "(nothing is cut out)"
        },
    )
    crop: bool = field(default=True, metadata={"help": "crop to the product, so that little of the area is white"})
    margin: float = field(
        default=0.06, metadata={"help": "white around a cropped product, as a share of its longer side: 0 to 0.5"}
    )


@hookimpl
def condition_types() -> Sequence[ConditionType[Any]]:
    return [
        ConditionType(
            name="subject",
            title="A product, character or animal, without its background",
            prepare=prepare,
            options=SubjectOptions,
            methods=methods,
            by_mask=MASK,
        )
    ]


def methods(settings: Settings) -> Sequence[Method]:
    return (*cut_out_methods(settings), KEEP_WHOLE)


def prepare(picture: Picture, options: SubjectOptions, bench: Workbench) -> Preparation:
    """Cuts out, crops, and fits to the reference's area.

    Raises:
        BadInput: nothing can be cut out of this picture, or too little; or `margin` is out of its range.
    """
    if not 0 <= options.margin <= 0.5:
        raise BadInput.at(f"{bench.source}, option margin", f"{options.margin} is out of range", "Give 0 to 0.5")
    if bench.method.name == KEEP_WHOLE.name:
        return Preparation(keep_whole(picture, bench.area, bench.multiple, bench.source))
    try:
        cut = cut_out(picture, bench.method.name, bench.source, bench.seed, mask=bench.mask, models=bench.models)
    except BadInput as error:
        if bench.method.name == MASK.name:
            raise
        way_out = f", or set `method: {KEEP_WHOLE.name}`"
        raise BadInput(*(replace(one, mend=one.mend + way_out) for one in error.problems)) from error
    if options.crop:
        cut = crop_to_product(cut, options.margin)
    cut = fit_cut_out(cut, bench.area, bench.multiple, bench.source)
    return Preparation(cut.picture, cut.mask, cut.warnings, cut.facts)
