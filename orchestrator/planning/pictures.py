"""Planning: the pictures of references - there, readable, a picture, and their hash. Each is read once.

A picture lies in a file, or is fetched from an address of the web or of a bucket and then lies in one too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from stat import S_ISREG
from urllib.parse import unquote

from core.errors import BadInput
from core.images import MAX_BYTES, probe
from orchestrator.planning.fetching.addresses import read_address
from orchestrator.planning.fetching.buckets import is_bucket
from orchestrator.planning.fetching.fetcher import Fetched, Fetcher
from orchestrator.planning.fetching.refused import Refused
from orchestrator.planning.findings import nearest

THREADS = 8


Place = Path | str
"""Where a picture is: a file, or an address as text."""


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture that a reference names: its hash, or what is wrong with it and the mend.

    Files with one `mistake` have the same thing wrong with them. `source` is what people call the place;
    `warning` is what they should know though the picture is there.
    """

    path: Path
    sha256: str = ""
    source: str = ""
    warning: str = ""
    what: str = ""
    mend: str = ""
    mistake: str = ""


LEADS_OUT = "leads out of what was uploaded"


def leads_out(path: Path, within: Path | None) -> bool:
    """Whether a path leaves the folder that it has to stay in; links are followed. None: it may be anywhere."""
    return within is not None and not path.resolve().is_relative_to(within.resolve())


def place_of(text: str, folder: Path, *, strange: bool) -> Place:
    """Where a text says that a picture is: a path relative to `folder`, or an address.

    Raises:
        Refused: it is an address from which no pictures are taken; `strange`: the brief comes from somebody who
            may use neither this machine's files nor its credentials.
    """
    text = f"https:{text}" if text.startswith("//") else text
    scheme, found, rest = text.partition(":")
    if found and scheme.lower() == "file":
        if strange:
            raise Refused(LEADS_OUT, "Upload the picture along with it")
        return folder / unquote(rest.removeprefix("//").removeprefix("localhost"))
    if "://" not in text:
        return folder / text
    if is_bucket(text):
        if strange:
            raise Refused("is in a bucket, and uploaded briefs read none", "Upload the picture along with it")
        return text
    read_address(text)
    return text


def check_pictures(places: Iterable[Place], fetcher: Fetcher) -> Mapping[Place, PictureFile]:
    """Fetches, reads, hashes and looks into every picture, several at a time; mistakes are in the values."""
    distinct = list(dict.fromkeys(places))
    fetched = fetcher.fetch(place for place in distinct if isinstance(place, str))
    names = cache(_names_in)

    def check(place: Place) -> PictureFile:
        return (
            _check(place, str(place), names) if isinstance(place, Path) else _check_fetched(fetched[place], names)
        )

    with ThreadPoolExecutor(THREADS) as threads:
        return dict(zip(distinct, threads.map(check, distinct), strict=True))


def _check_fetched(one: Fetched, names: Callable[[Path], tuple[str, ...]]) -> PictureFile:
    if one.path is None:
        what, mend = (one.refused.what, one.refused.mend) if one.refused else ("is not there", "Plan again")
        return PictureFile(Path(), source=one.address, what=f"{one.address} {what}", mend=mend, mistake=mend)
    return replace(_check(one.path, one.address, names), warning=one.warning)


def _check(path: Path, source: str, names: Callable[[Path], tuple[str, ...]]) -> PictureFile:
    try:
        about = path.stat()
        if not S_ISREG(about.st_mode):
            told = f"{source} is a folder or a device, not a file"
            return PictureFile(path, what=told, mend="Give the path of a picture", mistake="no file")
        data = path.read_bytes() if about.st_size <= MAX_BYTES else b""
    except FileNotFoundError:
        return PictureFile(path, what=f"there is no file {source}", mend=_nearby(path, names), mistake="missing")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return PictureFile(
            path,
            what=f"{source} can't be read ({reason})",
            mend="Check the path and its permissions",
            mistake="unreadable",
        )
    if about.st_size > MAX_BYTES:
        most = f"{MAX_BYTES // 10**6} MB is the most: save it smaller"
        return PictureFile(path, what=f"{source} has {about.st_size // 10**6} MB", mend=most, mistake="large")
    try:
        probe(data, source)
    except BadInput as error:
        problem = error.problems[0]
        return PictureFile(path, what=f"{source} {problem.what}", mend=problem.mend, mistake=problem.mend)
    return PictureFile(path, hashlib.sha256(data).hexdigest(), source)


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
