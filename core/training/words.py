"""A text encoder of one's own learns to read before it meets any picture, as FLUX's T5 did.

FLUX gives every text token the same position. Which side, colour or reference belongs to which thing can reach the
transformer through T5 alone, and from pictures a small T5 never learns it: it sums up its words, in whatever order
they come. So it is first asked about captions: for each slot (left, middle, right, alone) one attention over the
tokens, the same for every caption, has to find what stands there.

Shape suffixes: B captions, T text tokens, E T5's width, P slots, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from core.generation.text import Tokenizers
from core.training.batches import Texts
from core.training.drawing import pick
from core.training.recipes import Recipe, Shares
from core.training.world.sayings import SLOTS, Saying, say, values_told
from core.training.world.truth import WORLDS, World

UNTOLD = -100
"""What a caption does not tell; `cross_entropy` passes over it."""
HEADS = 4
SPREAD = 0.2
"""Standard deviation of what the slots ask before they learn it."""
CAPTIONS = 8
"""How many captions there are in a batch for each sample that a batch of pictures has: they are short work."""


@dataclass(frozen=True, slots=True)
class Sayings:
    """A batch of captions, and of each slot (B, P) the number of the value that they tell, by attribute."""

    caption: Texts
    told: Mapping[str, Tensor]

    def to(self, device: torch.device | str) -> Sayings:
        """On that device."""
        return Sayings(self.caption.to(device), {name: told_BP.to(device) for name, told_BP in self.told.items()})

    def __len__(self) -> int:
        return len(self.caption.t5_BT)


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a process needs to make batches of captions: batch number k is a function of k."""

    world: World
    shares: Shares
    batch: int
    base: Path
    text_length: int
    tokenizers: list[Tokenizers] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def of(cls, recipe: Recipe, shares: Shares, base: Path, length: int) -> Speaker:
        return cls(WORLDS[recipe.world], shares, CAPTIONS * recipe.batch, base, length)

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, turn: int) -> Sayings:
        if not self.tokenizers:
            self.tokenizers.append(Tokenizers.read(self.base, self.text_length))
        chance = Random(turn)
        first = turn * self.batch
        said = [say(self.world, pick(self.shares, chance), first + k) for k in range(self.batch)]
        clip_BT, t5_BT = self.tokenizers[0].ids(*(one.text for one in said))
        return Sayings(Texts(t5_BT, clip_BT), numbers_of(said, self.world))


def numbers_of(said: Sequence[Saying], world: World) -> dict[str, Tensor]:
    """By attribute, (B, P): the number of the value that is told of what stands there."""
    numbers = {}
    for name, known in values_told(world).items():
        number = {value: at for at, value in enumerate(known)}
        rows = [[number.get(one.slots.get(slot, {}).get(name, ""), UNTOLD) for slot in SLOTS] for one in said]
        numbers[name] = torch.tensor(rows)
    return numbers


class Listener(nn.Module):
    """Asks T5's tokens what stands where: one attention for each slot, a linear answer for each attribute."""

    def __init__(self, world: World, width: int, seed: int = 0) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(seed)
        self.questions = nn.Parameter(SPREAD * torch.randn(len(SLOTS), HEADS, width, generator=chance))
        self.answers = nn.ModuleDict(
            {name: nn.Linear(HEADS * width, len(known)) for name, known in values_told(world).items()}
        )

    def forward(self, text_BTE: Tensor, words_BT: Tensor) -> dict[str, Tensor]:
        """For each attribute its values' logits, (B, P, values).

        Args:
            text_BTE: what T5 made of the captions.
            words_BT: which tokens are words.
        """
        match_BPHT = torch.einsum("phe,bte->bpht", self.questions, text_BTE) / text_BTE.shape[-1] ** 0.5
        share_BPHT = match_BPHT.masked_fill(~words_BT[:, None, None], -torch.inf).softmax(-1)
        found_BPHE = torch.einsum("bpht,bte->bphe", share_BPHT, text_BTE)
        return {name: answer(found_BPHE.flatten(2)) for name, answer in self.answers.items()}

    def losses(self, text_BTE: Tensor, batch: Sayings) -> dict[str, Tensor]:
        """The mean over attributes of the cross-entropy of what is told; `read`: the share of it that is right."""
        answers = self(text_BTE.float(), batch.caption.t5_BT != 0)
        parts, right, all_told = [], [], 0
        for name, told_BP in batch.told.items():
            heard_BP = told_BP != UNTOLD
            if not (count := int(heard_BP.sum())):
                continue
            logits_BPV = answers[name]
            parts.append(nn.functional.cross_entropy(logits_BPV.flatten(0, 1).float(), told_BP.flatten()))
            right.append((logits_BPV.argmax(-1) == told_BP)[heard_BP].sum())
            all_told += count
        loss = torch.stack(parts).mean()
        return {"loss": loss, "read": torch.stack(right).sum() / all_told}
