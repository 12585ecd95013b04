"""Faces in an image: how many there are, and whether one is the reference's.

Found by YuNet where its file is present, by cascades otherwise; compared by SFace (Zhong et al., "SFace:
sigmoid-constrained hypersphere loss for robust face recognition", 2021) as OpenCV runs it. OpenCV calls two faces
one person from a cosine of 0.363 on.
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

    from core.preparation.alignment import Face

YUNET, SFACE = "yunet", "sface"
KIND = "identity"

UPRIGHT = (0,)
"""Cascades count upright faces alone: four more tilts would take five times as long."""


def by_faces(image: Picture, references: Sequence[Shown], settings: Settings) -> Iterator[Score]:
    """`faces`, and `face:NAME` of every identity; cascades, which take long, look only where there is one."""
    from core.preparation.faces import find_faces

    people = [one for one in references if one.kind == KIND]
    if tool_files(YUNET, settings) is not None:
        found = find_faces(image, YUNET, settings.models_folder)
        yield Score("faces", float(len(found)), f"{len(found)} faces found in the whole image by YuNet")
        yield from _alike(image, found, people, settings)
    elif people:
        count = len(find_faces(image, tilts=UPRIGHT))
        yield Score("faces", float(count), f"{count} upright faces found in the whole image by cascades")


def _alike(image: Picture, found: Sequence[Face], people: Sequence[Shown], settings: Settings) -> Iterator[Score]:
    from core.preparation.faces import find_faces

    files = tool_files(SFACE, settings) if people else None
    if files is None:
        return
    recogniser = next(iter(files.values()))
    features = [feature(image, face, recogniser) for face in found]
    for one in people:
        own = find_faces(one.prepared.picture, YUNET, settings.models_folder)
        if own:
            yield _most_alike(one, feature(one.prepared.picture, own[0], recogniser), found, features, image.size)


def _most_alike(
    one: Shown, own: Any, found: Sequence[Face], features: Sequence[Any], size: tuple[int, int]
) -> Score:
    """Of all faces in the image the one that is most like the reference's."""
    name = f"face:{one.name}"
    if not features:
        return Score(name, 0.0, f"no face was found in the image to hold against that of {one.name}")
    cosines = [float((own * other).sum()) for other in features]
    best = max(range(len(cosines)), key=lambda k: cosines[k])
    compared = f"the face most like that of {one.name}, of {len(features)}, cosine of their SFace features"
    return Score(name, round(cosines[best], 6), compared, crop=_shares(found[best], size))


def feature(picture: Picture, face: Face, recogniser: Path) -> Any:
    """What SFace makes of a face with five landmarks, as a vector of length 1."""
    import numpy as np

    left, top, right, bottom = face.box
    points = [value for point in face.landmarks for value in point]
    row = np.array([left, top, right - left, bottom - top, *points, 1.0], np.float32)
    facts = recogniser.stat()
    network = _load(recogniser, (facts.st_ino, facts.st_size, facts.st_mtime_ns), get_ident())
    bgr_HWC = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])
    found = np.asarray(network.feature(network.alignCrop(bgr_HWC, row)), np.float64).ravel()
    return found / max(float(np.linalg.norm(found)), 1e-12)


def _shares(face: Face, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """A face's box as shares of the image's sides; None where none of it is inside."""
    edges = (face.box[0] / size[0], face.box[1] / size[1], face.box[2] / size[0], face.box[3] / size[1])
    left, top, right, bottom = (round(min(max(edge, 0.0), 1.0), 4) for edge in edges)
    return (left, top, right, bottom) if left < right and top < bottom else None


@lru_cache(maxsize=4)
def _load(path: Path, facts: tuple[int, int, int], thread: int) -> Any:
    """One for each thread and file: a network keeps what it looks at."""
    import cv2

    return cv2.FaceRecognizerSF.create(str(path), "")
