"""`dreamline campaign`: see campaigns and steer them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from core.settings import Settings
from orchestrator.cli import print_json
from orchestrator.cli.dead_letters import command as dead_letters_command
from orchestrator.records.causes import CLASSES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from core.registry import Registry
    from orchestrator.progress import Progress
    from orchestrator.records.database import Database


@click.group()
def command() -> None:
    """See and steer campaigns: list, show, gates, dead, pause, resume, cancel, retry, priority."""


@command.command("list")
@click.option("--watch", is_flag=True, help="Show it anew every second until none runs, or Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with --watch one line a change.")
@click.pass_obj
def list_all(settings: Settings, watch: bool, as_json: bool) -> None:
    """List all campaigns, newest first, with their progress."""
    from orchestrator.cli.live import follow
    from orchestrator.cli.showing import draw_list
    from orchestrator.progress import read_progress

    database, _ = _open(settings)

    def read() -> list[Progress]:
        return database.patiently(read_progress)

    def tell(found: list[Progress]) -> list[dict[str, Any]]:
        return [one.as_dict() for one in found]

    def over(found: list[Progress]) -> bool:
        return not any(one.state == "running" for one in found)

    if watch:
        follow(read, draw_list, tell, over, as_json=as_json)
    elif as_json:
        print_json(tell(read()))
    else:
        Console().print(draw_list(read()))


@command.command()
@click.argument("name")
@click.option("--watch", is_flag=True, help="Show it anew every second until it has ended, or Ctrl-C.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON document, with --watch one line a change; `jobs` has a count per state.",
)
@click.pass_obj
def show(settings: Settings, name: str, watch: bool, as_json: bool) -> None:
    """Show one campaign: state, counts, spending, causes of failure, and what its pilot foretells of the rest.

    A pilot's rate of approval is what people said of its items' first images; the range beside it, and those of
    what is to come, hold at 95 %.
    """
    from orchestrator import campaigns
    from orchestrator.cli.live import follow
    from orchestrator.cli.showing import draw_portrait
    from orchestrator.portrait import Portrait, read_portrait

    database, registry = _open(settings)

    def read() -> Portrait:
        def look(connection: Connection) -> Portrait:
            campaigns.find(connection, name)
            return read_portrait(connection, name, registry, settings)

        return database.patiently(look)

    def over(told: Portrait) -> bool:
        return told.progress.state in ("finished", "cancelled")

    if watch:
        follow(read, draw_portrait, Portrait.as_dict, over, as_json=as_json)
    elif as_json:
        print_json(read().as_dict())
    else:
        Console().print(draw_portrait(read()), soft_wrap=True)


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
@click.option("--anyway", is_flag=True, help="Also past its stop rules; they count anew from now on.")
@click.pass_obj
def resume(settings: Settings, name: str, anyway: bool) -> None:
    """Go on with a paused campaign, after its pilot with the rest; workers that run take it up at once.

    A campaign that a stop rule paused goes on once its rules let it (another limit in its file, decisions taken
    back, images retried), or --anyway.
    """
    from orchestrator import campaigns
    from orchestrator.running import wake_all

    database, registry = _open(settings)
    campaigns.resume(database, registry, name, anyway=anyway)
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
@click.option("--anyway", is_flag=True, help="Also past its stop rules; they count anew from now on.")
@click.pass_obj
def retry(settings: Settings, name: str, changes: tuple[str, ...], causes: tuple[str, ...], anyway: bool) -> None:
    """Give images that could not be made another round of attempts, as they were or `--with` changes.

    `dreamline campaign dead NAME` shows what they died of.
    """
    from orchestrator import campaigns, dead_letters
    from orchestrator.running import wake_all

    how = dead_letters.revive_with(dead_letters.read_changes(changes), causes)
    database, registry = _open(settings)
    again = campaigns.retry(database, registry, name, how, anyway=anyway)
    wake_all(settings)
    click.echo(f"{again} images of {name} are queued again for the workers that run (`dreamline worker`).")


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("number", type=click.IntRange(-1000, 1000))
@click.pass_obj
def priority(settings: Settings, name: str, number: int) -> None:
    """Make images of campaign NAME sooner (a higher NUMBER, to 1000) or later (to -1000) than those of others.

    It holds at once, and until the campaign's file is run again with another `priority`.
    """
    from orchestrator import campaigns
    from orchestrator.running import wake_all

    database, _ = _open(settings)
    waiting = campaigns.set_priority(database, name, number)
    wake_all(settings)
    click.echo(f"{name} has priority {number}; {waiting:,} of its images wait.")


command.add_command(dead_letters_command, "dead")


def _open(settings: Settings) -> tuple[Database, Registry]:
    from core import registry
    from orchestrator.records.database import Database

    database = Database(settings)
    database.upgrade() if settings.embedded else database.require_newest()
    return database, registry.load(settings)
