"""A training run as commands have it: trained part by part before somebody's eyes, stopped, concluded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.watch import Watch, watching

if TYPE_CHECKING:
    from core.training.recipes import Recipe
    from core.training.report import RunReport
    from core.training.runs import Run


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
    """Stages, decoder and export, as far as they are not there; gives the card, in the first process only.

    The decoder is learnt with a base alone: one that came with the weights is left as it is.
    """
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
    if isinstance(run.recipe.base, NewBase) and run.recipe.trains_base and not done.exists():
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
