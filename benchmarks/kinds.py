"""Does a palette decide colours? `python -m benchmarks.kinds kinds/palette/run/roles [--card CARD.toml]`.

Unseen palette samples, made by the model without the reference, with the reference under DreamO's own role, and
under the role that `dreamline train kind` learnt; with `--card` also by the model with the kind's adapter. Words
and noise are the same each time. The small world's readers say what colours the product has: per cent, with 95 %
bootstrap intervals, beside what the drawings themselves read as.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from core.cards import ModelCard, load_card
from core.generation.dreamo import DreamO
from core.requests import DREAMO_ROLE, Preparation, Reference, Request, Role
from core.settings import Settings
from core.training.data.entries import without_placeholders
from core.training.measures import gathered
from core.training.world.readers import SHIPPED, Readers, load_readers
from core.training.world.reading import PRODUCT, truth_of
from core.training.world.samples import Canvas, Sample
from core.training.world.swatches import PALETTE, draw_palette_sample
from core.training.world.truth import SMALL

NAMES = ("colour", "second", "both", "pattern", "emblem", "kind")
SQUARE, CARD = Canvas(128, 128), Canvas(96, 96)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roles", type=Path)
    parser.add_argument("--base", default="dreamo-mini")
    parser.add_argument("--card", type=Path)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--threads", type=int)
    told = parser.parse_args()
    if told.threads:
        torch.set_num_threads(told.threads)
    readers = load_readers(SHIPPED / SMALL.name)
    role = Role({path.stem: path for path in sorted(told.roles.glob("*.safetensors"))})
    samples = [draw_palette_sample(SMALL, PALETTE, number, SQUARE, CARD, "new") for number in range(told.samples)]
    print("| made by | " + " | ".join(NAMES) + " |\n|---|" + "---:|" * len(NAMES))
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), device="cpu")
        base = load_card(told.base, settings)
        ways: list[tuple[str, ModelCard, Role | None]] = [
            ("without the reference", base, None),
            ("with DreamO's role", base, DREAMO_ROLE),
            ("with the kind's role", base, role),
        ]
        if told.card:
            ways.append(("with role and adapter", load_card(str(told.card), settings), role))
        for name, card, given in ways:
            show(name, samples, made(samples, card, given, settings), readers)
    show("drawings (ceiling)", samples, [sample.target for sample in samples], readers)


def made(samples: Sequence[Sample], card: ModelCard, role: Role | None, settings: Settings) -> list[Image.Image]:
    """An image for each; without a role, without the reference."""
    reference = Reference("card", PALETTE, "0" * 64)
    requests = [
        Request(
            card.name,
            sample.caption if role else without_placeholders(sample.caption),
            (reference,) if role else (),
            *SQUARE.size,
            seed=number,
            steps=card.steps,
            guidance=card.guidance,
            true_cfg=card.true_cfg,
            negative_guidance=card.negative_guidance,
        )
        for number, sample in enumerate(samples)
    ]
    prepared = [
        [Preparation(sample.references[0].picture, role=role)] if role is not None else [] for sample in samples
    ]
    generator, pictures = DreamO(card, settings, "cpu"), []
    for start in range(0, len(requests), 16):
        part = slice(start, start + 16)
        pictures += [image.picture for image in generator.generate(requests[part], prepared[part])]
    return pictures


def show(name: str, samples: Sequence[Sample], pictures: Sequence[Image.Image], readers: Readers) -> None:
    """A row of the table."""
    measured = []
    for sample, (seen,) in zip(samples, readers.things(pictures, PRODUCT, 1), strict=True):
        truth = truth_of(sample.scene.things[0].thing)
        found = {one: float(seen[one] == truth[one]) for one in NAMES if truth.get(one) is not None}
        found["both"] = float(all(found.get(one, 1.0) for one in ("colour", "second")))
        measured.append(found)
    rates = gathered(measured)
    cells = [
        f"{100 * rates[one].mean:.0f} ({100 * rates[one].low:.0f}-{100 * rates[one].high:.0f})" for one in NAMES
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
