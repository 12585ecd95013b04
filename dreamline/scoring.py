"""Measures for plugins that score images; `docs/scores.md` says what each compares and costs.

They load numpy, OpenCV and torch when they are called. Those that need weights give no score where these are not
here.
"""

from core.scoring.colours import Colour, ciede2000, main_colours, true_to_colours
from core.scoring.embeddings import by_clip, by_dinov2
from core.scoring.hashes import copied, likeness, look
from core.scoring.people import by_faces
from core.scoring.references import Shown, shown
from core.scoring.whole import blankness, contrast, glance, sharpness, small_lab, whole
from core.scoring.worlds import by_readers, world_of

__all__ = [
    "Colour",
    "Shown",
    "blankness",
    "by_clip",
    "by_dinov2",
    "by_faces",
    "by_readers",
    "ciede2000",
    "contrast",
    "copied",
    "glance",
    "likeness",
    "look",
    "main_colours",
    "sharpness",
    "shown",
    "small_lab",
    "true_to_colours",
    "whole",
    "world_of",
]
