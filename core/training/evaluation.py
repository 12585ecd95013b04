"""A trained model held against drawings that it has never seen: made through the real generator, read, counted.

Beside the model stand three others, on the same samples: its base, which is told everything in words and gets no
references; who pastes the references; and the drawings themselves, whose rates say how well the readers read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.cards import ModelCard, load_card
from core.errors import BadInput
from core.generation.dreamo import DreamO
from core.settings import Settings
from core.training.answers import BASE, DRAWINGS, MODEL, PASTE, SOURCES, Made, Progressed, produce
from core.training.measures import MEASURES, Interval, Seen, gathered, measure
from core.training.pasting import pasted
from core.training.world.choices import SPLITS, unseen
from core.training.world.readers import Readers
from core.training.world.reading import PERSON, PRODUCT
from core.training.world.samples import REFERENCES, TASKS, Canvas, Sample, draw_sample
from core.training.world.truth import Product, World

MEASURED_TASKS = tuple(task for task in TASKS if task != "panels")
MEASURED_SPLITS = tuple(split for split in SPLITS if split != "train")
REPORT, TABLES = "report.json", "report.md"
AWAY = {1: "one factor away", 2: "two factors away"}
"""How many combinations of a held-out sample's things training never showed, at most."""


def silent(done: int, total: int, what: str) -> None:
    """Shows nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        card: a model card's name, or the path of its file.
        count: samples of each task and split, numbered from 0.
        steps: None: the card's.
        canvas, reference: sizes of images and of references.
        splits: which of `new`, as training has them, and `held-out`, whose combinations it never shows.
        sources: which of `model`, `base`, `paste` and `drawings`.
    """

    card: str
    world: World
    count: int
    steps: int | None = None
    tasks: tuple[str, ...] = MEASURED_TASKS
    splits: tuple[str, ...] = ("new",)
    canvas: Canvas = Canvas(128, 128)
    reference: Canvas = Canvas(96, 96)
    sources: tuple[str, ...] = SOURCES


@dataclass(frozen=True, slots=True)
class Row:
    """What `source` achieves in one task and split; `held-out` also in parts, by how far the samples are away."""

    source: str
    task: str
    split: str
    rates: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, and what they were measured with.

    Attributes:
        readers: accuracy of each reader's attributes on plain drawings, `product colour` → share.
    """

    card: str
    title: str
    world: str
    count: int
    steps: int
    readers: Mapping[str, float]
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Report:
        rows = tuple(
            Row(**{**row, "rates": {name: Interval(**one) for name, one in row["rates"].items()}})
            for row in told["rows"]
        )
        return cls(**{**told, "rows": rows})

    def write(self, folder: Path) -> None:
        """Writes `report.json` and `report.md`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT).write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        (folder / TABLES).write_text(tables(self), encoding="utf-8")


def evaluate(
    plan: Plan,
    settings: Settings,
    readers: Readers,
    *,
    device: str = "cpu",
    progressed: Progressed = silent,
) -> tuple[Report, list[Made]]:
    """Draws, makes, reads and counts.

    Raises:
        BadInput: an unknown card, task, split or source, or readers of another world.
        WeightsMissing: naming each file of the model that is not here.
    """
    check(plan, readers)
    card = load_card(plan.card, settings)
    steps = plan.steps or card.steps
    drawn = draw(plan, progressed)
    made: list[Made] = []
    for source in plan.sources:
        of = open_to(card, plan.tasks) if source == MODEL else replace(card, adapters=(), embeddings="")
        generator = None if source == DRAWINGS else DreamO(of, settings, device)
        for split, every in drawn.items():
            samples = [sample for sample in every if source != PASTE or shows_things(sample)]
            pictures = produce(samples, source, generator, steps, progressed)
            made += [Made(source, split, sample, one) for sample, one in zip(samples, pictures, strict=True)]
    rows = tuple(rows_of(made, readers, plan))
    shares = {
        f"{subject} {name}": one.plain
        for subject, found in readers.accuracies.items()
        for name, one in found.items()
    }
    return Report(card.name, card.title, plan.world.name, plan.count, steps, shares, rows), made


def shows_things(sample: Sample) -> bool:
    """Whether it has a reference that can be pasted."""
    return any(drawn.owner >= 0 for drawn in sample.references)


def open_to(card: ModelCard, tasks: Sequence[str]) -> ModelCard:
    """The card, taking as many references as these tasks have: measuring is to say what comes of untaught ones."""
    return replace(card, max_references=max(card.max_references, *(len(REFERENCES[task]) for task in tasks)))


def check(plan: Plan, readers: Readers) -> None:
    """Raises BadInput for what can't be measured."""
    if readers.world.name != plan.world.name:
        what = f"are of the world {readers.world.name}, not {plan.world.name}"
        raise BadInput.at("readers", what, "Give readers of the world that is measured")
    for what, given, known in (
        ("task", plan.tasks, MEASURED_TASKS),
        ("split", plan.splits, MEASURED_SPLITS),
        ("source", plan.sources, SOURCES),
    ):
        for one in given:
            if one not in known:
                raise BadInput.at(what, f"{one!r} can't be measured", f"Known are: {', '.join(known)}.")
    if plan.count < 1:
        raise BadInput.at("count", f"{plan.count} samples measure nothing", "Give one at least")


def draw(plan: Plan, progressed: Progressed) -> dict[str, list[Sample]]:
    """All samples by split, task by task."""
    total, drawn = len(plan.splits) * len(plan.tasks) * plan.count, 0
    found: dict[str, list[Sample]] = {}
    for split in plan.splits:
        found[split] = []
        for task in plan.tasks:
            for seed in range(plan.count):
                found[split].append(draw_sample(plan.world, task, seed, plan.canvas, plan.reference, split))
                drawn += 1
            progressed(drawn, total, "drawn")
    return found


def rows_of(made: Sequence[Made], readers: Readers, plan: Plan) -> Iterator[Row]:
    """Reads all images and gathers them: split by split, task by task, the sources below each other."""
    measured: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for one, looked in zip(made, read(made, readers), strict=True):
        rates = measure(one.sample, looked)
        for split in splits_of(one, plan.world):
            measured.setdefault((split, one.sample.task, one.source), []).append(rates)
    for split in plan.splits:
        for part in (split, *(f"{split}, {away}" for away in AWAY.values())):
            for task in plan.tasks:
                for source in plan.sources:
                    if found := measured.get((part, task, source)):
                        yield Row(source, task, part, gathered(found))


def splits_of(one: Made, world: World) -> tuple[str, ...]:
    """Its split; where that is held out, also the part by how many factors it is away."""
    if one.split != "held-out":
        return (one.split,)
    farthest = max((unseen(world, placed.thing) for placed in one.sample.scene.things), default=0)
    return (one.split, f"{one.split}, {AWAY[farthest]}") if farthest in AWAY else (one.split,)


def read(made: Sequence[Made], readers: Readers) -> list[Seen]:
    """What the readers see in each image; those with equally many things of a sort are read together."""
    scenes = readers.scenes([one.picture for one in made])
    groups: dict[tuple[str, int], list[int]] = {}
    for index, one in enumerate(made):
        things = one.sample.scene.things
        subject = PRODUCT if things and isinstance(things[0].thing, Product) else PERSON
        groups.setdefault((subject, len(things)), []).append(index)
    found: dict[int, Sequence[Mapping[str, str | None]]] = {}
    for (subject, count), members in groups.items():
        readings = readers.things([made[index].picture for index in members], subject, count)
        found.update(zip(members, readings, strict=True))
    return [Seen(scene, found[index], likeness(made[index])) for index, scene in enumerate(scenes)]


def likeness(one: Made) -> float | None:
    """How much its references look pasted into it; None where none shows a thing."""
    shown = [drawn.picture for drawn in one.sample.references if drawn.owner >= 0]
    return pasted(one.picture, shown) if shown else None


COLUMNS = (
    *("fidelity", "kept", "both", "adherence", "colours", "sides", "swapped", "pasted", "place", "time", "style"),
    "count",
)
NAMES = {MODEL: "DreamO", BASE: "base, in words", PASTE: "pasted", DRAWINGS: "drawings (ceiling)"}


def tables(report: Report) -> str:
    """The report as Markdown: an overview for each split, every attribute, and how well the readers read."""
    about = (
        f"`{report.card}` on the drawn world `{report.world}`: {report.count} unseen samples a task, "
        f"{report.steps} steps. Per cent, with 95 % bootstrap intervals."
    )
    lines = [f"# {report.title}", "", about, ""]
    for split in dict.fromkeys(row.split for row in report.rows):
        rows = [row for row in report.rows if row.split == split]
        lines += [f"## Split `{split}`", "", *table(rows, COLUMNS), ""]
        names = dict.fromkeys(name for row in rows for name in row.rates)
        others = tuple(name for name in names if name not in (*MEASURES, *COLUMNS))
        lines += [f"### Attributes in `{split}`", "", *table(rows, others), ""]
    if report.readers:
        lines += ["## Readers on unseen plain drawings", "", "| attribute | right |", "|---|---:|"]
        lines += [f"| {name} | {100 * share:.1f} |" for name, share in report.readers.items()] + [""]
    return "\n".join(lines)


def table(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """One line a row; columns that no row fills are left out."""
    shown = [name for name in names if any(name in row.rates for row in rows)]
    lines = ["| task | made by | " + " | ".join(name.replace("_", " ") for name in shown) + " |"]
    lines.append("|---|---|" + "---:|" * len(shown))
    for row in rows:
        cells = [cell(row.rates.get(name)) for name in shown]
        lines.append(f"| {row.task} | {NAMES[row.source]} | " + " | ".join(cells) + " |")
    return lines


def cell(rate: Interval | None) -> str:
    """`93 (90-96)`."""
    if rate is None:
        return ""
    return f"{100 * rate.mean:.0f} ({100 * rate.low:.0f}-{100 * rate.high:.0f})"
