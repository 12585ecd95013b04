"""`dreamline deliver`: what people approved, as files to publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from core.settings import Settings
from orchestrator.cli import print_json, user_name

if TYPE_CHECKING:
    from orchestrator.delivering.delivery import Delivery
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["jpg", "png", "webp"]),
    default="jpg",
    show_default=True,
    help="Kind of file, where the campaign file does not name its files (key `name`).",
)
@click.option(
    "--native", is_flag=True, help="As images were made, neither cut nor scaled to their format's pixels."
)
@click.option("--by", default="", help="Who delivers, for the record [whoever runs this].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    settings: Settings, campaign: str, output: Path | None, form: str, native: bool, by: str, as_json: bool
) -> None:
    r"""Write the approved images of CAMPAIGN, in the pixels of their formats, marked as made by a model.

    Beside them lie manifest.csv and manifest.json: what each file is, what it was made of, who approved it and
    when. Called again it writes what is new, and takes away what is no longer approved; files that somebody else
    put there or changed are never touched. The chain of decisions is checked first.

    \b
    dreamline deliver summer-drop                        # into delivered/summer-drop
    dreamline deliver summer-drop -o summer.zip --format webp
    """
    from orchestrator import campaigns
    from orchestrator.delivering.delivery import deliver, deliver_archive, record_delivery
    from orchestrator.delivering.orders import read_order
    from orchestrator.records.database import Database
    from orchestrator.records.storage import open_storage

    database = Database(settings)
    try:
        database.upgrade() if settings.embedded else database.require_newest()
        with database.begin() as connection:
            found = campaigns.find(connection, campaign)
            order = read_order(connection, found.id, found.name, ending=f".{form}", native=native)
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
    print_json(told) if as_json else _tell(told)


def _told(order: Order, done: Delivery, target: Path) -> dict[str, Any]:
    return {
        "campaign": order.campaign,
        "output": str(target.absolute()),
        "asked": order.asked,
        "files": done.files,
        "written": done.written,
        "removed": list(done.removed),
        "left": list(done.left),
        "decisions": order.decisions,
        "head": order.head,
    }


def _tell(told: dict[str, Any]) -> None:
    counts = f"{told['files']:,} of {told['asked']:,} images are approved"
    removed = f", {len(told['removed']):,} no longer approved and taken away" if told["removed"] else ""
    click.echo(f"{click.style(counts, bold=True)}: {told['written']:,} written{removed}")
    click.echo(f"Delivered: {told['output']}")
    for name in told["left"]:
        message = f"warning: {name} is no longer approved; somebody changed it, so it was left"
        click.secho(message, fg="yellow", err=True)


def _bar(*, quiet: bool) -> Progress:
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
