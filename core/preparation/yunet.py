"""Faces with five landmarks by YuNet, where its file is present.

W. Wu, H. Peng, S. Yu: "YuNet: a tiny millisecond-level face detector" (Machine Intelligence Research, 2023), run
by OpenCV's own network module.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from core.images import on_white
from core.preparation.alignment import Face, Point
from core.preparation.cut_outs import bounded
from core.toolbox import TOOLS, require_files

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

YUNET = "yunet"
"""The tool's name, and the method's."""

FIND_SIDE = 1024
"""Pixels of the longer side at which faces are looked for at first."""

SMALL_SIDE = 320
"""The same where nothing is found: a face that fills a large picture is larger than YuNet knows."""

SURE = 0.7
"""The least certainty of a face."""


def find_by_yunet(picture: Picture, models: Path) -> tuple[Face, ...]:
    """All faces in a picture, the largest first; none where there are none.

    Args:
        picture: RGB or RGBA.
        models: the folder of weights.

    Raises:
        WeightsMissing: YuNet's file is not there.
    """
    path = require_files(YUNET, models)[TOOLS[YUNET].files[0]]
    for side in (FIND_SIDE, SMALL_SIDE):
        seen = bounded(on_white(picture), side)
        if min(seen.size) < 16:
            return ()
        rows = _detect(path, seen)
        if rows:
            scale = (picture.width / seen.width, picture.height / seen.height)
            faces = [_face(row, scale) for row in rows]
            return tuple(sorted(faces, key=lambda face: (-face.square, face.box)))
    return ()


def _detect(path: Path, seen: Picture) -> list[list[float]]:
    """One row a face: left, top, width, height; x and y of five landmarks; certainty."""
    import numpy as np

    facts = path.stat()
    detector = _load(path, (facts.st_ino, facts.st_size, facts.st_mtime_ns), get_ident())
    detector.setInputSize(seen.size)
    _, found = detector.detect(np.ascontiguousarray(np.asarray(seen)[..., ::-1]))
    return [] if found is None else [[float(value) for value in row] for row in found]


@lru_cache(maxsize=8)
def _load(path: Path, facts: tuple[int, int, int], thread: int) -> Any:
    """One for each thread: a detector keeps the size that it was told last."""
    import cv2

    return cv2.FaceDetectorYN.create(str(path), "", (320, 320), SURE, 0.3, 100)


def _face(row: list[float], scale: tuple[float, float]) -> Face:
    """A row in the picture's own pixels. What YuNet calls the right eye is the person's, on the left as seen."""
    x_scale, y_scale = scale
    left, top, width, height = row[:4]
    points: list[Point] = [(row[k] * x_scale, row[k + 1] * y_scale) for k in range(4, 14, 2)]
    box = (left * x_scale, top * y_scale, (left + width) * x_scale, (top + height) * y_scale)
    across = (round(box[0]), round(box[1]), round(box[2]), round(box[3]))
    return Face(across, (points[0], points[1]), True, tuple(points))
