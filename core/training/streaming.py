"""Batches in their order, made ahead of the training by processes of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Protocol, TypeVar

import torch

Made = TypeVar("Made", covariant=True)


class Source(Protocol[Made]):
    """What has batches by their number."""

    def __len__(self) -> int: ...

    def __getitem__(self, turn: int) -> Made: ...


def stream(source: Source[Made], first: int, drawers: int, stride: int = 1) -> Iterator[Made]:
    """Batches `first`, `first + stride`, … for ever, in this order, drawn ahead by so many processes (0: here)."""
    from torch.utils.data import DataLoader

    if drawers == 0:
        while True:
            yield source[first]
            first += stride
    loader: DataLoader[Made] = DataLoader(
        source,  # type: ignore[arg-type]
        batch_size=None,
        sampler=range(first, 2**40, stride),
        num_workers=drawers,
        prefetch_factor=4,
        multiprocessing_context="forkserver",
        worker_init_fn=one_thread,
    )
    yield from loader


def one_thread(worker: int) -> None:
    """Ctrl-C reaches these processes, too: when to stop is the trainer's to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    os.nice(5)
