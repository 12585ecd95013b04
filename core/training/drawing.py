"""Batches of samples: what batch number k shows is a function of k, whoever makes it and when.

Samples are drawn, or read from folders (`core.training.data`), by processes of their own, ahead of the training. A
batch that was drawn once is kept in a folder and read from there when it comes again.

Shape suffixes: B batch, C channels of a latent, H and W rows and columns of latents, N references, S tokens of the
target, T text tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from core.generation.sequence import Grid
from core.generation.text import PLACEHOLDERS, Tokenizers
from core.training.autoencoder import PatchEncoder
from core.training.batches import Batch, Texts, frozen, keep, unfrozen
from core.training.data.sources import DataFolder, drawable, folders_of
from core.training.learnable import Learnable
from core.training.masks import token_mask
from core.training.recipes import Recipe, Shares, Sizes
from core.training.world.samples import REFERENCES, Canvas, draw_sample
from core.training.world.truth import WORLDS

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a process needs to make the batches of one stage.

    Attributes:
        shares: of tasks; a batch has one.
        folders: samples of one's own with their shares of the batches; what they leave is drawn.
        pool: how many different batches there are, over all tasks by their shares.
        base: the folder with the tokenizers.
        encoder: pixels to latents; None: the trainer encodes.
        kept: the folder of drawn batches; None: they are drawn each time.
        tokenizers: read in the process that draws.
    """

    world: str
    shares: Shares
    canvases: Sizes
    references: Sizes
    batch: int
    pool: int
    seed: int
    base: Path
    text_length: int
    encoder: PatchEncoder | None
    kept: Path | None = None
    split: str = "train"
    tokenizers: list[Tokenizers] = field(default_factory=list, compare=False, repr=False)
    folders: tuple[tuple[DataFolder, float], ...] = ()

    @classmethod
    def of(
        cls, recipe: Recipe, shares: Shares, base: Path, length: int, encoder: PatchEncoder | None, kept: Path
    ) -> Drawing:
        """For one stage of a recipe; stages with the same tasks share what is kept.

        Raises:
            BadInput: a folder of the recipe can't be read, or nothing has samples of the stage's tasks.
        """
        decides = [recipe.world, recipe.canvases, recipe.references, recipe.batch, recipe.seed, length, DRAWING]
        decides.append(float(encoder.weight_CF.double().sum()) if encoder else "pixels")
        return cls(
            recipe.world,
            shares,
            recipe.canvases,
            recipe.references,
            recipe.batch,
            recipe.pool,
            recipe.seed,
            base,
            length,
            encoder,
            kept / sha256(repr(decides).encode()).hexdigest()[:16],
            folders=folders_of(recipe, shares),
        )

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, turn: int) -> Batch:
        """The batch of a turn: its task by share, then one of that task's part of the pool, or out of a folder."""
        chance = random.Random(f"{self.seed} turn {turn}")
        folder = self.folder(chance)
        if folder is not None:
            task = pick([one for one in self.shares if one[0] in folder.shelves], chance)
            return self.tensors(folder.batch(task, self.batch, chance))
        task = pick(drawable(self.shares), chance)
        total = sum(share for _, share in self.shares)
        there = max(1, round(self.pool * dict(self.shares)[task] / total))
        number = chance.randrange(there)
        if self.kept is None:
            return self.draw(task, number)
        path = self.kept / task / f"{number}.pt"
        if path.is_file():
            return unfrozen(torch.load(path, weights_only=True))
        told = frozen(self.draw(task, number))
        keep(told, path)
        return unfrozen(told)

    def folder(self, chance: random.Random) -> DataFolder | None:
        """Where a batch comes from, by shares; None: it is drawn."""
        if not self.folders:
            return None
        rest = 1 - sum(share for _, share in self.folders) if drawable(self.shares) else 0.0
        return pick([*self.folders, (None, max(0.0, rest))], chance)

    def examples(self, task: str, count: int) -> Sequence[Learnable]:
        """A few fixed samples to look at: drawn ones are never trained on, those of folders are."""
        for folder, _ in self.folders:
            if task in folder.shelves:
                return folder.first(task, count)
        if task not in REFERENCES:
            return []
        canvas, reference = Canvas(*self.canvases[0][0]), Canvas(*self.references[0][0])
        return [draw_sample(WORLDS[self.world], task, number, canvas, reference, "new") for number in range(count)]

    def draw(self, task: str, number: int) -> Batch:
        """A task's batch by its number: one canvas, references of one size."""
        chance = random.Random(f"{self.seed} {self.split} {task} {number}")
        canvas, reference = Canvas(*pick(self.canvases, chance)), Canvas(*pick(self.references, chance))
        world, first = WORLDS[self.world], number * self.batch
        return self.tensors(
            [draw_sample(world, task, first + k, canvas, reference, self.split) for k in range(self.batch)]
        )

    def tensors(self, samples: Sequence[Learnable]) -> Batch:
        """Samples of one shape, encoded."""
        if not self.tokenizers:
            self.tokenizers.append(Tokenizers.read(self.base, self.text_length))
        told = self.tokenizers[0]
        encode = self.encoder or (lambda picture_B3HW: picture_B3HW)
        target_BCHW = encode(pixels([sample.target for sample in samples]))
        count = len(samples[0].references)
        grid = Grid.of_pixels(*samples[0].target.size)
        clip_BT, t5_BT = told.ids(*(sample.caption for sample in samples), *(sample.spoken for sample in samples))
        captions, spoken = (Texts(*pair) for pair in zip(t5_BT.chunk(2), clip_BT.chunk(2), strict=True))
        mask_BNS = torch.zeros(len(samples), count, grid.tokens)
        for row, sample in enumerate(samples):
            for column, mask in enumerate(sample.masks[:count]):
                mask_BNS[row, column] = token_mask(mask, grid)
        return Batch(
            task=samples[0].task,
            target_BCHW=target_BCHW,
            references=tuple(
                encode(pixels([sample.references[k].picture for sample in samples])) for k in range(count)
            ),
            caption=captions,
            spoken=spoken,
            mask_BNS=mask_BNS,
            placeholder_BN=placeholder_positions(captions.t5_BT, count, told),
        )


DRAWING = 1
"""Grows whenever the same numbers would draw other batches: kept ones are not used again."""


def pick(shares: Sequence[tuple[Value, float]], chance: random.Random) -> Value:
    """One of the values, by their shares."""
    return chance.choices([value for value, _ in shares], [share for _, share in shares])[0]


def pixels(pictures: Sequence[Picture]) -> Tensor:
    """RGB pictures of one size → (B, 3, H, W), -1 to 1."""
    levels = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(levels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def placeholder_positions(t5_BT: Tensor, count: int, tokenizers: Tokenizers) -> Tensor:
    """Where `[ref#1]` … stand in each prompt, (B, count); -1 where one is missing."""
    ids = tokenizers.t5.convert_tokens_to_ids(list(PLACEHOLDERS[:count]))
    found = torch.full((len(t5_BT), count), -1)
    for column, number in enumerate(ids):
        hit_BT = t5_BT == number
        found[:, column] = torch.where(hit_BT.any(1), hit_BT.int().argmax(1), -1)
    return found
