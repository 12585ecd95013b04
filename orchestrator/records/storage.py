"""Records: the store of pictures: files named by the SHA-256 of what they hold, in a folder or a bucket.

A name promises its content, so a file is written whole or not at all, never changed, and checked when it is
read. In a folder it is written aside, synced to the disk and renamed; a bucket's single PUT does the same.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from core.errors import BadInput, DreamlineError, Infrastructure

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


def open_storage(url: str) -> Storage:
    """The store at a folder's path or at any URL that fsspec opens. Creates nothing yet.

    Raises:
        DreamlineError: no driver for this kind of URL is installed; the message names it.
        Infrastructure: the driver looked for its server and did not reach it.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("file", "local"):
        from orchestrator.records.folder_storage import FolderStorage

        return FolderStorage(Path(rest or url).expanduser().absolute())
    import fsspec

    try:
        # A listing that was remembered would hide what other machines have written since.
        filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise DreamlineError(
            f"The storage {without_secrets(url)!r} can't be opened: {error}. Install fsspec's driver for {scheme}://"
            " or correct DREAMLINE_STORAGE_URL."
        ) from error
    except Exception as error:
        raise failed(f"The storage {without_secrets(url)!r} can't be opened", error) from error
    return BucketStorage(url, filesystem, root)


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


class BucketStorage(Storage):
    """Contents as objects of a bucket, or whatever else fsspec opens."""

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        super().__init__(url)
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def size(self, sha256: str) -> int | None:
        try:
            return int(self._filesystem.info(self._at(sha256))["size"])
        except FileNotFoundError:
            return None
        except Exception as error:
            raise failed(f"{self.place_of(sha256)} can't be looked at", error) from error

    def open_stream(self, sha256: str) -> BinaryIO:
        at = self._at(sha256)
        try:
            return cast("BinaryIO", self._filesystem.open(at, "rb"))
        except FileNotFoundError:
            raise self._missing(sha256) from None
        except Exception as error:
            raise failed(f"{self.place_of(sha256)} can't be read", error) from error

    def local_path(self, sha256: str) -> Path | None:
        key(sha256)
        return None

    def delete(self, sha256: str) -> None:
        try:
            self._filesystem.rm_file(self._at(sha256))
        except FileNotFoundError:
            return
        except Exception as error:
            raise failed(f"{self.place_of(sha256)} can't be deleted", error) from error

    def all(self) -> Iterator[tuple[str, int]]:
        for number in range(256):  # by first two digits: a listing of a large store is large
            prefix = f"{number:02x}"
            try:
                entries = self._filesystem.ls(f"{self._root}/{prefix}", detail=True)
            except FileNotFoundError:
                continue
            except Exception as error:
                raise failed(f"{self.url.rstrip('/')}/{prefix} can't be listed", error) from error
            for entry in entries:
                name = str(entry["name"]).rsplit("/", 1)[-1]
                if NAME.fullmatch(name) and name.startswith(prefix):
                    yield name, int(entry["size"])

    def leftovers(self) -> Iterator[Leftover]:
        """None: an upload that breaks off leaves nothing that can be seen."""
        return iter(())

    def delete_leftover(self, name: str) -> None:
        """There are none."""

    def _settle(self, sha256: str) -> None:
        """An object that can be seen is durable."""

    def _read(self, sha256: str) -> bytes:
        at = self._at(sha256)
        try:
            return bytes(self._filesystem.cat_file(at))
        except FileNotFoundError:
            raise self._missing(sha256) from None
        except Exception as error:
            raise failed(f"{self.place_of(sha256)} can't be read", error) from error

    def _write(self, sha256: str, data: bytes, label: str) -> None:
        at = self._at(sha256)
        try:
            self._filesystem.pipe_file(at, data)
        except Exception as error:
            raise failed(f"{self.place_of(sha256)} could not be written ({label})", error) from error

    def _at(self, sha256: str) -> str:
        return f"{self._root}/{key(sha256)}"

    def _missing(self, sha256: str) -> ContentMissing:
        return ContentMissing(f"{self.place_of(sha256)} is not there. Restore it from a backup, or make it again.")
