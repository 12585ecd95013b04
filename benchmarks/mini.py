"""What an image of the shipped model takes: `python -m benchmarks.mini [--images 12] [--threads 2]`.

One reference, one image at a time, each of its own seed; loading comes apart. Steps and true CFG are the card's,
then fewer steps and one pass, taking turns so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from core.cards import load_card
from core.generation.dreamo import DreamO
from core.requests import Preparation, Reference, Request
from core.settings import Settings
from core.training.world.samples import draw_alone
from core.training.world.scenes import Canvas
from core.training.world.truth import Look, Product


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--threads", type=int)
    told = parser.parse_args()
    if told.threads:
        torch.set_num_threads(told.threads)
    mug = Product("mug", Look("red", "yellow", "dots", "none"), 0.5)
    given = [Preparation(draw_alone(mug, Canvas(96, 96), Random(0)))]
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), device="cpu")
        card = load_card("dreamo-mini", settings)
        start = time.perf_counter()
        generator = DreamO(card, settings, "cpu")
        _ = generator.model
        print(f"loaded in {time.perf_counter() - start:.1f} s, on {torch.get_num_threads()} threads\n")
        kinds = {(card.steps, card.true_cfg), (card.steps, 1.0), (8, card.true_cfg), (8, 1.0), (4, 1.0)}
        times: dict[tuple[int, float], list[float]] = {kind: [] for kind in sorted(kinds, reverse=True)}
        reference = Reference("mug", "subject", "0" * 64)
        first = Request(card.name, "a mug from [ref#1] on the beach", (reference,), 128, 128, 0, 1, card.guidance)
        for seed in range(told.images + 1):
            for (steps, true_cfg), spent in times.items():
                request = replace(first, seed=seed, steps=steps, true_cfg=true_cfg)
                start = time.perf_counter()
                list(generator.generate([request], [given]))
                if seed:
                    spent.append(time.perf_counter() - start)
    print("| steps | true CFG | seconds an image | slowest |\n|---|---|---|---|")
    for (steps, true_cfg), spent in times.items():
        print(f"| {steps} | {true_cfg:g} | {statistics.median(spent):.2f} | {max(spent):.2f} |")


if __name__ == "__main__":
    main()
