"""Which kernel multiplies queries, keys and values: chosen here and nowhere else."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


def kernels_for_training(device: str) -> AbstractContextManager[None]:
    """Inside, attention goes without cuDNN's kernel, whose backward pass gives no numbers at small heads.

    Seen with torch 2.11 at heads of 32 channels on an H200; FlashAttention's gives them.
    """
    if not device.startswith("cuda"):
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])


def kernels(device: str) -> AbstractContextManager[None]:
    """Inside, torch's attention takes cuDNN's kernel on Hopper and Blackwell, else what it would take.

    At FLUX's shapes cuDNN's is nearly twice as fast on Hopper as FlashAttention 2 (docs/performance.md). Whatever
    computes an image runs inside: torch settles its own order at its first attention, and forgets it afterwards.
    """
    if not device.startswith("cuda"):
        return nullcontext()
    import torch

    if torch.cuda.get_device_capability(device)[0] not in (9, 10):
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    order = [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ]
    return sdpa_kernel(order, set_priority=True)
