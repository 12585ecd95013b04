"""The paper's ablation at a fixed budget: each part of the method left out once, everything else alike.

Every variant trains an adapter from nothing on one frozen base, from the same seed, on the same drawings, for as
many steps; then all answer the same unseen samples. Beside fidelity and binding stands what routing itself is
about: the response inside and outside of the masks (DreamO, arXiv 2504.16915, table 5, figures 6 and 8).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.generation.files import write_atomically
from core.settings import Settings
from core.training.answers import MODEL
from core.training.data.fingerprints import bytes_of
from core.training.evaluation import MEASURED_TASKS, Plan, Report, cell, evaluate
from core.training.export import export_model
from core.training.journal import read_stages
from core.training.loop import Length, Progress
from core.training.preview import side_by_side
from core.training.recipe_files import plain_recipe
from core.training.recipes import Recipe
from core.training.response import Response, respond
from core.training.runs import Run
from core.training.world.readers import Readers

REPORT, TABLE, PLAN = "ablation.json", "ablation.md", "plan.json"
TASKS = ("subject", "two-subjects", "identity", "tryon", "style")
SHOWN: Mapping[str, tuple[str, ...]] = {
    "subject": ("fidelity", "colours"),
    "two-subjects": ("fidelity", "both", "swapped", "sides"),
    "identity": ("fidelity",),
    "tryon": ("fidelity",),
    "style": ("fidelity",),
}
"""The columns of the table: of each task these measures."""

SAID = ("name", "steps", "seed", "batch", "together", "pool", "rank", "precision", "weights")
"""Parts of a plan whose values a message shows; of others it says the name."""

Change = Callable[[Recipe], Recipe]
Shown = Callable[[str, Progress, Length, dict[str, float]], None]
"""Told a variant's name and how far its stage is."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who watches: lines for people, reports of the loop, and whether somebody wants it to stop."""

    said: Callable[[str], None] = lambda text: None
    shown: Shown = lambda name, progress, length, figures: None
    stop: Callable[[], bool] = lambda: False


def without_embeddings(recipe: Recipe) -> Recipe:
    """Neither condition nor index embedding: what a reference is, and which, is told by its place alone."""
    return replace(recipe, embeddings=False)


def without_routing(recipe: Recipe) -> Recipe:
    """Nothing tells attention where a reference belongs."""
    return replace(recipe, stages=tuple(replace(stage, routing=None) for stage in recipe.stages))


def without_placeholder_loss(recipe: Recipe) -> Recipe:
    """Prompts have placeholders, but nothing ties them to references."""
    return replace(recipe, stages=tuple(replace(stage, placeholder_weight=0.0) for stage in recipe.stages))


def without_progress(recipe: Recipe) -> Recipe:
    """Every task from the first step to the last: the stage `full` takes the place of the warm-up, too."""
    full = next(stage for stage in recipe.stages if stage.name == "full")
    before = [stage for stage in recipe.stages if stage.keep_tokens is None]
    after = [stage for stage in recipe.stages if stage.keep_tokens is not None]
    return replace(recipe, stages=(replace(full, share=sum(stage.share for stage in before)), *after))


def without_quality(recipe: Recipe) -> Recipe:
    """No last stage; the others take its time."""
    last = sum(stage.share for stage in recipe.stages if stage.keep_tokens is not None)
    kept = tuple(stage for stage in recipe.stages if stage.keep_tokens is None)
    whole = sum(stage.share for stage in kept)
    return replace(recipe, stages=tuple(replace(one, share=one.share * (1 + last / whole)) for one in kept))


VARIANTS: Mapping[str, Change] = {
    "full": lambda recipe: recipe,
    "no-embeddings": without_embeddings,
    "no-routing": without_routing,
    "no-placeholder-loss": without_placeholder_loss,
    "no-progressive-training": without_progress,
    "no-quality-stage": without_quality,
}
NAMES: Mapping[str, str] = {
    "full": "DreamO",
    "no-embeddings": "without condition and index embeddings",
    "no-routing": "without routing",
    "no-placeholder-loss": "without placeholder loss",
    "no-progressive-training": "without progressive training",
    "no-quality-stage": "without quality stage",
}


@dataclass(frozen=True, slots=True)
class Ablation:
    """What is held against what.

    Attributes:
        recipe: of the whole method, its stages those of an adapter alone.
        weights: the folder with the base, that of a run or of a model.
        samples: of each task, for measuring.
        variants: names out of `VARIANTS`.
    """

    recipe: Recipe
    weights: Path
    samples: int = 100
    tasks: tuple[str, ...] = TASKS
    variants: tuple[str, ...] = tuple(VARIANTS)


@dataclass(frozen=True, slots=True)
class Variant:
    """One of them, trained and measured."""

    name: str
    steps: int
    seen: int
    report: Report
    response: Response

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        told = {"name": self.name, "steps": self.steps, "samples_seen": self.seen}
        return {**told, "response": asdict(self.response), "report": self.report.as_dict()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Variant:
        """The way back."""
        report, response = Report.from_dict(told["report"]), Response(**told["response"])
        return cls(told["name"], told["steps"], told["samples_seen"], report, response)


def adapter_alone(recipe: Recipe, steps: int) -> Recipe:
    """The recipe without its base's stages; what is left lasts that many steps in all."""
    stages = tuple(stage for stage in recipe.stages if stage.trains == "adapter")
    whole = sum(stage.share for stage in stages)
    stages = tuple(replace(stage, share=stage.share / whole) for stage in stages)
    return replace(recipe, stages=stages, minutes=None, steps=steps)


def ablate(
    plan: Ablation,
    folder: Path,
    settings: Settings,
    readers: Readers,
    *,
    device: str = "cpu",
    audience: Audience | None = None,
) -> list[Variant]:
    """Trains and measures every variant that is not finished; each has a folder of its own and can be resumed.

    A finished one is measured anew, and not trained, where the plan asks for other samples or tasks. Writes
    `ablation.json`, `ablation.md` and `responses.png` after each.

    Raises:
        BadInput: an unknown variant or task, a recipe without the parts that are left out, weights that have no
            base, or one of another shape, or a folder with a variant that was trained by another plan.
        Stopped: the audience wanted it; the same call goes on.
    """
    audience = audience or Audience()
    check(plan)
    for name in plan.variants:
        check_place(name, plan, folder / name)
    found: list[Variant] = []
    for name in plan.variants:
        place = folder / name
        variant = kept_variant(place / REPORT, plan)
        if variant is None:
            audience.said(f"{name}: {NAMES[name]}")
            variant = measured(name, plan, place, settings, readers, device, audience)
            (place / REPORT).write_text(json.dumps(variant.as_dict()) + "\n", encoding="utf-8")
        found.append(variant)
        write(plan, found, folder)
    return found


def check(plan: Ablation) -> None:
    """Raises BadInput for what can't be left out or measured."""
    for what, given, known in (("variant", plan.variants, VARIANTS), ("task", plan.tasks, MEASURED_TASKS)):
        for one in given:
            if one not in known:
                raise BadInput.at(what, f"{one!r} is none", f"Known are: {', '.join(known)}.")
    if not any(stage.name == "full" for stage in plan.recipe.stages):
        what = "has no stage 'full': it does not train an adapter from nothing, part by part"
        raise BadInput.at(f"recipe {plan.recipe.name}", what, "Name one that does, such as mini")


def training_of(name: str, plan: Ablation) -> dict[str, Any]:
    """All that decides what a variant learns, as JSON values."""
    return {**plain_recipe(VARIANTS[name](plan.recipe)), "weights": weights_of(plan.weights)}


def weights_of(folder: Path) -> str:
    """A hash of the base's weights, wherever they lie; `folder` is that of a run or of a model."""
    base = (folder / "base" if (folder / "base").is_dir() else folder).resolve()
    told = [[path.name, bytes_of(path)] for path in sorted(base.glob("*/*.safetensors"))]
    return sha256(json.dumps(told).encode()).hexdigest()[:16]


def check_place(name: str, plan: Ablation, place: Path) -> None:
    """Raises BadInput where the variant's folder holds one that was trained by another plan."""
    if not place.exists() or not any(place.iterdir()):
        return
    wanted, told = training_of(name, plan), told_in(place / PLAN)
    other = [key for key in wanted if told.get(key) != wanted[key]]
    if other:
        parts = [f"{key} {told[key]}, not {wanted[key]}" if key in SAID else key for key in other if key in told]
        what = f"holds a variant of another plan ({'; '.join(parts) or 'nothing tells which'})"
        raise BadInput.at(str(place), what, "Name another folder with -o, or ask for what it began with")


def told_in(path: Path) -> dict[str, Any]:
    """A JSON object's values; none where there is no such file."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def kept_variant(path: Path, plan: Ablation) -> Variant | None:
    """A finished variant that was measured as the plan asks for."""
    if not path.is_file():
        return None
    variant = Variant.from_dict(json.loads(path.read_text(encoding="utf-8")))
    tasks = {row.task for row in variant.report.rows}
    return variant if (variant.report.count, tasks) == (plan.samples, set(plan.tasks)) else None


def measured(
    name: str,
    plan: Ablation,
    place: Path,
    settings: Settings,
    readers: Readers,
    device: str,
    audience: Audience,
) -> Variant:
    """One variant from nothing to its figures."""
    shown = partial(audience.shown, name)
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / PLAN, (json.dumps(training_of(name, plan), indent=1) + "\n").encode())
    recipe = VARIANTS[name](plan.recipe)
    run = Run(recipe, place, shown, device, audience.stop, drawn=place.parent / "drawn")
    run.begin_with(plan.weights, adapter=False)
    run.train()
    card = export_model(run, place / "model", f"ablation-{name}")
    asked = Plan(str(card), readers.world, plan.samples, tasks=plan.tasks, sources=(MODEL,))
    report, _ = evaluate(asked, settings, readers, device=device)
    response, picture = respond(run, device)
    picture.save(place / "response.png", optimize=True)
    seen = sum(stage.samples for stage in read_stages(place))
    audience.said(
        f"{name}: {seen:,} samples, response {response.inside:.2f} inside, {response.outside:.2f} outside"
    )
    return Variant(name, plan.recipe.steps or 0, seen, report, response)


def write(plan: Ablation, found: Sequence[Variant], folder: Path) -> None:
    """The table as Markdown and JSON, and the responses of all variants side by side."""
    from PIL import Image

    told: dict[str, Any] = {"seed": plan.recipe.seed, "steps": plan.recipe.steps, "batch": step_of(plan)}
    told |= {"samples": plan.samples, "variants": [variant.as_dict() for variant in found]}
    (folder / REPORT).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (folder / TABLE).write_text(table(plan, found), encoding="utf-8")
    pictures = [Image.open(folder / variant.name / "response.png").convert("RGB") for variant in found]
    side_by_side(pictures).save(folder / "responses.png", optimize=True)


def step_of(plan: Ablation) -> int:
    """Samples of one step."""
    return plan.recipe.batch * plan.recipe.together


def table(plan: Ablation, found: Sequence[Variant]) -> str:
    """Markdown: a line for each variant."""
    columns = [(task, measure) for task in plan.tasks for measure in SHOWN.get(task, ("fidelity",))]
    heads = [f"{task} {measure}" for task, measure in columns]
    about = (
        f"Seed {plan.recipe.seed}, {plan.recipe.steps:,} steps of {step_of(plan)} samples, {plan.samples} unseen "
        "samples a task. Per cent, with 95 % bootstrap intervals; responses inside and outside masks are products "
        "of queries and keys, owners the share of mask tokens that respond most to their own reference."
    )
    lines = [
        about,
        "",
        f"| | {' | '.join(heads)} | response inside | outside | owners |",
        f"|---|{'---:|' * (len(heads) + 3)}",
    ]
    for variant in found:
        rates = {row.task: row.rates for row in variant.report.rows}
        cells = [cell(rates[task].get(measure)) for task, measure in columns]
        told = variant.response
        cells += [f"{told.inside:.2f}", f"{told.outside:.2f}", f"{100 * told.owners:.0f}"]
        lines.append(f"| {NAMES[variant.name]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
