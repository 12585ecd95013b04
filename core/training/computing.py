"""How a device computes a training step fastest: its precision, its attention, its blocks compiled."""

from __future__ import annotations

from typing import Any, Literal

import torch

from core.generation.compiling import has_compiler
from core.generation.transformer import JointAttention

Precision = Literal["float32", "bfloat16", "fastest"]


def has_bfloat16(kind: str) -> bool:
    """Whether a device of this kind (`cpu`, `cuda`) multiplies in bfloat16 faster than in float32.

    Processors without such instructions emulate them at a fifth of the speed.
    """
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(precision: Precision, kind: str) -> Literal["bf16", "no"]:
    """What accelerate calls it; weights, losses and averages stay float32 either way."""
    return "bf16" if precision == "bfloat16" or (precision == "fastest" and has_bfloat16(kind)) else "no"


def quicken(transformer: Any, encoder: Any, kind: str, *, compiled: bool) -> None:
    """Lets transformer and text encoder compute the same faster.

    On processors attention is written out, which at a few hundred tokens costs a third of what the blocked kernel
    does. `compiled`: each block once, for every length, where there is a compiler; it takes some three minutes and
    pays after ten.
    """
    if kind == "cpu":
        for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
            block.attn.set_processor(JointAttention(backend="_native_math"))
    if compiled and has_compiler(kind):
        for block in (
            *transformer.transformer_blocks,
            *transformer.single_transformer_blocks,
            *encoder.encoder.block,
        ):
            block.compile(dynamic=True)
