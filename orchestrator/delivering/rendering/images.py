"""Delivering: an image of the store as the file that a channel takes: exact pixels, copy, marked, signed.

Nothing but the picture and its marking goes along: the recipe with its prompt stays in the store.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.errors import BadInput
from core.formats import crop_size
from core.images import on_white, read_picture
from orchestrator.delivering.rendering.copy import Copy, Margins
from orchestrator.delivering.rendering.lettering import letter

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Fit = Literal["cut", "pad"]
"""The middle of an image in the wanted proportions, or all of it on a ground."""

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
FORM = "1"
"""Grows whenever the same image would become another file."""

JPEG_QUALITY, WEBP_QUALITY = 95, 92
QUALITIES = (90, 85, 80, 75, 70)
"""Tried one after another where a destination takes no larger file; below, a picture looks spoilt."""

SIGNATURE = 20_000
"""Bytes that are kept free for a signature with its time stamp."""

XMP_KEY = "XML:com.adobe.xmp"
"""Where PNG has it (XMP specification, part 3)."""

NEARLY_WHITE, RIM, WHITE_SHARE = 248, 0.01, 0.99
"""From which level on a pixel counts as white; how much of the shorter side the rim is that is looked at; and how
much of that has to be white."""


_SMALLER = "Say a smaller size, or a larger most_kb where the channel takes it"


class Unfit(BadInput):
    """An image that its destination does not take; others go on."""


@dataclass(frozen=True, slots=True)
class Look:
    """What becomes of an image on its way to a file.

    Attributes:
        size: width and height, pixels; None: as it was made.
        fit, ground, white, safe: as a `Destination` says them.
        most: bytes of the file; 0: any number.
        copy: what stands on it.
    """

    size: tuple[int, int] | None = None
    fit: Fit = "cut"
    ground: str = "white"
    white: bool = False
    safe: Margins = Margins()
    most: int = 0
    copy: Copy = Copy()

    @property
    def id(self) -> str:
        """The same for all that comes out alike."""
        told = "native" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        if self.fit == "pad":
            told += f" on {self.ground}"
        told += " white" if self.white else ""
        told += f" {self.most} bytes" if self.most else ""
        if not self.copy.empty:
            told += f" {self.copy.id} within {self.safe.top} {self.safe.right} {self.safe.bottom} {self.safe.left}"
        return told


def render(
    data: bytes, source: str, look: Look, ending: str, xmp: bytes, finish: Callable[[bytes], bytes] | None = None
) -> bytes:
    """The file's bytes; without `finish` a function of what is given.

    Args:
        data: of the image in the store.
        source: names it in errors.
        look: what it is to look like.
        ending: one of `ENDINGS`.
        xmp: its marking.
        finish: signs the whole file; what it returns is what counts for the bytes.

    Raises:
        BadInput: the image can't be read.
        Unfit: the destination does not take it.
    """
    picture = read_picture(data, source)
    if look.white:
        picture = whitened(on_white(picture), source)
    picture = pad(picture, look.size, look.ground) if look.fit == "pad" and look.size else fit(picture, look.size)
    if not look.copy.empty:
        try:
            picture = letter(on_white(picture), look.copy, look.safe, source)
        except BadInput as error:
            raise Unfit(*error.problems) from error
    room = look.most - (SIGNATURE if finish else 0)
    for quality in (None, *QUALITIES):
        made = encode(picture, ending, xmp, quality)
        if not look.most or len(made) <= room or ending == ".png":
            break
    made = finish(made) if finish else made
    if look.most and len(made) > look.most:
        what = f"has {len(made):,} bytes as {ending[1:]}, and the destination takes {look.most:,}"
        raise Unfit.at(
            source,
            what,
            _SMALLER if ending in (".jpg", ".jpeg") else f"Say kind: jpg in a delivery file. {_SMALLER}",
        )
    return made


def encode(picture: Picture, ending: str, xmp: bytes, quality: int | None = None) -> bytes:
    """A file of the kind that its ending says; `quality` in place of the usual one, where files have one."""
    if ending in (".jpg", ".jpeg"):
        return encode_jpeg(picture, quality, xmp=xmp)
    file = io.BytesIO()
    if ending == ".webp":
        picture.save(file, "WEBP", quality=quality or WEBP_QUALITY, method=6, xmp=xmp)
    else:
        from PIL.PngImagePlugin import PngInfo

        told = PngInfo()
        told.add_itxt(XMP_KEY, xmp.decode())
        picture.save(file, "PNG", pnginfo=told, optimize=True)
    return file.getvalue()


def encode_jpeg(picture: Picture, quality: int | None = None, **told: Any) -> bytes:
    """A JPEG whose colours have full resolution, as edges of print need it; what is transparent turns white.

    `told` is what Pillow writes beside the pixels: `xmp`, `comment`.
    """
    file = io.BytesIO()
    how = {"quality": quality or JPEG_QUALITY, "subsampling": 0, "optimize": True}
    on_white(picture).save(file, "JPEG", **how, **told)
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


def pad(picture: Picture, wanted: tuple[int, int], ground: str) -> Picture:
    """All of a picture, scaled into the middle of a ground of the wanted pixels; RGB."""
    from PIL import Image
    from PIL.Image import Resampling

    scale = min(wanted[0] / picture.width, wanted[1] / picture.height)
    size = tuple(max(1, round(scale * side)) for side in picture.size)
    made = Image.new("RGB", wanted, ground)
    inner = on_white(picture).resize((size[0], size[1]), Resampling.LANCZOS)
    made.paste(inner, ((wanted[0] - size[0]) // 2, (wanted[1] - size[1]) // 2))
    return made


def whitened(picture: Picture, source: str) -> Picture:
    """An RGB picture whose nearly white pixels are white.

    Raises:
        Unfit: its rim is not white, so that something else than white surrounds what it shows.
    """
    import numpy as np
    from PIL import Image

    levels_HW3 = np.array(picture)
    white_HW = levels_HW3.min(2) >= NEARLY_WHITE
    rim = max(1, round(RIM * min(picture.size)))
    inside_HW = np.zeros_like(white_HW)
    inside_HW[rim:-rim, rim:-rim] = True
    share = float(white_HW[~inside_HW].mean())
    if share < WHITE_SHARE:
        what = f"is white in {int(100 * share)} % of its rim, and the destination wants a white ground"
        raise Unfit.at(source, what, "Ask for the thing alone on pure white, and approve such an image")
    levels_HW3[white_HW] = 255
    return Image.fromarray(levels_HW3)
