"""`dreamline clean`: what is of no use any more."""

from __future__ import annotations

import click

from core.settings import Settings
from orchestrator.cli import print_json


@click.command()
@click.option("--delete", is_flag=True, help="Delete what may go; without it nothing is changed.")
@click.option("--events", type=click.IntRange(1), default=90, show_default=True, help="Days that events are kept.")
@click.option(
    "--obsolete",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Days that images are kept which no brief asks for any more.",
)
@click.option(
    "--files",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Days that previews, fetched pictures, compiled code and uploads without a campaign are kept on this "
    "machine.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=7, show_default=True, help="Days that workers are listed."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    settings: Settings, delete: bool, events: int, obsolete: int, files: int, workers: int, as_json: bool
) -> None:
    """Say what is of no use any more, and with --delete let it go.

    What anybody has decided about is kept, whatever its age, and so is what a brief asks for. Workers and
    reviewers need not stop. Files that belong to nothing at all are `dreamline doctor --fix`'s.
    """
    from orchestrator.records.database import Database
    from orchestrator.records.storage import open_storage
    from orchestrator.retention import Ages, clean

    database, store = Database(settings), open_storage(settings.store_url)
    database.upgrade() if settings.embedded else database.require_newest()
    found = list(clean(settings, database, store, Ages(events, obsolete, files, workers), delete=delete))
    database.close()
    if as_json:
        print_json({"deleted": delete, "found": [one.as_dict() for one in found]})
        return
    for one in found:
        size = f" ({one.size / 2**20:.1f} MB)" if one.size else ""
        click.echo(f"{one.count:>9,} {one.what}{size}")
    if not delete and any(one.count for one in found):
        click.echo("Nothing was changed. `dreamline clean --delete` lets it go.")
