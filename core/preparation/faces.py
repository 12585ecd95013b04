"""Faces by OpenCV's cascades: found, turned upright, cropped with their hair, the rest painted white.

The model-free floor: Viola and Jones' cascades ("Rapid object detection using a boosted cascade of simple
features", CVPR 2001) as OpenCV 4 ships them. They know faces from the front, tilted up to about 60 degrees here.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import atan2, cos, degrees, hypot, radians, sin
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from core.errors import BadInput
from core.images import on_white
from core.preparation.edges import soften, whiten
from core.requests import Method

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

Point = tuple[float, float]
Box = tuple[int, int, int, int]

FACE_METHODS = (Method("cascades", "1"),)
"""Ways of finding a face that need no weights; the version changes whenever this file's results do."""

FIND_SIDES = (512, 1024)
"""Pixels of the longer side at which faces are looked for; DreamO looks at 1024 at most."""

TILTS = (0, -25, 25, -50, 50)
"""Degrees by which the picture is turned, one after the other, until a face is found."""

EYES_DOWN, EYES_APART = 0.469, 0.246
"""Where DreamO's aligned faces have their eyes, as shares of the square's side (the 512-pixel five-point
template of its face library: eyes at 193, 240 and 319, 240)."""

SURE_FROM = {"alt2": 0.0, "alt": 0.0, "default": 4.0}
"""The cascades that have to agree on a face, and the weight of each from which on its word counts: what the
third gave to things that are no faces was mostly below."""

EXPECTED_EYES = ((0.31, 0.39), (0.69, 0.39))
"""Where in a cascade's box the eyes are on average, as shares of its side."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture, in its pixels.

    Attributes:
        box: left, top, right, bottom, from brow to chin, upright even where the face is tilted.
        eyes: centres of the eye on the left and the one on the right, as seen.
        eyes_found: false where they are only assumed to be where eyes mostly are.
    """

    box: Box
    eyes: tuple[Point, Point]
    eyes_found: bool = True

    @property
    def tilt(self) -> float:
        """Degrees of the eye-line against the horizontal, positive when the right end is lower."""
        (left_x, left_y), (right_x, right_y) = self.eyes
        return degrees(atan2(right_y - left_y, right_x - left_x))

    @property
    def square(self) -> float:
        """Side in pixels of the aligned square around face and hair."""
        (left_x, left_y), (right_x, right_y) = self.eyes
        return hypot(right_x - left_x, right_y - left_y) / EYES_APART

    @property
    def middle(self) -> Point:
        """Between the eyes."""
        (left_x, left_y), (right_x, right_y) = self.eyes
        return (left_x + right_x) / 2, (left_y + right_y) / 2


def find_faces(picture: Picture) -> tuple[Face, ...]:
    """All faces in a picture, the largest first; none where there are none."""
    import cv2
    import numpy as np

    longer = max(picture.size)
    scale = min(max(longer, FIND_SIDES[0]), FIND_SIDES[1]) / longer
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    if min(size) < 32:
        return ()
    grey_HW = np.asarray(on_white(picture).convert("L").resize((size[0], size[1])))
    doubtful: tuple[Face, ...] = ()
    for tilt in TILTS:
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


def choose_face(picture: Picture, which: str, source: str) -> tuple[Face, int]:
    """The largest face, or the one nearest to the centre, and how many there are.

    Args:
        picture: to look in.
        which: `largest` or `centre`.
        source: the file's name, for messages.

    Raises:
        BadInput: there is none.
    """
    faces = find_faces(picture)
    if not faces:
        mend = "Give a photo of a face from the front, or set `aligned: true` if the picture is a face already"
        raise BadInput.at(source, "shows no face that can be found", mend)
    if which == "centre":
        x, y = picture.width / 2, picture.height / 2
        faces = tuple(sorted(faces, key=lambda face: hypot(face.middle[0] - x, face.middle[1] - y)))
    return faces[0], len(faces)


def align_face(picture: Picture, face: Face, side: int) -> Picture:
    """A square of `side` pixels with face and hair, eyes level and at the model's place; RGB.

    What lies outside of the picture is white.
    """
    from PIL import Image

    picture = on_white(picture)
    reduced = min(1.0, 1.5 * side / face.square)
    if reduced < 1:
        width, height = (max(1, round(length * reduced)) for length in picture.size)
        x_scale, y_scale = width / picture.width, height / picture.height
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    else:
        x_scale = y_scale = 1.0
    step, angle = face.square / side, radians(face.tilt)
    across, down = step * cos(angle), step * sin(angle)
    x, y = face.middle
    left = x - across * side * 0.5 + down * side * EYES_DOWN
    top = y - down * side * 0.5 - across * side * EYES_DOWN
    matrix = (across * x_scale, -down * x_scale, left * x_scale, down * y_scale, across * y_scale, top * y_scale)
    return picture.transform(
        (side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor="white"
    )


def keep_face_and_hair(aligned: Picture, seed: int) -> tuple[Picture, Picture]:
    """Paints everything else in an aligned square white: GrabCut from ellipses of face and hair.

    Returns:
        The picture (RGB), and a soft mask (`L`) of what was kept.
    """
    import cv2
    import numpy as np
    from PIL import Image

    rgb_HWC = np.asarray(aligned)
    working = Image.fromarray(rgb_HWC).resize((256, 256), Image.Resampling.BICUBIC)
    seeds_HW, face_HW = _seeds(256)
    cv2.setRNGSeed(seed & 0x7FFFFFFF)
    bgr_HWC = np.ascontiguousarray(np.asarray(working)[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr_HWC, seeds_HW, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    kept_HW = _one_piece(np.isin(seeds_HW, (cv2.GC_FGD, cv2.GC_PR_FGD)), face_HW)
    hard = Image.fromarray(kept_HW.astype(np.uint8) * 255).resize(aligned.size, Image.Resampling.BILINEAR)
    band = 1 + -(-aligned.width // 128)
    alpha_HW, colour_HWC = soften(rgb_HWC, np.asarray(hard) >= 128, band)
    mask = Image.fromarray(np.rint(alpha_HW * 255).astype(np.uint8))
    return Image.fromarray(whiten(colour_HWC, alpha_HW)), mask


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


def _seeds(side: int) -> tuple[Bytes, Flags]:
    """What is surely, probably and surely not face or hair in an aligned square; and the sure face."""
    import cv2
    import numpy as np

    y_HW, x_HW = (np.mgrid[0:side, 0:side] + 0.5) / side

    def ellipse(y: float, height: float, width: float) -> Flags:
        return np.asarray(((x_HW - 0.5) / width) ** 2 + ((y_HW - y) / height) ** 2 <= 1, bool)

    face_HW, jaw_HW = ellipse(0.56, 0.27, 0.17), ellipse(0.50, 0.42, 0.27)
    seeds_HW = np.full((side, side), cv2.GC_PR_BGD, np.uint8)
    seeds_HW[ellipse(0.46, 0.42, 0.34)] = cv2.GC_PR_FGD
    seeds_HW[~ellipse(0.50, 0.50, 0.49)] = cv2.GC_BGD
    seeds_HW[(y_HW > 0.62) & (np.abs(x_HW - 0.5) < 0.27) & ~jaw_HW] = cv2.GC_BGD
    seeds_HW[y_HW > 0.93] = cv2.GC_BGD
    seeds_HW[face_HW] = cv2.GC_FGD
    return seeds_HW, face_HW


def _one_piece(kept_HW: Flags, face_HW: Flags) -> Flags:
    """The piece that holds the face, without holes, its edge smoothed."""
    import cv2
    import numpy as np

    smooth = cv2.medianBlur((kept_HW | face_HW).astype(np.uint8), 7)
    outlines, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    return np.asarray(cv2.drawContours(np.zeros_like(smooth), [largest], -1, 1, cv2.FILLED), bool)
