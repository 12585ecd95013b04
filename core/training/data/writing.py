"""Samples written as a folder: pictures as PNG, masks beside them, and a line for each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.errors import Infrastructure
from core.training.data.entries import Entry, Shown, require_new, write_entries
from core.training.learnable import Learnable


def write_samples(samples: Iterable[Learnable], folder: Path) -> int:
    """Writes all samples and returns how many there are; `samples.jsonl` comes last.

    Raises:
        BadInput: the folder has something in it.
        Infrastructure: it can't be written.
    """
    require_new(folder)
    try:
        entries = [written(sample, number, folder) for number, sample in enumerate(samples)]
        write_entries(entries, folder)
    except OSError as error:
        raise Infrastructure(f"{folder} can't be written ({error}): make room, or name another folder") from error
    return len(entries)


def written(sample: Learnable, number: int, folder: Path) -> Entry:
    """The pictures of one sample; a mask that is white all over needs no file."""
    for name in ("targets", "references", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    target = folder / "targets" / f"{number:06}.png"
    sample.target.save(target)
    references = []
    for place, (reference, mask) in enumerate(zip(sample.references, sample.masks, strict=True), start=1):
        picture, governs = (folder / name / f"{number:06}-{place}.png" for name in ("references", "masks"))
        reference.picture.save(picture)
        whole = mask.getextrema() == (255, 255)
        if not whole:
            mask.save(governs)
        references.append(Shown(picture, reference.kind, None if whole else governs))
    return Entry(number + 1, target, sample.caption, sample.spoken, tuple(references), sample.task)
