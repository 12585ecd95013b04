"""Delivering: files that are whole or absent, whenever whoever writes them is stopped."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file under another name and moves it into its place; folders on the way are made.

    Raises:
        OSError: it can't be written; nothing is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = half_of(path, os.getpid())
    try:
        half.write_bytes(data)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def half_of(path: Path, process: int) -> Path:
    """Where a process of that number has a file while it is being written."""
    return path.with_name(f"{path.stem}.{process}.part")
