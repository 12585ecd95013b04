"""`dreamline plugins`: what is installed and offered; a package to begin with; checks; what an upgrade changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from orchestrator.cli import print_json

if TYPE_CHECKING:
    from core.conformance.kit import Finding
    from orchestrator.impact import Impact


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List plugins: version, kinds, hooks, and the distribution they come from.

    DREAMLINE_PLUGINS=a,b loads only these, DREAMLINE_BLOCK=a,b leaves these out, DREAMLINE_TRACE_HOOKS=1 logs
    every call.
    """
    if ctx.invoked_subcommand is None:
        show(ctx.obj, as_json=as_json)


def show(settings: Settings, *, as_json: bool) -> None:
    """Prints a line for each plugin."""
    from rich.console import Console
    from rich.table import Table

    from core import registry

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


@command.command()
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write [dreamline-NAME].")
@click.pass_obj
def new(settings: Settings, name: str, output: Path | None) -> None:
    """Write a package with a kind called NAME.

    It passes its own checks at once and is yours to change: a module with options, a test, pyproject.toml and a
    README. docs/plugins.md is the tutorial.
    """
    from core import registry
    from orchestrator.plugin_package import write_package

    folder = output or Path(f"dreamline-{name}")
    plugins = registry.load(settings)
    taken = {info.name: info.name for info in plugins.plugins()}
    taken |= {kind: offer.plugin for kind, offer in plugins.kinds().items()}
    for path in write_package(name, folder, taken):
        click.echo(str(path))
    click.echo(f"\nNext:\n  pip install -e {folder}\n  dreamline plugins check {name}")
    click.echo(f"Then say `kind: {name}` in a campaign file. docs/plugins.md tells the rest.")


@command.command()
@click.argument("name")
@click.option("--picture", type=click.Path(), help="A file that its kinds take, where drawn samples don't do.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of its kinds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(name: str, picture: str | None, options: tuple[str, ...], as_json: bool) -> None:
    """Check what the installed plugin NAME promises.

    Types, names, options, the same bytes twice, nothing touched, odd pictures, time and memory, an image end
    to end. Exit code 1: something is broken; each line says how to mend it.
    """
    from orchestrator.plugin_trial import Order, check_installed

    order = Order(name, picture=picture, options=read_options(options))
    findings = []
    for finding in check_installed(order):
        findings.append(finding)
        if not as_json:
            tell(finding)
    kept = all(one.kept for one in findings)
    if as_json:
        print_json(
            {"plugin": name, "kept": kept, "checks": [{**one.as_dict(), "kept": one.kept} for one in findings]}
        )
    else:
        click.echo(summary(name, findings))
    sys.exit(0 if kept else 1)


@command.command("impact")
@click.argument("name")
@click.option("--version", help="Compare with this version, with the methods that are here [as installed].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def tell_impact(settings: Settings, name: str, version: str | None, as_json: bool) -> None:
    """Say which campaigns' images planning again would change, now that plugin NAME is as it is.

    A line for each campaign, planned version, kind and method: its items, how many are made, open, failed and
    approved, and whether they would be made again. Changes nothing.
    """
    from core import registry
    from core.errors import BadInput
    from orchestrator.impact import read_impact, summary
    from orchestrator.records.database import Database

    plugins = registry.load(settings)
    database = Database(settings)
    database.upgrade() if settings.embedded else database.require_newest()
    with database.begin() as connection:
        impact = read_impact(connection, name, plugins, settings, version)
    database.close()
    known = sorted(info.name for info in plugins.plugins())
    if not impact.parts and not impact.scores and name not in known:
        mend = f"Installed: {', '.join(known)}"
        raise BadInput.at("NAME", f"no plugin is called {name!r}, and no campaign was planned with one", mend)
    if as_json:
        print_json(impact.as_dict())
        return
    show_impact(impact)
    for line in summary(impact):
        click.echo(line)


def show_impact(impact: Impact) -> None:
    """The head and the table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    here = f"version {impact.installed}" if impact.installed else "not installed"
    console.print(f"[bold]{escape(impact.plugin)}[/]: {escape(here)}")
    columns = ("campaign", "planned with", "kind", "method", "items", "made", "open", "failed", "approved", "")
    table = Table(*columns, box=None, header_style="bold")
    for part in impact.parts:
        counts = (part.items, part.made, part.open, part.failed, part.approved)
        words = (part.campaign, part.planned, part.kind, part.method, *(f"{count:,}" for count in counts))
        table.add_row(*map(escape, words), escape(f"{part.verdict}: {part.why}"))
    if impact.parts:
        console.print(table)


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE`: a JSON value (`aligned=true`, `margin=0.2`), or text as it is (`colour=#e4002b`).

    Raises:
        BadInput: there is no `=` in one.
    """
    from core.errors import BadInput

    read: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadInput.at("option --option", f"{text!r} sets nothing", "Say KEY=VALUE")
        try:
            read[key] = json.loads(value)
        except ValueError:
            read[key] = value
    return read


def tell(finding: Finding) -> None:
    """A line for a check, and one for each thing that is broken."""
    mark, colour = ("✓", "green") if finding.kept else ("-", "yellow") if finding.skipped else ("✗", "red")
    told = finding.promise if not finding.skipped else f"not tried: {finding.skipped}"
    click.echo(f"{click.style(mark, fg=colour)} {finding.check:<13} {told}")
    for problem in finding.problems:
        click.echo(f"    {problem}")


def summary(name: str, findings: Sequence[Finding]) -> str:
    """The last line."""
    broken = sum(not one.kept for one in findings)
    seconds = sum(one.seconds for one in findings)
    if broken:
        return f"{name}: {broken} of {len(findings)} checks not passed"
    return f"{name} keeps its promises: {len(findings)} checks, {seconds:.1f} s"
