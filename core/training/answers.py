"""What answers a sample: the model, its base, a naive paste, the drawing itself - each as an image to be read.

The model gets caption and references, the base everything in words. Who pastes has the base draw the empty place
and lays the references into it as they are: it shows what fidelity is worth where nothing was understood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random

from PIL import Image

from core.cards import ModelCard
from core.generation.dreamo import DreamO
from core.requests import Preparation, Reference, Request
from core.training.pasting import paste
from core.training.world import captions
from core.training.world.samples import Sample

MODEL, BASE, PASTE, DRAWINGS = "model", "base", "paste", "drawings"
SOURCES = (MODEL, BASE, PASTE, DRAWINGS)

Progressed = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """One image, of whom, and the sample that it answers."""

    source: str
    split: str
    sample: Sample
    picture: Image.Image


def produce(
    samples: Sequence[Sample], source: str, generator: DreamO | None, steps: int, progressed: Progressed
) -> list[Image.Image]:
    """An image for each sample; of the drawings, their own. Same sample, same noise, whoever makes it."""
    if generator is None:
        return [sample.target for sample in samples]
    numbers: dict[str, int] = {}
    asked, given = [], []
    for sample in samples:
        seed = numbers.setdefault(sample.task, 0)
        numbers[sample.task] += 1
        asked.append(request_of(sample, source, generator.card, steps, seed))
        given.append([Preparation(drawn.picture) for drawn in sample.references] if source == MODEL else [])
    pictures: list[Image.Image] = []
    chunk = 4 * generator.settings.batch_size
    for start in range(0, len(asked), chunk):
        part = slice(start, start + chunk)
        pictures += [image.picture for image in generator.generate(asked[part], given[part])]
        progressed(len(pictures), len(asked), f"made by the {source}")
    if source == PASTE:
        return [paste(sample, picture) for sample, picture in zip(samples, pictures, strict=True)]
    return pictures


def request_of(sample: Sample, source: str, card: ModelCard, steps: int, seed: int) -> Request:
    """What that source is asked for."""
    references = tuple(
        Reference(f"{drawn.kind}-{number}", drawn.kind, sha256(drawn.picture.tobytes()).hexdigest())
        for number, drawn in enumerate(sample.references, start=1)
    )
    return Request(
        model=card.name,
        prompt=prompt_of(sample, source),
        references=references if source == MODEL else (),
        width=sample.target.width,
        height=sample.target.height,
        seed=seed,
        steps=steps,
        guidance=card.guidance,
        first_step_guidance=card.first_step_guidance,
        true_cfg=card.true_cfg,
        negative_guidance=card.negative_guidance,
        true_cfg_start=card.true_cfg_start,
        true_cfg_end=card.true_cfg_end,
    )


def prompt_of(sample: Sample, source: str) -> str:
    """The caption; all in words; or, for who pastes, the place without its things."""
    if source == PASTE:
        empty = replace(sample.scene, things=())
        return captions.caption(empty, captions.NOTHING_GOVERNED, Random(f"{sample.scene.seed}/empty"))
    return sample.caption if source == MODEL else sample.spoken
