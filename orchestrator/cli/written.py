"""The files that `dreamline generate` leaves: whole ones or none, by names that say what they are."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.requests import Preparation, Reference, Request


def require_writable(folder: Path) -> None:
    """Refuses a folder that can't be written before any work is done; leaves nothing in it.

    Raises:
        BadInput: naming the folder.
    """
    from core.errors import BadInput

    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise BadInput.at(
            "option --output", f"{folder} can't be written ({error.strerror})", "Name another folder"
        ) from error


def write_file(path: Path, data: bytes) -> None:
    """Writes a whole file or none.

    Raises:
        Infrastructure: the disk is full or failed.
    """
    from core.errors import Infrastructure
    from orchestrator.delivering.whole_files import write_whole

    try:
        write_whole(path, data)
    except OSError as error:
        raise Infrastructure(
            f"{path} can't be written ({error.strerror}): make room, or name another folder"
        ) from error


def write_prepared(pairs: Sequence[tuple[Reference, Preparation]], output: Path) -> None:
    """Writes what the model sees of each reference, and prints what was found."""
    for number, (reference, preparation) in enumerate(pairs, start=1):
        path = output / f"reference-{number}-{reference.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        preparation.picture.save(path)
        facts = json.dumps(dict(preparation.facts), default=str)
        size = f"{preparation.picture.width}x{preparation.picture.height}"
        click.echo(f"{path} ({reference.kind}, {reference.method.name}, {size}) {facts}")
        if preparation.mask is not None:
            preparation.mask.save(path.with_name(f"{path.stem}-mask.png"))


def file_name(request: Request) -> str:
    """Words of the prompt, the seed and the request's hash: the same request has the same name."""
    from core.recipes import recipe

    words = "-".join(re.findall(r"[a-z0-9]+", request.prompt.lower()))[:40].strip("-") or "image"
    told = json.dumps(recipe(request), sort_keys=True).encode()
    return f"{words}-{request.seed}-{hashlib.sha256(told).hexdigest()[:8]}.png"
