"""A generator that draws its request instead of dreaming it: for tests, and to try everything else with.

Each image is a card that shows the references, the prompt and the seed; its ground is a pattern of the seed.
It is quick, needs no weights, and is a function of its request alone like any generator.
"""

from __future__ import annotations

import colorsys
import math
import random
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from core.hookspecs import OnStep
from core.requests import Image, Preparation, Request

if TYPE_CHECKING:
    from PIL import ImageFont
    from PIL.Image import Image as Picture

INK = (38, 36, 43)
PAPER = (252, 250, 247)


class FakeGenerator:
    """Draws requests. `seconds` is how long it takes for one image, to stand for a slow model."""

    id = "fake/1"

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    def generate(
        self,
        requests: Sequence[Request],
        references: Sequence[Sequence[Preparation]],
        on_step: OnStep | None = None,
    ) -> Iterator[Image]:
        """See `core.hookspecs.Generator`; steps are counted as a real model's would be."""
        step, steps = 0, sum(request.steps for request in requests)
        for request, prepared in zip(requests, references, strict=True):
            for _ in range(request.steps):
                time.sleep(self._seconds / request.steps)
                step += 1
                if on_step is not None:
                    on_step(step, steps)
            yield Image(draw(request, prepared), request, {"generator": self.id})


def draw(request: Request, references: Sequence[Preparation]) -> Picture:
    """The card of one request, RGB, of the request's size."""
    from PIL import ImageDraw

    card = _ground(request)
    pen = ImageDraw.Draw(card)
    unit = min(request.width, request.height)
    margin = unit // 16
    tile = _tile_side(request, len(references), margin)
    top = margin
    for k, prepared in enumerate(references):
        left = margin + (tile + margin // 2) * k
        _place(card, prepared.picture, (left, top), tile)
    box_top = top + (tile + margin if references else 0)
    font, small = _font(unit / 18), _font(unit / 30)
    pen.rounded_rectangle(
        (margin, box_top, request.width - margin, request.height - margin), unit // 32, fill=PAPER
    )
    y = box_top + margin * 0.6
    for line in _wrap(request.prompt, font, request.width - 3.4 * margin):
        if y > request.height - margin * 3.2:
            break
        pen.text((margin * 1.7, y), line, font=font, fill=INK)
        y += unit / 14
    foot = f"fake · seed {request.seed} · {request.width} x {request.height}"
    pen.text((margin * 1.7, request.height - margin * 2.2), foot, font=small, fill=(120, 116, 128))
    return card


def _ground(request: Request) -> Picture:
    """Slanted bands of two colours that follow from prompt and seed."""
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    dice = random.Random(f"{request.seed} {request.prompt}")
    hue, turn = dice.random(), dice.uniform(-0.6, 0.6)
    colours = [_rgb(hue, 0.42, 0.86), _rgb(hue + 0.06, 0.5, 0.76)]
    card = PillowImage.new("RGB", (request.width, request.height), colours[0])
    pen = ImageDraw.Draw(card)
    reach = request.width + request.height
    width = reach / dice.randint(9, 17)
    lean = math.tan(turn) * request.height
    for k in range(-20, 40, 2):
        left = k * width
        corners = [
            (left, 0),
            (left + width, 0),
            (left + width + lean, request.height),
            (left + lean, request.height),
        ]
        pen.polygon(corners, fill=colours[1])
    return card


def _tile_side(request: Request, count: int, margin: int) -> int:
    across = (request.width - 2 * margin - (count - 1) * (margin // 2)) // max(1, count)
    return max(8, min(across, request.height // 2 - margin))


def _place(card: Picture, picture: Picture, corner: tuple[int, int], side: int) -> None:
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    shown = picture.copy()
    shown.thumbnail((side, side))
    tile = PillowImage.new("RGB", (side, side), "white")
    tile.paste(shown, ((side - shown.width) // 2, (side - shown.height) // 2))
    round_corners = PillowImage.new("L", (side, side), 0)
    ImageDraw.Draw(round_corners).rounded_rectangle((0, 0, side - 1, side - 1), side // 12, fill=255)
    card.paste(tile, corner, round_corners)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(max(8.0, size))


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
