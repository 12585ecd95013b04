"""Records: the store of pictures as a folder, on one machine or on a shared disk.

A content is written aside under its writer's name, synced to the disk, renamed, and its folder synced: after a
crash it is whole or it is not there.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.errors import BadInput
from orchestrator.records.contents import NAME, ContentMissing, Leftover, Storage, failed, key

_PREFIX = re.compile(r"[0-9a-f]{2}")
_INCOMING = "incoming"  # folder of files that are being written


class FolderStorage(Storage):
    """Contents as files of a folder, on one machine or on a shared disk."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.root = root

    def size(self, sha256: str) -> int | None:
        path = self.root / key(sha256)
        try:
            return path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise failed(f"{path} can't be looked at", error) from error

    def open_stream(self, sha256: str) -> BinaryIO:
        path = self.root / key(sha256)
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise ContentMissing(f"{path} is not there. Restore it from a backup, or make it again.") from None
        except OSError as error:
            raise failed(f"{path} can't be read", error) from error

    def local_path(self, sha256: str) -> Path | None:
        return self.root / key(sha256) if self.exists(sha256) else None

    def delete(self, sha256: str) -> None:
        self._unlink(self.root / key(sha256))

    def all(self) -> Iterator[tuple[str, int]]:
        for folder in _entries(self.root):
            if _PREFIX.fullmatch(folder.name):
                for entry in _entries(folder):
                    if NAME.fullmatch(entry.name) and entry.name.startswith(folder.name):
                        with contextlib.suppress(FileNotFoundError):
                            yield entry.name, entry.stat().st_size

    def leftovers(self) -> Iterator[Leftover]:
        now = time.time()
        for entry in _entries(self.root / _INCOMING):
            with contextlib.suppress(FileNotFoundError):
                seen = entry.stat()
                yield Leftover(entry.name, max(0.0, now - seen.st_mtime), seen.st_size)

    def delete_leftover(self, name: str) -> None:
        if name in ("", ".", "..") or "/" in name:
            raise BadInput.at("name of a leftover", f"{name!r} is not one", "Give a name that `leftovers` gave")
        self._unlink(self.root / _INCOMING / name)

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise failed(f"{path} can't be deleted", error) from error

    def _settle(self, sha256: str) -> None:
        path = self.root / key(sha256)
        try:
            _sync_folder(path.parent)
        except OSError as error:
            raise failed(f"{path} can't be synced to its disk", error) from error

    def _read(self, sha256: str) -> bytes:
        with self.open_stream(sha256) as file:
            try:
                return file.read()
            except OSError as error:
                raise failed(f"{self.root / key(sha256)} can't be read", error) from error

    def _write(self, sha256: str, data: bytes, label: str) -> None:
        path = self.root / key(sha256)
        aside = self.root / _INCOMING / f"{_plain(label)}.{os.getpid()}-{secrets.token_hex(4)}"
        try:
            _make_folder(aside.parent)
            _make_folder(path.parent)
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                written = os.fstat(file.fileno()).st_size
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")
            aside.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise failed(f"{path} could not be written", error) from error


def _plain(label: str) -> str:
    """A label as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:100].lstrip(".") or "unnamed"


def _entries(folder: Path | os.DirEntry[str]) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder; nothing when there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise failed(f"{os.fspath(folder)} can't be listed", error) from error


def _make_folder(folder: Path) -> None:
    """Makes a folder and those above it, each recorded in its parent before anything is put into it."""
    if not folder.is_dir():
        if not folder.parent.is_dir():
            _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
