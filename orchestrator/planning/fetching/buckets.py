"""Fetching: pictures from buckets, by whatever drivers of fsspec are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.images import MAX_BYTES
from orchestrator.planning.fetching.refused import Refused

DRIVERS = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
"""Kinds of addresses that lead to buckets, with the package that opens them."""

_MARKS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated")
PIECE = 1 << 20


def is_bucket(address: str) -> bool:
    """Whether an address leads to a bucket; one that goes on from there to somewhere else (`::`) does not."""
    scheme, found, _ = address.partition("://")
    return bool(found) and scheme.lower() in DRIVERS and "::" not in address


def copy_object(address: str, part: Path, known: str) -> str | None:
    """Copies an object into `part` and returns a mark of its version, or None where it is the known one.

    Raises:
        Refused: there is no driver, no such object, or no right to read it; or it is too large.
    """
    try:
        filesystem, place = _open(address)
        about = filesystem.info(place)
        if about.get("type") == "directory":
            raise Refused("is a folder", "Name the picture itself")
        mark = next((f"{name}={about[name]}" for name in _MARKS if about.get(name)), "")
        mark = mark and f"{mark} size={about.get('size')}"
        if known and mark == known:
            return None
        size = int(about.get("size") or 0)
        if size > MAX_BYTES:
            raise Refused(f"has {size // 10**6} MB", f"{MAX_BYTES // 10**6} MB is the most: save it smaller")
        with filesystem.open(place, "rb") as source, part.open("wb") as file:
            left = MAX_BYTES
            while piece := source.read(min(PIECE, left + 1)):
                left -= len(piece)
                if left < 0:
                    raise Refused(f"has over {MAX_BYTES // 10**6} MB", "Save it smaller")
                file.write(piece)
    except Refused:
        raise
    except FileNotFoundError as error:
        raise Refused("is not there", "Check bucket and name") from error
    except PermissionError as error:
        raise Refused(
            f"may not be read ({error})", "Give this machine's account the right to read the bucket"
        ) from error
    except Exception as error:  # a driver raises what its library does: each has classes of its own
        reason = f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
        raise Refused(f"can't be read ({reason})", "Check bucket, name and credentials", lasting=False) from error
    return mark


def _open(address: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, place = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        package = DRIVERS[address.partition("://")[0].lower()]
        raise Refused(f"needs {package}, which is not installed", f"pip install {package}") from error
    return filesystem, str(place)
