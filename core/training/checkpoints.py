"""Checkpoints: whole or not at all, the last two kept, the newest readable one found again after a kill."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger("dreamline")

KEPT = 2


def save_checkpoint(state: dict[str, Any], folder: Path, number: int) -> Path:
    """Writes `step-NUMBER.pt` beside the others: to a name of its own first, then renamed; older ones go."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{number:08d}.pt"
    making = folder / f".making-{os.getpid()}"
    with making.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)
    for old in sorted(folder.glob("step-*.pt"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest state that can be read; None where there is none."""
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            log.warning("%s can't be read (%s): the one before it is taken", path, error)
            continue
        return state
    return None


def clear_checkpoints(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
