"""Draws the picture of the world in training.md: `python -m docs.world`. Samples by number, not chosen."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from core.training.world.samples import Canvas, draw_sample
from core.training.world.truth import FULL

PLACE = Path(__file__).parent / "images" / "world.webp"
ROWS = (
    ("subject", "tryon", "identity"),
    ("two-subjects", "style", "two-people"),
)
EACH = 2
TARGET, REFERENCE, GAP = 160, 96, 12


def main() -> None:
    """Lays each target out with its references beside it."""
    cell = TARGET + GAP // 2 + REFERENCE + 2 * GAP
    size = (cell * len(ROWS[0]) * EACH - 2 * GAP, (TARGET + GAP) * len(ROWS) - GAP)
    sheet = Image.new("RGB", size, "white")
    for row, tasks in enumerate(ROWS):
        for column, (task, number) in enumerate((task, number) for task in tasks for number in range(EACH)):
            square = Canvas(TARGET, TARGET)
            sample = draw_sample(FULL, task, number, square, Canvas(REFERENCE, REFERENCE), "new")
            left, top = column * cell, row * (TARGET + GAP)
            sheet.paste(sample.target, (left, top))
            height = min(REFERENCE, (TARGET - GAP // 2) // len(sample.references))
            for k, reference in enumerate(sample.references):
                small = reference.picture.resize((height, height), Image.Resampling.LANCZOS)
                sheet.paste(small, (left + TARGET + GAP // 2, top + k * (height + GAP // 2)))
    sheet.save(PLACE, quality=88)


if __name__ == "__main__":
    main()
