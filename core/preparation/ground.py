"""The ground that a product stands on, learned from the picture's border.

Grounds are plain or nearly so: one colour that may drift smoothly over the picture, as studio light does.
Colours are compared in CIE Lab (D65), where a distance of about 2.3 is just noticeable.

Shapes: H rows, W columns, C channels, N pixels of the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

ALIKE = 12.0
"""Lab distance up to which a colour of the border counts as the same ground, light falling off included."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the border tells.

    Attributes:
        distance_HW: each pixel's Lab distance from the ground expected at its place.
        colour_HWC: the expected ground as RGB, 0-255.
        noise: Lab distance that 90 of 100 pixels of the ground stay below.
        plain: share of the border that is of this ground, 0-1.
        off_HW: pixels of the border that are something else.
    """

    distance_HW: Floats
    colour_HWC: Floats
    noise: float
    plain: float
    off_HW: Flags


def in_lab(rgb_HWC: Bytes) -> Floats:
    """Bytes of sRGB to Lab: L 0-100, a and b about -128 to 127."""
    import cv2
    import numpy as np

    return np.asarray(cv2.cvtColor(rgb_HWC.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def border(height: int, width: int) -> Flags:
    """The outermost pixels: 2 of 100 of the shorter side, one at least."""
    import numpy as np

    thick = max(1, min(height, width) // 50)
    inside_HW = np.ones((height, width), bool)
    inside_HW[thick : height - thick, thick : width - thick] = False
    return inside_HW


def learn(rgb_HWC: Bytes) -> Ground:
    """Fits a ground to the border: a colour that drifts over the picture as a polynomial of second degree.

    Fitted twice, the second time without what is far from the first, so that a product which touches the
    frame does not colour its own ground.
    """
    import cv2
    import numpy as np

    lab_HWC = in_lab(rgb_HWC)
    height, width = lab_HWC.shape[:2]
    border_HW = border(height, width)
    seen_NC = lab_HWC[border_HW]
    terms_HWT = _terms(height, width)
    terms_NT = terms_HWT[border_HW]
    same_N = np.linalg.norm(seen_NC - _commonest(seen_NC), axis=1) < ALIKE
    fitted_TC = np.linalg.lstsq(terms_NT[same_N], seen_NC[same_N], rcond=None)[0]
    off_N = np.linalg.norm(seen_NC - terms_NT @ fitted_TC, axis=1)
    near_N = off_N < max(3.0, 2 * float(np.median(off_N[same_N])))
    if near_N.sum() > terms_NT.shape[1] * 4:
        fitted_TC = np.linalg.lstsq(terms_NT[near_N], seen_NC[near_N], rcond=None)[0]
        off_N = np.linalg.norm(seen_NC - terms_NT @ fitted_TC, axis=1)
    same_N = off_N < ALIKE
    noise = float(np.percentile(off_N[same_N], 90)) if same_N.any() else ALIKE
    expected_HWC = (terms_HWT @ fitted_TC).astype(np.float32)
    off_HW = np.zeros((height, width), bool)
    off_HW[border_HW] = off_N >= max(4.0, 3 * noise)
    colour_HWC = np.clip(cv2.cvtColor(expected_HWC, cv2.COLOR_LAB2RGB), 0, 1) * 255
    return Ground(
        distance_HW=np.linalg.norm(lab_HWC - expected_HWC, axis=2).astype(np.float32),
        colour_HWC=colour_HWC.astype(np.float32),
        noise=noise,
        plain=float(same_N.mean()),
        off_HW=off_HW,
    )


def _commonest(lab_NC: Floats) -> Floats:
    """The middle of the fullest cell of colours: unlike a median, it is never between two of them."""
    import numpy as np

    cells_NC = np.floor(lab_NC / ALIKE).astype(np.int64)
    _, cell_N, counts = np.unique(cells_NC, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(np.median(lab_NC[cell_N.reshape(-1) == counts.argmax()], axis=0), np.float32)


def _terms(height: int, width: int) -> Floats:
    """1, x, y, xy, x², y² for each pixel, x and y from -1 to 1."""
    import numpy as np

    y_H, x_W = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    y_HW, x_HW = np.meshgrid(y_H, x_W, indexing="ij")
    one_HW = np.ones_like(x_HW)
    return np.stack([one_HW, x_HW, y_HW, x_HW * y_HW, x_HW**2, y_HW**2], axis=-1).astype(np.float32)
