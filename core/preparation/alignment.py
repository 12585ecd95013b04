"""A face in a picture, and the square that shows it upright, where the model expects it.

With five landmarks the square follows from the similarity that brings them nearest to a template (S. Umeyama:
"Least-squares estimation of transformation parameters between two point patterns", PAMI 1991); with two eyes, from
them alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians, sin
from typing import TYPE_CHECKING, Any

from core.images import on_white

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Doubles = NDArray[np.float64]

Point = tuple[float, float]
Box = tuple[int, int, int, int]

EYES_DOWN, EYES_APART = 0.469, 0.246
"""Where DreamO's aligned faces have their eyes, as shares of the square's side."""

TEMPLATE = ((192.98, 239.95), (318.90, 240.19), (256.63, 314.02), (201.26, 371.41), (313.09, 371.15))
"""Eye, eye, nose, corner and corner of the mouth, left to right as seen, in a square of 512 pixels: the five
points to which facexlib, DreamO's face library, aligns."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture, in its pixels.

    Attributes:
        box: left, top, right, bottom, from brow to chin, upright even where the face is tilted.
        eyes: centres of the eye on the left and the one on the right, as seen.
        eyes_found: false where they are only assumed to be where eyes mostly are.
        landmarks: eye, eye, nose, corner and corner of the mouth, left to right as seen; empty where only the eyes
            are known.
    """

    box: Box
    eyes: tuple[Point, Point]
    eyes_found: bool = True
    landmarks: tuple[Point, ...] = ()

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


def fit_similarity(points: Any, targets: Any) -> Doubles:
    """The 2 x 3 matrix of turn, scale and shift that brings points nearest to targets, in least squares."""
    import numpy as np

    points_N2, targets_N2 = np.asarray(points, np.float64), np.asarray(targets, np.float64)
    from_N2, to_N2 = points_N2 - points_N2.mean(axis=0), targets_N2 - targets_N2.mean(axis=0)
    left_22, spread_2, right_22 = np.linalg.svd(to_N2.T @ from_N2)
    keep_2 = np.array([1.0, np.sign(np.linalg.det(left_22) * np.linalg.det(right_22))])
    turn_22 = left_22 @ np.diag(keep_2) @ right_22
    scale = float((spread_2 * keep_2).sum() / np.maximum((from_N2**2).sum(), 1e-9))
    shift_2 = targets_N2.mean(axis=0) - scale * turn_22 @ points_N2.mean(axis=0)
    return np.column_stack([scale * turn_22, shift_2])


def align_face(picture: Picture, face: Face, side: int) -> Picture:
    """A square of `side` pixels with face and hair, eyes level and at the model's place; RGB.

    What lies outside of the picture is white.
    """
    return _sampled(on_white(picture), face, side, "white")


def align_mask(mask: Picture, face: Face, side: int) -> Picture:
    """The same square of a picture's mask (`L`)."""
    return _sampled(mask, face, side, 0)


def _sampled(picture: Picture, face: Face, side: int, outside: str | int) -> Picture:
    from PIL import Image

    step, across, down, left, top = _placed(face, side)
    x_scale = y_scale = 1.0
    if step > 1.5:
        width, height = (max(1, round(length * 1.5 / step)) for length in picture.size)
        x_scale, y_scale = width / picture.width, height / picture.height
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    matrix = (across * x_scale, -down * x_scale, left * x_scale, down * y_scale, across * y_scale, top * y_scale)
    return picture.transform(
        (side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=outside
    )


def _placed(face: Face, side: int) -> tuple[float, float, float, float, float]:
    """Pixels of the picture for one of the square; the same along and across the eye-line; left and top corner."""
    if face.landmarks:
        import numpy as np

        template_N2 = np.asarray(TEMPLATE) * (side / 512)
        (across, _, left), (down, _, top) = fit_similarity(template_N2, face.landmarks).tolist()
        return hypot(across, down), across, down, left, top
    step, angle = face.square / side, radians(face.tilt)
    across, down = step * cos(angle), step * sin(angle)
    x, y = face.middle
    left = x - across * side * 0.5 + down * side * EYES_DOWN
    top = y - down * side * 0.5 - across * side * EYES_DOWN
    return step, across, down, left, top
