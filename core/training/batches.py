"""What a training step reads: samples of one shape as tensors, and as files.

Shape suffixes: B batch, C channels of a latent, H and W rows and columns of latents, N references, S tokens of the
target, T text tokens.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.generation.sequence import Grid


@dataclass(frozen=True, slots=True)
class Texts:
    """Ids for both encoders: `t5_BT` and `clip_BT`."""

    t5_BT: Tensor
    clip_BT: Tensor

    def to(self, device: torch.device | str) -> Texts:
        """On that device."""
        return Texts(self.t5_BT.to(device), self.clip_BT.to(device))


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one shape, as tensors.

    Attributes:
        task: of all of them.
        target_BCHW: latents; pixels (3 channels, -1 to 1) where the base's encoder has yet to run.
        references: latents of each reference, (B, C, h, w); all samples have as many.
        caption: with placeholders; `spoken`: all in words.
        mask_BNS: the visible share of what each reference governs, on the target's tokens.
        placeholder_BN: the position of each reference's placeholder among the text tokens; -1 where there is none.
    """

    task: str
    target_BCHW: Tensor
    references: tuple[Tensor, ...]
    caption: Texts
    spoken: Texts
    mask_BNS: Tensor
    placeholder_BN: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """On that device."""
        return Batch(
            self.task,
            self.target_BCHW.to(device),
            tuple(latent.to(device) for latent in self.references),
            self.caption.to(device),
            self.spoken.to(device),
            self.mask_BNS.to(device),
            self.placeholder_BN.to(device),
        )

    def __len__(self) -> int:
        return len(self.target_BCHW)

    @property
    def grid(self) -> Grid:
        return Grid(self.target_BCHW.shape[2] // 2, self.target_BCHW.shape[3] // 2)

    @property
    def reference_grids(self) -> tuple[Grid, ...]:
        return tuple(Grid(latent.shape[2] // 2, latent.shape[3] // 2) for latent in self.references)


def frozen(batch: Batch) -> dict[str, Any]:
    """As few bytes: latents and masks in half precision, ids in 16 bits."""
    return {
        "task": batch.task,
        "target": batch.target_BCHW.half(),
        "references": [latent.half() for latent in batch.references],
        "caption": [part.short() for part in (batch.caption.t5_BT, batch.caption.clip_BT)],
        "spoken": [part.short() for part in (batch.spoken.t5_BT, batch.spoken.clip_BT)],
        "mask": batch.mask_BNS.half(),
        "placeholder": batch.placeholder_BN.short(),
    }


def unfrozen(told: dict[str, Any]) -> Batch:
    return Batch(
        task=told["task"],
        target_BCHW=told["target"].float(),
        references=tuple(latent.float() for latent in told["references"]),
        caption=Texts(*(part.long() for part in told["caption"])),
        spoken=Texts(*(part.long() for part in told["spoken"])),
        mask_BNS=told["mask"].float(),
        placeholder_BN=told["placeholder"].long(),
    )


def keep(told: dict[str, Any], path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        torch.save(told, file)
    Path(file.name).replace(path)
