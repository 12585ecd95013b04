"""The files of a sample as pictures: read safely, masks held against the pictures that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.errors import BadInput, Problem
from core.images import on_white, read_file
from core.training.data.entries import Entry
from core.training.data.fitting import LIGHT, fitted_reference, fitted_target
from core.training.world.scenes import Canvas

Picture = Image.Image


@dataclass(frozen=True, slots=True)
class Pictured:
    """A reference as a model is to see it: RGB, of the size of its canvas."""

    kind: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Example:
    """A sample on its canvases; `core.training.drawing` takes it like one that was drawn."""

    task: str
    target: Picture
    caption: str
    spoken: str
    references: tuple[Pictured, ...]
    masks: tuple[Picture, ...]


def open_mask(path: Path | None, picture: Picture) -> Picture | None:
    """A mask's file at its picture's size, L: its transparency where it has some, else its light.

    Raises:
        BadInput: it can't be read, is of another shape, or shows nothing.
    """
    if path is None:
        return None
    seen, flaw = read_mask(path, picture.size)
    if flaw is not None:
        raise BadInput(flaw.problem)
    return seen if seen.size == picture.size else seen.resize(picture.size, Image.Resampling.BILINEAR)


@dataclass(frozen=True, slots=True)
class Flaw:
    """What keeps a mask that can be read from being used: `mask-shape` or `mask-empty`, and in words."""

    code: str
    problem: Problem


def read_mask(path: Path, size: tuple[int, int]) -> tuple[Picture, Flaw | None]:
    """A mask's file, L, as large as it is, and what is wrong with it for a picture of that size.

    Raises:
        BadInput: it can't be read.
    """
    read = read_file(path)
    seen = read.getchannel("A") if read.mode == "RGBA" else read.convert("L")
    if other_shape(seen.size, size):
        text = f"is {seen.width} x {seen.height}, its picture {size[0]} x {size[1]}"
        return seen, Flaw("mask-shape", Problem(str(path), text, "Give a mask of the picture's own shape"))
    if seen.point(LIGHT).getbbox() is None:
        text = "is empty: nothing in it is white"
        return seen, Flaw("mask-empty", Problem(str(path), text, "Paint white where the thing is"))
    return seen, None


def other_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes differ in their proportions by more than 2 %."""
    return abs(one[0] * other[1] - one[1] * other[0]) > 0.02 * one[0] * other[1]


def open_example(entry: Entry, canvas: Canvas, references: Sequence[Canvas]) -> Example:
    """A sample with its target and references on these canvases.

    Raises:
        BadInput: naming the file that can't be read.
    """
    target = on_white(read_file(entry.target))
    masks = [open_mask(reference.governs, target) for reference in entry.references]
    fitted, covered = fitted_target(target, masks, canvas)
    shown = []
    for reference, size in zip(entry.references, references, strict=True):
        picture = read_file(reference.picture)
        own = open_mask(reference.mask, picture)
        shown.append(Pictured(reference.kind, fitted_reference(on_white(picture), own, reference.kind, size)))
    return Example(entry.task, fitted, entry.caption, entry.spoken, tuple(shown), tuple(covered))
