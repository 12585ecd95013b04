"""`dreamline doctor`: what is wrong here, and the mending of it."""

from __future__ import annotations

import click

from core.settings import Settings
from orchestrator.cli import print_json

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended: lost leases, orphaned files and rows.")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="With --fix: queue work again also where most files are gone, since the store is truly lost.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(settings: Settings, fix: bool, accept_loss: bool, as_json: bool) -> None:
    """Check environment, plugins, disk, broker, storage, database, clock, weights, queue, workers and files.

    Whatever is not well comes with what to do about it. --fix does what needs no decision: it frees lost leases,
    deletes files that no row points at, queues work again whose files are gone, and counts what waits.
    Where more than half of the recorded files are gone it takes the store for the wrong one, or for one that is
    not mounted, and touches neither rows nor files without --accept-loss.
    Exit code 1 when an error was found, 0 when there are only warnings or none.
    """
    from orchestrator.doctor import examine

    if accept_loss and not fix:
        raise click.UsageError("--accept-loss does nothing without --fix")
    found = []
    for finding in examine(settings, fix=fix, accept_loss=accept_loss):
        found.append(finding)
        if not as_json:
            mark, colour = MARKS[finding.level]
            mended = click.style(f" → {finding.mended}", fg="green") if finding.mended else ""
            click.echo(f"{click.style(mark, fg=colour)} {finding.check}: {finding.message}{mended}")
            if finding.mend and not finding.mended:
                click.echo(f"    {finding.mend}.")
    if as_json:
        print_json([finding.as_dict() for finding in found])
    if any(finding.level == "error" for finding in found):
        raise SystemExit(1)
