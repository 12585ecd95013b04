"""`dreamline plugins`: what is installed, what it offers, where it comes from."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from core import registry
from core.settings import Settings
from orchestrator.cli import print_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(settings: Settings, as_json: bool) -> None:
    """List plugins: version, kinds, hooks, and the distribution they come from.

    DREAMLINE_PLUGINS=a,b loads only these, DREAMLINE_BLOCK=a,b leaves these out, DREAMLINE_TRACE_HOOKS=1 logs
    every call.
    """
    found = registry.load(settings).plugins()
    if as_json:
        print_json([asdict(info) for info in found])
        return
    table = Table("name", "version", "kinds", "hooks", "from", box=None, header_style="bold")
    for info in found:
        where = f"{info.module} ({info.distribution})" if info.distribution else info.module
        state = f"[red]can't be loaded: {info.error}" if info.error else ", ".join(info.hooks)
        table.add_row(info.name, info.version, ", ".join(info.kinds), state, where)
    Console().print(table)
