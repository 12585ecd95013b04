"""Faces by OpenCV's cascades: the floor, which needs no weights beyond OpenCV itself.

Viola and Jones' cascades ("Rapid object detection using a boosted cascade of simple features", CVPR 2001) as
OpenCV 4 ships them. They know faces from the front, tilted up to about 60 degrees here.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import hypot
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from core.images import on_white
from core.preparation.alignment import Box, Face, Point

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Bytes = NDArray[np.uint8]

FIND_SIDES = (512, 1024)
"""Pixels of the longer side at which faces are looked for; DreamO looks at 1024 at most."""

TILTS = (0, -25, 25, -50, 50)
"""Degrees by which the picture is turned, one after the other, until a face is found."""

SURE_FROM = {"alt2": 0.0, "alt": 0.0, "default": 4.0}
"""The cascades that have to agree on a face, and the weight of each from which on its word counts: what the
third gave to things that are no faces was mostly below."""

EXPECTED_EYES = ((0.31, 0.39), (0.69, 0.39))
"""Where in a cascade's box the eyes are on average, as shares of its side."""


def find_by_cascades(picture: Picture, tilts: Sequence[int] = TILTS) -> tuple[Face, ...]:
    """All faces in a picture, the largest first; none where there are none.

    Args:
        picture: to look in.
        tilts: degrees by which it is turned, one after the other, until a face with its eyes is found.
    """
    import cv2
    import numpy as np

    longer = max(picture.size)
    scale = min(max(longer, FIND_SIDES[0]), FIND_SIDES[1]) / longer
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    if min(size) < 32:
        return ()
    grey_HW = np.asarray(on_white(picture).convert("L").resize((size[0], size[1])))
    doubtful: tuple[Face, ...] = ()
    for tilt in tilts:
        turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), tilt, 1.0)
        turned_HW = grey_HW if tilt == 0 else cv2.warpAffine(grey_HW, turn, (size[0], size[1]))
        back = cv2.invertAffineTransform(turn) / scale
        found = [_carry(face, back) for face in _upright_faces(np.asarray(turned_HW))]
        faces = tuple(sorted(found, key=lambda face: -face.square))
        if any(face.eyes_found for face in faces):
            return tuple(face for face in faces if face.eyes_found)
        if tilt == 0:
            doubtful = faces
    return doubtful


def _upright_faces(grey_HW: Bytes) -> list[Face]:
    """Faces that three cascades agree on, with their eyes where these are found too."""
    least = max(32, min(grey_HW.shape) // 12)
    first, *others = (_detect(f"frontalface_{name}", grey_HW, least) for name in SURE_FROM)
    sure_from = list(SURE_FROM.values())[1:]
    agreed = [[box for box in boxes if boxes[box] >= sure] for boxes, sure in zip(others, sure_from, strict=True)]
    faces = []
    for box in first:
        if not all(any(_overlap(box, other) > 0.4 for other in boxes) for boxes in agreed):
            continue
        left, top, width, height = box
        assumed = [(left + x * width, top + y * height) for x, y in EXPECTED_EYES]
        eyes = _eyes(grey_HW, box)
        pair = eyes or (assumed[0], assumed[1])
        faces.append(Face((left, top, left + width, top + height), pair, eyes is not None))
    return faces


def _eyes(grey_HW: Bytes, box: Box) -> tuple[Point, Point] | None:
    """The most plausible pair of eyes in the upper part of a face's box, as the mean of two cascades' boxes."""
    import cv2

    left, top, width, height = box
    zoom = 240 / width
    upper_HW = cv2.resize(grey_HW[top : top + round(height * 0.65), left : left + width], None, fx=zoom, fy=zoom)
    pairs: list[tuple[Point, Point]] = []
    for name in ("eye", "eye_tree_eyeglasses"):
        boxes = _detect(name, upper_HW, 28, 96, 1.05)
        spots = [(x + w / 2, y + h / 2) for x, y, w, h in boxes]
        both = [(one, other) for one in spots for other in spots if _plausible(one, other)]
        pairs += sorted(both, key=_unlikeliness)[:1]
    if not pairs:
        return None
    (ax, ay), (bx, by) = (
        (sum(pair[k][0] for pair in pairs) / len(pairs), sum(pair[k][1] for pair in pairs) / len(pairs))
        for k in (0, 1)
    )
    return (left + ax / zoom, top + ay / zoom), (left + bx / zoom, top + by / zoom)


def _plausible(one: Point, other: Point) -> bool:
    """Whether two spots in a face of 240 pixels can be its eyes: one in each half, apart, about level."""
    across, down = other[0] - one[0], other[1] - one[1]
    return one[0] < 125 and other[0] > 115 and 70 < across < 155 and abs(down) < 0.45 * across


def _unlikeliness(pair: tuple[Point, Point]) -> float:
    return sum(
        (x - 240 * mean_x) ** 2 + (y - 240 * mean_y) ** 2
        for (x, y), (mean_x, mean_y) in zip(pair, EXPECTED_EYES, strict=True)
    )


def _detect(name: str, grey_HW: Any, least: int, most: int | None = None, step: float = 1.1) -> dict[Box, float]:
    """Boxes (left, top, width, height) that a cascade finds, with its weight for each, in a fixed order."""
    limits = {"minSize": (least, least)} | ({"maxSize": (most, most)} if most else {})
    cascade = _cascade(name)
    boxes, _, weights = cascade.detectMultiScale3(
        grey_HW, scaleFactor=step, minNeighbors=3, outputRejectLevels=True, **limits
    )
    plain = [(int(x), int(y), int(width), int(height)) for x, y, width, height in boxes]
    return dict(sorted(zip(plain, map(float, weights), strict=True)))


def _cascade(name: str) -> Any:
    return _load_cascade(name, get_ident())


@cache
def _load_cascade(name: str, thread: int) -> Any:
    """One for each thread: a cascade keeps the picture that it looks at."""
    import cv2

    folder = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml"))


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes given as left, top, width, height."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0, across) * max(0, down)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def _carry(face: Face, back: Any) -> Face:
    """A face into the picture's own pixels by a 2 x 3 matrix; its box stays as large and moves with its centre."""

    def moved(x: float, y: float) -> Point:
        return float(back[0] @ (x, y, 1)), float(back[1] @ (x, y, 1))

    left, top, right, bottom = face.box
    x, y = moved((left + right) / 2, (top + bottom) / 2)
    half = (right - left) / 2 * hypot(float(back[0][0]), float(back[0][1]))
    box = (round(x - half), round(y - half), round(x + half), round(y + half))
    return Face(box, (moved(*face.eyes[0]), moved(*face.eyes[1])), face.eyes_found)
