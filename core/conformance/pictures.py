"""Pictures to try a kind with: some that most kinds take, and odd ones that people bring all the same.

All are drawn here, so that a plugin is checked without a file at hand.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIDE = 320
"""Pixels of a sample's side: enough for the reference area of any small model."""


def mug() -> bytes:
    """A drawn product in the middle of a plain ground."""
    return _png(_mug("RGB", (236, 236, 236)))


def cut_out() -> bytes:
    """The same product as a cut-out with a transparent ground."""
    return _png(_mug("RGBA", (0, 0, 0, 0)))


def portrait() -> bytes:
    """A drawn head from the front, on a plain ground."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (SIDE, SIDE), (206, 214, 220))
    pen = ImageDraw.Draw(picture)
    pen.ellipse([84, 30, 236, 200], fill=(62, 44, 34))
    pen.rectangle([132, 220, 188, 290], fill=(214, 170, 142))
    pen.ellipse([96, 54, 224, 250], fill=(228, 186, 158))
    for left in (122, 174):
        pen.ellipse([left, 128, left + 26, 142], fill="white")
        pen.ellipse([left + 8, 128, left + 20, 142], fill=(40, 30, 30))
    pen.polygon([(160, 142), (150, 184), (170, 184)], fill=(204, 160, 134))
    pen.arc([130, 182, 190, 222], 20, 160, fill=(160, 70, 70), width=6)
    return _png(picture)


def scene() -> bytes:
    """A picture without one ground: bands of colour from edge to edge."""
    from PIL import Image

    bands = Image.linear_gradient("L").resize((SIDE, SIDE))
    return _png(Image.merge("RGB", (bands, bands.rotate(90), bands.rotate(180))))


SAMPLES: Mapping[str, Callable[[], bytes]] = {
    "a drawn product on a plain ground": mug,
    "a cut-out with transparency": cut_out,
    "a drawn portrait": portrait,
    "a scene from edge to edge": scene,
}
"""Pictures of which every kind should take one, by what they show."""


def large() -> bytes:
    """8000 x 8000 pixels, of one bit each, so that the file itself is small."""
    from PIL import Image, ImageDraw

    picture = Image.new("1", (8000, 8000), 1)
    ImageDraw.Draw(picture).ellipse([2000, 1500, 6000, 6500], fill=0)
    return _png(picture)


def _flat(size: tuple[int, int], colour: Any, mode: str = "RGB") -> Callable[[], bytes]:
    def draw() -> bytes:
        from PIL import Image

        return _png(Image.new(mode, size, colour))

    return draw


def _noise() -> bytes:
    import numpy as np
    from PIL import Image

    values = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return _png(Image.fromarray(values))


def _deep_grey() -> bytes:
    import numpy as np
    from PIL import Image

    return _png(Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)))


def _turned() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return _encoded(_mug("RGB", (236, 236, 236)).crop((0, 0, SIDE, SIDE // 2)), "JPEG", exif=exif)


ODD: Mapping[str, Callable[[], bytes]] = {
    "1 pixel": _flat((1, 1), "red"),
    "1 transparent pixel": _flat((1, 1), (0, 0, 0, 0), "RGBA"),
    "3000 x 1 pixels": _flat((3000, 1), "navy"),
    "1 x 3000 pixels": _flat((1, 3000), "navy"),
    "8000 x 8000 pixels": large,
    "transparency": cut_out,
    "transparent everywhere": _flat((SIDE, SIDE), (10, 20, 30, 0), "RGBA"),
    "grey": lambda: _png(_mug("L", 236)),
    "grey of 16 bits": _deep_grey,
    "CMYK": lambda: _encoded(_mug("RGB", (236, 236, 236)).convert("CMYK"), "JPEG"),
    "a palette": lambda: _png(_mug("RGB", (236, 236, 236)).convert("P")),
    "turned by EXIF": _turned,
    "all white": _flat((SIDE, SIDE), "white"),
    "all black": _flat((SIDE, SIDE), "black"),
    "noise": _noise,
    "a file cut off in the middle": lambda: mug()[: len(mug()) // 2],
}
"""What people bring that no kind was made for, by its oddness: to be prepared or refused, never to break."""


def _mug(mode: str, ground: Any) -> Picture:
    from PIL import Image, ImageDraw

    picture = Image.new(mode, (SIDE, SIDE), ground)
    pen = ImageDraw.Draw(picture)
    red, cream = (120, 220) if mode == "L" else ((200, 40, 40), (250, 240, 210))
    pen.ellipse([180, 110, 280, 220], fill=red)
    pen.ellipse([202, 132, 258, 198], fill=ground)
    pen.rounded_rectangle([70, 80, 220, 255], 14, fill=red)
    pen.rectangle([70, 150, 220, 180], fill=cream)
    return picture


def _png(picture: Picture) -> bytes:
    return _encoded(picture, "PNG", compress_level=1)


def _encoded(picture: Picture, type_: str, **more: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, type_, **more)
    return stream.getvalue()
