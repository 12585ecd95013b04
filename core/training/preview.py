"""What a model makes of a few fixed samples while it learns, and where its references respond: pictures of a run.

Shape suffixes: B batch, C channels of a latent, H and W rows and columns of latents, S noisy tokens, D channels of
a token, N references, R reference tokens, T text tokens, E T5's width, P channels of the pooled text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from core.generation.schedule import Schedule, euler_step
from core.generation.sequence import PIXELS_PER_TOKEN, Grid, Layout, pack, position_ids, unpack
from core.training.attention import RoutingTap
from core.training.autoencoder import PatchEncoder
from core.training.batches import Batch
from core.training.data.entries import kinds_of
from core.training.drawing import Drawing
from core.training.learnable import Learnable
from core.training.recipes import Stage
from core.training.trainee import Chances, Trainee

STEPS, EACH, MOST_TASKS = 12, 3, 4
GAP = 6
HOT, COLD = (214, 94, 0), (245, 245, 245)


@dataclass
class Preview:
    """A stage's fixed samples: `EACH` of its most frequent tasks; drawn ones are never trained on.

    Attributes:
        encoder: whose inverse shows latents while the decoder is untrained; None: the autoencoder decodes.
        folder: gets `step-00000123.png`.
    """

    trainee: Trainee
    stage: Stage
    drawing: Drawing
    encoder: PatchEncoder | None
    folder: Path

    @cached_property
    def samples(self) -> list[Sequence[Learnable]]:
        """By task, made once."""
        frequent = sorted(self.stage.tasks, key=lambda pair: -pair[1])[:MOST_TASKS]
        return [found for task, _ in frequent if (found := self.drawing.examples(task, EACH))]

    @torch.no_grad()
    def draw(self, step: int) -> Path | None:
        """Makes them with the weights as they are; a row of columns, one for each sample. None: there are none."""
        columns: list[Image.Image] = []
        device = next(self.trainee.transformer.parameters()).device
        for samples in self.samples:
            batch = self.trainee.encoded(self.drawing.tensors(samples).to(device))
            latent_BCHW, response_BNS = self.made(batch)
            pictures = shown(self.pixels(latent_BCHW))
            for row, (sample, picture) in enumerate(zip(samples, pictures, strict=True)):
                maps = [] if response_BNS is None else maps_of(batch.mask_BNS[row], response_BNS[row], batch.grid)
                columns.append(column(sample, picture, maps))
        if not columns:
            return None
        path = self.folder / f"step-{step:08}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        side_by_side(columns).save(path, optimize=True)
        return path

    def made(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Latents (B, C, H, W) from noise, and in DreamO's stages the response of each noisy token, (B, N, S).

        A base gets its references as clean panels; the response is taken half-way.
        """
        trainee = self.trainee
        adapted = trainee.adapter is not None
        said = batch.caption if adapted else trainee.without_placeholders(batch.caption)
        nobody_B = torch.zeros(len(batch.target_BCHW), dtype=torch.bool)
        text_BTE, pooled_BP = trainee.read(said if batch.references else batch.spoken, nobody_B)
        layout = Layout(text_BTE.shape[1], batch.grid, batch.reference_grids)
        references = [pack(latent) for latent in batch.references]
        told = (
            torch.cat(references, dim=1) if references else None,
            text_BTE,
            pooled_BP,
            position_ids(layout),
            trainee.roles(layout, len(text_BTE), kinds_of(batch.task)),
        )
        noisy_BSD = Chances.of(0, 0).normal_like(pack(batch.target_BCHW))
        sigmas = Schedule(dynamic=False, shift=trainee.shift).sigmas(STEPS, batch.grid.tokens)
        tap = RoutingTap(layout, (), batch.mask_BNS, batch.placeholder_BN, placeholders=False)
        for number, (sigma, following) in enumerate(pairwise(sigmas)):
            watching = tap if adapted and references and number == STEPS // 2 else None
            time_B = torch.full((len(noisy_BSD),), sigma, device=noisy_BSD.device)
            velocity_BSD = trainee.velocity(noisy_BSD, time_B, *told, watching)
            noisy_BSD = euler_step(noisy_BSD, velocity_BSD.float(), sigma, following)
        return unpack(noisy_BSD, batch.grid), tap.response_map() if tap.responses else None

    def pixels(self, latent_BCHW: Tensor) -> Tensor:
        """(B, 3, height, width), -1 to 1."""
        if self.encoder is not None:
            return self.encoder.inverse(latent_BCHW.cpu())
        config = self.trainee.vae.config
        decoded: Tensor = self.trainee.vae.decode(latent_BCHW / config.scaling_factor + config.shift_factor).sample
        return decoded


def shown(picture_B3HW: Tensor) -> list[Image.Image]:
    levels = picture_B3HW.float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu()
    return [Image.fromarray(one.contiguous().numpy()) for one in levels]


def maps_of(mask_NS: Tensor, response_NS: Tensor, grid: Grid) -> list[Image.Image]:
    """For each reference its mask, and below it the response from the least (pale) to the most (dark)."""
    span_N1 = (response_NS.amax(1) - response_NS.amin(1)).clamp(min=1e-6)[:, None]
    even_NS = (response_NS - response_NS.amin(1, keepdim=True)) / span_N1
    return [heat(share_S, grid) for pair in zip(mask_NS, even_NS, strict=True) for share_S in pair]


def heat(share_S: Tensor, grid: Grid) -> Image.Image:
    """Shares from 0 to 1 on the tokens' grid as a picture, half the target's size."""
    share_HW1 = share_S.float().cpu().reshape(grid.rows, grid.columns, 1)
    levels = torch.tensor(COLD) + share_HW1 * (torch.tensor(HOT) - torch.tensor(COLD)).float()
    small = Image.fromarray(levels.round().byte().numpy())
    side = PIXELS_PER_TOKEN // 2
    return small.resize((grid.columns * side, grid.rows * side), Image.Resampling.NEAREST)


def column(sample: Learnable, picture: Image.Image, maps: Sequence[Image.Image]) -> Image.Image:
    """From above: the references, what was made, what was asked for, masks and responses."""
    half = [reference.picture.reduce(2) for reference in sample.references]
    rows = [
        half,
        [picture],
        [sample.target],
        *([one, two] for one, two in zip(maps[::2], maps[1::2], strict=True)),
    ]
    height = sum(max((one.height for one in row), default=0) + GAP for row in rows)
    width = max(sum(one.width for one in row) for row in rows)
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        left = 0
        for one in row:
            sheet.paste(one, (left, top))
            left += one.width
        top += max((one.height for one in row), default=0) + GAP
    return sheet


def side_by_side(columns: Sequence[Image.Image]) -> Image.Image:
    """One row on white, their lower edges free."""
    width, height = sum(one.width + GAP for one in columns), max(one.height for one in columns)
    sheet = Image.new("RGB", (width, height), "white")
    left = 0
    for one in columns:
        sheet.paste(one, (left, 0))
        left += one.width + GAP
    return sheet
