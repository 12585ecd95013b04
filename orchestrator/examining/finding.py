"""Examining: what a check answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of a check.

    Attributes:
        check: what was looked at.
        level: an error keeps work from being done, a warning may.
        message: what was found.
        mend: what a person does about it; empty where all is well.
        mended: what `--fix` did about it.
    """

    check: str
    level: Level
    message: str
    mend: str = ""
    mended: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
