"""What an image of the shipped model takes, and what fewer steps and one pass take away.

    python -m benchmarks.mini [--images 12] [--threads 2]
    python -m benchmarks.mini --samples 100        what is kept of references, too

Times: one reference, one image at a time, each of its own seed; loading comes apart. Steps and true CFG are the
card's, then fewer steps and one pass, taking turns so that whatever else the machine does falls on all of them.
What is kept: the readers' judgement of the same unseen samples, with the paired difference to full sampling (95 %
bootstrap).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from core.cards import ModelCard, load_card
from core.generation.dreamo import DreamO
from core.requests import Preparation, Reference, Request
from core.settings import Settings
from core.training.answers import MODEL, Made, produce
from core.training.evaluation import Plan, draw, read
from core.training.measures import Interval, interval, measure
from core.training.world.readers import SHIPPED, load_readers
from core.training.world.samples import draw_alone
from core.training.world.scenes import Canvas
from core.training.world.truth import WORLDS, Look, Product

Way = tuple[int, float]
"""Steps and true CFG."""

TASKS = ("subject", "tryon")


def time_ways(card: ModelCard, settings: Settings, ways: list[Way], images: int) -> dict[Way, list[float]]:
    """Seconds of each image."""
    import torch

    mug = Product("mug", Look("red", "yellow", "dots", "none"), 0.5)
    given = [Preparation(draw_alone(mug, Canvas(96, 96), Random(0)))]
    start = time.perf_counter()
    generator = DreamO(card, settings, "cpu")
    _ = generator.model
    print(f"loaded in {time.perf_counter() - start:.1f} s, on {torch.get_num_threads()} threads\n")
    times: dict[Way, list[float]] = {way: [] for way in ways}
    reference = Reference("mug", "subject", "0" * 64)
    first = Request(card.name, "a mug from [ref#1] on the beach", (reference,), 128, 128, 0, 1, card.guidance)
    for seed in range(images + 1):
        for (steps, true_cfg), spent in times.items():
            request = replace(first, seed=seed, steps=steps, true_cfg=true_cfg)
            start = time.perf_counter()
            list(generator.generate([request], [given]))
            if seed:
                spent.append(time.perf_counter() - start)
    return times


def judge_ways(card: ModelCard, settings: Settings, ways: list[Way], count: int) -> dict[Way, list[float]]:
    """The fidelity of each image, the same samples in the same order; so many of each task."""
    samples = draw(Plan(card.name, WORLDS["small"], count, tasks=TASKS), lambda *_: None)["new"]
    readers = load_readers(SHIPPED / "small")
    found = {}
    for steps, true_cfg in ways:
        generator = DreamO(replace(card, true_cfg=true_cfg), settings, "cpu")
        pictures = produce(samples, MODEL, generator, steps, lambda *_: None)
        made = [Made(MODEL, "new", sample, one) for sample, one in zip(samples, pictures, strict=True)]
        seen = zip(samples, read(made, readers), strict=True)
        found[steps, true_cfg] = [measure(sample, looked)["fidelity"] for sample, looked in seen]
    return found


def told(value: Interval, sign: str = "") -> str:
    """Per cent, with its interval."""
    return f"{100 * value.mean:{sign}.0f} ({100 * value.low:{sign}.0f} to {100 * value.high:{sign}.0f})"


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12, help="timed, of each way")
    parser.add_argument("--samples", type=int, default=0, help="judged, of each task")
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), device="cpu")
        card = load_card("dreamo-mini", settings)
        full = (card.steps, card.true_cfg)
        ways = [full, (8, card.true_cfg), (6, card.true_cfg), (card.steps, 1.0), (8, 1.0), (4, 1.0)]
        times = time_ways(card, settings, ways, chosen.images)
        kept = judge_ways(card, settings, ways, chosen.samples) if chosen.samples else {}
    print("| steps | true CFG | seconds an image | slowest | fidelity | against full sampling |")
    print("|---|---|---|---|---|---|")
    for way, spent in times.items():
        line = f"| {way[0]} | {way[1]:g} | {statistics.median(spent):.2f} | {max(spent):.2f} |"
        if kept:
            apart = [one - other for one, other in zip(kept[way], kept[full], strict=True)]
            line += f" {told(interval(kept[way]))} | {told(interval(apart), '+') if way != full else ''} |"
        print(line)


if __name__ == "__main__":
    main()
