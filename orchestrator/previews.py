"""Small pictures for screens: WebP, made once from the stored original and kept beside the home.

They are a cache by content: the worker that made an image makes its previews while the pixels are in memory,
and whoever misses one (a reference, another machine's image) makes it from the store. Losing them costs time
and nothing else.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.settings import Settings
from orchestrator.records.contents import key
from orchestrator.records.storage import Storage

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIDES: Mapping[str, int] = {"thumb": 320, "view": 1280}
"""Longest side in pixels of each size."""

_QUALITY = {"thumb": (78, 4), "view": (86, 2)}  # WebP quality, and effort from 0 to 6

MOST_PIXELS = 120_000_000


class Previews:
    """Previews of the pictures of a store, by their sha256. Safe for many threads and processes."""

    def __init__(self, settings: Settings, store: Storage) -> None:
        self._folder = settings.home / "previews"
        self._store = store

    def get(self, sha256: str, size: str) -> bytes:
        """The preview of a stored picture as WebP.

        Raises:
            BadInput: this is no name of a content.
            ContentMissing: the store holds no such picture.
            OSError: it is no picture that can be read.
        """
        path = self._path(sha256, size)
        try:
            return path.read_bytes()
        except OSError:
            return self.make(sha256, self._open(sha256))[size]

    def make(self, sha256: str, picture: Picture) -> dict[str, bytes]:
        """Makes and keeps every size of a picture; a full disk only means that it is made again."""
        made = {}
        for size, side in sorted(SIDES.items(), key=lambda pair: -pair[1]):
            picture = _fitted(picture, side)
            made[size] = _webp(picture, *_QUALITY[size])
            self._keep(self._path(sha256, size), made[size])
        return made

    def _open(self, sha256: str) -> Picture:
        from PIL import Image, ImageOps

        picture = Image.open(io.BytesIO(self._store.get(sha256)))
        if picture.width * picture.height > MOST_PIXELS:
            raise OSError(f"{picture.width} x {picture.height} pixels are too many for a preview")
        picture.draft("RGB", (SIDES["view"] * 2, SIDES["view"] * 2))
        return ImageOps.exif_transpose(picture)

    def _path(self, sha256: str, size: str) -> Path:
        return self._folder / size / f"{key(sha256)}.webp"

    def _keep(self, path: Path, data: bytes) -> None:
        half = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(data)
            half.replace(path)
        except OSError:
            half.unlink(missing_ok=True)


def _fitted(picture: Picture, side: int) -> Picture:
    from PIL import Image

    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "LA" else "RGB")
    if max(picture.size) <= side:
        return picture
    scale = side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _webp(picture: Picture, quality: int, effort: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=quality, method=effort)
    return file.getvalue()
