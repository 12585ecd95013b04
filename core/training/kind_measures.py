"""Does a kind do anything? Held-out samples, denoised without the reference, with DreamO's role, with its own.

The prompt and the noise are the same each time; what is counted is the error of the predicted velocity where the
reference governs the target. Whoever knows the reference's part errs less.

Shape suffixes: B batch, S noisy tokens, D channels of a token.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor

from core.errors import BadInput
from core.generation.sequence import Layout, pack, position_ids
from core.training.batches import Batch
from core.training.data.entries import Entry, kinds_of
from core.training.data.folder import readable, sorted_by_shape
from core.training.drawing import Drawing
from core.training.kind_adapter import KindAdapter
from core.training.losses import flow_target, mix
from core.training.measures import Interval, gathered
from core.training.trainee import Chances, Trainee
from core.training.world.scenes import Canvas

log = logging.getLogger("dreamline")

ALONE, AS_DREAMO, OWN = "without the reference", "with DreamO's role", "with its own role"
LEVELS = (0.95, 0.85, 0.7, 0.5)
"""Noise levels at which is looked: colours and shapes are decided early."""
TOGETHER = 16


def measure_held_out(trainee: Trainee, drawing: Drawing, entries: Sequence[Entry]) -> dict[str, Interval]:
    """The mean error of each way, and how much less it is than without the reference (`saved …`, as shares).

    Raises:
        BadInput: none of the samples can be read.
    """
    measured: list[Mapping[str, float]] = []
    for batch in batches(drawing, entries):
        errors = {way: errors_of(trainee, batch, way) for way in (ALONE, AS_DREAMO, OWN)}
        for row in range(len(batch.target_BCHW)):
            told = {way: float(error[row]) for way, error in errors.items()}
            for way in (AS_DREAMO, OWN):
                told[f"saved {way}"] = 1 - told[way] / told[ALONE]
            measured.append(told)
    if not measured:
        mend = "Bring their pictures back, and call the same command again: what was learnt is kept"
        raise BadInput.at("the samples that are held out", "can't be read, none of them", mend)
    return gathered(measured)


def batches(drawing: Drawing, entries: Sequence[Entry]) -> Iterator[Batch]:
    """All samples that can be read, those of one task and shape together; the log names the others."""
    canvases, references = (
        [Canvas(*size) for size, _ in sizes] for sizes in (drawing.canvases, drawing.references)
    )
    shelves, problems = sorted_by_shape(entries, canvases, references)
    for problem in problems:
        log.warning("left out: %s", problem)
    for by_shape in shelves.values():
        for shape, own in by_shape.items():
            waiting = readable(own, shape)
            while part := [*islice(waiting, TOGETHER)]:
                yield drawing.tensors(part)


@torch.no_grad()
def errors_of(trainee: Trainee, batch: Batch, way: str) -> Tensor:
    """The mean squared error of each sample where its references govern, over all levels, (B,)."""
    adapter = trainee.adapter
    assert isinstance(adapter, KindAdapter)
    device = next(trainee.transformer.parameters()).device
    batch = trainee.encoded(batch.to(device))
    nobody_B = torch.zeros(len(batch.target_BCHW), dtype=torch.bool)
    text_BTE, pooled_BP = trainee.read(batch.caption, nobody_B)
    layout = Layout(text_BTE.shape[1], batch.grid, () if way == ALONE else batch.reference_grids)
    references_BRD = None if way == ALONE else torch.cat([pack(one) for one in batch.references], dim=1)
    target_BSD, governed_BS = pack(batch.target_BCHW), batch.mask_BNS.amax(1)
    total_B = torch.zeros(len(target_BSD), device=device)
    adapter.worn = way == OWN
    try:
        roles_BLW = trainee.roles(layout, len(text_BTE), kinds_of(batch.task))
        for number, level in enumerate(LEVELS):
            noise_BSD = Chances.of(0, number).normal_like(target_BSD)
            time_B = torch.full((len(target_BSD),), level, device=device)
            told = (references_BRD, text_BTE, pooled_BP, position_ids(layout), roles_BLW)
            velocity_BSD = trainee.velocity(mix(target_BSD, noise_BSD, time_B), time_B, *told)
            error_BS = (velocity_BSD.float() - flow_target(target_BSD, noise_BSD)).square().mean(-1)
            total_B += (error_BS * governed_BS).sum(1) / governed_BS.sum(1).clamp(min=1e-6)
    finally:
        adapter.worn = True
    return total_B / len(LEVELS)
