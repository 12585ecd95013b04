"""Records: what a store of pictures promises: files named by the SHA-256 of what they hold.

A name promises its content, so a file is written whole or not at all, never changed, and checked when it is
read. In a folder it is written aside, synced to the disk and renamed; a bucket's single PUT does the same.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.errors import BadInput, Infrastructure

NAME = re.compile(r"[0-9a-f]{64}")


class ContentMissing(Infrastructure):
    """The store holds nothing under this name."""


class ContentDamaged(Infrastructure):
    """The store holds something else than the name promises."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that was being written: it is in use, or its writer was killed. `age` is in seconds."""

    name: str
    age: float
    size: int


class Storage(ABC):
    """Contents by their hash; safe for many threads and processes at once. `url` says where, without secrets."""

    def __init__(self, url: str) -> None:
        self.url = without_secrets(url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def put(self, data: bytes, label: str) -> str:
        """Stores `data` so that it survives a crash of the machine, and returns its SHA-256.

        Args:
            data: the content.
            label: who writes it (the job and its fence), for people who look at files left over by a crash.

        Raises:
            Infrastructure: it could not be stored; nothing is left under its name.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        if self.size(sha256) == len(data):
            self._settle(sha256)
        else:
            self._write(sha256, data, label)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The content.

        Raises:
            ContentMissing: there is none.
            ContentDamaged: its bytes have changed.
            Infrastructure: it can't be read now.
        """
        data = self._read(sha256)
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise ContentDamaged(
                f"{self.place_of(sha256)} is damaged: its {len(data)} bytes have the hash {found}. Delete it and"
                " make or upload it again, or restore it from a backup."
            )
        return data

    def exists(self, sha256: str) -> bool:
        return self.size(sha256) is not None

    def lacking(self, names: Sequence[str]) -> list[str]:
        """Which of these contents are not here."""
        return [sha256 for sha256 in names if not self.exists(sha256)]

    def place_of(self, sha256: str) -> str:
        """The path or key of a content, for messages."""
        return f"{self.url.rstrip('/')}/{key(sha256)}"

    @abstractmethod
    def size(self, sha256: str) -> int | None:
        """Bytes stored under this name; None when nothing is."""

    @abstractmethod
    def open_stream(self, sha256: str) -> BinaryIO:
        """The content to read piece by piece; it is not checked. The caller closes it."""

    @abstractmethod
    def local_path(self, sha256: str) -> Path | None:
        """The file, when the store is a folder and holds it."""

    @abstractmethod
    def delete(self, sha256: str) -> None:
        """Removes a content; nothing happens when it is not there."""

    @abstractmethod
    def all(self) -> Iterator[tuple[str, int]]:
        """Every name with its size in bytes, in no order. Contents that come or go meanwhile may be missed."""

    @abstractmethod
    def leftovers(self) -> Iterator[Leftover]:
        """Files that were being written when this was asked; old ones belong to processes that were killed."""

    @abstractmethod
    def delete_leftover(self, name: str) -> None:
        """Removes one of `leftovers`; nothing happens when it is not there any more."""

    @abstractmethod
    def _settle(self, sha256: str) -> None:
        """Makes sure that a content which another process wrote a moment ago survives a crash too."""

    @abstractmethod
    def _read(self, sha256: str) -> bytes: ...

    @abstractmethod
    def _write(self, sha256: str, data: bytes, label: str) -> None: ...


def without_secrets(url: str) -> str:
    """A URL as messages may show it: without the user and the password that some hold."""
    return re.sub(r"://[^/@]*@", "://", url)


def key(sha256: str) -> str:
    """Where a content lies below the root: a folder for every first two digits.

    Raises:
        BadInput: this is no SHA-256 in lower-case digits; so no name can lead out of the store.
    """
    if not NAME.fullmatch(sha256):
        raise BadInput.at(
            "name of a content", f"{sha256!r} is not a SHA-256", "It has 64 digits, 0-9 and a-f in lower case"
        )
    return f"{sha256[:2]}/{sha256}"


def failed(what: str, error: Exception) -> Infrastructure:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Infrastructure(
        f"{what}: {reason}. Check that the store can be reached and written and has room, or set"
        " DREAMLINE_STORAGE_URL to another; the same work may be tried again."
    )
