"""How fast references are prepared, and in how much memory: `python -m benchmarks.preparing`.

Each kind prepares product photos of several sizes, drawn and real, in one process and in two. `--bound N` prepares
N references of all kinds in one process and prints its memory on the way.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from core import registry
from core.asking import make_reference
from core.cards import ModelCard
from core.errors import BadInput
from core.preparing import prepare_reference
from core.settings import Settings

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos"

REAL = {"subject": "toy.jpg", "identity": "astronaut.jpg", "style": "mountain.jpg", "tryon": "dress.jpg"}
"""The photo that each kind is tried with, beside drawn ones where it can use them."""

SIDES = (512, 1024, 2048)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds by the clock and of its processor, and its largest size in bytes."""

    made: int
    refused: int
    clock: float
    processor: float
    peak: int


def pictures(kind: str, count: int) -> Iterator[bytes]:
    """`count` different files for a kind: its photo and drawn products, in turn at each size."""
    from PIL import Image

    photo = Image.open(PHOTOS / REAL[kind]).convert("RGB")
    for number in range(count):
        side = SIDES[number % len(SIDES)]
        drawn = kind == "subject" and number % 2
        picture = product(number, side) if drawn else photo.resize((side, side * photo.height // photo.width))
        picture.putpixel((0, 0), (number % 256, number // 256 % 256, 0))
        file = io.BytesIO()
        picture.save(file, "JPEG" if number % 3 else "PNG", quality=90)
        yield file.getvalue()


def product(number: int, side: int) -> Any:
    """A bottle on a soft ground, lit from one side."""
    from PIL import Image, ImageDraw, ImageFilter

    picture = Image.linear_gradient("L").resize((side, side)).point(lambda value: 200 + value // 5).convert("RGB")
    pen, unit = ImageDraw.Draw(picture), side / 16
    colour = ((37 * number) % 180, (91 * number) % 180, (53 * number) % 180)
    pen.ellipse((4 * unit, 13 * unit, 12 * unit, 14.5 * unit), fill=(175, 175, 175))
    picture = picture.filter(ImageFilter.GaussianBlur(unit / 3))
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((5 * unit, 5 * unit, 11 * unit, 14 * unit), unit, fill=colour)
    pen.rectangle((7 * unit, 2 * unit, 9 * unit, 5 * unit), fill=colour)
    pen.rectangle((5 * unit, 8 * unit, 11 * unit, 11 * unit), fill="white")
    return picture


def prepare(kind: str, files: Sequence[bytes]) -> tuple[int, int]:
    """Prepares them as a worker's child does; how many came out, and how many were refused."""
    settings = Settings.from_env()
    offer = registry.load(settings).kinds()[kind]
    card = ModelCard(name="benchmark", title="", generator="", reference_area=512 * 512, grid=16)
    made = 0
    for data in files:
        name = hashlib.sha256(data).hexdigest()[:8]
        reference, problems = make_reference("thing", data, f"{name}.jpg", offer, {}, settings, "options")
        BadInput.gather(problems)
        if reference is None:
            continue
        try:
            prepare_reference(data, reference, offer.condition, card, settings)
        except BadInput as error:
            print(f"  refused: {error}")
        else:
            made += 1
    return made, len(files) - made


def measured(kind: str, count: int) -> Cost:
    """One process's work, without what drawing the pictures takes."""
    files = list(pictures(kind, count))
    prepare(kind, files[:1])
    clock, processor = time.perf_counter(), time.process_time()
    made, refused = prepare(kind, files)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(made, refused, time.perf_counter() - clock, time.process_time() - processor, peak)


def throughput(kind: str, count: int, processes: int) -> None:
    """Prints a row of the table."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        costs = pool.starmap(measured, [(kind, count)] * processes)
    made = sum(cost.made for cost in costs)
    clock = max(cost.clock for cost in costs)
    processor = sum(cost.processor for cost in costs) / max(1, made)
    peak = max(cost.peak for cost in costs)
    refused = sum(cost.refused for cost in costs)
    print(
        f"| {kind} | {processes} | {made / clock:.1f} | {processor:.3f} | {peak / 2**20:.0f} |"
        + (f" {refused} refused" if refused else ""),
        flush=True,
    )


def growth(count: int, looks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Bytes of this process after so many references of all kinds in turn."""
    kinds = tuple(REAL)
    one = psutil.Process(os.getpid())
    for number in range(1, count + 1):
        kind = kinds[number % len(kinds)]
        # One that is drawn or resized just now: a list of all would be the memory that is looked for.
        prepare(kind, [next(iter(pictures(kind, 1)))] if number % 2 else list(pictures(kind, 2))[1:])
        if number in looks:
            yield number, one.memory_info().rss


def main() -> None:
    """Prints the table, or with `--bound` the memory of one long-lived process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="references a process")
    parser.add_argument("--bound", type=int, help="references in one process, whose memory is printed")
    told = parser.parse_args()
    if told.bound:
        looks = [told.bound * share // 10 for share in range(1, 11)]
        for number, size in growth(told.bound, looks):
            print(f"after {number:>5} references: {size / 2**20:.0f} MB", flush=True)
        return
    print("| kind | processes | references a second | processor seconds each | peak MB |\n|---|---|---|---|---|")
    for kind in REAL:
        for processes in (1, 2):
            throughput(kind, told.count, processes)


if __name__ == "__main__":
    main()
