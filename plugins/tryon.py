"""The kind `tryon`: a garment from a flat photo, cut out and laid on white.

The model draws a new picture of a person who wears the garment; it does not edit a photo that it was given.
Several garments are several references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dreamline import BadInput, ConditionType, Method, Preparation, Settings, Workbench, hookimpl
from dreamline.preparation import CUT_OUT_METHODS, crop_to_product, cut_out, fit_cut_out

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__version__ = "1"


@dataclass(frozen=True, slots=True)
class TryOnOptions:
    """What can be chosen for a garment."""

    method: str = field(
        default="auto",
        metadata={
            "help": "alpha-or-grabcut (what auto means here), alpha (the file's own transparency) "
            "or grabcut (plain grounds)"
        },
    )
    garment: str | None = field(default=None, metadata={"help": "what it is, in words: dress, jacket, shoes"})
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
        )
    ]


def methods(settings: Settings) -> Sequence[Method]:
    return CUT_OUT_METHODS


def prepare(picture: Picture, options: TryOnOptions, bench: Workbench) -> Preparation:
    """Cuts the garment out, crops to it, and fits it to the reference's area.

    Raises:
        BadInput: nothing can be cut out of this picture, or too little; or `margin` is out of its range.
    """
    if not 0 <= options.margin <= 0.5:
        raise BadInput.at(f"{bench.source}, option margin", f"{options.margin} is out of range", "Give 0 to 0.5")
    cut = crop_to_product(cut_out(picture, bench.method.name, bench.source, bench.seed), options.margin)
    cut = fit_cut_out(cut, bench.area, bench.multiple, bench.source)
    return Preparation(cut.picture, cut.mask, cut.warnings, {**cut.facts, "garment": options.garment})
