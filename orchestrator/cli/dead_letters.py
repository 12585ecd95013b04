"""`dreamline campaign dead`: what was given up, and why."""

from __future__ import annotations

import click

from core.settings import Settings
from orchestrator.cli import print_json


@click.command()
@click.argument("name")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Images told.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(settings: Settings, name: str, limit: int, as_json: bool) -> None:
    """Show each image of a campaign that was given up: cause, plugin, and the process's last lines.

    `dreamline campaign retry NAME` gives them another round, `--cause CLASS` only those that died of it, `--with
    steps=8` with other settings.
    """
    from orchestrator import campaigns
    from orchestrator.dead_letters import read_dead
    from orchestrator.records.database import Database

    database = Database(settings)
    database.upgrade() if settings.embedded else database.require_newest()
    with database.begin() as connection:
        campaigns.find(connection, name)
        letters = read_dead(connection, name, limit)
    database.close()
    if as_json:
        print_json([letter.as_dict() for letter in letters])
        return
    for letter in letters:
        which = f"{letter.row} {letter.format} seed {letter.seed} (job {letter.job})"
        click.echo(
            f"{click.style(which, bold=True)}: {letter.kind} after {letter.attempts} tries: {letter.message}"
        )
        for line in letter.log:
            click.echo(f"    {line}")
    if not letters:
        click.echo(f"Nothing of {name} was given up.")
