"""What a model's parts are computed in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.generation.files import weight_files

if TYPE_CHECKING:
    import torch


def vae_precision(folder: Path, precision: torch.dtype) -> torch.dtype:
    """That of the model, unless the autoencoder's files hold more than bfloat16: then float32.

    FLUX's own are in bfloat16; dreamo-mini's encoder cancels large numbers and stands no such rounding.
    """
    import torch
    from safetensors import safe_open

    with safe_open(weight_files(folder)[0], "pt") as tensors:
        stored = tensors.get_slice(next(iter(tensors.keys()))).get_dtype()
    return precision if stored == "BF16" else torch.float32


def precision_of(asked: str, device: str) -> torch.dtype:
    """float32 on a CPU, bfloat16 elsewhere, or what the setting says.

    Raises:
        BadInput: the setting is no precision.
    """
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    known["auto"] = torch.float32 if device == "cpu" else torch.bfloat16
    if asked not in known:
        where = "environment variable DREAMLINE_PRECISION"
        raise BadInput.at(where, f"{asked!r} is no precision", f"Say {', '.join(sorted(known))}")
    return known[asked]
