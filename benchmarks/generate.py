"""How long one image takes: denoising and the rest apart, beside plain diffusers with the same tokens.

    python -m benchmarks.generate                 the full architecture on a GPU, a scaled-down one on a CPU
    python -m benchmarks.generate --references 0 1 2 3 --modes resident fp8 --json

Weights are random, so nothing is fetched: they measure speed as well as real ones. Figures are medians after a
warm-up; `floor` is the time that the products of matrices and attention alone would take at the rates given by
--matmul and --attention (TFLOP/s; one H200 in bfloat16 by default).
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor

from core.cards import ModelCard
from core.generation import memory
from core.generation.batches import Job, layout_of
from core.generation.decoding import decode, encode, to_picture
from core.generation.denoising import denoise
from core.generation.model import Model
from core.generation.schedule import Schedule, euler_step
from core.generation.sequence import Grid, Layout, RoleVectors, position_ids
from core.generation.text import Words
from core.generation.transformer import DreamOTransformer
from core.recipes import encode_image
from core.requests import Image, Request


@dataclass(frozen=True)
class Size:
    """An architecture and a shape to measure."""

    name: str
    transformer: dict[str, Any]
    vae: tuple[int, ...]
    text: int
    side: int
    reference: int
    steps: int


FULL = Size("FLUX.1-dev", {"guidance_embeds": True}, (128, 256, 512, 512), 512, 1024, 512, 12)
SMALL = Size(
    "scaled down",
    {
        "guidance_embeds": True,
        "num_layers": 2,
        "num_single_layers": 4,
        "num_attention_heads": 4,
        "attention_head_dim": 64,
        "joint_attention_dim": 128,
        "pooled_projection_dim": 64,
        "axes_dims_rope": (8, 28, 28),
    },
    (16, 32, 64, 64),
    64,
    256,
    128,
    4,
)


VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 16,
    "norm_num_groups": 16,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


@dataclass(frozen=True)
class Figure:
    """Seconds, of one image unless said otherwise."""

    mode: str
    references: int
    tokens: int
    step: float
    denoise: float
    encode_reference: float
    decode: float
    file: float
    plain_denoise: float | None
    peak_gb: float | None
    floor: float | None

    @property
    def image(self) -> float:
        """A further image of a campaign: references are encoded already."""
        return self.denoise + self.decode + self.file


def build(size: Size, device: str, mode: str) -> Model:
    """The size's models with random weights, placed as the mode says."""
    precision = torch.float32 if device == "cpu" else torch.bfloat16
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(precision)
    try:
        with torch.device("cpu" if mode in ("model", "group") else device):
            transformer = DreamOTransformer(**size.transformer).eval().requires_grad_(requires_grad=False)
            vae = AutoencoderKL(**VAE, block_out_channels=size.vae).eval()
    finally:
        torch.set_default_dtype(usual)
    plan = memory.Plan(mode, "asked for", device)
    memory.place(transformer, plan, device)
    width = transformer.inner_dim
    roles = RoleVectors(torch.randn(2, width), torch.randn(10, width))
    card = ModelCard(name=size.name, title="", generator="dreamo")
    nothing: Any = None
    return Model(card, device, precision, plan, Schedule(), nothing, vae, transformer, roles, {})


def job_of(size: Size, references: int, model: Model) -> Job:
    """One request with random text and references of the size's area."""
    request = Request(size.name, "", (), size.side, size.side, 1, size.steps, 4.5)
    grid = Grid.of_pixels(size.reference, size.reference)
    config = model.transformer.config
    words = Words(torch.randn(size.text, config.joint_attention_dim), torch.randn(config.pooled_projection_dim))
    tokens = torch.randn(references * grid.tokens, config.in_channels) if references else None
    assert model.roles is not None
    layout = layout_of(request, size.text, [grid] * references)
    return Job(0, request, layout, words, tokens, (model.roles,) * references, None)


def plain(model: Model, job: Job) -> Callable[[], Tensor]:
    """The transformer of diffusers, eager, with the same weights and the same tokens."""
    theirs = FluxTransformer2DModel.from_config(model.transformer.config).to("meta")
    theirs.load_state_dict(model.transformer.state_dict(), assign=True)
    theirs.eval()
    layout: Layout = job.layout
    ids = position_ids(layout).to(model.device)
    at: dict[str, Any] = {"device": model.device, "dtype": model.precision}
    text, pooled = job.words.text_TE[None].to(**at), job.words.pooled_P[None].to(**at)
    guidance = torch.full((1,), job.request.guidance, **at)
    fixed = torch.randn(1, layout.reference_tokens, theirs.config.in_channels, **at)
    sigmas = model.schedule.sigmas(job.request.steps, layout.noisy.tokens)

    @torch.no_grad()
    def run() -> Tensor:
        latent = torch.randn(1, layout.noisy.tokens, theirs.config.in_channels, device=model.device)
        for sigma, following in pairwise(sigmas):
            velocity = theirs(
                hidden_states=torch.cat([latent.to(model.precision), fixed], dim=1),
                timestep=torch.full((1,), sigma, **at),
                guidance=guidance,
                encoder_hidden_states=text,
                pooled_projections=pooled,
                txt_ids=ids[: layout.text],
                img_ids=ids[layout.text :],
                return_dict=False,
            )[0][:, : layout.noisy.tokens]
            latent = euler_step(latent, velocity.float(), sigma, following)
        return latent

    return run


def denoised(job: Job, model: Model) -> Tensor:
    """The latent of one job, as in a campaign: the transformer comes to the device where the plan says so."""
    with model.denoising():
        *_, latent = denoise([job], model)
    return latent[0]


def measure(work: Callable[[], Any], device: str, times: int) -> float:
    """Median seconds of `times` calls after one that warms up."""
    seconds = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def floor_of(size: Size, tokens: int, model: Model, matmul: float, attention: float) -> float:
    """Seconds that linear layers (24 W² FLOP a token and block) and attention (4 W N² a block) can't go below."""
    config = model.transformer.config
    blocks, width = config.num_layers + config.num_single_layers, model.transformer.inner_dim
    linear = 24 * width**2 * blocks * tokens
    mixing = 4 * width * blocks * tokens**2
    return float(size.steps * (linear / (matmul * 1e12) + mixing / (attention * 1e12)))


def figure(size: Size, mode: str, references: int, model: Model, options: argparse.Namespace) -> Figure:
    """Measures one mode with so many references."""
    job = job_of(size, references, model)
    gpu = model.device.startswith("cuda")
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = measure(lambda: denoised(job, model), model.device, options.times)
    peak = torch.cuda.max_memory_allocated() / 1e9 if gpu else None
    latent = denoised(job, model)
    decoded = measure(lambda: to_picture(decode(latent, job.request, model)), model.device, options.times)
    picture = to_picture(decode(latent, job.request, model))
    small = picture.resize((size.reference, size.reference))
    compare = mode == "resident" and not options.no_plain
    return Figure(
        mode=mode,
        references=references,
        tokens=job.layout.tokens,
        step=seconds / size.steps,
        denoise=seconds,
        encode_reference=measure(lambda: encode(small, model), model.device, options.times),
        decode=decoded,
        file=measure(lambda: encode_image(Image(picture, job.request)), model.device, options.times),
        plain_denoise=measure(plain(model, job), model.device, options.times) if compare else None,
        peak_gb=peak,
        floor=floor_of(size, job.layout.tokens, model, options.matmul, options.attention) if gpu else None,
    )


def show(figures: Sequence[Figure]) -> None:
    """A table for people."""
    print("mode       refs tokens    step  denoise  decode    file   image   plain  ratio  floor   GB")
    for one in figures:
        ratio = f"{one.plain_denoise / one.denoise:6.2f}" if one.plain_denoise else "     -"
        usual = f"{one.plain_denoise:7.3f}" if one.plain_denoise else "      -"
        share = f"{one.floor / one.denoise:5.0%}" if one.floor else "    -"
        peak = f"{one.peak_gb:5.1f}" if one.peak_gb else "    -"
        print(
            f"{one.mode:10} {one.references:4} {one.tokens:6} {one.step:7.4f} {one.denoise:8.3f} "
            f"{one.decode:7.3f} {one.file:7.3f} {one.image:7.3f} {usual} {ratio} {share:>6} {peak}"
        )


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """The program; returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", choices=("auto", "full", "small"), default="auto")
    parser.add_argument("--references", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--modes", nargs="+", default=["resident"], choices=memory.MODES[1:])
    parser.add_argument("--times", type=int, default=3, help="calls after the warm-up")
    parser.add_argument("--matmul", type=float, default=790.0)
    parser.add_argument("--attention", type=float, default=632.0)
    parser.add_argument("--no-plain", action="store_true", help="leave out plain diffusers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    device = memory.resolve_device(options.device)
    small = options.size == "small" or (options.size == "auto" and device == "cpu")
    size = SMALL if small else FULL
    figures = []
    for mode in options.modes:
        model = build(size, device, mode)
        figures += [figure(size, mode, references, model, options) for references in options.references]
        del model
        gc.collect()
    versions = {"torch": torch.__version__, "device": device, "size": size.name, "steps": size.steps}
    if device.startswith("cuda"):
        versions["card"] = torch.cuda.get_device_name(device)
    if options.json:
        print(
            json.dumps({**versions, "figures": [{**asdict(one), "image": one.image} for one in figures]}, indent=2)
        )
    else:
        print(", ".join(f"{name} {value}" for name, value in versions.items()))
        show(figures)
    return figures


if __name__ == "__main__":
    main()
