"""The drawn world's faces: a head with its hair, eyes, glasses, beard and freckles.

Shapes are given in heads, as in `garments`: (0, 0) is the middle of the head, which is one unit high.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from core.errors import BadInput
from core.training.world.palette import EYES, HAIR_COLOURS, RGB, SKINS, darker, lighter, shade
from core.training.world.sheet import BODY, FACE, LINE, Outline, Sheet, mirrored, rounded
from core.training.world.truth import Face

FRAMES: RGB = (36, 38, 48)
WHITE: RGB = (252, 252, 250)
PUPIL: RGB = (20, 18, 22)
LIPS: RGB = (186, 56, 64)
HAIRS = ("short", "long", "curly", "bald", "bun", "spiky")
TOPS = {"short": 0.62, "long": 0.62, "curly": 0.74, "bald": 0.52, "bun": 0.88, "spiky": 0.84}
"""How far above the middle of the head each hair reaches."""

MOUTH: Outline = mirrored(((0.14, 0.27), (0.12, 0.32), (0.07, 0.36), (0.02, 0.372)))
SKULL: Outline = mirrored(((0.16, -0.5), (0.4, -0.38), (0.45, -0.05), (0.41, 0.28), (0.22, 0.52)))
CAP: Outline = ((-0.47, 0.06), (-0.5, -0.3), (-0.3, -0.6), (0.1, -0.64), (0.42, -0.48), (0.5, -0.2), (0.47, 0.06))
SWEPT: Outline = ((0.4, 0.02), (0.38, -0.2), (0.16, -0.3), (-0.12, -0.22), (-0.3, -0.12), (-0.39, 0.04))
SLEEK: Outline = (
    *((0.41, 0.04), (0.36, -0.16), (0.2, -0.3), (0.0, -0.36)),
    *((-0.2, -0.3), (-0.36, -0.16), (-0.41, 0.04)),
)
PARTED: Outline = (
    *((0.44, 0.1), (0.36, -0.1), (0.2, -0.24), (0.0, -0.4)),
    *((-0.2, -0.24), (-0.36, -0.1), (-0.44, 0.1)),
)
SPIKES: Outline = (
    *((-0.46, 0.06), (-0.6, -0.28), (-0.44, -0.3), (-0.5, -0.66), (-0.26, -0.52), (-0.16, -0.86), (0.02, -0.58)),
    *((0.2, -0.86), (0.28, -0.54), (0.52, -0.66), (0.45, -0.3), (0.6, -0.28), (0.46, 0.06)),
)
FRINGE: Outline = (
    *((0.4, 0.0), (0.36, -0.18), (0.26, -0.28), (0.2, -0.16), (0.08, -0.3), (0.0, -0.18), (-0.1, -0.3)),
    *((-0.2, -0.16), (-0.28, -0.28), (-0.38, -0.16), (-0.4, 0.0)),
)
MANE: Outline = mirrored(((0.2, -0.62), (0.52, -0.5), (0.6, 0.0), (0.6, 0.9), (0.3, 0.96)))
LOCK: Outline = ((0.36, -0.3), (0.5, -0.3), (0.58, 0.1), (0.64, 0.86), (0.5, 0.98), (0.38, 0.84), (0.44, 0.3))
CURLS: Outline = (
    *((-0.5, 0.02), (-0.54, -0.2), (-0.44, -0.4), (-0.26, -0.54), (0.0, -0.58), (0.26, -0.54)),
    *((0.44, -0.4), (0.54, -0.2), (0.5, 0.02)),
)


@dataclass(frozen=True, slots=True)
class Tones:
    """The colours of one drawing of a face."""

    skin: RGB
    hair: RGB
    eyes: RGB


def tones_of(face: Face, rng: random.Random) -> Tones:
    """A face's colours, each a shade off.

    Raises:
        BadInput: for a skin, a hair, its colour or eyes that the drawn world does not have.
    """
    for where, value, known in (
        ("face.skin", face.skin, tuple(SKINS)),
        ("face.hair", face.hair, HAIRS),
        ("face.hair_colour", face.hair_colour, tuple(HAIR_COLOURS)),
        ("face.eyes", face.eyes, tuple(EYES)),
    ):
        if value not in known:
            raise BadInput.at(where, f"there is no {value!r}", f"Use one of: {', '.join(known)}.")
    skin, hair, eyes = SKINS[face.skin], HAIR_COLOURS[face.hair_colour], EYES[face.eyes]
    return Tones(shade(skin, rng), shade(hair, rng), shade(eyes, rng))


def draw_face(face: Face, height: int, rng: random.Random, *, turn: float = 0.0) -> Image.Image:
    """A head with a piece of its neck: RGBA, cut tight, `height` pixels high.

    `turn` from -1 to 1 moves the features to a side, as in a three-quarter view.

    Raises:
        BadInput: for a value of the face that the drawn world does not have.
    """
    tones = tones_of(face, rng)
    bottom = 0.98 if face.hair == "long" else 0.74
    sheet = Sheet(-0.76, -0.95, 0.76, bottom, height / (bottom - 0.05 + TOPS[face.hair]))
    draw_back_hair(sheet, face, tones)
    draw_neck(sheet, tones, 0.72)
    draw_head(sheet, face, tones, max(-1.0, min(1.0, turn)))
    return sheet.cut(height)[0]


def hair_edge(tones: Tones) -> RGB:
    """The line round hair and beard; light where a dark one would be lost."""
    alike = sum(abs(one - other) for one, other in zip(tones.hair, tones.skin, strict=True)) < 75
    if sum(tones.hair) < 130 or (alike and sum(tones.skin) < 300):
        return lighter(tones.hair, 0.26)
    return darker(tones.hair, 0.34)


def draw_back_hair(sheet: Sheet, face: Face, tones: Tones) -> None:
    """What of the hair lies behind neck and shoulders."""
    sheet.role = FACE
    deep, edge = darker(tones.hair, 0.18), hair_edge(tones)
    if face.hair == "long":
        sheet.fill(rounded(MANE), deep, edge)
    elif face.hair == "bun":
        sheet.disc(0, -0.66, 0.22, 0.22, edge)
        sheet.disc(0, -0.66, 0.185, 0.185, tones.hair)
    elif face.hair == "curly":
        for x, y in CURLS:
            sheet.disc(x, y, 0.2, 0.2, edge)


def draw_neck(sheet: Sheet, tones: Tones, bottom: float) -> None:
    """The neck, in the shadow of the chin."""
    sheet.role = BODY
    sheet.fill(((-0.16, 0.3), (0.16, 0.3), (0.17, bottom), (-0.17, bottom)), darker(tones.skin, 0.14))


def draw_head(sheet: Sheet, face: Face, tones: Tones, turn: float) -> None:
    """Everything in front of the neck: ears, head, features, beard, hair and glasses."""
    sheet.role = FACE
    edge = darker(tones.skin, 0.3)
    for side in (-1, 1):
        x = 0.44 * side - 0.03 * turn
        sheet.disc(x, 0.06, 0.1, 0.13, edge)
        sheet.disc(x, 0.06, 0.075, 0.105, tones.skin)
    sheet.fill(rounded(SKULL), tones.skin, edge)
    shift = 0.1 * turn
    if face.beard:
        _beard(sheet, tones, shift)
    _features(sheet, face, tones, shift)
    _hair(sheet, face, tones, shift * 0.5)
    if face.glasses:
        _glasses(sheet, shift)


def _features(sheet: Sheet, face: Face, tones: Tones, shift: float) -> None:
    """Cheeks, eyes, brows, nose, mouth and freckles."""
    red, green, blue = tones.skin
    cheek = (min(255, round(red * 0.97 + 8)), round(green * 0.86), round(blue * 0.86))
    for side in (-1, 1):
        x = 0.18 * side - 0.2 * abs(shift) * side + shift
        if not face.beard:
            sheet.disc(x + 0.07 * side, 0.22, 0.085, 0.06, cheek)
        if face.glasses:
            sheet.disc(x + 0.015 * side, 0.04, 0.16, 0.155, lighter(tones.skin, 0.3))
        _eye(sheet, tones, x, shift * 0.2)
        arch = ((x - 0.1, -0.125 - 0.02 * side), (x, -0.165), (x + 0.1, -0.125 + 0.02 * side))
        sheet.stroke(arch, darker(tones.hair, 0.3), 0.045)
        if face.freckles:
            for dx, dy in ((-0.07, 0.16), (0.0, 0.19), (0.07, 0.16), (-0.04, 0.24), (0.05, 0.25)):
                sheet.disc(x + dx * 1.1 + 0.04 * side, dy, 0.02, 0.02, darker(tones.skin, 0.38))
    tip = shift * 1.3
    sheet.stroke(((tip - 0.01, 0.1), (tip + 0.045, 0.19), (tip - 0.03, 0.2)), darker(tones.skin, 0.3), 0.032)
    sheet.fill(tuple((shift + x, y) for x, y in MOUTH), LIPS)
    sheet.stroke(((shift - 0.095, 0.295), (shift + 0.095, 0.295)), WHITE, 0.04)


def _eye(sheet: Sheet, tones: Tones, x: float, glance: float) -> None:
    """White, iris, pupil, a glint, and the upper lid's line."""
    sheet.disc(x, 0.03, 0.098, 0.1, WHITE)
    sheet.disc(x + glance, 0.036, 0.076, 0.086, tones.eyes)
    sheet.disc(x + glance, 0.036, 0.036, 0.044, PUPIL)
    sheet.disc(x + 0.028, 0.0, 0.024, 0.026, WHITE)
    lid = ((x - 0.105, 0.0), (x - 0.06, -0.06), (x, -0.078), (x + 0.06, -0.06), (x + 0.105, 0.0))
    sheet.stroke(lid, darker(tones.skin, 0.6), 0.03)


def _beard(sheet: Sheet, tones: Tones, shift: float) -> None:
    """Covers the jaw from ear to ear and leaves the mouth free."""
    outer = ((0.47, -0.02), (0.47, 0.3), (0.3, 0.54), (0.12, 0.6))
    inner = tuple((x + shift, y) for x, y in ((-0.16, 0.2), (0.0, 0.215), (0.16, 0.2)))
    shape = (*mirrored(outer), (-0.38, 0.02), (-0.32, 0.18), *inner, (0.32, 0.18), (0.38, 0.02))
    sheet.fill(rounded(shape), tones.hair, hair_edge(tones))


def _hair(sheet: Sheet, face: Face, tones: Tones, shift: float) -> None:
    """What of the hair lies over the head."""
    edge = hair_edge(tones)
    if face.hair == "bald":
        sheet.disc(-0.14, -0.36, 0.1, 0.05, lighter(tones.skin, 0.45))
        return
    if face.hair == "curly":
        for x, y in CURLS:
            sheet.disc(x, y, 0.165, 0.165, tones.hair)
        for x, y in ((-0.3, -0.3), (-0.1, -0.36), (0.1, -0.36), (0.3, -0.3)):
            sheet.disc(x + shift, y, 0.14, 0.13, tones.hair)
        for x, y in CURLS[1:-1]:
            sheet.ring(x * 0.9, y * 0.95, 0.09, 0.09, edge, 0.03)
        return
    over, under = {
        "short": (CAP, SWEPT),
        "long": (CAP, PARTED),
        "bun": (CAP, SLEEK),
        "spiky": (SPIKES, FRINGE),
    }[face.hair]
    rim = tuple((x + shift if abs(x) < 0.35 else x, y) for x, y in under)
    sheet.fill(rounded((*over, *rim), 0 if face.hair == "spiky" else 2), tones.hair, edge)
    if face.hair == "long":
        for side in (-1, 1):
            sheet.fill(rounded(tuple((x * side, y) for x, y in LOCK)), tones.hair, edge)
    if face.hair in ("short", "long", "bun"):
        shine = lighter(tones.hair, 0.28)
        sheet.stroke(((-0.3, -0.42), (-0.16, -0.5), (0.02, -0.53)), shine, LINE)


def _glasses(sheet: Sheet, shift: float) -> None:
    """Dark round frames, a bridge and temples."""
    sheet.stroke(((-0.46, 0.0), (-0.3, 0.02)), FRAMES, 0.045)
    sheet.stroke(((0.3, 0.02), (0.46, 0.0)), FRAMES, 0.045)
    for side in (-1, 1):
        sheet.ring(0.195 * side + shift, 0.04, 0.17, 0.165, FRAMES, 0.05)
    sheet.stroke(((shift - 0.04, 0.02), (shift + 0.04, 0.02)), FRAMES, 0.05)
