"""The recipes that ship: Python functions that return a `Recipe`, by name in `RECIPES`.

Where the paper gives a number, `flux_dev` has it (arXiv 2504.16915, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from core.training.recipes import Distil, GivenBase, NewBase, Recipe, Routing, Shares, Stage, TransformerShape
from core.training.texts import TextShape

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


PAIRS: Shares = (
    *(("subject", 0.14), ("tryon", 0.11), ("identity", 0.08), ("two-subjects", 0.35), ("style", 0.13)),
    *(("style-subject", 0.05), ("two-people", 0.08), ("text", 0.06)),
)
"""To learn which reference belongs where, two of a kind first, and that a style changes no place."""


SAID: Shares = (
    *(("subject", 0.15), ("tryon", 0.1), ("identity", 0.1), ("two-subjects", 0.3), ("two-people", 0.1)),
    *(("three-subjects", 0.1), ("text", 0.15)),
)
"""To learn which word belongs to which thing: captions that tell of several."""


def words(share: float) -> Stage:
    """T5 learns to read, by AdamW at the rate of all that is no matrix of a block."""
    return Stage("words", "words", share, SAID, rate=1e-3)


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


def joint(share: float, rate: float) -> Stage:
    """Base and adapter learn side by side which reference belongs where.

    A base of a few million parameters does not tie words to places as FLUX does: in its captions two products
    exchange their colours as often as not, and LoRA on it learns no better.
    """
    return Stage(
        "joint",
        "everything",
        share,
        PAIRS,
        rate=rate,
        optimiser="muon",
        decay=0.35,
        drop_references=0.03,
        drop_both=0.02,
        routing=Routing((("P", 1.0), ("R", 0.3))),
        routed=0.25,
        placeholder_weight=1.0,
        alone=0.15,
        panels=0.6,
        given=0.9,
        shifted=0.3,
    )


def mini() -> Recipe:
    """dreamo-mini on two processor cores: a small world, an afternoon."""
    shape = TransformerShape(heads=6, head=32, double=2, single=4, axes=(8, 12, 12))
    base = Stage(
        "base",
        "base",
        0.4,
        FEW_TASKS,
        rate=1.5e-3,
        optimiser="muon",
        drop_text=0.1,
        panels=0.8,
        given=0.9,
        shifted=0.3,
    )
    warm_up, full, quality = three_stages(0.2, 1e-3, "adamw", 8, FEW_TASKS)
    return Recipe(
        "mini",
        NewBase(shape),
        (words(0.05), base, warm_up, full, joint(0.35, 1.2e-3), quality),
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
        PAIRS,
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
        (words(0.05), base, *three_stages(0.5, 1e-3, "adamw", 8)),
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
