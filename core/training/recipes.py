"""What a training run does, as one frozen value: the world, the sizes, the stages, and how long.

What the paper leaves open is a field. The recipes that ship are in `shipped_recipes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.training.autoencoder import AutoencoderShape
from core.training.computing import Precision
from core.training.texts import TextShape

Shares = tuple[tuple[str, float], ...]
Sizes = tuple[tuple[tuple[int, int], float], ...]
"""(width, height) in pixels with its share."""


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """FLUX's transformer: `axes` are the channels of a head that turn with (t, row, column)."""

    heads: int
    head: int
    double: int
    single: int
    axes: tuple[int, int, int]

    @property
    def width(self) -> int:
        return self.heads * self.head


@dataclass(frozen=True, slots=True)
class NewBase:
    """A base trained from nothing on the drawn world: the stand-in for FLUX.1-dev."""

    transformer: TransformerShape
    text: TextShape = field(default_factory=TextShape)
    autoencoder: AutoencoderShape = field(default_factory=AutoencoderShape)
    decoder_steps: int = 3000


@dataclass(frozen=True, slots=True)
class GivenBase:
    """A base that is here already: a folder or Hub repository in diffusers' layout."""

    folder: str


@dataclass(frozen=True, slots=True)
class Routing:
    """How attention is told where each reference belongs.

    Attributes:
        forms: which of P (as printed), S (softmax over the image) and R (share of the owner), with weights.
        layers: `all`, `double` or `single`.
    """

    forms: tuple[tuple[Literal["P", "S", "R"], float], ...] = (("P", 1.0),)
    layers: Literal["all", "double", "single"] = "all"


@dataclass(frozen=True, slots=True)
class Distil:
    """Few steps learnt from many.

    Attributes:
        steps: of the schedule that is learnt.
        substeps: steps of the teacher for each of them.
        true_cfg: the teacher's guidance, which the learner needs no second pass for.
    """

    steps: int = 4
    substeps: int = 3
    true_cfg: float = 3.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a run.

    Attributes:
        trains: `words` (T5 alone, on captions alone), `base` (transformer and text encoders), `adapter` (LoRA,
            roles, placeholders), or `everything` for base and adapter together; `alone`: the share of batches that
            the base then gets by itself, without LoRA and roles, so that it stays a model of its own.
        share: of the run's length.
        tasks: drawn in these shares.
        rate: of the matrices of blocks or of the LoRA; `embedding_rate` of roles and placeholders, `other_rate` of
            all else in a base.
        optimiser: for those matrices.
        warm_up: steps in which the rate rises.
        decay: the last part of the stage in which the rate falls to 0.
        object_weight: the loss of a token wholly inside a reference's mask counts 1 + this.
        drop_text, drop_references, drop_both: shares of samples that lose them.
        routing: None: none.
        routed: the share of batches that are asked for routing and placeholders; the others are faster where
            blocks are compiled.
        placeholder_weight: of the placeholder loss; 0: none.
        keep_tokens: in the quality stage the reference is the target itself, of which so many tokens are kept.
        distil: the adapter learns to do in few steps what it does in many.
        panels: in a base's stage, the share of batches in which references stand beside the target as further
            panels; `given`: the share of those whose panels are clean, the others are noised and made alike;
            `shifted`: the share of those whose panels begin at a random position.
    """

    name: str
    trains: Literal["words", "base", "adapter", "everything"]
    share: float
    tasks: Shares
    rate: float
    embedding_rate: float = 2e-3
    other_rate: float = 1e-3
    optimiser: Literal["adamw", "muon"] = "adamw"
    warm_up: int = 100
    decay: float = 0.25
    object_weight: float = 4.0
    drop_text: float = 0.05
    drop_references: float = 0.05
    drop_both: float = 0.05
    routing: Routing | None = None
    routed: float = 1.0
    placeholder_weight: float = 0.0
    keep_tokens: int | None = None
    distil: Distil | None = None
    panels: float = 0.5
    given: float = 0.7
    shifted: float = 0.5
    alone: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole run.

    Attributes:
        world: of the drawn samples.
        data: folders of samples (docs/data.md) with their shares of the batches; the rest is drawn.
        canvases, references: sizes of targets and of references.
        minutes, steps: the run's length; exactly one of them.
        batch, together: samples of one task that share tensors, and how many such batches make a step.
        pool: how many different batches are drawn; then they come again with other noise.
        rank: of the LoRA.
        drawers: processes that draw.
        checkpoint_minutes: between checkpoints.
        precision: that products are made in; weights are float32. `fastest`: bfloat16 where the device has it.
        guidance: told to a base with a guidance embedding.
        shift: of noise levels in training, and of the schedule that is written beside a new base.
        compiled: whether blocks are compiled where the base learns.
        embeddings: whether references and the noisy image get condition and index embeddings; without, as in the
            paper's ablation, they are 0.
    """

    name: str
    base: NewBase | GivenBase
    stages: tuple[Stage, ...]
    world: str = "small"
    canvases: Sizes = (((128, 128), 0.6), ((160, 128), 0.2), ((128, 160), 0.2))
    references: Sizes = (
        ((96, 96), 0.5),
        ((80, 112), 0.14),
        ((112, 80), 0.14),
        ((64, 128), 0.11),
        ((128, 64), 0.11),
    )
    minutes: float | None = None
    steps: int | None = None
    batch: int = 16
    together: int = 2
    pool: int = 4000
    rank: int = 32
    shared_mapping: bool = True
    embeddings: bool = True
    ema: float = 0.999
    clip: float = 1.0
    precision: Precision = "float32"
    compiled: bool = False
    guidance: float | None = None
    shift: float = 1.0
    drawers: int = 1
    checkpoint_minutes: float = 5.0
    seed: int = 0
    data: Shares = ()

    def stage(self, name: str) -> Stage:
        """The one of that name.

        Raises:
            KeyError: there is none.
        """
        return {stage.name: stage for stage in self.stages}[name]

    @property
    def trains_base(self) -> bool:
        """Whether any of its stages does; else base and decoder stay as they were given."""
        return any(stage.trains != "adapter" for stage in self.stages)
