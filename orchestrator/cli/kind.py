"""`dreamline train kind`: a kind of one's own, from a folder of samples to a plugin that passes its checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.settings import Settings
from orchestrator.cli.needing import require_torch
from orchestrator.cli.watch import watching

if TYPE_CHECKING:
    from core.training.kind_reports import KindReport
    from core.training.kinds import KindRun

MINUTES = 5.0


@click.command("kind")
@click.option(
    "--data",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Samples, each with a reference of the kind; `dreamline train data` says how.",
)
@click.option("--name", required=True, help="Of the kind, and of the plugin that is written.")
@click.option("--base", default="dreamo-mini", show_default=True, help="A model card, which stays as it is.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help=f"Of training [{MINUTES:g}].")
@click.option("--steps", type=click.IntRange(1), help="Instead of minutes.")
@click.option("--adapter", is_flag=True, help="After the role, train a LoRA as well: a model card of its own.")
@click.option("--rank", type=click.IntRange(1), default=8, show_default=True, help="Of the LoRA.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Of the LoRA [2e-3; 1e-4 on large bases].")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Samples a step.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to train [auto]."
)
@click.option("--threads", type=click.IntRange(1), help="Threads of the processor [all].")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write [kinds/NAME]."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a line for each report, one at the end.")
@click.pass_obj
def command(
    settings: Settings,
    data: Path,
    name: str,
    base: str,
    minutes: float | None,
    steps: int | None,
    adapter: bool,
    rank: int,
    rate: float | None,
    batch: int,
    seed: int,
    device: str,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Teach a model a new kind of reference, and write the plugin that offers it.

    What is learnt is a role: the vector that is added to each token of such a reference. The model stays as it is;
    some hundred samples and a few minutes are enough for it. Where a role alone does too little, --adapter trains
    a small LoRA with it, for which a model card is written; the plugin then has a role for either model.

    \b
    dreamline train data draw --task palette -n 400 -o palettes
    dreamline train data check palettes
    dreamline train kind --data palettes --name palette -o kinds/palette
    pip install kinds/palette/dreamline-palette
    dreamline plugins check palette

    A tenth of the samples is held out: report.md tells how much less the model errs on them than without the
    reference. Ctrl-C writes a checkpoint; the same command goes on from there. docs/kinds.md has a whole run.
    """  # noqa: D301 - click reads the \b
    require_torch()
    import torch

    from core.cards import load_card
    from core.errors import BadInput
    from core.training.kind_plans import KindPlan
    from core.training.kinds import KindRun
    from orchestrator.cli.training import resolve
    from orchestrator.plugin_package import package_problems

    if minutes is not None and steps is not None:
        raise BadInput.at("option --steps", "a training has a length in minutes or in steps", "Say one of them")
    folder = output or Path("kinds") / name
    package, taken = folder / f"dreamline-{name}", taken_names(settings, name)
    BadInput.gather(package_problems(name, package, taken))
    if threads is not None:
        torch.set_num_threads(threads)
    length = minutes if minutes is not None or steps is not None else MINUTES
    plan = KindPlan(name, data, adapter, length, steps, rank, rate, batch, seed=seed)
    run = KindRun(plan, load_card(base, settings), settings, folder, resolve(device))
    report = train(run, as_json=as_json)
    conclude(run, report, package, taken, as_json=as_json)


def taken_names(settings: Settings, name: str) -> dict[str, str]:
    """Names of kinds and plugins with the plugins that have them, but for an earlier package of this very kind."""
    from core import registry

    plugins = registry.load(settings)
    infos = plugins.plugins()
    taken = {info.name: info.name for info in infos}
    taken |= {kind: offer.plugin for kind, offer in plugins.kinds().items()}
    own = {info.name for info in infos if info.distribution.startswith(f"dreamline-{name} ")}
    return {other: plugin for other, plugin in taken.items() if plugin not in own}


def train(run: KindRun, *, as_json: bool) -> KindReport:
    """All stages, and the report."""
    from core.errors import Stopped
    from core.training.kind_reports import report_of

    try:
        with watching(run.recipe, as_json=as_json) as watch:
            run.shown, run.stop, run.begin = watch.shown, watch.stop, watch.begin
            plan = run.plan
            watch.say(
                f"{plan.name} on {run.card.name}, from {run.learnt} samples, {len(run.held_out)} held out, "
                f"on {run.device}"
            )
            run.train()
    except (Stopped, KeyboardInterrupt):
        click.echo("Stopped. The same command goes on from here.", err=True)
        raise SystemExit(130) from None
    report = report_of(run)
    report.write(run.folder)
    return report


def conclude(run: KindRun, report: KindReport, package: Path, taken: dict[str, str], *, as_json: bool) -> None:
    """The package, the numbers, and what to call next."""
    from core.training.kind_reports import TABLE, markdown
    from orchestrator.plugin_package import write_package

    name = run.plan.name
    write_package(name, package, taken, run.roles)
    card = run.card_file if run.card_file.is_file() else None
    if as_json:
        told = {"report": str(run.folder / TABLE), "package": str(package), "card": str(card) if card else None}
        click.echo(json.dumps({**report.as_dict(), **told}))
        return
    click.echo(markdown(report).partition("\n\n")[2], nl=False)
    click.echo(str(package))
    if card is not None:
        click.echo(str(card))
    model = str(card) if card else run.card.name
    click.echo(
        f"\nNext:\n  pip install {package}\n  dreamline plugins check {name}\n"
        f'  dreamline generate --model {model} --{name} it=picture.png --prompt "a mug from [it]"',
        err=True,
    )
