"""`dreamline deliver`: what people approved, as files to publish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from core.settings import Settings
from orchestrator.cli import print_json, user_name

if TYPE_CHECKING:
    from core.errors import Problem
    from orchestrator.delivering.delivery import Delivery
    from orchestrator.delivering.destinations import Kind
    from orchestrator.delivering.orders import Order

ARCHIVE = ".zip"


@click.command()
@click.argument("campaign")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder, or a file that ends in .zip [delivered/CAMPAIGN].",
)
@click.option("--to", multiple=True, help="A destination (`dreamline destinations`); may be repeated.")
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A delivery file: destinations, and what stands on their pictures.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jpg", "png", "webp"]),
    help="Kind of file, where the campaign file (key `name`) does not say it [jpg].",
)
@click.option(
    "--native", is_flag=True, help="As images were made, neither cut nor scaled to their format's pixels."
)
@click.option("--unsigned", is_flag=True, help="Without credentials, though DREAMLINE_C2PA_CERTIFICATES is set.")
@click.option("--by", default="", help="Who delivers, for the record [whoever runs this].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    settings: Settings,
    campaign: str,
    output: Path | None,
    to: tuple[str, ...],
    file: Path | None,
    kind: Kind | None,
    native: bool,
    unsigned: bool,
    by: str,
    as_json: bool,
) -> None:
    r"""Write the approved images of CAMPAIGN, marked as made by a model.

    They have the pixels of their formats, or those of destinations: channels with their bytes and rules. Each
    gets a folder, and one file of each row, variant and seed; what it can't take is named and left out.

    Beside them lie manifest.csv and manifest.json: what each file is, what it was made of, who approved it and
    when. Called again it writes what is new, and takes away what is no longer approved; files that somebody else
    put there or changed are never touched. The chain of decisions is checked first.

    \b
    dreamline deliver summer-drop                        # into delivered/summer-drop
    dreamline deliver summer-drop -o summer.zip --format webp
    dreamline deliver summer-drop --to instagram-portrait --to google-shopping
    dreamline deliver summer-drop --file delivery.yaml   # with headline, price, label and logo
    """
    if (native or kind) and (to or file):
        said = "--native" if native else "--format"
        mend = "a destination has pixels and a kind of its own, which a delivery file can change"
        raise click.UsageError(f"{said} goes with neither --to nor --file: {mend}")
    from orchestrator import campaigns
    from orchestrator.delivering.delivery import deliver, deliver_archive, record_delivery
    from orchestrator.delivering.orders import Wanted, read_order
    from orchestrator.delivering.refusals import in_short
    from orchestrator.delivering.rendering.signing import credential_of
    from orchestrator.records.database import Database
    from orchestrator.records.storage import open_storage

    wanted = Wanted(kind or "jpg", native, to, file, None if unsigned else credential_of(settings))
    database = Database(settings)
    try:
        database.upgrade() if settings.embedded else database.require_newest()
        with database.begin() as connection:
            found = campaigns.find(connection, campaign)
            order = read_order(connection, found.id, found.name, wanted)
        target = output or Path("delivered") / found.name
        packed = target.suffix.lower() == ARCHIVE
        who = by.strip() or user_name()
        with _bar(quiet=as_json) as bar:
            task = bar.add_task("delivered", total=len(order.deliverables))

            def show(done: int, total: int) -> None:
                bar.update(task, completed=done)

            write = deliver_archive if packed else deliver
            done = write(open_storage(settings.store_url), order, target, who, show)
        if done.written or done.removed:
            with database.begin() as connection:
                record_delivery(connection, found.id, order, done, str(target.absolute()), who)
    finally:
        database.close()
    told = _told(order, done, target)
    print_json(told) if as_json else _tell(told, in_short(done.refused))


def _told(order: Order, done: Delivery, target: Path) -> dict[str, Any]:
    return {
        "campaign": order.campaign,
        "output": str(target.absolute()),
        "asked": order.asked,
        "approved": len(order.approved),
        "destinations": [name for name in order.destinations if name],
        "signed": order.credential is not None,
        "files": done.files,
        "written": done.written,
        "removed": list(done.removed),
        "left": list(done.left),
        "refused": [
            {"what": problem.where, "why": problem.what, "mend": problem.mend} for problem in done.refused
        ],
        "decisions": order.decisions,
        "head": order.head,
    }


def _tell(told: dict[str, Any], refused: Sequence[Problem]) -> None:
    counts = f"{told['approved']:,} of {told['asked']:,} images are approved"
    removed = f", {len(told['removed']):,} taken away" if told["removed"] else ""
    there = f" for {', '.join(told['destinations'])}" if told["destinations"] else ""
    signed = ", signed" if told["signed"] else ""
    written = f"{told['written']:,} new files{there}{signed}, {told['files']:,} in all{removed}"
    click.echo(f"{click.style(counts, bold=True)}: {written}")
    click.echo(f"Delivered: {told['output']}")
    for name in told["left"]:
        message = f"warning: {name} was left, since somebody changed it; the manifest has it no more"
        click.secho(message, fg="yellow", err=True)
    for one in refused:
        message = f"warning: left out: {one.where}: {one.what}. {one.mend}"
        click.secho(message, fg="yellow", err=True)


def _bar(*, quiet: bool) -> Progress:
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
