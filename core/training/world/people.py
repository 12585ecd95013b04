"""The drawn world's people: a face, a garment, and a body in a pose.

Shapes are given in heads, as in `garments`. What is drawn where is kept beside the picture, so that a training
picture can say which of its pixels are the garment and which the face.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from core.errors import BadInput
from core.training.world.faces import TOPS, draw_back_hair, draw_head, draw_neck, tones_of
from core.training.world.garments import Arms, edge_of, wear
from core.training.world.palette import RGB, darker, shade
from core.training.world.sheet import BODY, FACE, GARMENT, LINE, Outline, Sheet
from core.training.world.truth import Person

NAVY: RGB = (66, 76, 108)
KHAKI: RGB = (184, 160, 122)
ENDS: Mapping[str, float] = {"bust": 1.3, "whole": 3.2}
"""Where a picture of each framing ends below."""
DOWN: Outline = ((0.42, 0.86), (0.62, 1.36), (0.66, 1.86))
AKIMBO: Outline = ((0.42, 0.86), (0.94, 1.3), (0.54, 1.74))
WAVE: Outline = ((0.42, 0.86), (0.9, 1.06), (1.0, 0.48))
RAISED: Outline = ((0.42, 0.86), (0.84, 0.62), (0.92, 0.0))
POSES: Mapping[str, tuple[Outline, Outline]] = {
    "standing": (DOWN, DOWN),
    "waving": (DOWN, WAVE),
    "hands on hips": (AKIMBO, AKIMBO),
    "arms raised": (RAISED, RAISED),
}
"""Shoulder, elbow and wrist of the left and the right arm, both given as a right arm."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawn person.

    Attributes:
        picture: RGBA, cut tight.
        garment: L mask of the size of `picture`, 255 where the garment is seen.
        face: the same of the face and the hair.
    """

    picture: Image.Image
    garment: Image.Image
    face: Image.Image


def draw_person(person: Person, height: int, rng: random.Random) -> Figure:
    """A person `height` pixels high; `rng` moves shades and turns the head a little, nothing else.

    Raises:
        BadInput: for a value of the person that the drawn world does not have.
    """
    arms, bottom = _arms(person.pose), _end(person.framing)
    tones, turn = tones_of(person.face, rng), rng.uniform(-0.35, 0.35)
    top = TOPS[person.face.hair]
    wide = {"standing": 0.9, "waving": 1.3, "hands on hips": 1.16}.get(person.pose, 1.2)
    sheet = Sheet(-wide, -0.95, wide, bottom, height / (bottom + top))
    draw_back_hair(sheet, person.face, tones)
    if person.framing == "whole":
        _legs(sheet, person, tones.skin, rng)
    draw_neck(sheet, tones, 0.9)
    skin_edge = darker(tones.skin, 0.3)
    for arm in arms:
        sheet.limb(arm, 0.19 + LINE, skin_edge)
        sheet.limb(arm, 0.19, tones.skin)
    wear(sheet, person.garment, arms, rng, darker(tones.skin, 0.06))
    sheet.role = BODY
    for arm in arms:
        _hand(sheet, arm, tones.skin, skin_edge)
    draw_head(sheet, person.face, tones, turn)
    return Figure(*sheet.cut(height, GARMENT, FACE))


def _arms(pose: str) -> Arms:
    """Both arms in a pose; BadInput where there is no such pose."""
    if pose not in POSES:
        raise BadInput.at("pose", f"{pose!r} is no drawn pose", f"Known are: {', '.join(POSES)}.")
    left, right = POSES[pose]
    return tuple((-x, y) for x, y in left), right


def _end(framing: str) -> float:
    """Where the picture ends below; BadInput where there is no such framing."""
    if framing not in ENDS:
        raise BadInput.at("framing", f"{framing!r} is no framing", f"Known are: {', '.join(ENDS)}.")
    return ENDS[framing]


def _legs(sheet: Sheet, person: Person, skin: RGB, rng: random.Random) -> None:
    """Trousers down to the knees, or bare legs below a dress; never of the garment's colour."""
    sheet.role = BODY
    cold = person.garment.look.colour in ("blue", "purple", "black", "teal")
    colour = skin if person.garment.kind == "dress" else shade(KHAKI if cold else NAVY, rng)
    wide, bottom, edge = (0.24 if colour is skin else 0.4), ENDS["whole"], edge_of(colour)
    for side in (-1, 1):
        leg = ((0.23 * side, 1.7), (0.25 * side, bottom + 0.2))
        sheet.limb(leg, wide + LINE, edge)
        sheet.limb(leg, wide, colour)


def _hand(sheet: Sheet, arm: Outline, skin: RGB, edge: RGB) -> None:
    """A round hand with a thumb; fingers spread where it is raised."""
    (ax, ay), (x, y) = arm[-2:]
    x, y = x + (x - ax) * 0.14, y + (y - ay) * 0.14
    spread = ((-0.13, -0.1), (-0.05, -0.2), (0.05, -0.2), (0.13, -0.11)) if y < 0.6 else ()
    for wider, colour in ((LINE / 2, edge), (0.0, skin)):
        sheet.disc(x, y, 0.125 + wider, 0.125 + wider, colour)
        for dx, dy in spread:
            sheet.disc(x + dx, y + dy, 0.045 + wider, 0.07 + wider, colour)
