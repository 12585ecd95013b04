"""DreamO on a frozen base: what is trained, and how it is written under its published names.

LoRA by peft on attention's fused projections and outputs (of single blocks: the output that also closes the MLP),
the condition and index embeddings, and ten placeholder words of T5 (arXiv 2504.16915, section 3.2; the layers are
those of the published files).

Shape suffixes: K rows, W model width, E T5's width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.generation.names import INDEX, PLACEHOLDERS, TASK
from core.generation.sequence import RoleVectors
from core.generation.transformer import DreamOTransformer
from core.training.base_model import SPREAD

TARGETS = (
    r"transformer_blocks\.\d+\.attn\.(to_qkv|to_added_qkv|to_out\.0|to_add_out)"
    r"|single_transformer_blocks\.\d+\.(attn\.to_qkv|proj_out)"
)
INDICES = 10
"""Rows of the index embedding; the first is unused."""


class Adapter(nn.Module):
    """The learnt part. The LoRA itself lives inside the transformer, where peft puts it.

    Attributes:
        task: (2, W): row 0 for references, row 1 for the noisy image.
        index: (10, W).
        placeholders: (10, E); a run begins with those that its T5 has read.
        mapping: the layer that references enter by; None: the base's own `x_embedder`, as published.
        embeddings: whether `task` and `index` are learnt; else they are 0 and stay so.
    """

    def __init__(
        self,
        transformer: DreamOTransformer,
        text_width: int,
        rank: int,
        *,
        shared_mapping: bool = True,
        embeddings: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        chance = torch.Generator().manual_seed(seed)
        width = transformer.inner_dim
        self.task = nn.Parameter(SPREAD * torch.randn(2, width, generator=chance))
        self.index = nn.Parameter(SPREAD * torch.randn(INDICES, width, generator=chance))
        self.placeholders = nn.Parameter(SPREAD * torch.randn(10, text_width, generator=chance))
        if not embeddings:
            nn.init.zeros_(self.task)
            nn.init.zeros_(self.index)
        self.mapping: nn.Linear | None = None
        if not shared_mapping:
            mapped = transformer.x_embedder
            self.mapping = nn.Linear(mapped.in_features, mapped.out_features)
            self.mapping.load_state_dict(mapped.state_dict())
        add_lora(transformer, rank)

    def learnt(self) -> list[nn.Parameter]:
        """Its parameters that training may change."""
        return [one for name, one in self.named_parameters() if self.embeddings or name not in ("task", "index")]

    @property
    def vectors(self) -> RoleVectors:
        return RoleVectors(self.task, self.index)

    def vectors_of(self, kind: str) -> RoleVectors:
        """Those of a reference of that kind: DreamO's are the same for all."""
        return self.vectors


def add_lora(transformer: DreamOTransformer, rank: int) -> None:
    """Freezes the transformer, fuses its projections so that q, k and v share A, and adds LoRA (alpha = rank).

    B starts at 0: nothing changes before the first step.
    """
    from peft import LoraConfig, inject_adapter_in_model

    transformer.requires_grad_(False)
    for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
        fuse(block.attn)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS, lora_dropout=0.0, bias="none")
    inject_adapter_in_model(config, transformer)


def fuse(attention: Any) -> None:
    """One matrix for q, k and v of each stream; the separate ones are dropped."""
    attention.fuse_projections()
    for name in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"):
        if hasattr(attention, name):
            delattr(attention, name)
    for parameter in attention.parameters():
        parameter.requires_grad_(False)


def lora_parameters(transformer: DreamOTransformer) -> dict[str, nn.Parameter]:
    """Its tensors by published name: `double_blocks_0_processor_qkv_lora1.down.weight`."""
    return {published(name): parameter for name, parameter in transformer.named_parameters() if ".lora_" in name}


@contextmanager
def without_lora(transformer: DreamOTransformer) -> Iterator[None]:
    """Inside, the transformer is the base alone."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in transformer.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(enabled=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)


def bare(transformer: DreamOTransformer) -> DreamOTransformer:
    """The base alone as a transformer of its own: without LoRA, queries, keys and values apart again."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in transformer.state_dict().items():
        if ".lora_" in name:
            continue
        layer, _, last = name.replace(".base_layer.", ".").rpartition(".")
        block, _, fused = layer.rpartition(".")
        apart = _APART.get(fused, (fused,))
        tensors |= {
            ".".join(part for part in (block, one, last) if part): rows
            for one, rows in zip(apart, tensor.detach().chunk(len(apart)), strict=True)
        }
    made: DreamOTransformer = DreamOTransformer.from_config(transformer.config)
    made.load_state_dict(tensors)
    return made


_APART = {"to_qkv": ("to_q", "to_k", "to_v"), "to_added_qkv": ("add_q_proj", "add_k_proj", "add_v_proj")}


def published(name: str) -> str:
    """From peft's name of a tensor to the one that DreamO's files use.

    Raises:
        ValueError: no published layer has this name.
    """
    module, _, rest = name.partition(".lora_")
    part = {"A": "down", "B": "up"}[rest[0]]
    kind, block, layer = module.split(".", 2)
    if kind == "transformer_blocks":
        return f"double_blocks_{block}_processor_{_DOUBLE[layer]}.{part}.weight"
    if kind == "single_transformer_blocks":
        return f"single_blocks_{block}_processor_{_SINGLE[layer]}.{part}.weight"
    raise ValueError(f"{name}: no published layer is called so")


_DOUBLE = {
    "attn.to_qkv": "qkv_lora1",
    "attn.to_added_qkv": "qkv_lora2",
    "attn.to_out.0": "proj_lora1",
    "attn.to_add_out": "proj_lora2",
}
_SINGLE = {"attn.to_qkv": "qkv_lora", "proj_out": "proj_lora"}


def adapter_tensors(transformer: DreamOTransformer, adapter: Adapter) -> dict[str, Tensor]:
    """Everything that DreamO's file holds, by its published names.

    Raises:
        ValueError: the adapter has a mapping of its own, for which the published files have no place.
    """
    if adapter.mapping is not None:
        raise ValueError("a mapping of its own can't be written under published names: train with a shared one")
    tensors: dict[str, Tensor] = {name: tensor.detach() for name, tensor in lora_parameters(transformer).items()}
    tensors[TASK], tensors[INDEX] = adapter.task.detach(), adapter.index.detach()
    tensors[PLACEHOLDERS] = adapter.placeholders.detach()
    return tensors


def save_adapter(tensors: dict[str, Tensor], path: Path, precision: torch.dtype = torch.bfloat16) -> None:
    """Writes DreamO's file."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.to(precision).contiguous().clone() for name, tensor in tensors.items()}, path)


def load_adapter(transformer: DreamOTransformer, adapter: Adapter, tensors: dict[str, Tensor]) -> None:
    """The way back, to go on training from bare weights."""
    with torch.no_grad():
        for name, parameter in lora_parameters(transformer).items():
            parameter.copy_(tensors[name])
        adapter.task.copy_(tensors[TASK])
        adapter.index.copy_(tensors[INDEX])
        adapter.placeholders.copy_(tensors[PLACEHOLDERS])
