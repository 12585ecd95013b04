"""`dreamline campaign`: see campaigns and steer them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.settings import Settings
from orchestrator.cli import print_json
from orchestrator.cli.dead_letters import command as dead_letters_command
from orchestrator.records.causes import CLASSES

if TYPE_CHECKING:
    from core.registry import Registry
    from orchestrator.progress import Progress
    from orchestrator.records.database import Database


@click.group()
def command() -> None:
    """See and steer campaigns: list, show, gates, pause, resume, cancel, retry."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def list_all(settings: Settings, as_json: bool) -> None:
    """List all campaigns, newest first, with their progress."""
    found = _progress(settings, None)
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    table = Table(
        "campaign", "state", "model", "images", "done", "failed", "changed", box=None, header_style="bold"
    )
    for one in found:
        changed = one.changed_at.astimezone().strftime("%Y-%m-%d %H:%M")
        done, dead = str(one.jobs["done"]), str(one.jobs["dead"])
        table.add_row(one.name, one.state, one.model, str(one.total), done, dead, changed)
    Console().print(table if found else "No campaigns yet. `dreamline demo` makes a first one.")


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; `jobs` has a count per state.")
@click.pass_obj
def show(settings: Settings, name: str, as_json: bool) -> None:
    """Show one campaign: state, counts, causes of failure."""
    from orchestrator import campaigns
    from orchestrator.progress import read_failures
    from orchestrator.unserved import read_lacking

    database, registry = _open(settings)
    with database.begin() as connection:
        campaigns.find(connection, name)
        failures = read_failures(connection, name)
        lacking = read_lacking(connection, name, registry, settings)
    (one,) = _progress(settings, name)
    if as_json:
        told = [
            {"message": f.message, "class": f.kind, "images": f.images, "example": f.example} for f in failures
        ]
        missing = [lack.as_dict() for lack in lacking]
        print_json({**one.as_dict(), "failures": told, "lacking": missing})
        return
    console = Console()
    console.print(f"[bold]{escape(one.name)}[/] · {one.state} · model {one.model} · {escape(one.source)}")
    counts = ", ".join(f"{count} {state}" for state, count in one.jobs.items() if count)
    console.print(f"{one.items} items, {one.total} images: {counts or 'none'}")
    prepared = ", ".join(f"{count} {state}" for state, count in one.preparations.items() if count)
    console.print(f"references: {prepared or 'none'}")
    if one.gates:
        judged = ", ".join(f"{count} {gate}" for gate, count in one.gates.items())
        console.print(f"gates: {judged} (`dreamline campaign gates {escape(one.name)}`)")
    for failure in failures:
        cause = escape(f"({failure.kind}; e.g. {failure.example}): {failure.message}")
        console.print(f"[red]{failure.images} failed[/] {cause}")
    for lack in lacking:
        console.print(f"[yellow]{escape(str(lack))}[/]", soft_wrap=True)


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--all", "everywhere", is_flag=True, help="Suggest from the decisions on all campaigns.")
@click.pass_obj
def gates(settings: Settings, name: str, as_json: bool, everywhere: bool) -> None:
    """Show what the gates of a campaign held back and why, and gates that people's decisions suggest.

    A gate is suggested for a score once 20 images that have it were approved and 10 rejected: the bound that would
    have caught most of those rejected and lost at most one in twenty of those approved.
    """
    from orchestrator import campaigns
    from orchestrator.gating import read_missed
    from orchestrator.progress import read_progress
    from orchestrator.reviewing.thresholds import suggest_gates

    database, _ = _open(settings)
    with database.begin() as connection:
        found = campaigns.find(connection, name)
        told, missed = campaigns.gates(connection, name), read_missed(connection, found.id)
        suggested = suggest_gates(connection, None if everywhere else name)
        (one,) = read_progress(connection, name)
    database.close()
    if as_json:
        suggestions = [suggestion.as_dict() for suggestion in suggested]
        print_json({"gates": told, "items": one.gates, "missed": missed, "suggested": suggestions})
        return
    for score, gate in told.items():
        click.echo(f"gate   {score}: {gate}")
    counts = ", ".join(f"{count} {gate}" for gate, count in one.gates.items())
    click.echo(f"items  {counts or 'no gates'}")
    for miss in missed:
        click.echo(
            f"{miss['gate']:6} {miss['row']} {miss['format']} seed {miss['seed']}: {'; '.join(miss['reasons'])}"
        )
    for suggestion in suggested:
        decided = f"{suggestion.approved} approved, {suggestion.rejected} rejected"
        if suggestion.gate:
            effect = (
                f"would have caught {suggestion.caught:.0%} of those rejected, {suggestion.lost:.0%} of the others"
            )
            click.echo(f'try    {suggestion.score}: "{suggestion.gate}"  ({decided}; {effect})')
        else:
            click.echo(f"none   {suggestion.score}: nothing to suggest yet ({decided})")


@command.command()
@click.argument("name")
@click.pass_obj
def pause(settings: Settings, name: str) -> None:
    """Hold what is not made; images under way are given back within a step and made anew later."""
    from orchestrator import campaigns

    database, registry = _open(settings)
    campaigns.pause(database, registry, name)
    click.echo(f"{name} is paused. `dreamline campaign resume {name}` goes on.")


@command.command()
@click.argument("name")
@click.pass_obj
def resume(settings: Settings, name: str) -> None:
    """Go on with a paused campaign; workers that run take it up at once."""
    from orchestrator import campaigns
    from orchestrator.running import wake_all

    database, registry = _open(settings)
    campaigns.resume(database, registry, name)
    wake_all(settings)
    click.echo(f"{name} is running. `dreamline run FILE` brings workers along; `dreamline worker` is one.")


@command.command()
@click.argument("name")
@click.pass_obj
def cancel(settings: Settings, name: str) -> None:
    """End a campaign; images that exist are kept, and so is work that another campaign wants."""
    from orchestrator import campaigns

    database, registry = _open(settings)
    campaigns.cancel(database, registry, name)
    click.echo(f"{name} is cancelled. `dreamline run FILE` would take it up again.")


@command.command()
@click.argument("name")
@click.option(
    "--with",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Try with another value of steps, guidance, true_cfg, width or height; batch=1: each by itself.",
)
@click.option("--cause", "causes", multiple=True, type=click.Choice(CLASSES), help="Only what died of this.")
@click.pass_obj
def retry(settings: Settings, name: str, changes: tuple[str, ...], causes: tuple[str, ...]) -> None:
    """Give images that could not be made another round of attempts, as they were or `--with` changes.

    `dreamline campaign dead NAME` shows what they died of.
    """
    from orchestrator import campaigns, dead_letters
    from orchestrator.running import wake_all

    how = dead_letters.revive_with(dead_letters.read_changes(changes), causes)
    database, registry = _open(settings)
    again = campaigns.retry(database, registry, name, how)
    wake_all(settings)
    click.echo(f"{again} images of {name} are queued again for the workers that run (`dreamline worker`).")


command.add_command(dead_letters_command, "dead")


def _open(settings: Settings) -> tuple[Database, Registry]:
    from core import registry
    from orchestrator.records.database import Database

    database = Database(settings)
    database.upgrade() if settings.embedded else database.require_newest()
    return database, registry.load(settings)


def _progress(settings: Settings, name: str | None) -> list[Progress]:
    from orchestrator.progress import read_progress

    database, _ = _open(settings)
    with database.begin() as connection:
        return read_progress(connection, name)
