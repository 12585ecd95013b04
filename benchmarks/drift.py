"""How far an approximate mode is from exact: `python -m benchmarks.drift --mode not-white [--images 100]`.

Samples of the drawn world become the same requests twice, made exactly and approximately, one image at a time.
Pixels are held against pixels, and for a model that knows the drawn world its readers say what either kept of the
references. These are drawn on white; what is not white, or enclosed, counts as what a mask keeps, as if they had
been cut out. On a canvas of the drawing's own shape hardly any white is far enough from the drawing to be left out
at dreamo-mini's size; `--reference 128x64` leaves more beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isqrt
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from PIL.Image import Image as Picture

from core.cards import ModelCard, load_card
from core.generation.batches import layout_of
from core.generation.dreamo import DreamO
from core.generation.memory import resolve_device
from core.generation.sequence import Grid
from core.generation.white_ground import WHITE, kept_tokens
from core.requests import Preparation, Request
from core.settings import Settings
from core.training.answers import MODEL, Made, request_of
from core.training.evaluation import read
from core.training.measures import Interval, interval, measure
from core.training.world.readers import SHIPPED, load_readers
from core.training.world.samples import Canvas, Sample, draw_sample
from core.training.world.truth import WORLDS

TASKS = ("subject", "tryon", "identity", "two-subjects")
NOT_WHITE = "not-white"
MODES: dict[str, dict[str, Any]] = {NOT_WHITE: {"reference_tokens": NOT_WHITE}, "fp8": {"memory": "fp8"}}


@dataclass(frozen=True, slots=True)
class Case:
    """A sample, what it asks of the model, and its references as a campaign has them."""

    sample: Sample
    request: Request
    given: tuple[Preparation, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One case made both ways.

    Attributes:
        tokens: of the sequence, exact and approximate.
        references: tokens of its references.
        mean, square, worst: of the distances of its pixels (0 to 255), of their squares, the farthest.
        fidelity: share of what the references decide that readers see, exact and approximate; empty: no readers.
    """

    task: str
    tokens: tuple[int, int]
    references: int
    mean: float
    square: float
    worst: int
    fidelity: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What came of the images of one task, or of all.

    Attributes:
        tokens, approximate_tokens: of the whole sequence, mean.
        dropped: share of the references' tokens that is left out.
        mean, worst_image, worst_pixel: distances of pixels, 0 to 255: over all images; the mean of the image that
            is farthest; of the pixel that is farthest.
        psnr: decibels, over all images; None where nothing differs.
        difference: of the fidelities, image by image: approximate less exact; None without readers.
    """

    task: str
    images: int
    tokens: float
    approximate_tokens: float
    dropped: float
    mean: float
    worst_image: float
    worst_pixel: int
    psnr: float | None
    fidelity: Interval | None
    approximate_fidelity: Interval | None
    difference: Interval | None


def main(argv: Sequence[str] | None = None) -> list[Row]:
    told = read_options(argv)
    device = resolve_device(told.device)
    with tempfile.TemporaryDirectory() as home:
        own = Settings.from_env()
        # One image a batch: what differs comes from the mode, and nothing from batch mates.
        settings = replace(own, home=Path(home), models=own.models_folder, batch_size=1)
        settings = replace(settings, memory="auto", reference_tokens="all")
        card = load_card(told.model, settings)
        cases = draw_cases(card, told.images, told.steps or card.steps, told.reference)
        generator = DreamO(card, settings, device)
        text = generator.model.text.tokenizers.length
        exact = made(cases, generator)
        del generator
        approximate = made(cases, DreamO(card, replace(settings, **MODES[told.mode]), device))
    tokens = [counted(case, text, told.mode) for case in cases]
    rows = rows_of(paired(cases, tokens, exact, approximate, card))
    if told.json:
        print(json.dumps({**vars(told), "device": device, "rows": [asdict(row) for row in rows]}, indent=1))
    else:
        show(rows)
    return rows


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dreamo-mini")
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--reference", metavar="WxH", help="size of each reference [the card's area, square]")
    parser.add_argument("--steps", type=int, help="[the card's]")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def draw_cases(card: ModelCard, images: int, steps: int, reference: str | None) -> list[Case]:
    """Unseen samples, the tasks taking turns, of the world that the card knows."""
    side = isqrt(card.area)
    small = isqrt(card.reference_area)
    width, height = map(int, reference.split("x")) if reference else (small, small)
    cases = []
    for number in range(images):
        task, seed = TASKS[number % len(TASKS)], number // len(TASKS)
        world = WORLDS[card.world or "small"]
        sample = draw_sample(world, task, seed, Canvas(side, side), Canvas(width, height), "new")
        given = tuple(Preparation(drawn.picture, cut_out(drawn.picture)) for drawn in sample.references)
        cases.append(Case(sample, request_of(sample, MODEL, card, steps, seed), given))
    return cases


def cut_out(picture: Picture) -> Picture:
    """The mask of what is drawn on white: 0 where white reaches in from the border, else 255."""
    white_HW = (np.asarray(picture) >= WHITE).all(-1)
    framed = ImageOps.expand(Image.fromarray(np.where(white_HW, 255, 0).astype(np.uint8)), 1, fill=255)
    ImageDraw.floodfill(framed, (0, 0), 128)
    return Image.fromarray(np.where(np.asarray(framed)[1:-1, 1:-1] == 128, 0, 255).astype(np.uint8))


def made(cases: Sequence[Case], generator: DreamO) -> list[Picture]:
    """An image for each."""
    asked, given = [case.request for case in cases], [case.given for case in cases]
    return [image.picture for image in generator.generate(asked, given)]


def counted(case: Case, text: int, mode: str) -> tuple[int, int]:
    """Tokens of the sequence, exact and approximate."""
    grids = [Grid.of_pixels(*one.picture.size) for one in case.given]
    kept = kept_tokens(case.given) if mode == NOT_WHITE else None
    return layout_of(case.request, text, grids).tokens, layout_of(case.request, text, grids, kept).tokens


def paired(
    cases: Sequence[Case],
    tokens: Sequence[tuple[int, int]],
    exact: Sequence[Picture],
    approximate: Sequence[Picture],
    card: ModelCard,
) -> list[Pair]:
    """Each case's two images held against each other."""
    fidelities = [fidelity_of(cases, pictures, card) for pictures in (exact, approximate)]
    pairs = []
    for at, case in enumerate(cases):
        apart_HWC = np.abs(np.asarray(exact[at], np.int64) - np.asarray(approximate[at], np.int64))
        references = sum(Grid.of_pixels(*one.picture.size).tokens for one in case.given)
        distances = float(apart_HWC.mean()), float((apart_HWC**2).mean()), int(apart_HWC.max())
        seen = tuple(one[at] for one in fidelities if one)
        pairs.append(Pair(case.sample.task, tokens[at], references, *distances, seen))
    return pairs


def fidelity_of(cases: Sequence[Case], pictures: Sequence[Picture], card: ModelCard) -> list[float]:
    """What readers see of the references in each image; empty for models that don't know the drawn world."""
    if not card.world:
        return []
    answers = [Made(MODEL, "new", case.sample, one) for case, one in zip(cases, pictures, strict=True)]
    seen = read(answers, load_readers(SHIPPED / card.world))
    return [measure(one.sample, looked)["fidelity"] for one, looked in zip(answers, seen, strict=True)]


def rows_of(pairs: Sequence[Pair]) -> list[Row]:
    """One of all images, then one of each task."""
    tasks = dict.fromkeys(pair.task for pair in pairs)
    return [row_of("all", pairs), *(row_of(task, [one for one in pairs if one.task == task]) for task in tasks)]


def row_of(task: str, pairs: Sequence[Pair]) -> Row:
    exact, approximate = np.array([pair.tokens for pair in pairs]).T
    square = mean([pair.square for pair in pairs])
    seen = np.array([pair.fidelity for pair in pairs]).T if pairs[0].fidelity else None
    return Row(
        task=task,
        images=len(pairs),
        tokens=float(exact.mean()),
        approximate_tokens=float(approximate.mean()),
        dropped=float((exact - approximate).sum()) / sum(pair.references for pair in pairs),
        mean=mean([pair.mean for pair in pairs]),
        worst_image=max(pair.mean for pair in pairs),
        worst_pixel=max(pair.worst for pair in pairs),
        psnr=10 * math.log10(255**2 / square) if square else None,
        fidelity=None if seen is None else interval(seen[0]),
        approximate_fidelity=None if seen is None else interval(seen[1]),
        difference=None if seen is None else interval(seen[1] - seen[0]),
    )


def show(rows: Sequence[Row]) -> None:
    """A table in Markdown."""
    print(
        "| task | images | tokens | of the references left out | distance of pixels (0-255) | farthest image, "
        "pixel | PSNR | fidelity, exact | approximate | difference |\n|---|" + "---:|" * 9
    )
    for row in rows:
        psnr = "same" if row.psnr is None else f"{row.psnr:.1f} dB"
        read_off = [cell(one) for one in (row.fidelity, row.approximate_fidelity, row.difference)]
        print(
            f"| {row.task} | {row.images} | {row.tokens:.0f} → {row.approximate_tokens:.0f} | {row.dropped:.0%} "
            f"| {row.mean:.2f} | {row.worst_image:.1f}, {row.worst_pixel} | {psnr} | {' | '.join(read_off)} |"
        )


def cell(share: Interval | None) -> str:
    """Per cent with the interval."""
    return "" if share is None else f"{100 * share.mean:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"


if __name__ == "__main__":
    main()
