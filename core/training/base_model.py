"""A base: transformer, autoencoder and text encoders, built or read, and written as diffusers lays them out.

What is written here is read by `core.generation` as it reads FLUX.1-dev.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.generation.model import quiet
from core.generation.text import PLACEHOLDERS, Tokenizers, add_words
from core.generation.transformer import DreamOTransformer
from core.training.autoencoder import build_autoencoder
from core.training.recipes import NewBase
from core.training.texts import build_clip, build_t5, write_json, write_tokenizers

SPREAD = 0.02
"""Standard deviation of roles and placeholders before they are trained."""


@dataclass
class Base:
    """The parts of one base, float32. T5 has DreamO's ten rows behind its own words."""

    transformer: DreamOTransformer
    vae: Any
    clip: Any
    t5: Any
    tokenizers: Tokenizers


def build_base(
    plan: NewBase, words: Sequence[str], picture_B3HW: Tensor, folder: Path, shift: float = 1.0
) -> Base:
    """An untrained base whose tokenizers know these words, and whose encoder knows these pictures.

    Tokenizers and schedule are written to `folder` at once.
    """
    write_tokenizers(words, plan.text, folder)
    write_schedule(folder, shift)
    tokenizers = Tokenizers.read(folder, plan.text.length)
    t5 = build_t5(len(tokenizers.t5), plan.text)
    clip = build_clip(tokenizers.clip, plan.text)
    vae = build_autoencoder(plan.autoencoder, picture_B3HW)
    return Base(build_transformer(plan), vae, clip, t5, tokenizers)


def build_transformer(plan: NewBase) -> DreamOTransformer:
    """An untrained FLUX of this shape, whose blocks change nothing yet: gates and head start at 0."""
    shape = plan.transformer
    transformer: DreamOTransformer = DreamOTransformer(
        patch_size=1,
        in_channels=4 * plan.autoencoder.latent,
        num_layers=shape.double,
        num_single_layers=shape.single,
        attention_head_dim=shape.head,
        num_attention_heads=shape.heads,
        joint_attention_dim=plan.text.t5_width,
        pooled_projection_dim=plan.text.clip_width,
        guidance_embeds=False,
        axes_dims_rope=shape.axes,
    )
    with torch.no_grad():
        for block in transformer.transformer_blocks:
            for modulation in (block.norm1, block.norm1_context):
                silence(modulation.linear)
        for block in transformer.single_transformer_blocks:
            silence(block.norm.linear)
        silence(transformer.norm_out.linear)
        silence(transformer.proj_out)
    return transformer


def silence(linear: torch.nn.Linear) -> None:
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)


def write_schedule(folder: Path, shift: float) -> None:
    """Steps as uneven as the noise levels in training, whatever the picture's size."""
    config = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": shift,
        "use_dynamic_shifting": False,
    }
    (folder / "scheduler").mkdir(parents=True, exist_ok=True)
    write_json(folder / "scheduler" / "scheduler_config.json", config)


def save_base(base: Base, folder: Path, precision: torch.dtype = torch.bfloat16) -> None:
    """Writes the weights below a folder that has tokenizers and schedule already.

    The autoencoder stays in float32: its encoder cancels large numbers.
    """
    parts: dict[str, tuple[Any, torch.dtype]] = {
        "transformer": (base.transformer, precision),
        "vae": (base.vae, torch.float32),
        "text_encoder": (base.clip, precision),
        "text_encoder_2": (base.t5, precision),
    }
    for name, (module, kept) in parts.items():
        before = next(module.parameters()).dtype
        torch.nn.Module.to(module, kept)
        with quiet():
            module.save_pretrained(folder / name, safe_serialization=True)
        torch.nn.Module.to(module, before)


def read_base(folder: Path, length: int, *, placeholders: bool = True) -> Base:
    """Reads a base folder in float32; a T5 without rows for the placeholders gets ten, drawn with spread 0.02.

    Raises:
        OSError: a file is missing.
    """
    from diffusers import AutoencoderKL
    from transformers import CLIPTextModel, T5EncoderModel

    tokenizers = Tokenizers.read(folder, length, placeholders=placeholders)
    said = {"local_files_only": True, "dtype": torch.float32}
    with quiet():
        clip = CLIPTextModel.from_pretrained(folder / "text_encoder", **said)
        t5 = T5EncoderModel.from_pretrained(folder / "text_encoder_2", **said)
        vae = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True, torch_dtype=torch.float32)
        transformer = DreamOTransformer.from_pretrained(
            folder / "transformer", local_files_only=True, torch_dtype=torch.float32
        )
    rows, width = t5.get_input_embeddings().weight.shape
    if placeholders and rows != len(tokenizers.t5):
        rows_KE = SPREAD * torch.randn(len(PLACEHOLDERS), width, generator=torch.Generator().manual_seed(0))
        add_words(t5, rows_KE, len(tokenizers.t5) - len(PLACEHOLDERS))
    return Base(transformer, vae, clip, t5, tokenizers)
