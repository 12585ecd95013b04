"""Delivering: an image of the store as the file that a shop or a channel takes: exact pixels, marked.

Nothing but the picture and its marking goes along: the recipe with its prompt stays in the store.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from core.formats import crop_size
from core.images import on_white, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
FORM = "1"
"""Grows whenever the same image would become another file."""

JPEG_QUALITY, WEBP_QUALITY = 95, 92
XMP_KEY = "XML:com.adobe.xmp"
"""Where PNG has it (XMP specification, part 3)."""


def render(data: bytes, source: str, wanted: tuple[int, int] | None, ending: str, xmp: bytes) -> bytes:
    """The file's bytes, a function of what is given.

    Args:
        data: of the image in the store.
        source: names it in errors.
        wanted: width and height, pixels; None: as it was made.
        ending: one of `ENDINGS`.
        xmp: its marking.

    Raises:
        BadInput: the image can't be read.
    """
    picture = fit(read_picture(data, source), wanted)
    if ending in (".jpg", ".jpeg"):
        return encode_jpeg(picture, xmp=xmp)
    file = io.BytesIO()
    if ending == ".webp":
        picture.save(file, "WEBP", quality=WEBP_QUALITY, method=6, xmp=xmp)
    else:
        from PIL.PngImagePlugin import PngInfo

        told = PngInfo()
        told.add_itxt(XMP_KEY, xmp.decode())
        picture.save(file, "PNG", pnginfo=told, optimize=True)
    return file.getvalue()


def encode_jpeg(picture: Picture, **told: Any) -> bytes:
    """A JPEG whose colours have full resolution, as edges of print need it; what is transparent turns white.

    `told` is what Pillow writes beside the pixels: `xmp`, `comment`.
    """
    file = io.BytesIO()
    on_white(picture).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True, **told)
    return file.getvalue()


def fit(picture: Picture, wanted: tuple[int, int] | None) -> Picture:
    """The middle of a picture in the wanted proportions, scaled to the wanted pixels, as a plan announces it."""
    from PIL.Image import Resampling

    if wanted is None or picture.size == wanted:
        return picture
    width, height = crop_size(picture.size, wanted)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    cut = picture.crop((left, top, left + width, top + height))
    return cut if cut.size == wanted else cut.resize(wanted, Resampling.LANCZOS)
