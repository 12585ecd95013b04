"""Delivering: headline, price, label and logo on a picture, within what a channel leaves free of its own buttons.

The texts stand together at the bottom, the label lowest, on the side where their script begins; the price has a
pill of its own, below the headline or, where the picture is wide, across from it. The logo is at the top left.
When something does not fit, all texts shrink together, down to what a phone still shows legibly; then it is
refused. Only a scrim may leave the safe zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import BadInput
from core.images import read_picture
from orchestrator.delivering.rendering.contrast import Box, shade_for_logo, shade_for_text
from orchestrator.delivering.rendering.copy import Copy, Margins
from orchestrator.delivering.rendering.layout import Layout, lay_out, room_in, unit_of
from orchestrator.delivering.rendering.typesetting import drawing_with_font

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

LOGO = (0.3, 0.1)
"""The logo's box, width and height, of the unit."""


def letter(picture: Picture, copy: Copy, safe: Margins, where: str) -> Picture:
    """A new picture of the same size, RGB, with the copy on it.

    Args:
        picture: RGB, of the channel's exact pixels.
        copy: what to draw.
        safe: what the channel covers; nothing but a scrim is drawn there.
        where: names the picture in errors.

    Raises:
        BadInput: a text does not fit even at the smallest legible size, the font lacks a character, font or
            logo can't be read, or the safe zone leaves no room.
    """
    lettered = picture.convert("RGB")
    if copy.empty:
        return lettered
    unit, room = unit_of(picture.size), room_in(picture.size, safe, where)
    logo = read_logo(copy.logo, room, unit, where) if copy.logo else None
    with drawing_with_font(where):
        layout = lay_out(copy, picture.size, room, logo.size if logo else (0, 0), where)
        if logo:
            lettered = shade_for_logo(lettered, logo, layout.corner)
        if layout.texts:
            lettered = write(lettered, layout, unit)
    if logo:
        lettered.paste(logo, layout.corner, logo)
    return lettered


def write(picture: Picture, layout: Layout, unit: float) -> Picture:
    """The texts in one ink over one scrim, the price in its pill."""
    from PIL import ImageDraw

    zones = [zone for placed in layout.texts.values() for zone in placed.zones()]
    written, scrim = shade_for_text(picture, [*zones, layout.pill] if layout.pill else zones, unit)
    if layout.pill:
        written.paste(scrim.ink, layout.pill, pill_mask(layout.pill))
    pen = ImageDraw.Draw(written)
    for name, placed in layout.texts.items():
        face, colour = placed.block.face, scrim.paper if name == "price" else scrim.ink
        for text, start, _ in placed.lines():
            pen.text(start, text, colour, face.font, "ls")
    return written


def pill_mask(pill: Box) -> Picture:
    """Its round ends with smooth edges, drawn at four times the size."""
    from PIL import Image, ImageDraw

    width, height = 4 * (pill[2] - pill[0]), 4 * (pill[3] - pill[1])
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), height / 2, fill=255)
    return mask.reduce(4)


def check_logo(data: bytes, where: str) -> Picture:
    """A logo without empty edges, RGBA; `where` names it in errors.

    Raises:
        BadInput: it can't be read, or nothing of it is seen.
    """
    logo = read_picture(data, where).convert("RGBA")
    seen = logo.getchannel("A").getbbox()
    if seen is None:
        raise BadInput.at(where, "is wholly transparent", "Save it again with something on it")
    return logo.crop(seen)


def read_logo(data: bytes, room: Box, unit: float, where: str) -> Picture:
    """RGBA without empty edges, as small as its box asks and never larger than it is.

    Raises:
        BadInput: it can't be read, or nothing of it is seen.
    """
    from PIL.Image import Resampling

    logo = check_logo(data, f"{where}: logo")
    box = min(LOGO[0] * unit, room[2] - room[0]), min(LOGO[1] * unit, room[3] - room[1])
    scale = min(1, box[0] / logo.width, box[1] / logo.height)
    size = max(1, round(logo.width * scale)), max(1, round(logo.height * scale))
    return logo if size == logo.size else logo.resize(size, Resampling.LANCZOS)
