"""How a kind of one's own is taught: on which model, from which samples, in which stages, for how long."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.cards import ModelCard
from core.errors import BadInput, Problem
from core.images import fit_size
from core.training.data.entries import FILE, OF_ALL, Entry, require_entries
from core.training.recipe_files import recipe_from
from core.training.recipes import GivenBase, Recipe, Routing, Shares, Sizes, Stage

ROLE, ADAPTER = "role", "adapter"
"""The stages, and what each of them teaches."""
LEAST, MOST_HELD_OUT = 16, 96
"""Samples that are needed at all, and that are kept to measure on at most; a tenth is, or four."""
SHAPES = ((1, 1), (4, 3), (3, 4))
REFERENCE_SHAPES = ((1, 1), (2, 1), (1, 2), (7, 5), (5, 7))


@dataclass(frozen=True, slots=True)
class KindPlan:
    """What to teach.

    Attributes:
        name: of the kind.
        data: the folder of its samples.
        adapter: whether a LoRA is trained after the role.
        minutes, steps: of training in all; one of them.
        rank: of the LoRA.
        rate: of the LoRA; None: 2e-3 for a small base of one's own, 1e-4 for others.
    """

    name: str
    data: Path
    adapter: bool = False
    minutes: float | None = None
    steps: int | None = None
    rank: int = 8
    rate: float | None = None
    batch: int = 16
    drawers: int = 1
    seed: int = 0


def split_entries(plan: KindPlan) -> tuple[list[Entry], list[Entry]]:
    """The samples to learn from, and those to measure on, from the end of the file.

    Raises:
        BadInput: a line can't be read, a sample lacks the kind, or there are too few.
    """
    entries = require_entries(plan.data)
    where = str(plan.data / FILE)
    BadInput.gather(
        Problem(
            f"{where}, line {entry.line}",
            f"has no reference of kind {plan.name!r}",
            "Give it one, or leave it out",
        )
        for entry in [entry for entry in entries if plan.name not in entry.kinds][:10]
    )
    if len(entries) < LEAST:
        mend = f"Give at least {LEAST}; some hundred teach better"
        raise BadInput.at(where, f"has {len(entries)} samples", mend)
    held = min(MOST_HELD_OUT, max(4, len(entries) // 10))
    return entries[:-held], entries[-held:]


def recipe_of(plan: KindPlan, card: ModelCard, base: Path, entries: Sequence[Entry], folder: Path) -> Recipe:
    """The whole training as a recipe: a role alone, or a role and then an adapter with it.

    Args:
        plan: what to teach.
        card: of the model.
        base: its folder.
        entries: that are learnt from.
        folder: where these are written as samples.
    """
    canvases, references = sizes_of(card)
    counts = Counter(entry.task for entry in entries)
    tasks: Shares = tuple((task, count / len(entries)) for task, count in sorted(counts.items()))
    masked = sum(one.governs is not None or one.kind in OF_ALL for entry in entries for one in entry.references)
    routed = masked > 0.5 * sum(len(entry.references) for entry in entries)
    told = Stage(
        name=ROLE,
        trains="adapter",
        share=0.4 if plan.adapter else 1.0,
        tasks=tasks,
        rate=plan.rate or (2e-3 if card.world else 1e-4),
        embedding_rate=1e-2,
        warm_up=10,
        # Without references nothing of a role is used, and nothing could be learnt.
        drop_references=0.0,
        drop_both=0.0,
        routing=Routing((("P", 0.3),)) if routed else None,
        placeholder_weight=1.0 if routed else 0.0,
    )
    second = replace(told, name=ADAPTER, share=0.6, embedding_rate=2e-3, drop_references=0.05, drop_both=0.05)
    stages = (told, second) if plan.adapter else (told,)
    return Recipe(
        name=f"kind-{plan.name}",
        base=GivenBase(str(base)),
        stages=stages,
        canvases=canvases,
        references=references,
        minutes=plan.minutes,
        steps=plan.steps,
        batch=plan.batch,
        together=1,
        rank=plan.rank,
        ema=0.99,
        precision="fastest",
        guidance=1.0,
        shift=shift_of(base),
        drawers=plan.drawers,
        seed=plan.seed,
        data=((str(folder), 1.0),),
    )


def sizes_of(card: ModelCard) -> tuple[Sizes, Sizes]:
    """Of targets and references: what the model was trained on where that is known, else of the card's areas."""
    path = card.source.parent / card.source.stem / "training.json"
    if path.is_file():
        recipe = recipe_from(json.loads(path.read_text(encoding="utf-8"))["recipe"], str(path))
        return recipe.canvases, recipe.references
    canvases = dict.fromkeys(fit_size(*shape, card.area, card.grid) for shape in SHAPES)
    references = dict.fromkeys(fit_size(*shape, card.reference_area, card.grid) for shape in REFERENCE_SHAPES)
    return tuple((size, 1.0) for size in canvases), tuple((size, 1.0) for size in references)


def shift_of(base: Path) -> float:
    """Of the noise levels: the schedule's own, where it has a fixed one."""
    told = json.loads((base / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    return 1.0 if told.get("use_dynamic_shifting") else float(told.get("shift", 1.0))
