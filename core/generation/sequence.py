"""The sequence that the transformer reads: `[text | noisy image | reference 1 | reference 2 | …]`.

Pure functions on tensors: from latents to tokens and back, where each token stands, and which learned vectors
it gets (arXiv 2504.16915, section 3.2 and figure 2).

Shape suffixes: B batch, L tokens of images (noisy, then references), T tokens of text, N = T + L,
C channels of a latent (16), D channels of a token (4 C), H and W rows and columns of latents, W model width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.generation.transfers import sent

if TYPE_CHECKING:
    from torch import Tensor

PIXELS_PER_LATENT = 8
PIXELS_PER_TOKEN = 16
"""Along each side: the VAE makes one latent of 8 pixels, packing one token of 2 latents."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns of one picture's tokens."""

    rows: int
    columns: int

    @classmethod
    def of_pixels(cls, width: int, height: int) -> Grid:
        """The grid of a picture whose sides are multiples of 16."""
        return cls(height // PIXELS_PER_TOKEN, width // PIXELS_PER_TOKEN)

    @property
    def tokens(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands where in the sequence of one image.

    Attributes:
        text: how many text tokens come first.
        noisy: the image being made.
        references: in order; the first has index 1.
        kept: which tokens of all references, one after another, are in the sequence, ascending; None: all. A
            token's position and vectors do not depend on which others are left out.
    """

    text: int
    noisy: Grid
    references: tuple[Grid, ...] = ()
    kept: tuple[int, ...] | None = None

    @property
    def reference_tokens(self) -> int:
        """How many tokens of references are in the sequence."""
        return sum(grid.tokens for grid in self.references) if self.kept is None else len(self.kept)

    @property
    def tokens(self) -> int:
        return self.text + self.noisy.tokens + self.reference_tokens


@dataclass(frozen=True, slots=True)
class RoleVectors:
    """What is added to a token after FLUX's `x_embedder`.

    Attributes:
        task_2W: row 1 for noisy tokens, row 0 for references.
        index_KW: row i for the i-th reference; row 0 is unused.
    """

    task_2W: Tensor
    index_KW: Tensor

    def to(self, device: str) -> RoleVectors:
        """The same on that device."""
        return RoleVectors(self.task_2W.to(device), self.index_KW.to(device))


def pack(latent_BCHW: Tensor) -> Tensor:
    """Joins each 2 x 2 latents into one token: (B, C, H, W) → (B, H/2 · W/2, 4 C), channel before place."""
    batch, channels, height, width = latent_BCHW.shape
    cells = latent_BCHW.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(batch, (height // 2) * (width // 2), channels * 4)


def unpack(token_BLD: Tensor, grid: Grid) -> Tensor:
    """The way back: (B, rows · columns, 4 C) → (B, C, 2 rows, 2 columns)."""
    batch, _, channels = token_BLD.shape
    cells = token_BLD.reshape(batch, grid.rows, grid.columns, channels // 4, 2, 2)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels // 4, grid.rows * 2, grid.columns * 2)


def position_ids(layout: Layout) -> Tensor:
    """(t, row, column) of every token, float32 (N, 3).

    Text stands at 0. The noisy image starts at the origin. Each reference starts where the one before ends,
    in rows and in columns, so that references lie on the diagonal and none overlaps another.
    """
    import torch

    parts = [torch.zeros(layout.text, 3)]
    row = column = 0
    for grid in (layout.noisy, *layout.references):
        ids_RC3 = torch.zeros(grid.rows, grid.columns, 3)
        ids_RC3[..., 1] = torch.arange(row, row + grid.rows, dtype=torch.float32)[:, None]
        ids_RC3[..., 2] = torch.arange(column, column + grid.columns, dtype=torch.float32)[None, :]
        parts.append(ids_RC3.reshape(grid.tokens, 3))
        row, column = row + grid.rows, column + grid.columns
    return with_kept(torch.cat(parts), layout, layout.text + layout.noisy.tokens)


def role_bias(layout: Layout, noisy: RoleVectors, references: Sequence[RoleVectors]) -> Tensor:
    """The vector added to each image token, (L, W): `task[1]`, then `task[0] + index[i]` for reference i.

    `references` gives each reference its own vectors: those of DreamO, or those that its kind ships.
    """
    import torch

    parts = [noisy.task_2W[1].expand(layout.noisy.tokens, -1)]
    for index, (grid, vectors) in enumerate(zip(layout.references, references, strict=True), start=1):
        parts.append((vectors.task_2W[0] + vectors.index_KW[index]).expand(grid.tokens, -1))
    return with_kept(torch.cat(parts), layout, layout.noisy.tokens)


def with_kept(rows: Tensor, layout: Layout, before: int) -> Tensor:
    """Of `before` rows and then one for each token of references, all but those of tokens that are left out."""
    import torch

    if layout.kept is None:
        return rows
    stay = sent(torch.tensor(layout.kept, dtype=torch.long), rows.device)
    return torch.cat([rows[:before], rows[before:][stay]])
