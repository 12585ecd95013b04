"""What a card can do at most: copying, products, attention by each kernel; and the floor that follows."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.generation.sizes import Size

KERNELS = {
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "FlashAttention": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
}
BLOCKS = {"num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24, "attention_head_dim": 128}
"""diffusers' defaults: FLUX.1-dev."""


def milliseconds(work: Callable[[], Any], times: int = 10) -> float:
    """Median of some calls by the device's own clock, after three that warm up."""
    for _ in range(3):
        work()
    spans = []
    for _ in range(times):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        spans.append(begin.elapsed_time(end))
    return float(statistics.median(spans))


def measure_ceilings(tokens: int) -> dict[str, float]:
    """Copying in TB/s (read and written), products and attention over so many tokens in TFLOP/s; random data."""
    at: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16}
    found = {"copy TB/s": measure_copy(torch.randn(2**31, **at))}
    left, right = torch.randn(8192, 8192, **at), torch.randn(8192, 8192, **at)
    found["product TFLOP/s"] = 2 * 8192**3 / milliseconds(lambda: left @ right) / 1e9
    rows, weight = torch.randn(tokens, 3072, **at), torch.randn(21504, 3072, **at)
    flop = 2 * tokens * 3072 * 21504
    found["FLUX's product TFLOP/s"] = flop / milliseconds(lambda: functional.linear(rows, weight)) / 1e9
    q, k, v = (torch.randn(1, tokens, 24, 128, **at).transpose(1, 2) for _ in range(3))

    def attend() -> None:
        functional.scaled_dot_product_attention(q, k, v)

    flop = 4 * tokens**2 * 3072
    found["attention by torch's choice TFLOP/s"] = flop / milliseconds(attend) / 1e9
    for name, kernel in KERNELS.items():
        with sdpa_kernel(kernel):
            found[f"attention by {name} TFLOP/s"] = flop / milliseconds(attend) / 1e9
    return found


def measure_copy(source: torch.Tensor) -> float:
    """TB/s, read and written."""
    target = torch.empty_like(source)
    return 2 * source.nbytes / milliseconds(lambda: target.copy_(source)) / 1e9


def floor_of(size: Size, tokens: int, matmul: float, attention: float, linear: float | None = None) -> float:
    """Seconds that all steps can't go below.

    Linear layers cost 24 W² FLOP a token and block, attention 4 W N² a block.

    Args:
        size: the architecture and the steps.
        tokens: N.
        matmul: rate of products of matrices, TFLOP/s.
        attention: rate of attention.
        linear: rate of the blocks' linear layers where it is another (fp8).
    """
    shape = {**BLOCKS, **size.transformer}
    blocks = shape["num_layers"] + shape["num_single_layers"]
    width = shape["num_attention_heads"] * shape["attention_head_dim"]
    products, mixing = 24 * width**2 * blocks * tokens, 4 * width * blocks * tokens**2
    return float(size.steps * (products / ((linear or matmul) * 1e12) + mixing / (attention * 1e12)))
