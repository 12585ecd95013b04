"""`dreamline train`: a model of one's own, from a recipe to a card that campaigns can name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import ablating, data, kind, measuring, print_json
from orchestrator.cli.needing import require_torch
from orchestrator.cli.watch import Watch, watching

if TYPE_CHECKING:
    from core.training.recipes import Recipe
    from core.training.report import RunReport
    from core.training.runs import Run

NAME = "dreamo-mini"
AS_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: a line for each report, one at the end."
)
DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to train [auto]."
)
THREADS = click.option("--threads", type=click.IntRange(1), help="Threads of the processor [all].")
FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
CALLED = click.option("--name", default=NAME, show_default=True, help="Of the model that is written at the end.")


@click.group()
def command() -> None:
    """Train a DreamO model, see how it went, measure it.

    A recipe is a whole run: the world that its samples are drawn from, the sizes of the networks, the stages one
    after the other, and how long. Samples are drawn as they are needed; nothing is downloaded. The recipes:

    \b
    nano        a rehearsal: every part of a run, too short to learn anything. Under a minute on a processor.
    mini        dreamo-mini, from nothing, on the small drawn world. Four hours on two cores, 2 GB of memory.
    mini-turbo  learns from dreamo-mini to make images in four steps. A quarter of an hour; wants --start kept.
    mini-gpu    dreamo-mini on the full drawn world. Half an hour on one large GPU, with a dozen cores that draw.
    flux-dev    DreamO as published, on FLUX.1-dev, which has to be here. Weeks on a machine with several GPUs.

    \b
    dreamline train run nano                      try it
    dreamline train run mini --folder runs/first  train dreamo-mini
    dreamline train resume runs/first             go on after Ctrl-C, a crash or a power cut
    dreamline train report runs/first             tables and curves, at any time
    dreamline train eval runs/first               measure what was learnt
    dreamline train data check pets               look through samples of one's own
    dreamline train kind --data pets --name pet   teach a kind of one's own, and write its plugin
    """  # noqa: D301 - click reads the \b


@command.command()
@click.argument("recipe")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Of the run [training/RECIPE].")
@DEVICE
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Of training, over all stages [the recipe's]."
)
@click.option("--steps", type=click.IntRange(1), help="Instead of minutes.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Another seed draws other samples.")
@THREADS
@click.option(
    "--start",
    metavar="DIR",
    help="Begin with the weights in DIR, the folder of a run or of a model, or with the shipped (`kept`) ones.",
)
@click.option(
    "--data",
    "data_folders",
    multiple=True,
    metavar="DIR[=SHARE]",
    help="Samples of one's own in DIR, with their share of the batches [1]; the rest is drawn.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the recipe.")
@CALLED
@AS_JSON
def run(
    recipe: str,
    folder: Path | None,
    device: str,
    minutes: float | None,
    steps: int | None,
    seed: int | None,
    threads: int | None,
    start: str | None,
    data_folders: tuple[str, ...],
    changes: tuple[str, ...],
    name: str,
    as_json: bool,
) -> None:
    """Train every stage of RECIPE, then write the model into DIR/model.

    \b
    dreamline train run nano
    dreamline train run mini --minutes 30 --seed 1
    dreamline train run mini --start kept
    dreamline train run mini --start kept --data pets=0.3 --data garments=0.2
    dreamline train run flux-dev --data subjects200k --set base.folder=/models/FLUX.1-dev
    dreamline train run mini --set batch=8 --set stages.full.rate=5e-4 --set 'canvases=[[[128,128],1]]'

    --data takes folders as `dreamline train data` checks, draws and imports them.

    --set takes the path of a value as recipe.json shows it; a stage goes by its name, * means all of them.

    DIR/STAGE/previews shows a few fixed samples as the model makes them at each checkpoint.

    Time is what training takes; drawing the first samples, the decoder and the export come on top. Ctrl-C writes a
    checkpoint and ends with exit code 130; the same command, or `dreamline train resume`, goes on from there.
    """  # noqa: D301 - click reads the \b
    require_torch()
    from core.errors import BadInput
    from core.training.recipe_files import changed, named_recipe, plain_recipe, recipe_from

    plan = named_recipe(recipe)
    if minutes is not None and steps is not None:
        raise BadInput.at("option --steps", "a run has a length in minutes or in steps", "Leave one of them out")
    if minutes is not None or steps is not None:
        plan = replace(plan, minutes=minutes, steps=steps)
    if seed is not None:
        plan = replace(plan, seed=seed)
    if data_folders:
        plan = replace(plan, data=tuple(read_share(one) for one in data_folders))
        recipe_from(plain_recipe(plan), "option --data")
    place = folder or Path("training") / recipe
    train(changed(plan, changes), place, device, threads, name, start=start, as_json=as_json)


@command.command()
@FOLDER
@DEVICE
@THREADS
@CALLED
@AS_JSON
def resume(folder: Path, device: str, threads: int | None, name: str, as_json: bool) -> None:
    """Go on with the run in DIR, from its newest checkpoint.

    What is finished is not done again: on a finished run only the model is written once more.
    """
    require_torch()
    from core.training.recipe_files import read_recipe

    train(read_recipe(folder), folder, device, threads, name, as_json=as_json)


@command.command()
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def report(folder: Path, as_json: bool) -> None:
    """Write report.md and losses.png into DIR, and print a summary.

    Works at any time, also while the run goes on.
    """
    require_torch()
    from core.training.report import write_report

    made = write_report(folder)
    if as_json:
        print_json(made.as_dict())
    else:
        describe(made)


@command.command()
@FOLDER
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder [DIR/model].")
@CALLED
@click.option("--title", help="One line for people, on the card.")
def export(folder: Path, output: Path | None, name: str, title: str | None) -> None:
    """Write the model of the finished run in DIR once more.

    OUTPUT gets NAME.toml, a model card, and the folder NAME beside it. Move both together, wherever you like:
    `dreamline generate --model OUTPUT/NAME.toml` makes images with it.
    """
    require_torch()
    from core.training.export import TITLE, export_model
    from core.training.recipe_files import read_recipe
    from core.training.runs import Run

    run = Run(read_recipe(folder), folder)
    click.echo(str(export_model(run, output or folder / "model", name, title or TITLE)))


command.add_command(measuring.command)
command.add_command(ablating.command)
command.add_command(data.command)
command.add_command(kind.command)


def read_share(told: str) -> tuple[str, float]:
    """`DIR=0.3` or `DIR`; the folder by its whole path, so that a run can be resumed from anywhere.

    Raises:
        BadInput: the share is no number.
    """
    from core.errors import BadInput

    name, equals, share = told.rpartition("=")
    if not equals or Path(told).is_dir():
        return str(Path(told).resolve()), 1.0
    try:
        return str(Path(name).resolve()), float(share)
    except ValueError as error:
        mend = "Say DIR=0.3 for three batches in ten"
        raise BadInput.at(f"option --data {told}", f"{share!r} is no share", mend) from error


def train(
    recipe: Recipe,
    folder: Path,
    device: str,
    threads: int | None,
    name: str,
    *,
    start: str | None = None,
    as_json: bool,
) -> None:
    """The whole run, and where its results lie."""
    import torch

    from core.training.runs import Run

    if threads is not None:
        torch.set_num_threads(threads)
    with watching(recipe, as_json=as_json) as watch, telling_how_to_resume(f"dreamline train resume {folder}"):
        run = Run(recipe, folder, watch.shown, resolve(device), watch.stop)
        if start is not None:
            run.begin_with(kept_weights(recipe.name) if start == "kept" else Path(start))
        watch.say(f"{recipe.name} in {folder}, {length_of(recipe)}, on {run.device}")
        card = train_parts(run, watch, name)
    if card is not None:
        conclude(folder, card, as_json=as_json)


def kept_weights(recipe: str) -> Path:
    """The shipped model of a recipe.

    Raises:
        BadInput: there is none.
    """
    from core.errors import BadInput
    from core.training.runs import KEPT_WEIGHTS

    if recipe not in KEPT_WEIGHTS:
        names = ", ".join(KEPT_WEIGHTS)
        raise BadInput.at("option --start", f"no weights are kept for {recipe}", f"There are some for: {names}")
    return KEPT_WEIGHTS[recipe]


def train_parts(run: Run, watch: Watch, name: str) -> Path | None:
    """Stages, decoder and export, as far as they are not there; gives the card, in the first process only."""
    from accelerate import PartialState

    from core.training.export import export_model
    from core.training.recipes import NewBase
    from core.training.runs import part_company

    for stage in run.recipe.stages:
        if not run.finished(stage):
            watch.begin(stage)
            run.train_stage(stage)
            watch.obey()
    first = PartialState().is_main_process
    part_company()
    if not first:
        return None
    done = run.folder / "decoder" / "finished"
    if isinstance(run.recipe.base, NewBase) and not done.exists():
        watch.say("decoder")
        run.train_decoder(watch.decoding)
        done.parent.mkdir(exist_ok=True)
        done.touch()
    return export_model(run, run.folder / "model", name)


@contextlib.contextmanager
def telling_how_to_resume(command: str) -> Iterator[None]:
    """Where the run was asked to stop: what to call next, and exit code 130."""
    from core.errors import Stopped

    try:
        yield
    except (Stopped, KeyboardInterrupt):
        pass
    else:
        return
    click.echo(f"Stopped. `{command}` goes on.", err=True)
    raise SystemExit(130)


def conclude(folder: Path, card: Path, *, as_json: bool) -> None:
    """Report, and the paths of everything."""
    import json

    from core.training.report import write_report

    made = write_report(folder)
    if as_json:
        click.echo(json.dumps({**made.as_dict(), "folder": str(folder), "card": str(card)}))
        return
    describe(made)
    click.echo(str(card))
    click.echo(
        f"`dreamline train eval {folder}` measures it; `dreamline generate --model {card}` uses it.", err=True
    )


def describe(made: RunReport) -> None:
    """The summary for people, and the files' paths."""
    from rich.console import Console
    from rich.table import Table

    from core.training.report import duration

    table = Table(box=None, header_style="bold")
    for heading in ("stage", "state", "steps", "samples", "time", "samples/s", "loss"):
        table.add_column(heading, no_wrap=True, justify="left" if heading in ("stage", "state") else "right")
    for stage in made.stages:
        first, last = stage.first.get("loss", float("nan")), stage.last.get("loss", float("nan"))
        table.add_row(
            stage.name,
            "finished" if stage.finished else "unfinished",
            f"{stage.steps:,}",
            f"{stage.samples:,}",
            duration(stage.seconds),
            f"{stage.speed:.1f}",
            f"{first:.4f} → {last:.4f}",
        )
    Console().print(table)
    click.echo(str(made.text))
    click.echo(str(made.picture))


def length_of(recipe: Recipe) -> str:
    """In words."""
    return f"{recipe.minutes:g} minutes of training" if recipe.minutes is not None else f"{recipe.steps:,} steps"


def resolve(device: str) -> str:
    """`auto` becomes cuda where there is a GPU of that kind, else cpu.

    Raises:
        BadInput: the device is not here.
    """
    import torch

    from core.errors import BadInput

    here = torch.cuda.is_available()
    if device == "cuda" and not here:
        raise BadInput.at("option --device", "there is no GPU that torch can use as 'cuda'", "Say cpu, or auto")
    return "cuda" if device != "cpu" and here else "cpu"
