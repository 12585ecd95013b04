"""`dreamline train`: a model of one's own, from a recipe to a card that campaigns can name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from orchestrator.cli import ablating, data, kind, measuring, print_json
from orchestrator.cli.needing import require_torch
from orchestrator.cli.training import describe, train

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
