"""Uploaded briefs: files of a browser put into a folder of their own, safely, so that they can be planned.

A campaign file names its table and pictures relative to itself. Whoever uploads gives either a ZIP with all of
it, or the files one by one; a file is then found wherever the campaign file says it is, by its name.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import BadInput
from core.settings import Settings

MOST_FILES = 5_000
MOST_BYTES = 2_000_000_000
CAMPAIGN_FILES = (".yaml", ".yml", ".json")
_CAMPAIGN = re.compile(rb'(?m)^[\s{]*"?campaign"?\s*:')
"""What tells a campaign file from the creative briefs and rows beside it."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One file as the browser sent it."""

    name: str
    data: bytes


def unpack(settings: Settings, files: Iterable[Uploaded]) -> Path:
    """Writes uploaded files below the home and returns the campaign file among them.

    The folder is named by what was uploaded: the same upload lies in the same place.

    Raises:
        BadInput: no campaign file is among them, or too much, or a ZIP is broken or leads out of its folder.
    """
    contents = unzip(files)
    campaign = _campaign_file(contents)
    contents = _in_place(contents, campaign)
    folder = settings.home / "uploads" / _digest(contents)[:16]
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
    return folder / campaign


def bounds(settings: Settings, file: Path) -> Path | None:
    """The folder that an uploaded campaign file may not lead out of; None for a file that was not uploaded."""
    uploads = settings.home / "uploads"
    return uploads / file.relative_to(uploads).parts[0] if file.is_relative_to(uploads) else None


def unzip(files: Iterable[Uploaded]) -> dict[str, bytes]:
    """Uploaded files by name, with what ZIPs among them hold in their place.

    Raises:
        BadInput: a ZIP is broken, too much, or leads out of its folder.
    """
    contents: dict[str, bytes] = {}
    for one in files:
        contents.update(_entries(one) if one.name.lower().endswith(".zip") else {_safe(one.name): one.data})
        if len(contents) > MOST_FILES or sum(map(len, contents.values())) > MOST_BYTES:
            raise BadInput.at(one.name, "is more than can be taken", f"{MOST_FILES} files and 2 GB are the most")
    return contents


def _entries(archive: Uploaded) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
            entries = [one for one in opened.infolist() if not one.is_dir() and not _is_rubbish(one.filename)]
            if len(entries) > MOST_FILES or sum(one.file_size for one in entries) > MOST_BYTES:
                raise BadInput.at(archive.name, "unpacks to too much", f"{MOST_FILES} files and 2 GB are the most")
            if any(stat.S_ISLNK(one.external_attr >> 16) for one in entries):
                raise BadInput.at(archive.name, "holds links", "Pack the files themselves")
            return {_safe(one.filename): opened.read(one) for one in entries}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadInput.at(archive.name, f"is no ZIP that can be read ({error})", "Pack it again") from error


def _is_rubbish(name: str) -> bool:
    """What operating systems leave in archives."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name in (".DS_Store", "Thumbs.db")


def _safe(name: str) -> str:
    """A relative path that stays below its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or re.match(r"[A-Za-z]:", name):
        raise BadInput.at(f"uploaded file {name!r}", "leads out of its folder", "Pack it with relative names")
    return str(path)


def _campaign_file(contents: dict[str, bytes]) -> str:
    found = [name for name in contents if name.lower().endswith(CAMPAIGN_FILES)]
    yaml = [name for name in found if not name.lower().endswith(".json")] or found
    top = min((name.count("/") for name in yaml), default=0)
    chosen = [name for name in yaml if name.count("/") == top]
    if len(chosen) > 1:
        chosen = [name for name in chosen if _CAMPAIGN.search(contents[name])] or chosen
    if len(chosen) != 1:
        told = f"{len(chosen)} files could be the campaign file: {', '.join(sorted(chosen)[:4])}" if chosen else ""
        raise BadInput.at(
            "upload", told or "no campaign file (.yaml, .yml or .json) is among the files", "Give exactly one"
        )
    return chosen[0]


def _in_place(contents: dict[str, bytes], campaign: str) -> dict[str, bytes]:
    """Files that came without their folders, also where the campaign file looks for them by `folder/name`."""
    if any("/" in name for name in contents):
        return contents
    named = "\n".join(
        data.decode("utf-8", errors="replace")
        for name, data in contents.items()
        if name == campaign or name.lower().endswith((*CAMPAIGN_FILES, ".csv", ".tsv"))
    )
    placed = dict(contents)
    for path in re.findall(r"[\w.-]+(?:/[\w.{} -]+)+\.\w+", named):
        name = PurePosixPath(path).name
        if name in contents and ".." not in path:
            placed[path] = contents[name]
    for folder in re.findall(r"([\w-]+)/\{\{", named):
        placed.update({f"{folder}/{name}": data for name, data in contents.items() if name != campaign})
    return placed


def _digest(contents: dict[str, bytes]) -> str:
    hashed = hashlib.sha256()
    for name in sorted(contents):
        hashed.update(f"{name}\0{len(contents[name])}\0".encode())
        hashed.update(contents[name])
    return hashed.hexdigest()
