"""`dreamline doctor`: what is wrong here, and the mending of it."""

from __future__ import annotations

import click

from core.settings import Settings
from orchestrator.cli import print_json

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended: lost leases, orphaned files and rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(settings: Settings, fix: bool, as_json: bool) -> None:
    """Check environment, plugins, disk, database, broker, storage and queue.

    Exit code 1 when an error was found, 0 when there are only warnings or none.
    """
    from orchestrator.doctor import examine

    found = []
    for finding in examine(settings, fix=fix):
        found.append(finding)
        if not as_json:
            mark, colour = MARKS[finding.level]
            mended = click.style(f" → {finding.mended}", fg="green") if finding.mended else ""
            click.echo(f"{click.style(mark, fg=colour)} {finding.check}: {finding.message}{mended}")
    if as_json:
        print_json([finding.as_dict() for finding in found])
    elif any(finding.level == "warning" for finding in found) and not fix:
        click.echo("`dreamline doctor --fix` mends leases, files and the queue.")
    if any(finding.level == "error" for finding in found):
        raise SystemExit(1)
