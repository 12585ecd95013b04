"""Role files of kinds, pinned like weights: another file, another image.

A kind's role is no part of its preparation, but it decides pixels as weights do. So each of its methods bears the
hashes of its role files: plans pin them, keys hold them, and a worker with other files does not take the work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.conditions import ConditionType
from core.requests import Method
from core.settings import Settings

MISSING = "missing"
"""Stands for the hash of a file that is not there; generating names the file."""


def with_roles_pinned(condition: ConditionType[Any]) -> ConditionType[Any]:
    """The kind, whose methods say which role files it has; itself where it has none."""
    files = condition.role.files
    if not files:
        return condition

    def methods(settings: Settings) -> Sequence[Method]:
        found = condition.methods(settings)
        if not isinstance(found, Sequence) or not all(isinstance(one, Method) for one in found):
            return found
        return tuple(pinned(one, files) for one in found)

    by_mask = condition.by_mask
    return replace(condition, methods=methods, by_mask=None if by_mask is None else pinned(by_mask, files))


def pinned(method: Method, files: Mapping[str, Path]) -> Method:
    """The method with the hash of each role file among its weights."""
    return replace(method, weights={**method.weights, **role_hashes(files)})


def role_hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """By `role BASE`."""
    return {f"role {base}": file_hash(path) for base, path in files.items()}


def pinned_roles(weights: Mapping[str, str]) -> dict[str, str]:
    """The role files among the weights that a plan pinned."""
    return {name: sha256 for name, sha256 in weights.items() if name.startswith("role ")}


def file_hash(path: Path) -> str:
    """sha256 of a file as it is now."""
    try:
        told = path.stat()
    except OSError:
        return MISSING
    return _hash(path, told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=256)
def _hash(path: Path, changed: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
