"""Which face of a picture is meant, by the best finder that there is.

YuNet where its file is present, else OpenCV's cascades; the head is then freed by the clothes parser where that is
present, else by GrabCut. A method's name says both: `yunet+clothes`, `yunet`, `cascades+clothes`, `cascades`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.preparation.alignment import Face
from core.preparation.cascades import TILTS, find_by_cascades
from core.preparation.parsing import PARSER, can_parse
from core.preparation.yunet import YUNET, find_by_yunet
from core.requests import Method
from core.settings import Settings
from core.toolbox import tool_files, tool_hashes

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FACE_METHODS = (Method("cascades", "1"),)
"""Ways of finding a face that need no weights; the version changes whenever their results do."""

PLUS_PARSER = f"+{PARSER}"
"""After the name of a method whose heads are freed by the parser."""

SHARP = 12.0
"""Sharpness under which a face looks blurred: sharp photos have 25 to 150, blurred by 2 pixels of 128 under 5."""

SHARPNESS_SIDE = 128
"""Pixels of the square in which sharpness is measured, so that it means the same for every size."""


def face_methods(settings: Settings) -> tuple[Method, ...]:
    """The ways of finding a face and freeing its head that this machine has, best first."""
    finders = list(FACE_METHODS)
    if tool_files(YUNET, settings) is not None:
        finders.insert(0, Method(YUNET, "1", tool_hashes(YUNET, settings)))
    if not can_parse(settings):
        return tuple(finders)
    parser = tool_hashes(PARSER, settings)
    both = [Method(one.name + PLUS_PARSER, one.version, {**one.weights, **parser}) for one in finders]
    return tuple(method for pair in zip(both, finders, strict=True) for method in pair)


def find_faces(
    picture: Picture, method: str = "cascades", models: Path | None = None, tilts: Sequence[int] = TILTS
) -> tuple[Face, ...]:
    """All faces in a picture, the largest first; none where there are none.

    Args:
        picture: to look in.
        method: the name of one of `face_methods`.
        models: the folder of weights, for methods that need some.
        tilts: degrees by which the picture is turned for the cascades, one after the other, until one is found.

    Raises:
        WeightsMissing: the method's weights are not on this machine.
    """
    if method.startswith(YUNET) and models is not None:
        return find_by_yunet(picture, models)
    return find_by_cascades(picture, tilts)


def choose_face(
    picture: Picture, which: str | int, source: str, method: str = "cascades", models: Path | None = None
) -> tuple[Face, int]:
    """The face that is meant, and how many there are.

    Args:
        picture: to look in.
        which: `largest`, `centre` for the one nearest to the centre, or a number from 1, counted from the left.
        source: the file's name, for messages.
        method: the name of one of `face_methods`.
        models: the folder of weights, for methods that need some.

    Raises:
        BadInput: there is none, or none of that number.
    """
    faces = find_faces(picture, method, models)
    if not faces:
        raise _faceless(source)
    if isinstance(which, int):
        if not 1 <= which <= len(faces):
            text = f"there is no face {which}: {_faces(len(faces))} found in {source}"
            raise BadInput.at(f"{source}, option face", text, f"Give 1 to {len(faces)}, counted from the left")
        return sorted(faces, key=lambda face: face.middle)[which - 1], len(faces)
    if which == "centre":
        x, y = picture.width / 2, picture.height / 2
        faces = tuple(sorted(faces, key=lambda face: hypot(face.middle[0] - x, face.middle[1] - y)))
    return faces[0], len(faces)


def choose_masked_face(picture: Picture, mask: Picture, source: str) -> tuple[Face, int]:
    """The face of which most lies under a mask (`L`, of the picture's size), and how many there are.

    Raises:
        BadInput: the mask is over none.
    """
    faces = find_faces(picture)
    if not faces:
        raise _faceless(source)
    covered = [sum(mask.crop(face.box).histogram()[128:]) / _area(face) for face in faces]
    best = max(range(len(faces)), key=covered.__getitem__)
    if covered[best] < 0.25:
        text = f"lies over no face ({_faces(len(faces))} found in the picture)"
        mend = "Paint white the face that is meant, with its hair, or set `aligned: true`"
        raise BadInput.at(f"the mask of {source}", text, mend)
    return faces[best], len(faces)


def sharpness(aligned: Picture) -> float:
    """Standard deviation of the Laplacian of the light between brow and mouth of an aligned square."""
    import cv2
    import numpy as np

    side = SHARPNESS_SIDE
    grey_HW = np.asarray(aligned.convert("L").resize((side, side)), np.float32)
    middle_HW = grey_HW[round(0.38 * side) : round(0.78 * side), round(0.3 * side) : round(0.7 * side)]
    return float(cv2.Laplacian(middle_HW, cv2.CV_32F).std())


def _faceless(source: str) -> BadInput:
    mend = "Give a photo of a face from the front, or set `aligned: true` if the picture is a face already"
    return BadInput.at(source, "shows no face that can be found", mend)


def _faces(count: int) -> str:
    return "1 face was" if count == 1 else f"{count} faces were"


def _area(face: Face) -> int:
    left, top, right, bottom = face.box
    return max(1, (right - left) * (bottom - top))
