"""The kind `logo`: a flat mark, cropped and laid on white; and a score for how true images are to its colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dreamline import BadInput, ConditionType, Image, Preparation, Request, Score, Workbench, hookimpl
from dreamline.preparation import CUT_OUT_METHODS, crop_to_product, cut_out, fit_cut_out

__version__ = "1"


@dataclass(frozen=True)
class LogoOptions:
    colour: str = field(default="", metadata={"help": "the brand's colour (#e4002b); empty: no score"})
    margin: float = field(default=0.1, metadata={"help": "white around it, as a share of its length: 0 to 0.5"})


@hookimpl
def condition_types() -> Sequence[ConditionType[Any]]:
    return [
        ConditionType(
            name="logo",
            title="A logo or sticker, cropped and laid on white",
            prepare=prepare,
            options=LogoOptions,
            methods=lambda settings: CUT_OUT_METHODS,
            fidelity=("logo-colour",),
        )
    ]


def prepare(picture: Any, options: LogoOptions, bench: Workbench) -> Preparation:
    if not 0 <= options.margin <= 0.5:
        raise BadInput.at(f"{bench.source}, option margin", f"{options.margin} is out of range", "Give 0 to 0.5")
    if options.colour:
        read_colour(options.colour, bench.source)
    cut = crop_to_product(cut_out(picture, bench.method.name, bench.source, bench.seed), options.margin)
    cut = fit_cut_out(cut, bench.area, bench.multiple, bench.source)
    return Preparation(cut.picture, cut.mask, cut.warnings, cut.facts)


def read_colour(text: str, source: str) -> tuple[int, ...]:
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise BadInput.at(f"{source}, option colour", f"{text!r} is no colour", "Give one like #e4002b") from error


@hookimpl
def score_image(image: Image, request: Request) -> Sequence[Score]:
    wanted = [one.options["colour"] for one in request.references if one.kind == "logo"]
    return [
        Score("logo-colour", distance(image, colour), f"{colour} with the 1 in 100 pixels that are nearest", False)
        for colour in filter(None, wanted)
    ]


def distance(image: Image, colour: str) -> float:
    """In CIELAB (CIE 1976): about 2 can just be seen, 100 is black against white."""
    import cv2
    import numpy as np

    def lab(rgb: Any) -> Any:
        return cv2.cvtColor(np.asarray(rgb, np.float32) / 255, cv2.COLOR_RGB2LAB)

    apart = np.linalg.norm(lab(image.picture) - lab([[read_colour(colour, "the request")]]), axis=2)
    return float(np.sort(apart, axis=None)[: max(1, apart.size // 100)].mean())
