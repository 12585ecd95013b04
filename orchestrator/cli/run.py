"""`dreamline run`: from a campaign file to images, in one command that can be interrupted."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from orchestrator.cli import plan as plan_command
from orchestrator.cli import print_json
from orchestrator.cli.fetching import show_fetching

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from core.registry import Registry
    from orchestrator.planning.writing import Outlook
    from orchestrator.progress import Progress
    from orchestrator.records.database import Database

SOME_FAILED = 3


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for the images [outputs/CAMPAIGN].")
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(0, 64),
    default=1,
    show_default=True,
    help="Processes that make images; 0: none here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end.")
@click.pass_obj
def command(settings: Settings, file: Path, output: Path | None, workers: int, as_json: bool) -> None:
    """Plan campaign FILE, make its images and wait for them.

    Images that exist are reused, whichever campaign made them. Ctrl-C loses nothing: the same command goes
    on. With --workers 0 the work is left to `dreamline worker` processes elsewhere.

    Exit code 3: some images could not be made; `dreamline campaign show` says why.
    """
    sys.exit(run_campaign(settings, file, output, workers, as_json=as_json))


def run_campaign(settings: Settings, file: Path, output: Path | None, workers: int, *, as_json: bool) -> int:
    """Runs one campaign file to its end; returns the exit code."""
    from core import registry
    from orchestrator import campaigns, gating
    from orchestrator.export import export, list_exports
    from orchestrator.planning.expand import read_brief
    from orchestrator.progress import read_progress
    from orchestrator.records.database import Database
    from orchestrator.records.storage import open_storage

    began = time.monotonic()
    plugins = registry.load(settings)
    # Mistakes in the file are told before a database is touched.
    brief = read_brief(file, settings, plugins, show=show_fetching())
    database, store = Database(settings), open_storage(settings.store_url)
    database.upgrade() if settings.embedded else database.require_newest()
    plan = plan_command.plan_brief(brief, settings, plugins, database)
    outlook = campaigns.record(database, store, plugins, plan, start=True)
    if not as_json:
        plan_command.describe(plan, outlook)
    gating.judge(database, plugins, thorough=True)
    begun = database.patiently(lambda connection: read_progress(connection, brief.campaign)[0])
    # Also without new images there can be work: another attempt at one, or a gate that waits for its verdict.
    busy = begun.ended < begun.total or bool(begun.gates.get("ready"))
    end = _wait(settings, database, plugins, brief.campaign, outlook, workers if busy else 0, quiet=as_json)
    folder = output or Path("outputs") / brief.campaign
    exports = database.patiently(lambda connection: list_exports(connection, brief.campaign, brief.naming))
    export(store, exports, folder)
    database.close()
    told = {
        "campaign": brief.campaign,
        "state": end.state,
        "made": end.jobs["done"] - begun.jobs["done"],
        "reused": outlook.reused,
        "failed": end.jobs["dead"],
        "held": end.gates.get("held", 0),
        "jobs": end.jobs,
        "folder": str(folder.absolute()),
        "files": len(exports),
        "seconds": round(time.monotonic() - began, 2),
    }
    print_json(told) if as_json else _tell(told)
    return SOME_FAILED if told["failed"] or end.state != "finished" else 0


def _wait(
    settings: Settings,
    database: Database,
    plugins: Registry,
    name: str,
    outlook: Outlook,
    workers: int,
    *,
    quiet: bool,
) -> Progress:
    """Waits for the campaign's end under a progress bar, with workers of this command if there is work."""
    from orchestrator.running import local_workers, wait_for, wake_all
    from orchestrator.unserved import Lacking, read_lacking

    def lacking(connection: Connection) -> list[Lacking]:
        return read_lacking(connection, name, plugins, settings)

    with _bar(outlook.images, quiet=quiet) as show:
        wake_all(settings)
        with local_workers(settings, workers) if workers else contextlib.nullcontext() as local:
            return wait_for(database, name, show, _warn, lacking, local)


def _warn(message: str) -> None:
    click.secho(f"warning: {message}", fg="yellow", err=True)


def _tell(told: dict[str, Any]) -> None:
    if told["state"] != "finished":
        why = f"`dreamline campaign show {told['campaign']}` says what is missing"
        click.secho(f"The campaign is {told['state']}: not everything was made. {why}.", fg="yellow")
    counts = f"{told['made']} made, {told['reused']} reused, {told['failed']} failed"
    click.echo(f"{click.style(counts, bold=True)} in {told['seconds']:.1f} s")
    click.echo(f"Images: {told['folder']} ({told['files']} files)")
    if told["held"]:
        named = f"dreamline campaign gates {told['campaign']}"
        click.echo(f"{told['held']} held back by gates and not written; why: {named}")
    if told["failed"]:
        click.echo(f"Why some failed: dreamline campaign show {told['campaign']}")


@contextlib.contextmanager
def _bar(total: int, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on standard error; plain lines, one every ten seconds, where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, quiet=quiet)
    if quiet or not console.is_terminal:
        last = [0.0]

        def line(progress: Progress) -> None:
            if not quiet and time.monotonic() - last[0] > 10:
                last[0] = time.monotonic()
                click.echo(f"{progress.ended} of {progress.total} images{_left(progress)}", err=True)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
        task = bar.add_task("images", total=total, note="")

        def draw(progress: Progress) -> None:
            waiting = sum(progress.preparations[state] for state in ("queued", "leased", "failed"))
            note = f"preparing {waiting} references" if waiting else _left(progress).removeprefix(", ")
            dead = f"[red]{progress.jobs['dead']} failed[/] " if progress.jobs["dead"] else ""
            bar.update(task, completed=progress.ended, total=progress.total, note=dead + note)

        yield draw


def _left(progress: Progress) -> str:
    if progress.left is None or progress.ended == progress.total:
        return ""
    low, high = progress.left
    unit, size = ("s", 1) if high < 120 else ("min", 60)
    return f", about {low / size:.0f}-{high / size:.0f} {unit} left"
