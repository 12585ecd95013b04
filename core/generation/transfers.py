"""Tensors on their way to a device, behind what is queued there instead of after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def sent(tensor: Tensor, device: str | torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """The tensor there, in another type if one is named.

    From the processor to a GPU it goes by way of pinned memory: from other memory a copy would wait until the GPU
    has done all that it was given, and a batch could not be made ready while the one before is denoised. See
    https://docs.pytorch.org/tutorials/intermediate/pinmem_nonblock.html.
    """
    import torch

    place = torch.device(device)
    if place.type != "cuda" or tensor.is_cuda:
        return tensor.to(place, dtype)
    return tensor.to(dtype=dtype).pin_memory().to(place, non_blocking=True)
