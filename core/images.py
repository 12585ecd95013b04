"""Safe reading of pictures: whatever people bring comes out upright, in sRGB, 8 bits a channel, or is refused.

Files are hostile until read: types are an allow-list, sizes are checked before pixels are decoded, and all
that a decoder may raise becomes one `BadInput` that names the file. Nothing here changes Pillow for the rest
of the process.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

from core.errors import BadInput, Infrastructure

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded; 100 megapixels take 300 MB of memory as RGB."""

MAX_BYTES = 200_000_000
"""Larger files are refused before they are read."""

TYPES = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")
"""What Pillow may decode, MPO as a JPEG; HEIC is decoded by pi-heif."""

_SAVE_AGAIN = "Open it in a picture viewer and save it again as PNG or JPEG"
_EXPECTED = "Give a JPEG, PNG, WebP, TIFF, GIF, BMP, AVIF or HEIC"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")

_OTHERS = (
    (b"%PDF", "is a PDF", "Export the page as PNG"),
    (b"8BPS", "is a Photoshop file", "Export it as PNG"),
    (b"%!PS", "is a PostScript file", "Export it as PNG"),
    (b"PK\x03\x04", "is a ZIP archive or an office document", "Take the picture out of it"),
    (b"<svg", "is an SVG drawing", "Export it as PNG"),
    (b"<?xml", "is XML, perhaps an SVG drawing", "Export it as PNG"),
    (b"<!doctype", "is a web page, not a picture", "Download the picture itself"),
    (b"<html", "is a web page, not a picture", "Download the picture itself"),
)
"""How files begin that are often given in place of a picture; compared in lower case."""

_quiet = Lock()


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: its type and its size in pixels, before EXIF turns it upright."""

    type: str
    width: int
    height: int


def probe(data: bytes, source: str) -> Header:
    """Looks at the header only: cheap enough for every file of a large plan.

    A file that passes may still turn out to be cut off when it is decoded.

    Raises:
        BadInput: empty, of no type that is read, too large, or without a whole header.
    """
    with _decoding(source):
        return _header(_open(io.BytesIO(data), source), source)


def probe_file(path: Path) -> Header:
    """As `probe`, reading no more of the file than its header.

    Raises:
        BadInput: also when the file is not there or may not be read.
        Infrastructure: the disk failed.
    """
    source = str(path)
    with _reading(path) as stream, _decoding(source):
        return _header(_open(stream, source), source)


def read_picture(data: bytes, source: str) -> Picture:
    """Decodes a picture: upright by its EXIF orientation, in sRGB, the first frame of an animation.

    Args:
        data: the file's bytes; its name is not looked at for the type.
        source: the file's name, for messages.

    Returns:
        RGB, or RGBA where some pixel is transparent.

    Raises:
        BadInput: naming `source`, for whatever can't be decoded completely.
    """
    with _decoding(source):
        opened = _open(io.BytesIO(data), source)
        _header(opened, source)
        picture = _load(opened)
        return _in_srgb(picture, source)


def read_file(path: Path) -> Picture:
    """As `read_picture`, for a file.

    Raises:
        BadInput: also when the file is not there or may not be read.
        Infrastructure: the disk failed.
    """
    with _reading(path) as stream:
        data = stream.read()
    return read_picture(data, str(path))


def on_white(picture: Picture) -> Picture:
    """RGB: what is transparent in `picture` turns white."""
    from PIL import Image

    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def fit_size(width: int, height: int, area: int, multiple: int) -> tuple[int, int]:
    """Sides of the same proportions with `area` pixels, floored to multiples (DreamO's rule for references).

    In whole numbers, so that no rounding of square roots costs a row of tokens. A side is at least one
    multiple long; the other then shrinks so that the area holds.
    """

    def floored(side: int) -> int:
        return max(multiple, side // multiple * multiple)

    across, down = floored(isqrt(area * width // height)), floored(isqrt(area * height // width))
    if across * down > area:
        across, down = min(across, floored(area // multiple)), min(down, floored(area // multiple))
    return across, down


def fit(picture: Picture, area: int, multiple: int) -> Picture:
    """Resizes to `fit_size`. Bicubic: its one lobe does not ring on white grounds as Lanczos' second does."""
    from PIL import Image

    size = fit_size(picture.width, picture.height, area, multiple)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    """The open file; what the system says against it becomes an error with a mend."""
    source = str(path)
    try:
        size = path.stat().st_size
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise BadInput.at(source, "is not there", "Check the path") from error
    except (PermissionError, IsADirectoryError, NotADirectoryError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput.at(source, f"can't be read ({reason})", "Check the path and its permissions") from error
    except OSError as error:
        raise Infrastructure(f"{source} can't be read ({error.strerror}); it will be tried again") from error
    with stream:
        if size > MAX_BYTES:
            mend = f"{MAX_BYTES // 10**6} MB is the most: save it smaller"
            raise BadInput.at(source, f"has {size // 10**6} MB", mend)
        yield stream


@contextmanager
def _decoding(source: str) -> Iterator[None]:
    """Silences warnings, and turns whatever a decoder raises into `BadInput`.

    Decoders raise nearly every class there is on broken files. The lock keeps two threads from putting
    each other's warning filters back.
    """
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (BadInput, MemoryError):
            raise
        except Exception as error:
            reason = str(error).strip().rstrip(".") or type(error).__name__
            raise BadInput.at(
                source,
                f"is damaged or cut off ({reason[:120]})",
                f"Download or copy it again, or: {_SAVE_AGAIN[0].lower()}{_SAVE_AGAIN[1:]}",
            ) from error


def _open(stream: IO[bytes], source: str) -> Any:
    """A picture of which only the header has been read: Pillow's, or a `HeifFile`."""
    from PIL import Image, UnidentifiedImageError

    start = stream.read(64)
    stream.seek(0)
    if not start:
        raise BadInput.at(source, "is empty", "Save or download it again")
    if _is_heif(start):
        import pi_heif

        return pi_heif.open_heif(stream.read())
    try:
        return Image.open(stream, formats=TYPES)
    except Image.DecompressionBombError as error:
        raise _too_large(source, "far too many") from error
    except UnidentifiedImageError as error:
        opening = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        for begins, what, mend in _OTHERS:
            if opening.startswith(begins.lower()):
                raise BadInput.at(source, what, mend) from error
        if _looks_like_a_picture(start):
            raise BadInput.at(source, "has no whole header: it is damaged or cut off", "Copy it again") from error
        raise BadInput.at(source, "is no picture of a type that is read", _EXPECTED) from error


def _is_heif(start: bytes) -> bool:
    """HEIC by its brands; a file that is AVIF as well is left to Pillow."""
    if start[4:8] != b"ftyp":
        return False
    brands = {start[place : place + 4] for place in (8, *range(16, min(len(start), start[3]), 4))}
    return start[8:12] in _HEIF_BRANDS and not brands & {b"avif", b"avis"}


def _looks_like_a_picture(start: bytes) -> bool:
    marks = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
    return start.startswith(marks) or start[4:8] == b"ftyp"


def _header(opened: Any, source: str) -> Header:
    width, height = opened.size
    if width < 1 or height < 1:
        raise BadInput.at(source, f"says it has {width} x {height} pixels", _SAVE_AGAIN)
    if width * height > MAX_PIXELS:
        raise _too_large(source, f"{width} x {height}")
    return Header(getattr(opened, "format", None) or "HEIC", width, height)


def _too_large(source: str, pixels: str) -> BadInput:
    most = f"{MAX_PIXELS // 10**6} megapixels are the most: save it smaller"
    return BadInput.at(source, f"has {pixels} pixels", most)


def _load(opened: Any) -> Picture:
    """Decodes and turns upright. libheif turns pictures itself, so a HEIC's EXIF orientation is done already."""
    from PIL import Image

    turn = Image.Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    if not isinstance(opened, Image.Image):
        picture: Picture = opened.to_pillow()
        return picture
    opened.load()
    try:
        method = turns.get(opened.getexif().get(0x0112, 1))
    except Exception:
        method = None  # damaged EXIF says nothing about the pixels, which are whole
    return opened if method is None else opened.transpose(method)


def _in_srgb(picture: Picture, source: str) -> Picture:
    """RGB or RGBA in sRGB, from any mode that files can have."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I"):
        picture = _eight_bits(picture, source)
    elif picture.mode == "PA" or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    if picture.mode == "F":
        raise BadInput.at(source, "holds floating-point pixels", "Save it with 8 or 16 bits a channel")
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.upper())
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if alpha is not None:
        picture = picture.convert(picture.mode[:-1])
    colour = _by_profile(picture, profile)
    if alpha is not None and alpha.getextrema() != (255, 255):
        colour.putalpha(alpha)
    colour.info = {}
    return colour


def _by_profile(picture: Picture, profile: bytes | None) -> Picture:
    """To RGB by the embedded ICC profile; a broken or mismatched one is passed over, as browsers do."""
    from PIL import ImageCms

    if picture.mode == "1":
        picture = picture.convert("L")
    srgb = ImageCms.createProfile("sRGB")
    given: Any = ImageCms.createProfile("LAB") if picture.mode == "LAB" else None
    try:
        if profile and given is None:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if given is not None:
            converted = ImageCms.profileToProfile(picture, given, srgb, outputMode="RGB")
            if converted is not None:
                return converted
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        if picture.mode == "LAB":
            raise
    return picture.convert("RGB")


def _eight_bits(picture: Picture, source: str) -> Picture:
    """Grey of 16 bits to 8, by its upper byte; 32-bit files that hold 16-bit values too."""
    import numpy as np
    from PIL import Image

    values = np.asarray(picture.convert("I"))
    if values.min() < 0 or values.max() > 0xFFFF:
        raise BadInput.at(source, "holds 32-bit pixels", "Save it with 8 or 16 bits a channel")
    return Image.fromarray((values >> 8).astype(np.uint8))
