"""Architectures to measure with random weights: FLUX.1-dev's own, and one scaled down for processors."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from benchmarks.generation.mapped import mapped_transformer
from core.cards import ModelCard
from core.generation import memory
from core.generation.batches import Job, layout_of
from core.generation.model import Model
from core.generation.schedule import Schedule
from core.generation.sequence import Grid, RoleVectors
from core.generation.text import Words
from core.generation.transformer import DreamOTransformer
from core.requests import Request


@dataclass(frozen=True)
class Size:
    """An architecture, and the shape of an image: sides in pixels, the text in tokens.

    `half`: whether processors, too, compute in bfloat16. `weights`: the file that holds the transformer's.
    """

    name: str
    transformer: dict[str, Any]
    vae: tuple[int, ...]
    text: int
    side: int
    reference: int
    steps: int
    half: bool = False
    weights: Path | None = None

    def precision(self, device: str) -> torch.dtype:
        return torch.float32 if device == "cpu" and not self.half else torch.bfloat16

    def request(self, seed: int = 1, prompt: str = "", width: int = 0, height: int = 0) -> Request:
        """One image of this size, or of other sides."""
        return Request(self.name, prompt, (), width or self.side, height or self.side, seed, self.steps, 4.5)


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


def build_transformer(size: Size, device: str) -> DreamOTransformer:
    """The same random weights at every call."""
    if size.weights is not None:
        return mapped_transformer(size.transformer, size.weights)
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(size.precision(device))
    try:
        with torch.device(device):
            return DreamOTransformer(**size.transformer).eval().requires_grad_(requires_grad=False)  # type: ignore[no-any-return]
    finally:
        torch.set_default_dtype(usual)


def build_vae(size: Size, device: str) -> Any:
    torch.manual_seed(0)
    return nn.Module.to(AutoencoderKL(**VAE, block_out_channels=size.vae), device, size.precision(device)).eval()


def build_model(size: Size, device: str, mode: str, transformer: Any = None, text: Any = None) -> Model:
    """A model as a campaign has it, laid out as the mode says; or around a transformer that is there."""
    plan = memory.Plan(mode, "asked for", device)
    if transformer is None:
        where = "cpu" if mode in ("model", "group") else device
        transformer = memory.place(build_transformer(size, where), plan, device)
    vae = build_vae(size, "cpu" if mode in ("model", "group") else device)
    width = transformer.inner_dim
    torch.manual_seed(1)
    roles = RoleVectors(torch.randn(2, width), torch.randn(10, width)).to(device)
    card = ModelCard(name=size.name, title="", generator="dreamo")
    facts: dict[str, Any] = {"text": size.name, "vae": size.name}
    return Model(card, device, size.precision(device), plan, Schedule(), text, vae, transformer, roles, facts)


def job_of(
    size: Size, references: list[Grid], model: Model, request: Request | None = None, share: float = 1
) -> Job:
    """One request with random text and references of these grids, of whose tokens a share is kept."""
    request = request or size.request()
    config = model.transformer.config
    torch.manual_seed(request.seed)
    words = Words(torch.randn(size.text, config.joint_attention_dim), torch.randn(config.pooled_projection_dim))
    count = sum(grid.tokens for grid in references)
    kept = tuple(range(round(count * share))) if share < 1 else None
    layout = layout_of(request, size.text, references, kept)
    tokens = torch.randn(layout.reference_tokens, config.in_channels) if references else None
    assert model.roles is not None
    return Job(0, request, layout, words, tokens, (model.roles,) * len(references), None)


def square(size: Size, count: int) -> list[Grid]:
    """References of the size's own area."""
    return [Grid.of_pixels(size.reference, size.reference)] * count


def free() -> None:
    """Hands memory back between two models."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
