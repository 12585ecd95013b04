"""Records: opening the store of pictures: a folder, or a bucket by URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

from core.errors import DreamlineError
from orchestrator.records.contents import (
    NAME,
    ContentDamaged,
    ContentMissing,
    Leftover,
    Storage,
    failed,
    key,
    without_secrets,
)
from orchestrator.records.folder_storage import FolderStorage

__all__ = ["ContentDamaged", "ContentMissing", "Leftover", "Storage", "open_storage"]


def open_storage(url: str) -> Storage:
    """The store at a folder's path or at any URL that fsspec opens. Creates nothing yet.

    Raises:
        DreamlineError: no driver for this kind of URL is installed; the message names it.
        Infrastructure: the driver looked for its server and did not reach it.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("file", "local"):
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


AT_ONCE = 16
"""Questions that a bucket is asked at the same time."""


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

    def lacking(self, names: Sequence[str]) -> list[str]:
        """As many at a time as its servers are asked at once: each question may take a second."""
        if len(names) < 2:
            return super().lacking(names)
        with ThreadPoolExecutor(min(len(names), AT_ONCE), "store") as threads:
            here = list(threads.map(self.exists, names))
        return [sha256 for sha256, found in zip(names, here, strict=True) if not found]

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
