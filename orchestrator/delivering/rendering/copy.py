"""Delivering: what stands on a picture, and where a channel leaves room for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from orchestrator.delivering.rendering.typesetting import lines_of


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels at each side that a channel covers with its own buttons and texts."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Copy:
    """What stands on a picture; empty texts are left out.

    Attributes:
        headline: up to three lines; its own line breaks are kept.
        price: one line.
        label: small, such as 'Image made with AI'; up to three lines.
        logo: a picture file, PNG with transparency as a rule.
        font: a TrueType or OpenType file; empty: Inter, which has Latin, Greek and Cyrillic.
    """

    headline: str = ""
    price: str = ""
    label: str = ""
    logo: bytes = b""
    font: bytes = b""

    @property
    def texts(self) -> dict[str, tuple[str, ...]]:
        """What is set by name, in lines that have to stay apart."""
        price, label = (" ".join(lines_of(text)) for text in (self.price, self.label))
        texts = {"headline": lines_of(self.headline), "price": (price,), "label": (label,)}
        return {name: lines for name, lines in texts.items() if any(lines)}

    @property
    def empty(self) -> bool:
        """Whether nothing is to be drawn."""
        return not (self.logo or self.texts)

    @property
    def id(self) -> str:
        """16 hexadecimal digits over all of it: part of what decides a file's bytes."""
        texts = [text.encode(errors="surrogatepass") for text in (self.headline, self.price, self.label)]
        parts = [*(sha256(text).digest() for text in texts), _digest(self.logo), _digest(self.font)]
        return sha256(b"".join(parts)).hexdigest()[:16]


@lru_cache(16)
def _digest(data: bytes) -> bytes:
    """Of a logo or a font, which thousands of pictures share."""
    return sha256(data).digest()
