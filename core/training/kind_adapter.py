"""What is learnt of a kind of one's own, on top of a model that stays as it is: the role of its references.

Shape suffixes: K rows, W model width, E T5's width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.generation.names import INDEX, PLACEHOLDERS, TASK
from core.generation.sequence import RoleVectors


class KindAdapter(nn.Module):
    """One vector that takes the place of DreamO's `task[0]` for references of the kind; all else is given.

    Attributes:
        kind: whose references get it.
        role_1W: what is learnt; it begins as DreamO's.
        task, index, placeholders: DreamO's, frozen.
        worn: whether the kind's references get the role; else they get DreamO's, to compare with.
        mapping: none of its own: references enter by the base's `x_embedder`.
    """

    task: Tensor
    index: Tensor
    placeholders: Tensor

    def __init__(self, kind: str, embeddings: dict[str, Tensor]) -> None:
        super().__init__()
        self.kind = kind
        self.worn = True
        self.mapping: nn.Linear | None = None
        for name, key in (("task", TASK), ("index", INDEX), ("placeholders", PLACEHOLDERS)):
            self.register_buffer(name, embeddings[key].float().clone())
        self.role_1W = nn.Parameter(self.task[:1].clone())

    def learnt(self) -> list[nn.Parameter]:
        """Its parameters that training may change."""
        return [self.role_1W]

    @property
    def vectors(self) -> RoleVectors:
        return RoleVectors(self.task, self.index)

    def vectors_of(self, kind: str) -> RoleVectors:
        """Those of a reference of that kind."""
        if kind != self.kind or not self.worn:
            return self.vectors
        return RoleVectors(torch.cat([self.role_1W, self.task[1:]]), self.index)

    def tensors(self) -> dict[str, Tensor]:
        """The role's file: one row stands for the task embedding's first."""
        return {TASK: self.role_1W.detach().cpu().contiguous()}
