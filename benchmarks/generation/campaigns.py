"""A campaign's worth of images: of one shape with new prompts, and of many shapes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image as Pictures

from benchmarks.generation.sizes import FULL, Size, job_of
from core.cards import SHIPPED
from core.generation.batches import Job
from core.generation.denoising import denoise
from core.generation.dreamo import DreamO
from core.generation.model import Model
from core.generation.sequence import Grid
from core.generation.text import TextEncoders, Tokenizers
from core.recipes import encode_image
from core.requests import Image, Preparation, Reference, Request
from core.settings import Settings

PICTURES = [(1024, 1024), (832, 1216), (1216, 832), (768, 1344), (1344, 768), (896, 1152), (1152, 896)]
PROPORTIONS = [(32, 32), (36, 28), (28, 36), (40, 25), (25, 40), (30, 34), (34, 30), (44, 23)]
"""Rows and columns of tokens of references with other proportions: 972 to 1024 tokens."""

PRODUCTS = 10
CALL = 8
"""Images that a worker asks for in one call."""


def build_text(size: Size, device: str) -> TextEncoders:
    """T5-XXL and CLIP-L with random weights (small ones where the size is small), and a small vocabulary."""
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    wide, pooled = (size.transformer.get(name, usual) for name, usual in _WIDTHS.items())
    large = wide == _WIDTHS["joint_attention_dim"]
    t5 = T5Config(
        d_model=wide,
        d_kv=64,
        d_ff=10240 if large else 256,
        num_layers=24 if large else 2,
        num_heads=wide // 64,
        feed_forward_proj="gated-gelu",
    )
    clip = CLIPTextConfig(
        hidden_size=pooled,
        intermediate_size=4 * pooled,
        num_hidden_layers=12 if large else 2,
        num_attention_heads=pooled // 64,
        eos_token_id=2,
    )
    read = Tokenizers.read(SHIPPED / "dreamo-mini", size.text)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(size.precision(device))
    try:
        with torch.device(device):
            models = CLIPTextModel(clip).eval(), T5EncoderModel(t5).eval()
    finally:
        torch.set_default_dtype(usual)
    return TextEncoders(Tokenizers(read.clip, read.t5, size.text), *models)


_WIDTHS = {"joint_attention_dim": 4096, "pooled_projection_dim": 768}


def run_campaign(size: Size, model: Model, images: int, folder: Path, batch: int) -> dict[str, float]:
    """Makes images as a worker does, in calls of eight, each with its prompt and one of ten references; as PNG.

    Returns:
        Seconds an image: `image` in all, `denoise` of it, what goes into the rest (`spent_of`), and its share.
    """
    model.text = build_text(size, model.device)
    generator = DreamO(model.card, Settings(home=folder, batch_size=batch, cache_gb=1), model.device)
    generator.__dict__["model"] = model
    stamps: list[list[float]] = []

    def on_step(step: int, steps: int) -> None:
        stamps[-1].append(time.monotonic())

    def make(first: int, count: int) -> float:
        """Seconds of so many images."""
        stamps.clear()
        written: list[Future[int]] = []
        began = time.monotonic()
        with ThreadPoolExecutor(1) as saver:
            for at in range(first, first + count, CALL):
                asked = [_asked(size, number) for number in range(at, min(at + CALL, first + count))]
                requests, references = zip(*asked, strict=True)
                stamps.append([])
                made = generator.generate(list(requests), list(references), on_step)
                written += [saver.submit(_write, image, folder / f"{image.request.seed}.png") for image in made]
        for one in written:
            one.result()
        return time.monotonic() - began

    make(10_000, batch)
    seconds = make(0, images)
    spent = {name: told / images for name, told in spent_of(stamps, size.steps).items()}
    spent["calls"] = seconds / images - sum(spent.values())
    return {"image": seconds / images, **spent, "rest share": 1 - spent["denoise"] / (seconds / images)}


def spent_of(calls: Sequence[Sequence[float]], steps: int) -> dict[str, float]:
    """Where the seconds went between the first and the last step of each call.

    Args:
        calls: when each step was told, by call: on a GPU when the one before it is done.
        steps: of a batch.

    Returns:
        `denoise`: the median step as often as there are steps; `slower`: how much longer steps took, beside
        decoding; `between`: from a batch's last step to the second of the next, beyond two steps.
    """
    inside, between = [], []
    for told in calls:
        batches = [told[at : at + steps] for at in range(0, len(told), steps)]
        inside += [after - before for batch in batches for before, after in pairwise(batch[1:])]
        between += [following[1] - batch[-1] for batch, following in pairwise(batches)]
    step = statistics.median(inside)
    return {
        "denoise": step * sum(map(len, calls)),
        "slower": sum(inside) - step * len(inside),
        "between": sum(between) - 2 * step * len(between),
    }


def _write(image: Image, path: Path) -> int:
    return path.write_bytes(encode_image(image))


def _asked(size: Size, number: int) -> tuple[Request, list[Preparation]]:
    """The request of a number with a prompt of its own, and its reference: one of ten products."""
    draw = torch.Generator().manual_seed(number % PRODUCTS)
    levels = torch.randint(256, (size.reference, size.reference, 3), generator=draw, dtype=torch.uint8)
    picture = Pictures.fromarray(levels.numpy())
    reference = Reference("product", "subject", f"{number % PRODUCTS:064x}")
    request = replace(size.request(seed=number), prompt=f"a red mug {number} on a table", references=(reference,))
    return request, [Preparation(picture)]


def run_mixed(size: Size, model: Model) -> dict[str, float]:
    """One step of each of many shapes, all sizes with 0 to 3 references of changing proportions, twice.

    The first two shapes warm up.

    Returns:
        How many `shapes` came after them, how many graphs were `compiled` for these, and the milliseconds that a
        shape's `first` step took beyond its second, median and `worst`.
    """
    from torch._dynamo.utils import counters

    jobs = list(_mixed_jobs(size, model))
    for job in jobs[:2]:
        _one_step(job, model)
    known, extra = counters["stats"]["unique_graphs"], []
    for job in jobs[2:]:
        first, second = _one_step(job, model), _one_step(job, model)
        extra.append(1e3 * (first - second))
    compiled = counters["stats"]["unique_graphs"] - known
    return {"shapes": len(extra), "compiled": compiled, "first": statistics.median(extra), "worst": max(extra)}


def _mixed_jobs(size: Size, model: Model) -> Iterator[Job]:
    for number, (width, height) in enumerate(PICTURES * 4):
        grids = [Grid(*(PROPORTIONS * 2)[number % 8 + k]) for k in range(number % 4)]
        smaller = size.side / FULL.side
        grids = [Grid(max(1, int(grid.rows * smaller)), max(1, int(grid.columns * smaller))) for grid in grids]
        sides = [int(side * smaller) // 16 * 16 for side in (width, height)]
        yield job_of(size, grids, model, replace(size.request(), width=sides[0], height=sides[1], steps=1))


def _one_step(job: Job, model: Model) -> float:
    """Seconds of a job of one step."""
    began = time.perf_counter()
    *_, latent = denoise([job], model)
    float(latent.sum())
    return time.perf_counter() - began
