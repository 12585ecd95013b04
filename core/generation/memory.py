"""Where the weights are while images are made: chosen from free memory, said with its reason.

resident  all of the transformer and the VAE stay on the device.
model     each model comes to the device for its part and leaves again.
group     the transformer's blocks come one after another; the slowest, and it needs the least.
fp8       as resident, with fp8 linear layers: other pixels, so it is never chosen by itself.

The first three give the same image, but for the last bits: `group` goes through diffusers' own blocks, and T5 may
have to work on the CPU. Text encoders leave the device when a call did not need them and room is scarce.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

MODES = ("auto", "resident", "model", "group", "fp8")
TEXT_WORKSPACE = 0.5e9
WORKSPACE = 3.0e9
"""Bytes beside weights: activations, latents and the VAE's decoding of one megapixel image in bf16."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the weights are placed, and why in one sentence. `text` is where the text encoders work."""

    mode: str
    why: str
    text: str


def choose(asked: str, device: str, free: int, transformer: int, others: int) -> Plan:
    """Picks a mode.

    Args:
        asked: the setting; anything but `auto` is taken.
        device: `cuda:0`, `mps`, `cpu`.
        free: bytes free on the device.
        transformer: bytes of its weights.
        others: bytes of the largest other model (T5).

    Raises:
        BadInput: the setting is no mode.
    """
    if asked not in MODES:
        raise BadInput.at(
            "environment variable DREAMLINE_MEMORY", f"{asked!r} is no mode", f"Say {', '.join(MODES)}"
        )
    if device == "cpu":
        mode = asked if asked in ("group", "fp8") else "resident"
        return Plan(mode, "on the CPU all weights are in main memory", device)
    text = device if free >= others + TEXT_WORKSPACE else "cpu"
    if asked != "auto":
        return Plan(asked, "DREAMLINE_MEMORY asks for it", text)
    has = f"{device} has {free / 1e9:.1f} GB free"
    together, alone = transformer + others + WORKSPACE, max(transformer, others) + WORKSPACE
    if free >= together:
        return Plan("resident", f"{has}, all weights with working space need {together / 1e9:.1f} GB", text)
    if free >= alone:
        why = f"{has}: too little for {together / 1e9:.1f} GB, enough for one model after another"
        return Plan("model", why, text)
    why = f"{has}: too little for the transformer as a whole ({alone / 1e9:.1f} GB)"
    return Plan("group", why + (", and for T5, which works on the CPU" if text == "cpu" else ""), text)


def free_bytes(device: str) -> int:
    """Memory that can still be taken on the device."""
    import torch

    if device.startswith("cuda"):
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + cached)
    if device == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    import psutil

    return int(psutil.virtual_memory().available)


def resolve_device(asked: str) -> str:
    """`auto` becomes cuda, mps or cpu.

    Raises:
        BadInput: the device is not there.
    """
    import torch

    if asked == "auto":
        return "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    here = ["cpu", *(["cuda"] if cards else []), *cards, *(["mps"] if torch.backends.mps.is_available() else [])]
    if asked not in here:
        offered = ", ".join(here)
        raise BadInput.at("environment variable DREAMLINE_DEVICE", f"{asked!r} is not here", f"Here: {offered}")
    return "cuda:0" if asked == "cuda" else asked


def bytes_of(module: nn.Module) -> int:
    """Bytes of a module's weights."""
    weights = (*module.parameters(), *module.buffers())
    return sum(weight.numel() * weight.element_size() for weight in weights)


def is_scarce(device: str, coming: int = 0) -> bool:
    """Whether a larger batch might want what the text encoders occupy, or will when `coming` bytes have come."""
    return free_bytes(device) - coming < 3 * WORKSPACE


def place(transformer: Any, plan: Plan, device: str) -> Any:
    """Brings the transformer to where the plan wants it before its first step, and lays it out for that.

    Returns:
        A `FusedTransformer`, which has taken over its weights; where blocks come one after another, itself.
    """
    if plan.mode == "group":
        import torch
        from diffusers.hooks import apply_group_offloading

        apply_group_offloading(
            transformer,
            onload_device=torch.device(device),
            offload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=device.startswith("cuda"),
        )
        return transformer
    from core.generation.fused import FusedTransformer

    if plan.mode != "model":
        transformer.to(device)
    fused = FusedTransformer(transformer)
    if plan.mode == "fp8":
        from core.generation.float8 import quantize

        quantize(fused)
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
    return fused
