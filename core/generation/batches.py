"""Which requests are made together, and their tensors side by side.

Requests share a batch when their tensors have one shape and their steps run alike; prompts, seeds, guidance and
the proportions of references may differ. What is made of one does not depend on the others.

Shape suffixes: B batch, S noisy tokens, R reference tokens, L = S + R, D channels of a token, T text tokens,
E T5's width, P CLIP's width, W model width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.generation.schedule import starting_noise
from core.generation.sequence import Grid, Layout, RoleVectors, pack, position_ids, role_bias
from core.generation.transfers import sent

if TYPE_CHECKING:
    from torch import Tensor

    from core.generation.model import Model
    from core.generation.text import Words
    from core.generation.transformer import Rotation
    from core.requests import Preparation, Request


@dataclass(frozen=True, slots=True)
class Order:
    """One request with its prepared references, and where its tokens will stand.

    Attributes:
        index: its place in the call.
        roles: the vectors of each reference.
    """

    index: int
    request: Request
    references: Sequence[Preparation]
    layout: Layout
    roles: tuple[RoleVectors, ...]

    @property
    def shape(self) -> tuple[object, ...]:
        """Equal for those that may share a batch."""
        one = self.request
        second = (one.true_cfg_start, one.true_cfg_end) if one.true_cfg > 1 else ()
        return (one.width, one.height, one.steps, self.layout.reference_tokens, second)


@dataclass(frozen=True, slots=True)
class Job:
    """One order, encoded.

    Attributes:
        index: its place in the call.
        references_RD: packed latents of the tokens that are kept of its references, one after another; None
            without references.
        roles: the vectors of each reference.
        negative: the negative prompt; None where no step runs a second pass.
    """

    index: int
    request: Request
    layout: Layout
    words: Words
    references_RD: Tensor | None
    roles: tuple[RoleVectors, ...]
    negative: Words | None


@dataclass(frozen=True, slots=True)
class Tensors:
    """What the transformer gets beside the latents; the same in every step."""

    text_BTE: Tensor
    pooled_BP: Tensor
    references_BRD: Tensor | None
    rotation: Rotation
    roles_BLW: Tensor | None


def grouped(orders: Sequence[Order], most: int) -> Iterator[list[Order]]:
    """Batches of at most `most` orders of one shape, in the order of their first."""
    groups: dict[tuple[object, ...], list[Order]] = {}
    for order in orders:
        groups.setdefault(order.shape, []).append(order)
    batches = [group[at : at + most] for group in groups.values() for at in range(0, len(group), most)]
    yield from sorted(batches, key=lambda batch: batch[0].index)


def noise_of(jobs: Sequence[Job], channels: int) -> Tensor:
    """The packed starting noise of each job, float32 on the CPU, (B, S, D)."""
    import torch

    drawn = [starting_noise(job.request.seed, job.request.width, job.request.height, channels) for job in jobs]
    return pack(torch.cat(drawn))


def main_tensors(jobs: Sequence[Job], model: Model) -> Tensors:
    """For the pass with prompt and references."""
    import torch

    layouts = [job.layout for job in jobs]
    references = [job.references_RD for job in jobs if job.references_RD is not None]
    roles = None
    if model.roles is not None:
        each = [role_bias(job.layout, model.roles, job.roles) for job in jobs]
        roles = torch.stack(each).to(model.precision)
    return Tensors(
        text_BTE=sent(torch.stack([job.words.text_TE for job in jobs]), model.device, model.precision),
        pooled_BP=sent(torch.stack([job.words.pooled_P for job in jobs]), model.device, model.precision),
        references_BRD=sent(torch.stack(references), model.device, model.precision) if references else None,
        rotation=rotation(layouts, model),
        roles_BLW=roles,
    )


def negative_tensors(jobs: Sequence[Job], model: Model) -> Tensors | None:
    """For the second pass of true CFG, which as published has neither references nor role vectors."""
    import torch

    words = [job.negative for job in jobs if job.negative is not None]
    if not words:
        return None
    return Tensors(
        text_BTE=sent(torch.stack([one.text_TE for one in words]), model.device, model.precision),
        pooled_BP=sent(torch.stack([one.pooled_P for one in words]), model.device, model.precision),
        references_BRD=None,
        rotation=rotation([Layout(job.layout.text, job.layout.noisy) for job in jobs], model),
        roles_BLW=None,
    )


def rotation(layouts: Sequence[Layout], model: Model) -> Rotation:
    """One table for all where the layouts agree, one for each where they don't."""
    import torch

    different = list(dict.fromkeys(layouts))
    shown = different if len(different) == 1 else layouts
    ids_BN3 = torch.stack([position_ids(layout) for layout in shown])
    return model.transformer.rotation(sent(ids_BN3, model.device))


def layout_of(
    request: Request, text: int, references: Sequence[Grid], kept: tuple[int, ...] | None = None
) -> Layout:
    return Layout(text, Grid.of_pixels(request.width, request.height), tuple(references), kept)
