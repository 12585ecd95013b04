"""Delivering: where pictures go, and what a channel asks of them: pixels, bytes, kind of file, what may be there.

Those that ship are data, `presets.toml`, each with the day on which its channel said so. Others stand in a
delivery file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from orchestrator.delivering.rendering.copy import Margins
from orchestrator.delivering.rendering.images import Fit

Kind = Literal["jpg", "png", "webp"]


@dataclass(frozen=True, slots=True)
class Safe:
    """What a channel covers with its own buttons and texts: per cent of the height (top, bottom) or the width."""

    top: float = 0
    right: float = 0
    bottom: float = 0
    left: float = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """One channel, as far as pictures are concerned.

    Attributes:
        size: width and height, pixels.
        kind: of file, by its ending.
        fit: `cut`: the middle in these proportions; `pad`: all of it, on `ground`.
        ground: a colour's name or `#rrggbb`.
        most_kb: a file may have, in 1,000 bytes; 0: any number.
        safe: where nothing may stand that has to be read.
        copy: whether texts and logos may stand on it at all.
        white: whether what surrounds the thing has to be white, 255 in every channel.
        source, seen: the page that says so, and the day; empty for one's own.
    """

    name: str
    size: tuple[int, int]
    title: str = ""
    kind: Kind = "jpg"
    fit: Fit = "cut"
    ground: str = "white"
    most_kb: int = 0
    safe: Safe = Safe()
    copy: bool = True
    white: bool = False
    source: str = ""
    seen: str = ""

    @property
    def margins(self) -> Margins:
        """The safe zone's, in pixels."""
        width, height = self.size
        shares = ((self.safe.top, height), (self.safe.right, width), (self.safe.bottom, height))
        top, right, bottom = (round(share * side / 100) for share, side in shares)
        return Margins(top, right, bottom, round(self.safe.left * width / 100))


@cache
def presets() -> Mapping[str, Destination]:
    """The destinations that ship, by name."""
    told = tomllib.loads((files(__package__) / "presets.toml").read_text(encoding="utf-8"))
    return {name: _read(name, entry) for name, entry in told.items()}


def _read(name: str, entry: Mapping[str, Any]) -> Destination:
    width, height = entry["size"]
    return Destination(name, **{**entry, "size": (width, height), "safe": Safe(**entry.get("safe", {}))})
