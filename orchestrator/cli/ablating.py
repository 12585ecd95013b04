"""`dreamline train ablation`: what each part of the method is worth, measured at one budget."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from core.settings import Settings

if TYPE_CHECKING:
    from core.training.loop import Length, Progress

SAID_EVERY = 30.0
"""Seconds between two lines about a stage."""


@click.command("ablation")
@click.argument("recipe", default="mini")
@click.option("--start", default="kept", show_default=True, metavar="DIR", help="Whose base is used, frozen.")
@click.option("--steps", type=click.IntRange(3), default=400, show_default=True, help="Of each variant.")
@click.option("--samples", type=click.IntRange(1), default=100, show_default=True, help="Measured, of each task.")
@click.option("--tasks", help="Measured, separated by commas [subject, two-subjects, identity, tryon, style].")
@click.option("--variants", help="Separated by commas [all].")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the recipe.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to train [auto]."
)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="[training/ablation].")
@click.option("--json", "as_json", is_flag=True, help="Print the table as one JSON document.")
@click.pass_obj
def command(
    settings: Settings,
    recipe: str,
    start: str,
    steps: int,
    samples: int,
    tasks: str | None,
    variants: str | None,
    seed: int,
    changes: tuple[str, ...],
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Leave out each part of DreamO's training once, and measure what that does.

    On one frozen base, adapters are trained from nothing, all from the same seed and for the same number of steps:
    with everything; without condition and index embeddings; without routing; without the placeholder loss; without
    progressive training; without the quality stage. OUTPUT gets ablation.md, ablation.json, responses.png (where
    references respond, variant by variant) and a folder for each. Ctrl-C and the same command go on; in a folder
    that has variants already, --samples and --tasks may differ: then these are measured anew.

    \b
    dreamline train ablation                        the paper's table, an hour and a half on two cores
    dreamline train ablation --steps 2000           with more training each
    dreamline train ablation --variants full,no-routing --samples 50
    """  # noqa: D301 - click reads the \b
    from orchestrator.cli.needing import require_torch

    require_torch()
    from core.training.ablation import REPORT, TABLE, TASKS, VARIANTS, Ablation, Audience, ablate, adapter_alone
    from core.training.recipe_files import changed, named_recipe
    from core.training.world.readers import SHIPPED, load_readers
    from orchestrator.cli.measuring import listed
    from orchestrator.cli.training import kept_weights, resolve, telling_how_to_resume
    from orchestrator.cli.watch import watching

    same = again(click.get_current_context())
    whole = changed(named_recipe(recipe), (f"seed={seed}", *changes))
    chosen = listed(variants) if variants else tuple(VARIANTS)
    plan = Ablation(
        adapter_alone(whole, steps),
        kept_weights(whole.name) if start == "kept" else Path(start),
        samples,
        listed(tasks) if tasks else TASKS,
        chosen,
    )
    out = output or Path("training") / "ablation"
    with telling_how_to_resume(same), watching(plan.recipe, as_json=as_json) as watch:
        audience = Audience(watch.say, lines(watch.say), watch.stop)
        readers = load_readers(SHIPPED / whole.world)
        ablate(plan, out, settings, readers, device=resolve(device), audience=audience)
    if as_json:
        click.echo((out / REPORT).read_text(encoding="utf-8").rstrip())
        return
    click.echo((out / TABLE).read_text(encoding="utf-8"))
    for name in (TABLE, REPORT, "responses.png"):
        click.echo(str(out / name))


def again(context: click.Context) -> str:
    """The command with everything that was said, as a shell reads it."""
    words: list[str] = []
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        if context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
            continue
        if isinstance(parameter, click.Argument):
            words.append(str(value))
        elif isinstance(value, bool):
            words.append(parameter.opts[0])
        else:
            for one in value if isinstance(value, tuple) else (value,):
                words += [parameter.opts[0], str(one)]
    return shlex.join(["dreamline", "train", "ablation", *words])


def lines(said: Callable[[str], None]) -> Callable[[str, Progress, Length, dict[str, float]], None]:
    """Says now and then how far a variant is."""
    last = [time.monotonic()]

    def shown(name: str, progress: Progress, length: Length, figures: dict[str, float]) -> None:
        if time.monotonic() - last[0] > SAID_EVERY:
            last[0] = time.monotonic()
            loss = figures.get("loss", float("nan"))
            said(f"{name}: {progress.share(length):.0%} of a stage, {progress.samples:,} samples, loss {loss:.4f}")

    return shown
