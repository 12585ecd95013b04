"""The kind `identity`: a person's face, upright, with nothing around it but the hair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import TYPE_CHECKING, Any, Literal

from dreamline import BadInput, ConditionType, Method, Preparation, Settings, Workbench, hookimpl
from dreamline.preparation import (
    HEAD,
    MASK,
    PLUS_PARSER,
    SHARP,
    Face,
    align_face,
    align_mask,
    choose_face,
    choose_masked_face,
    cut_by_mask,
    face_methods,
    keep_face_and_hair,
    keep_head,
    keep_square,
    middle_piece,
    parse,
    part_mask,
    sharpness,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__version__ = "1"


@dataclass(frozen=True, slots=True)
class IdentityOptions:
    """What can be chosen for a face."""

    method: str = field(
        default="auto",
        metadata={
            "help": "how the face is found and its head freed: yunet+clothes, yunet, cascades+clothes or "
            "cascades; auto is the first that this machine has"
        },
    )
    face: Literal["largest", "centre"] | int = field(
        default="largest",
        metadata={"help": "which of several faces: largest, centre (the nearest to it), or 1, 2, … from the left"},
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
            by_mask=MASK,
        )
    ]


def methods(settings: Settings) -> Sequence[Method]:
    return face_methods(settings)


def prepare(picture: Picture, options: IdentityOptions, bench: Workbench) -> Preparation:
    """A square with the face: found, turned upright, all but face and hair painted white.

    Raises:
        BadInput: there is no face, none of the number that was asked for, or it is too small.
    """
    side = max(bench.multiple, isqrt(bench.area) // bench.multiple * bench.multiple)
    if options.aligned:
        return _as_it_is(picture, bench, side)
    masked = bench.mask if bench.method.name == MASK.name else None
    if masked is not None:
        face, count = choose_masked_face(picture, masked, bench.source)
    else:
        face, count = choose_face(picture, options.face, bench.source, bench.method.name, bench.models)
    if face.square < side / 8:
        raise BadInput.at(
            bench.source,
            f"shows a face of only {face.square:.0f} pixels, hair included",
            f"Give a picture in which it has at least {side // 8}, better {side}",
        )
    aligned = align_face(picture, face, side)
    sharp = sharpness(aligned)
    warnings = _warnings(face, count, side, "" if masked is not None else options.face, sharp)
    if masked is not None:
        kept, mask = keep_head(aligned, align_mask(masked, face, side), exact=True)
    else:
        kept, mask, more = _free_head(aligned, bench)
        warnings += more
    facts = {
        "box": list(face.box),
        "eyes": [[round(x, 1), round(y, 1)] for x, y in face.eyes],
        "tilt": round(face.tilt, 1),
        "faces": count,
        "sharpness": round(sharp, 1),
    }
    return Preparation(kept, mask, tuple(warnings), facts)


def _as_it_is(picture: Picture, bench: Workbench, side: int) -> Preparation:
    """A picture that is a face already: kept whole, or what its mask keeps."""
    if bench.method.name == MASK.name and bench.mask is not None:
        cut = cut_by_mask(picture, bench.mask, bench.source)
        square = keep_square(cut.picture, side, bench.source)
        return Preparation(square, warnings=cut.warnings, facts=cut.facts)
    return Preparation(keep_square(picture, side, bench.source))


def _free_head(aligned: Picture, bench: Workbench) -> tuple[Picture, Picture, list[str]]:
    """The head alone by the pinned method; its mask; warnings."""
    if bench.method.name.endswith(PLUS_PARSER):
        head = middle_piece(part_mask(parse(aligned, bench.models), HEAD, aligned.size))
        if head is not None:
            return *keep_head(aligned, head), []
        return *keep_face_and_hair(aligned, bench.seed), ["the parser saw no head: it was freed by its colours"]
    return *keep_face_and_hair(aligned, bench.seed), []


def _warnings(face: Face, count: int, side: int, which: str | int, sharp: float) -> list[str]:
    warnings = []
    chosen = {"largest": "the largest", "centre": "the one nearest the centre", "": "the one under the mask"}
    if count > 1 and isinstance(which, str):
        warnings.append(f"{count} faces were found: {chosen[which]} is taken")
    if not face.eyes_found:
        warnings.append("the eyes were not found: the face may stand askew")
    if face.square < side / 3:
        warnings.append(f"the face is only {face.square:.0f} pixels large, hair included: it will look soft")
    elif sharp < SHARP:
        warnings.append(f"the face is blurred (sharpness {sharp:.0f}, sharp ones have over {SHARP:.0f})")
    return warnings
