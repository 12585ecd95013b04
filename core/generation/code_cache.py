"""What torch has compiled, kept for the next process: what of it is used no more, and how it goes.

Whoever misses something here compiles it again. A folder goes whole or not at all: torch asks of a kernel's folder
only whether it is empty (`TritonBundler.read_and_emit` in torch._inductor), and would fail on half of one.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path

from core.settings import Settings

log = logging.getLogger("dreamline")

SHARE = 0.2
"""Of `cache_gb`, which is for prompts and references: what is compiled takes this much beside it."""

IN_USE = 2.0
"""Days after its last use in which nothing goes; many file systems note that a file is read once a day only."""

LOCKS = "locks"
"""The folder of torch's locks. They stay: deleted while one is held, the next would be another's."""


@dataclass(frozen=True, slots=True)
class CodeFolder:
    """A folder of compiled code: for how many days none of its files was read or written, and their bytes."""

    path: Path
    idle: float
    size: int


def folder_of(settings: Settings) -> Path:
    """Where compiled code lies, unless the environment names another place; nothing is created yet."""
    return settings.home / "cache" / "compiled"


def find_unused(settings: Settings, days: float = inf) -> list[CodeFolder]:
    """What may go, idle for longest first: all that is idle for so many days, and more until the rest fits.

    What was compiled for another torch is never read again, and so goes before what is in use.
    """
    found = sorted(_read(folder_of(settings)), key=lambda one: -one.idle)
    most, left = settings.cache_gb * 1e9 * SHARE, sum(one.size for one in found)
    gone = []
    for one in found:
        if one.idle > IN_USE and (left > most or one.idle > days):
            gone.append(one)
            left -= one.size
    return gone


def make_room(settings: Settings) -> None:
    """Deletes what is more than fits, before more is compiled."""
    drop(find_unused(settings))


def drop(unused: Iterable[CodeFolder]) -> None:
    """Deletes folders, each at once for those who read; what breaks off meanwhile goes another time.

    What somebody has used since it was found stays.
    """
    for one in unused:
        now = _facts(one.path)
        if now is None or now.idle <= IN_USE:
            continue
        hidden = one.path.with_name(f".{uuid.uuid4().hex}")
        try:
            one.path.rename(hidden)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("compiled code in %s can't be deleted (%s): it is left as it is", one.path, error)
            continue
        shutil.rmtree(hidden, ignore_errors=True)


def _read(folder: Path) -> list[CodeFolder]:
    """The folders that hold no others."""
    found = []
    for place, inner, _ in os.walk(folder):
        path = Path(place)
        if not inner and path not in (folder, folder / LOCKS) and (facts := _facts(path)) is not None:
            found.append(facts)
    return found


def _facts(path: Path) -> CodeFolder | None:
    """A folder as it is now; None where it or one of its files has just gone."""
    try:
        files = [file.stat() for file in path.iterdir()]
        used = max([path.stat().st_mtime, *(max(one.st_atime, one.st_mtime) for one in files)])
    except FileNotFoundError:
        return None
    return CodeFolder(path, (time.time() - used) / 86_400, sum(one.st_size for one in files))
