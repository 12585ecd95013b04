"""`dreamline people`: who may see, decide and steer in a dashboard that people log in to."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from core.settings import Settings
from orchestrator.cli import print_json
from orchestrator.cli.audit import opened

ROLES = "viewer sees; reviewer decides; approver also confirms; producer starts and steers; admin may do all"


@click.group()
def command() -> None:
    """Say who may see, decide and steer in the dashboard: list, set, remove."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def list_all(settings: Settings, as_json: bool) -> None:
    """List all members with their roles."""
    from orchestrator.reviewing.people import list_members

    with opened(settings) as connection:
        members = list_members(connection)
    if as_json:
        print_json(
            [
                {"name": one.name, "role": one.role, "campaigns": sorted(one.campaigns) if one.campaigns else None}
                for one in members
            ]
        )
        return
    table = Table("name", "role", "campaigns", box=None, header_style="bold")
    for one in members:
        table.add_row(one.name, one.role, "all" if one.campaigns is None else ", ".join(sorted(one.campaigns)))
    Console().print(table if members else "No members yet. `dreamline people set NAME ROLE` adds one.")


@command.command("set", help=f"Give NAME (as they log in: their e-mail address) a ROLE.\n\n{ROLES}.")
@click.argument("name")
@click.argument("role")
@click.option("-c", "--campaign", "campaigns", multiple=True, help="Only this campaign; may be given again.")
@click.pass_obj
def set_one(settings: Settings, name: str, role: str, campaigns: tuple[str, ...]) -> None:
    """Adds a member or changes one."""
    from orchestrator.reviewing.people import set_member

    with opened(settings) as connection:
        actor = set_member(connection, name, role, list(campaigns) or None)
    click.echo(f"{actor.name} is {actor.role} of {'all campaigns' if not campaigns else ', '.join(campaigns)}.")


@command.command()
@click.argument("name")
@click.pass_obj
def remove(settings: Settings, name: str) -> None:
    """Take all rights from NAME, at once; what they decided stays."""
    from orchestrator.reviewing.people import remove_member

    with opened(settings) as connection:
        remove_member(connection, name)
    click.echo(f"{name} is no member any more.")
