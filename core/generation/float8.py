"""Linear layers in fp8 (e4m3): half the bytes of bfloat16, and twice its rate where the device has units for it.

Weights get a scale for each output once, inputs one for each token at every call. With a scale for a whole tensor
the images of a batch would change one another.

Shape suffixes: T tokens, K inputs, N outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.errors import BadInput

LARGEST = 448.0
"""e4m3's largest number."""

CAPABILITY = (8, 9)
"""Of NVIDIA's devices the first that multiply in fp8: Ada; then Hopper and Blackwell."""


class Float8Linear(nn.Module):
    """A linear layer whose products are made in fp8; GPUs add them up fast, with fewer digits than float32.

    See https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_mm.html for the scales.
    """

    weight_NK: Tensor
    scale_1N: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        """Takes the layer's weights, rounded."""
        super().__init__()
        weight_NK, scale_N1 = rounded(layer.weight.detach())
        self.register_buffer("weight_NK", weight_NK)
        self.register_buffer("scale_1N", scale_N1.t().contiguous())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) → (..., N), as the input's numbers are."""
        x_TK, scale_T1 = rounded(x.reshape(-1, x.shape[-1]))
        made_TN: Tensor = torch._scaled_mm(
            x_TK,
            self.weight_NK.t(),
            scale_a=scale_T1,
            scale_b=self.scale_1N,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=x.is_cuda,
        )
        return made_TN.reshape(*x.shape[:-1], -1)


def rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in fp8, and for each the float32 that it is to be multiplied with, (rows, 1)."""
    scale = rows.abs().amax(-1, keepdim=True).float().clamp(min=1e-12) / LARGEST
    return (rows.float() / scale).to(torch.float8_e4m3fn), scale


def quantize(transformer: Any) -> None:
    """Turns the linear layers of a fused transformer's blocks into fp8, one by one; modulation and ends stay."""
    names = [name for name, module in transformer.named_modules() if takes_fp8(module, name)]
    for name in names:
        parent, _, last = name.rpartition(".")
        holder = transformer.get_submodule(parent)
        setattr(holder, last, Float8Linear(getattr(holder, last)))


def takes_fp8(module: nn.Module, name: str) -> bool:
    """Whether a module of a fused transformer is a linear layer of a block: modulation and embeddings are not."""
    return isinstance(module, nn.Linear) and "_blocks." in name


def require_fp8(device: str, precision: torch.dtype) -> None:
    """Asks whether the device can multiply in fp8; processors can, slowly.

    Raises:
        BadInput: it can't, or it is a GPU and the rest is not computed in bfloat16.
    """
    where, mend = "environment variable DREAMLINE_MEMORY", "Leave it at auto"
    if device.startswith("cuda"):
        found = torch.cuda.get_device_capability(device)
        if found < CAPABILITY:
            name = torch.cuda.get_device_name(device)
            raise BadInput.at(
                where, f"fp8 needs a device of capability 8.9, {name} has {found[0]}.{found[1]}", mend
            )
        if precision != torch.bfloat16:
            raise BadInput.at(where, f"fp8 does not go with {precision}", "Leave DREAMLINE_PRECISION at auto")
    elif device != "cpu":
        raise BadInput.at(where, f"fp8 does not go with {device}", mend)
