"""Planning: the files of references - there, readable, a picture, and their hash. Each file is read once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from stat import S_ISREG

from core.errors import BadInput
from core.images import MAX_BYTES, probe
from orchestrator.planning.findings import nearest

THREADS = 8


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A file that a reference names: its hash, or what is wrong with it and the mend.

    Files with one `mistake` have the same thing wrong with them.
    """

    path: Path
    sha256: str = ""
    what: str = ""
    mend: str = ""
    mistake: str = ""


LEADS_OUT = "leads out of what was uploaded"


def leads_out(path: Path, within: Path | None) -> bool:
    """Whether a path leaves the folder that it has to stay in; links are followed. None: it may be anywhere."""
    return within is not None and not path.resolve().is_relative_to(within.resolve())


def check_pictures(paths: Iterable[Path]) -> Mapping[Path, PictureFile]:
    """Reads, hashes and looks into every file, several at a time; mistakes are in the values."""
    distinct = list(dict.fromkeys(paths))
    names = cache(_names_in)
    with ThreadPoolExecutor(THREADS) as threads:
        return dict(zip(distinct, threads.map(lambda path: _check(path, names), distinct), strict=True))


def _check(path: Path, names: Callable[[Path], tuple[str, ...]]) -> PictureFile:
    try:
        about = path.stat()
        if not S_ISREG(about.st_mode):
            told = f"{path} is a folder or a device, not a file"
            return PictureFile(path, what=told, mend="Give the path of a picture", mistake="no file")
        data = path.read_bytes() if about.st_size <= MAX_BYTES else b""
    except FileNotFoundError:
        return PictureFile(path, what=f"there is no file {path}", mend=_nearby(path, names), mistake="missing")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return PictureFile(
            path,
            what=f"{path} can't be read ({reason})",
            mend="Check the path and its permissions",
            mistake="unreadable",
        )
    if about.st_size > MAX_BYTES:
        most = f"{MAX_BYTES // 10**6} MB is the most: save it smaller"
        return PictureFile(path, what=f"{path} has {about.st_size // 10**6} MB", mend=most, mistake="large")
    try:
        probe(data, str(path))
    except BadInput as error:
        problem = error.problems[0]
        return PictureFile(path, what=f"{path} {problem.what}", mend=problem.mend, mistake=problem.mend)
    return PictureFile(path, hashlib.sha256(data).hexdigest())


def _nearby(path: Path, names: Callable[[Path], tuple[str, ...]]) -> str:
    if "\\" in path.name:
        return "Write / where there is a \\"
    here = names(path.parent)
    if not here:
        return f"The folder {path.parent} is not there or empty"
    close = nearest(path.name, here)
    return f"Did you mean {close!r}?" if close else f"Check the name: {path.parent} holds {', '.join(here[:5])}"


def _names_in(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(one.name for one in folder.iterdir()))[:2000]
    except OSError:
        return ()
