"""The kind `identity`: a person's face, upright, with nothing around it but the hair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import TYPE_CHECKING, Any, Literal

from dreamline import BadInput, ConditionType, Method, Preparation, Settings, Workbench, hookimpl
from dreamline.preparation import (
    FACE_METHODS,
    Face,
    align_face,
    choose_face,
    keep_face_and_hair,
    keep_square,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__version__ = "1"


@dataclass(frozen=True, slots=True)
class IdentityOptions:
    """What can be chosen for a face."""

    face: Literal["largest", "centre"] = field(
        default="largest", metadata={"help": "which of several faces: the largest, or the one nearest the centre"}
    )
    aligned: bool = field(
        default=False,
        metadata={"help": "the picture is a face already, upright and alone (drawn ones too): it is kept whole"},
    )


@hookimpl
def condition_types() -> Sequence[ConditionType[Any]]:
    return [
        ConditionType(
            name="identity",
            title="A person's face",
            prepare=prepare,
            options=IdentityOptions,
            methods=methods,
        )
    ]


def methods(settings: Settings) -> Sequence[Method]:
    return FACE_METHODS


def prepare(picture: Picture, options: IdentityOptions, bench: Workbench) -> Preparation:
    """A square with the face: found, turned upright, all but face and hair painted white.

    Raises:
        BadInput: there is no face, or it is too small.
    """
    side = max(bench.multiple, isqrt(bench.area) // bench.multiple * bench.multiple)
    if options.aligned:
        return Preparation(keep_square(picture, side, bench.source))
    face, count = choose_face(picture, options.face, bench.source)
    if face.square < side / 8:
        raise BadInput.at(
            bench.source,
            f"shows a face of only {face.square:.0f} pixels, hair included",
            f"Give a picture in which it has at least {side // 8}, better {side}",
        )
    kept, mask = keep_face_and_hair(align_face(picture, face, side), bench.seed)
    facts = {
        "box": list(face.box),
        "eyes": [[round(x, 1), round(y, 1)] for x, y in face.eyes],
        "tilt": round(face.tilt, 1),
        "faces": count,
    }
    return Preparation(kept, mask, tuple(_warnings(face, count, side, options.face)), facts)


def _warnings(face: Face, count: int, side: int, which: str) -> Sequence[str]:
    warnings = []
    if count > 1:
        chosen = "largest" if which == "largest" else "one nearest the centre"
        warnings.append(f"{count} faces were found: the {chosen} is taken")
    if not face.eyes_found:
        warnings.append("the eyes were not found: the face may stand askew")
    if face.square < side / 3:
        warnings.append(f"the face is only {face.square:.0f} pixels large, hair included: it will look soft")
    return warnings
