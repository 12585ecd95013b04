"""Faces in an image: how many there are, and whether one is the reference's.

Found by YuNet (Wu, Peng, Yu: "YuNet: a tiny millisecond-level face detector", 2023) where its file is present, by
cascades otherwise; compared by SFace (Zhong et al., "SFace: sigmoid-constrained hypersphere loss", 2021) as OpenCV
runs them. OpenCV calls two faces one person from a cosine of 0.363 on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from core.requests import Score
from core.scoring.references import Shown
from core.settings import Settings
from core.toolbox import tool_files

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FACE_SIDE = 640
"""Pixels of the longer side at which YuNet looks for faces."""

SURE, OVERLAP, MOST = 0.8, 0.3, 100
"""YuNet's least confidence, the overlap from which on two boxes are one face, and how many are kept."""

KIND = "identity"


def by_faces(image: Picture, references: Sequence[Shown], settings: Settings) -> Iterator[Score]:
    """`faces`, and `face:NAME` of every identity; cascades, which take long, look only where there is one."""
    people = [one for one in references if one.kind == KIND]
    if (files := tool_files("yunet", settings)) is not None:
        detector = next(iter(files.values()))
        found = detect(image, detector)
        yield Score("faces", float(len(found)), f"{len(found)} faces found in the whole image by YuNet")
        yield from _alike(image, found, people, detector, settings)
    elif people:
        from core.preparation.faces import find_faces

        count = len(find_faces(image))
        yield Score("faces", float(count), f"{count} faces found in the whole image by cascades")


def detect(picture: Picture, detector: Path) -> Any:
    """Faces in a picture, the surest first: box, five points and confidence in its pixels, (faces, 15)."""
    import numpy as np

    scale = min(1.0, FACE_SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    network = _detector(detector, get_ident())
    network.setInputSize(size)
    _, found = network.detect(_bgr(picture.resize(size)))
    if found is None:
        return np.zeros((0, 15), np.float32)
    return np.concatenate([found[:, :14] / np.float32(scale), found[:, 14:]], axis=1)


def _alike(
    image: Picture, found: Any, people: Sequence[Shown], detector: Path, settings: Settings
) -> Iterator[Score]:
    files = tool_files("sface", settings) if people else None
    if files is None:
        return
    recogniser = next(iter(files.values()))
    features = [feature(image, face, recogniser) for face in found]
    for one in people:
        own = detect(one.prepared.picture, detector)
        if len(own):
            yield _most_alike(one, feature(one.prepared.picture, own[0], recogniser), found, features, image.size)


def _most_alike(one: Shown, own: Any, found: Any, features: Sequence[Any], size: tuple[int, int]) -> Score:
    """Of all faces in the image the one that is most like the reference's."""
    name = f"face:{one.name}"
    if not features:
        return Score(name, 0.0, f"no face was found in the image to hold against that of {one.name}")
    cosines = [float((own * other).sum()) for other in features]
    best = max(range(len(cosines)), key=lambda k: cosines[k])
    compared = f"the face most like that of {one.name}, of {len(features)}, cosine of their SFace features"
    return Score(name, round(cosines[best], 6), compared, crop=_shares(found[best], size))


def feature(picture: Picture, face: Any, recogniser: Path) -> Any:
    """What SFace makes of a face, as a vector of length 1."""
    import numpy as np

    network = _recogniser(recogniser, get_ident())
    found = np.asarray(network.feature(network.alignCrop(_bgr(picture), face)), np.float64).ravel()
    return found / max(float(np.linalg.norm(found)), 1e-12)


def _shares(face: Any, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The box of a face as shares of the image's sides; None where none of it is inside."""
    left, top, across, down = (float(value) for value in face[:4])
    edges = (left / size[0], top / size[1], (left + across) / size[0], (top + down) / size[1])
    box = tuple(round(min(max(edge, 0.0), 1.0), 4) for edge in edges)
    return (box[0], box[1], box[2], box[3]) if box[0] < box[2] and box[1] < box[3] else None


def _bgr(picture: Picture) -> Any:
    import numpy as np

    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])


@lru_cache(maxsize=4)
def _detector(path: Path, thread: int) -> Any:
    """One for each thread: it keeps the picture that it looks at."""
    import cv2

    return cv2.FaceDetectorYN.create(str(path), "", (320, 320), SURE, OVERLAP, MOST)


@lru_cache(maxsize=4)
def _recogniser(path: Path, thread: int) -> Any:
    import cv2

    return cv2.FaceRecognizerSF.create(str(path), "")
