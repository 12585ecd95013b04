"""What a training run does, as one frozen value: the world, the sizes, the stages, and how long.

A recipe is a Python function that returns a `Recipe`; `RECIPES` names the shipped ones. Where the paper gives a
number, `flux_dev` has it; what it leaves open is a field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    true_cfg: float = 4.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a run.

    Attributes:
        trains: `base` (transformer and text encoders), `adapter` (LoRA, roles, placeholders) or `everything`.
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
        placeholder_weight: of the placeholder loss; 0: none.
        keep_tokens: in the quality stage the reference is the target itself, of which so many tokens are kept.
        distil: the adapter learns to do in few steps what it does in many.
        panels: in a base's stage, the share of batches in which references stand beside the target as further
            panels; `given`: the share of those whose panels are clean, the others are noised and made alike;
            `shifted`: the share of those whose panels begin at a random position.
    """

    name: str
    trains: Literal["base", "adapter", "everything"]
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
    placeholder_weight: float = 0.0
    keep_tokens: int | None = None
    distil: Distil | None = None
    panels: float = 0.5
    given: float = 0.7
    shifted: float = 0.5


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
        compiled: whether the blocks of a base's stages are compiled.
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


FULL_TASKS: Shares = (
    *(("subject", 0.3), ("tryon", 0.2), ("identity", 0.1), ("two-subjects", 0.14), ("style", 0.06)),
    *(("style-subject", 0.04), ("two-people", 0.02), ("stylised-identity", 0.02), ("three-subjects", 0.02)),
    ("text", 0.1),
)
"""Every task, in the shares of the full-size data."""


FEW_TASKS: Shares = (
    *(("subject", 0.48), ("tryon", 0.3), ("identity", 0.05), ("two-subjects", 0.05), ("style", 0.02)),
    *(("style-subject", 0.01), ("two-people", 0.01), ("text", 0.08)),
)
"""For a small budget: products and garments first, which is what the demo shows."""


def three_stages(
    share: float, rate: float, optimiser: Literal["adamw", "muon"], keep: int, tasks: Shares = FULL_TASKS
) -> tuple[Stage, ...]:
    """DreamO's progressive training (arXiv 2504.16915, section 3.4): warm-up, every task, quality."""
    route = Routing((("P", 1.0),))
    both = Routing((("P", 1.0), ("R", 0.1)))
    told = {"trains": "adapter", "rate": rate, "optimiser": optimiser}
    return (
        Stage(name="warm-up", share=0.25 * share, tasks=(("subject", 0.9), ("text", 0.1)), routing=route, **told),  # type: ignore[arg-type]
        Stage(
            name="full",
            share=0.65 * share,
            tasks=tasks,
            routing=both,
            placeholder_weight=1.0,
            **told,  # type: ignore[arg-type]
        ),
        Stage(
            name="quality",
            share=0.1 * share,
            tasks=(("subject", 0.7), ("text", 0.3)),
            keep_tokens=keep,
            warm_up=20,
            object_weight=0.0,
            **told,  # type: ignore[arg-type]
        ),
    )


def mini() -> Recipe:
    """dreamo-mini on two processor cores: a small world, an afternoon."""
    shape = TransformerShape(heads=6, head=32, double=2, single=4, axes=(8, 12, 12))
    base = Stage(
        "base",
        "base",
        0.7,
        FEW_TASKS,
        rate=1.5e-3,
        optimiser="muon",
        drop_text=0.1,
        panels=0.8,
        given=0.9,
        shifted=0.3,
    )
    return Recipe(
        "mini",
        NewBase(shape),
        (base, *three_stages(0.3, 1e-3, "adamw", 8, FEW_TASKS)),
        minutes=240,
        pool=6000,
        shift=2.5,
        precision="fastest",
        compiled=True,
    )


def mini_turbo() -> Recipe:
    """dreamo-mini in four steps without a second pass, learnt from itself in a quarter of an hour on two cores."""
    turbo = Stage(
        "turbo",
        "adapter",
        1.0,
        FEW_TASKS,
        rate=5e-4,
        embedding_rate=5e-4,
        warm_up=50,
        decay=0.5,
        drop_text=0.0,
        drop_references=0.0,
        drop_both=0.0,
        distil=Distil(),
    )
    return replace(mini(), name="mini-turbo", stages=(turbo,), minutes=15)


def mini_gpu() -> Recipe:
    """dreamo-mini on one large GPU: the full world, twenty minutes."""
    shape = TransformerShape(heads=5, head=64, double=3, single=6, axes=(16, 24, 24))
    base = Stage("base", "base", 0.45, FULL_TASKS, rate=1.5e-3, optimiser="muon", drop_text=0.1, warm_up=300)
    return Recipe(
        "mini-gpu",
        NewBase(shape, decoder_steps=6000),
        (base, *three_stages(0.55, 1e-3, "adamw", 8)),
        world="full",
        minutes=20,
        shift=2.5,
        batch=512,
        pool=3000,
        precision="bfloat16",
        drawers=14,
    )


def nano() -> Recipe:
    """A rehearsal: everything that `mini` does, too short to learn anything."""
    whole = mini()
    shape = TransformerShape(heads=2, head=16, double=1, single=1, axes=(4, 6, 6))
    text = TextShape(t5_width=32, t5_layers=1, t5_heads=2, clip_width=32, clip_layers=1, clip_heads=2)
    return replace(
        whole,
        name="nano",
        base=NewBase(shape, text, decoder_steps=10),
        stages=tuple(replace(stage, warm_up=2) for stage in whole.stages),
        minutes=None,
        steps=40,
        batch=4,
        pool=8,
        rank=4,
        precision="float32",
        compiled=False,
        drawers=0,
    )


def flux_dev() -> Recipe:
    """DreamO as published: FLUX.1-dev frozen, rank 128, Adam at 4e-5, batch 8, 20K + 90K + 3K iterations."""
    total = 113_000
    stages = tuple(
        replace(stage, share=iterations / total, rate=4e-5, embedding_rate=4e-5, warm_up=500, decay=0.0)
        for stage, iterations in zip(three_stages(1.0, 4e-5, "adamw", 51), (20_000, 90_000, 3_000), strict=True)
    )
    return Recipe(
        "flux-dev",
        GivenBase("black-forest-labs/FLUX.1-dev"),
        stages,
        world="full",
        canvases=(((1024, 1024), 0.6), ((1024, 768), 0.2), ((768, 1024), 0.2)),
        references=(((512, 512), 1.0),),
        steps=total,
        batch=8,
        together=1,
        pool=113_000,
        rank=128,
        precision="bfloat16",
        guidance=1.0,
        drawers=8,
    )


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "nano": nano,
    "mini": mini,
    "mini-turbo": mini_turbo,
    "mini-gpu": mini_gpu,
    "flux-dev": flux_dev,
}
