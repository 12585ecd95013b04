"""`dreamline train eval`: a trained model against drawings that it has never seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.settings import Settings

if TYPE_CHECKING:
    from core.training.evaluation import Plan
    from core.training.recipes import Recipe, Sizes
    from core.training.world.readers import Readers

SHEET = "samples.png"
WORLDS = ("small", "full")


@click.command("eval")
@click.argument("what", metavar="DIR|CARD")
@click.option("--samples", type=click.IntRange(1), default=100, show_default=True, help="Of each task.")
@click.option("--tasks", help="Separated by commas [all].")
@click.option("--splits", default="new", show_default=True, help="new, held-out, or both separated by a comma.")
@click.option("--sources", help="Of model, base, paste and drawings, separated by commas [all].")
@click.option("--steps", type=click.IntRange(1), help="Denoising steps [the card's].")
@click.option("--world", type=click.Choice(WORLDS), help="That samples are drawn from [the model's own].")
@click.option(
    "--readers", type=click.Path(path_type=Path, file_okay=False), help="Folder of the readers [see above]."
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to generate [auto]."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder [DIR/evaluation, or evaluation/CARD].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the measurements as one JSON document.")
@click.pass_obj
def command(
    settings: Settings,
    what: str,
    samples: int,
    tasks: str | None,
    splits: str,
    sources: str | None,
    steps: int | None,
    world: str | None,
    readers: Path | None,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure the model of the run in DIR, or of a model card CARD.

    Its images of unseen samples are read by small networks, the readers, and held against what was asked: do
    products, faces and garments keep their looks, and is the prompt followed? The same is asked of the base in
    words alone, of references pasted into a place that the base draws, and of drawings, which shows how well the
    readers read. The split held-out has nothing but combinations that training never showed.

    Readers of the small world come along. Those of another are trained when it is measured for the first time,
    which takes a processor about an hour, and kept below DREAMLINE_HOME. OUTPUT gets report.md, report.json and
    samples.png, a sheet of samples drawn by lot.

    \b
    dreamline train eval training/mini --samples 20 --tasks subject,tryon
    dreamline train eval models/dreamo-mini.toml --splits new,held-out -o measured
    """  # noqa: D301 - click reads the \b
    from orchestrator.cli.needing import require_torch
    from orchestrator.cli.training import resolve

    require_torch()
    from core.training.contact_sheet import save_sheet
    from core.training.evaluation import REPORT, TABLES, evaluate

    plan = plan_of(what, settings, world, samples, tasks, steps)
    plan = replace(plan, splits=listed(splits), sources=listed(sources) if sources else plan.sources)
    out = output or folder_for(what)
    told = quiet if as_json else said
    read = readers_of(plan, readers, settings, told)
    report, made = evaluate(
        plan, settings, read, device=resolve(device), progressed=lambda done, of, text: told(f"{done}/{of} {text}")
    )
    report.write(out)
    save_sheet(made, out / SHEET)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
        return
    for name in (TABLES, REPORT, SHEET):
        click.echo(str(out / name))


def listed(text: str) -> tuple[str, ...]:
    """What commas separate."""
    return tuple(one.strip() for one in text.split(",") if one.strip())


def folder_for(what: str) -> Path:
    """Inside a run, beside a card's file; of a card by its name in the folder where one is."""
    if Path(what).is_dir():
        return Path(what) / "evaluation"
    return Path(what).parent / "evaluation" if what.endswith(".toml") else Path("evaluation") / what


def said(text: str) -> None:
    """A line of progress."""
    click.echo(text, err=True)


def quiet(text: str) -> None:
    """Shows nothing."""


def plan_of(
    what: str, settings: Settings, world: str | None, samples: int, tasks: str | None, steps: int | None
) -> Plan:
    """What is measured, from the options and from how the model was trained.

    Raises:
        BadInput: there is no such model, task or world.
    """
    from core.errors import BadInput
    from core.training.evaluation import MEASURED_TASKS, Plan
    from core.training.world.samples import Canvas
    from core.training.world.truth import WORLDS as KNOWN

    card = card_of(what, settings)
    recipe = recipe_of(card)
    name = world or (recipe.world if recipe else None)
    if name is None:
        raise BadInput.at("option --world", f"nothing tells what {card} was trained on", "Say small or full")
    chosen = listed(tasks) if tasks else MEASURED_TASKS
    plan = Plan(str(card), KNOWN[name], samples, steps, chosen)
    if recipe is None:
        return plan
    canvas, reference = Canvas(*usual(recipe.canvases)), Canvas(*usual(recipe.references))
    return replace(plan, canvas=canvas, reference=reference)


def card_of(what: str, settings: Settings) -> Path:
    """The card in a run's folder, or the one that is named.

    Raises:
        BadInput: the run has written no model yet, or there is no such card.
    """
    from core.cards import load_card
    from core.errors import BadInput

    if not Path(what).is_dir():
        return load_card(what, settings).source
    found = sorted(Path(what).glob("model/*.toml"))
    if len(found) != 1:
        mend = f"`dreamline train resume {what}` goes on to it" if not found else "Name the card"
        raise BadInput.at(what, f"holds {len(found)} model cards in 'model'", mend)
    return found[0]


def recipe_of(card: Path) -> Recipe | None:
    """The recipe that stands in the training.json beside a card; None where there is none."""
    from core.training.recipe_files import recipe_from

    path = card.parent / card.stem / "training.json"
    if not path.is_file():
        return None
    return recipe_from(json.loads(path.read_text(encoding="utf-8"))["recipe"], str(path))


def usual(sizes: Sizes) -> tuple[int, int]:
    """The size with the largest share."""
    return max(sizes, key=lambda pair: pair[1])[0]


def readers_of(plan: Plan, folder: Path | None, settings: Settings, told: Callable[[str], None]) -> Readers:
    """Those in a folder, trained into it where it is not there; without a folder, the shipped or kept ones."""
    from core.training.world.lessons import train_readers
    from core.training.world.readers import SHIPPED, load_readers

    if folder is None:
        shipped = SHIPPED / plan.world.name
        folder = shipped if shipped.is_dir() else settings.home / "readers" / plan.world.name
    if folder.is_dir():
        return load_readers(folder)
    told(f"readers of the world {plan.world.name} are trained into {folder}, once")
    return train_readers(plan.world, folder, said=told)
