"""Tools for plugins that prepare pictures: sizes, cut-outs, masks, faces. `docs/plugins.md` shows them at work.

A preparer gets its picture upright and in sRGB already. The tools load OpenCV and numpy when they are called;
importing them costs nothing. Their results change only together with the versions of `CUT_OUT_METHODS`,
`FACE_METHODS`, `KEEP_WHOLE` and `MASK`, and of what `cut_out_methods` and `face_methods` add where a machine has
learned ones: a kind that uses them offers these methods, so that a change makes new images.
"""

from core.images import fit, fit_size, on_white
from core.preparation.alignment import Face, align_face, align_mask
from core.preparation.cut_outs import CutOut
from core.preparation.faces import (
    FACE_METHODS,
    PLUS_PARSER,
    SHARP,
    choose_face,
    choose_masked_face,
    face_methods,
    find_faces,
    sharpness,
)
from core.preparation.garments import GARMENTS, cut_worn, garment_hint, parts_of, wearing
from core.preparation.heads import keep_face_and_hair, keep_head, middle_piece
from core.preparation.masks import MASK, cut_by_mask
from core.preparation.matting import (
    CUT_OUT_METHODS,
    crop_to_product,
    cut_by_alpha,
    cut_by_ground,
    cut_out,
    cut_out_methods,
    fit_cut_out,
    has_alpha,
)
from core.preparation.parsing import BODY, HEAD, PARSER, can_parse, parse, part_mask, part_shares
from core.preparation.whole import KEEP_WHOLE, keep_square, keep_whole
from core.toolbox import tool_files, tool_hashes

__all__ = [
    "BODY",
    "CUT_OUT_METHODS",
    "FACE_METHODS",
    "GARMENTS",
    "HEAD",
    "KEEP_WHOLE",
    "MASK",
    "PARSER",
    "PLUS_PARSER",
    "SHARP",
    "CutOut",
    "Face",
    "align_face",
    "align_mask",
    "can_parse",
    "choose_face",
    "choose_masked_face",
    "crop_to_product",
    "cut_by_alpha",
    "cut_by_ground",
    "cut_by_mask",
    "cut_out",
    "cut_out_methods",
    "cut_worn",
    "face_methods",
    "find_faces",
    "fit",
    "fit_cut_out",
    "fit_size",
    "garment_hint",
    "has_alpha",
    "keep_face_and_hair",
    "keep_head",
    "keep_square",
    "keep_whole",
    "middle_piece",
    "on_white",
    "parse",
    "part_mask",
    "part_shares",
    "parts_of",
    "sharpness",
    "tool_files",
    "tool_hashes",
    "wearing",
]
