"""Tools for plugins that prepare pictures: sizes, cut-outs, faces. `docs/plugins.md` shows them at work.

A preparer gets its picture upright and in sRGB already. The tools load OpenCV and numpy when they are called;
importing them costs nothing. Their results change only together with the versions of `CUT_OUT_METHODS`,
`FACE_METHODS` and `KEEP_WHOLE`: a kind that uses them offers these methods, so that a change makes new images.
"""

from core.images import fit, fit_size, on_white
from core.preparation.faces import FACE_METHODS, Face, align_face, choose_face, find_faces, keep_face_and_hair
from core.preparation.matting import (
    CUT_OUT_METHODS,
    CutOut,
    crop_to_product,
    cut_by_alpha,
    cut_by_ground,
    cut_out,
    fit_cut_out,
    has_alpha,
)
from core.preparation.whole import KEEP_WHOLE, keep_square, keep_whole

__all__ = [
    "CUT_OUT_METHODS",
    "FACE_METHODS",
    "KEEP_WHOLE",
    "CutOut",
    "Face",
    "align_face",
    "choose_face",
    "crop_to_product",
    "cut_by_alpha",
    "cut_by_ground",
    "cut_out",
    "find_faces",
    "fit",
    "fit_cut_out",
    "fit_size",
    "has_alpha",
    "keep_face_and_hair",
    "keep_square",
    "keep_whole",
    "on_white",
]
