"""Where one step's time goes, kernel by kernel, by kind of work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

KINDS = {
    "compiled passes": ("triton",),
    "attention": ("flash", "fmha", "sdpa", "attention"),
    "products": ("gemm", "nvjet", "cutlass", "xmma", "cublas", "splitk", "gemv", "_scaled_mm"),
    "copies": ("memcpy", "memset", "copy", "cat"),
}
"""By what the kernels' names hold, in this order; the rest are single passes of torch's own."""


@dataclass
class Spent:
    """One kind of work in one step."""

    kind: str
    milliseconds: float
    launches: int


def profile_step(steps: Iterator[Any]) -> tuple[list[Spent], list[Spent], float]:
    """By kind, the ten longest kernels, and the step's milliseconds: of the third step of a job.

    What the kinds don't add up to is time without any kernel.
    """
    next(steps)
    next(steps)
    torch.cuda.synchronize()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        begin.record()
        next(steps)
        end.record()
        torch.cuda.synchronize()
    kinds: dict[str, Spent] = {}
    kernels: defaultdict[str, list[float]] = defaultdict(list)
    for event in seen.events() or ():
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation:
            kernels[event.name].append(event.device_time / 1e3)
    for name, spans in kernels.items():
        one = kinds.setdefault(kind_of(name), Spent(kind_of(name), 0.0, 0))
        one.milliseconds += sum(spans)
        one.launches += len(spans)
    longest = sorted((Spent(name, sum(spans), len(spans)) for name, spans in kernels.items()), key=_longest)[:10]
    return sorted(kinds.values(), key=_longest), longest, begin.elapsed_time(end)


def _longest(one: Spent) -> float:
    return -one.milliseconds


def kind_of(kernel: str) -> str:
    """The kind of work that a kernel of this name does."""
    name = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "single passes")
