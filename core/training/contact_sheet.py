"""A contact sheet of an evaluation: references, the image made, the drawing that was asked for, the caption.

The samples are drawn by lot, never chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

from core.training.answers import BASE, MODEL, Made

SIDE, GAP, MARGIN = 160, 10, 28
"""Pixels: of a picture, between pictures, around the sheet."""
HEADING, LABEL, LINE = 22, 13, 16
TEXT_LINES = 3
INK, GREY, RULE = (25, 25, 25), (120, 120, 120), (215, 215, 215)
LARGE_SIZE, SMALL_SIZE = 17, 11


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture with its label."""

    picture: Image.Image
    label: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One sample: its pictures from left to right, and its caption."""

    panels: tuple[Panel, ...]
    caption: str

    @property
    def width(self) -> int:
        return len(self.panels) * (SIDE + GAP) - GAP


def contact_sheet(made: Sequence[Made], *, each: int = 4, across: int = 2, seed: int = 0) -> Image.Image:
    """`each` samples of every task, `across` of them side by side; RGB on white."""
    groups = {
        f"{task}{'' if split == 'new' else f' ({split})'}": drawn_by_lot(made, task, split, each, seed)
        for split, task in dict.fromkeys((one.split, one.sample.task) for one in made)
    }
    widest = max(cell.width for cells in groups.values() for cell in cells)
    height = MARGIN + sum(group_height(len(cells), across) for cells in groups.values())
    width = 2 * MARGIN + across * widest + (across - 1) * 3 * GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    top = MARGIN // 2
    for name, cells in groups.items():
        pen.line((MARGIN, top + GAP // 2, width - MARGIN, top + GAP // 2), RULE)
        pen.text((MARGIN, top + GAP), name, INK, ImageFont.load_default(LARGE_SIZE))
        for number, cell in enumerate(cells):
            left = MARGIN + number % across * (widest + 3 * GAP)
            place(sheet, cell, left, top + GAP + HEADING + GAP // 2 + number // across * cell_height(), widest)
        top += group_height(len(cells), across)
    return sheet


def save_sheet(made: Sequence[Made], path: Path, *, each: int = 4, across: int = 2, seed: int = 0) -> None:
    """Writes the sheet as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(made, each=each, across=across, seed=seed).save(path, "PNG", optimize=True)


def drawn_by_lot(made: Sequence[Made], task: str, split: str, each: int, seed: int) -> list[Cell]:
    """That many samples of a task, as cells, in the order of their numbers."""
    own = [one for one in made if (one.sample.task, one.split) == (task, split)]
    by_sample: dict[int, list[Made]] = {}
    for one in own:
        by_sample.setdefault(id(one.sample), []).append(one)
    samples = list(by_sample.values())
    numbers = sorted(Random(f"{seed}/{split}/{task}").sample(range(len(samples)), min(each, len(samples))))
    return [cell_of(samples[number]) for number in numbers]


def cell_of(answers: Sequence[Made]) -> Cell:
    """References, what the model made of them, what the base made of the words, the drawing."""
    sample = answers[0].sample
    panels = [
        Panel(drawn.picture, f"[ref#{number}] {drawn.kind}")
        for number, drawn in enumerate(sample.references, start=1)
    ]
    labels = {MODEL: "generated", BASE: "base, in words"}
    panels += [Panel(one.picture, labels[one.source]) for one in answers if one.source in labels]
    return Cell((*panels, Panel(sample.target, "asked for")), sample.caption)


def cell_height() -> int:
    """Of one sample with its label and its caption."""
    return LABEL + 2 + SIDE + TEXT_LINES * LINE + GAP


def group_height(cells: int, across: int) -> int:
    """Of a task with that many samples, `across` in a row."""
    return 2 * GAP + HEADING + -(-cells // across) * cell_height()


def place(sheet: Image.Image, cell: Cell, left: int, top: int, widest: int) -> None:
    """Lays a cell onto the sheet."""
    pen, small = ImageDraw.Draw(sheet), ImageFont.load_default(SMALL_SIZE)
    for number, panel in enumerate(cell.panels):
        at = left + number * (SIDE + GAP), top + LABEL + 2
        pen.text((at[0], top), panel.label, GREY, small)
        picture = fitted(panel.picture)
        corner = at[0] + (SIDE - picture.width) // 2, at[1] + (SIDE - picture.height) // 2
        sheet.paste(picture, corner)
        pen.rectangle((at[0] - 1, at[1] - 1, at[0] + SIDE, at[1] + SIDE), outline=RULE)
    lines = wrapped(cell.caption, small, min(max(cell.width, 2 * SIDE), widest))
    for number, line in enumerate(lines):
        pen.text((left, top + LABEL + 2 + SIDE + 4 + number * LINE), line, INK, small)


def fitted(picture: Image.Image) -> Image.Image:
    """As large as a panel allows, in its own proportions."""
    scale = SIDE / max(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Broken at spaces to lines of that many pixels; what needs more lines than there are ends in an ellipsis."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    lines.append(line)
    if len(lines) > TEXT_LINES:
        lines = [*lines[: TEXT_LINES - 1], lines[TEXT_LINES - 1] + " …"]
    return lines
