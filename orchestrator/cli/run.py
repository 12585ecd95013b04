"""`dreamline run`: from a campaign file to images, in one command that can be interrupted."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import BadInput
from core.settings import Settings
from orchestrator.cli import plan as plan_command
from orchestrator.cli import print_json, user_name
from orchestrator.cli.fetching import show_fetching

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from core.registry import Registry
    from orchestrator.planning.plan import Plan
    from orchestrator.progress import Progress
    from orchestrator.prospect import Prospect
    from orchestrator.records.database import Database

SOME_FAILED = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks of a run, beside the file; see the options' helps."""

    output: Path | None = None
    workers: int = 1
    pilot: int = 0
    anyway: bool = False
    owner: str = ""
    as_json: bool = False


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
@click.option(
    "--pilot",
    type=click.IntRange(1, 1000),
    default=None,
    help="Make a sample of N items first, spread over rows, variants and formats; the rest waits.",
)
@click.option("--anyway", is_flag=True, help="Also past its budget and stop rules; they count anew from now on.")
@click.option("--owner", default="", help="Whose campaign it is [what the file says, else you].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end.")
@click.pass_obj
def command(settings: Settings, /, file: Path, pilot: int | None, **told: Any) -> None:
    """Plan campaign FILE, make its images and wait for them.

    Images that exist are reused, whichever campaign made them. Ctrl-C loses nothing: the same command goes
    on. With --workers 0 the work is left to `dreamline worker` processes elsewhere.

    With --pilot the campaign is paused once its sample is made. Review that; `dreamline campaign show` and
    `dreamline plan FILE` then say how much of the rest people would approve, and what it takes. The same command
    without --pilot makes the rest; --pilot again samples nothing anew.

    Exit code 2: bad input, or a plan that its budget or stop rules refuse; nothing was written. 3: some images
    could not be made, or a stop rule paused the campaign; `dreamline campaign show` says why.
    """
    sys.exit(run_campaign(settings, file, Asked(pilot=pilot or 0, **told)))


def run_campaign(settings: Settings, file: Path, asked: Asked = Asked()) -> int:
    """Runs one campaign file to its end, or its pilot's; returns the exit code.

    Raises:
        BadInput: mistakes in the file, or a budget or a stop rule that it would be past.
    """
    from core import registry
    from orchestrator import campaigns, gating
    from orchestrator.delivering.export import export, list_exports
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
    brief = replace(brief, owner=asked.owner.strip() or brief.owner)
    plan = plan_command.plan_brief(brief, settings, plugins, database)
    _look_ahead(settings, database, plan, asked)
    pilot, anyway = asked.pilot, asked.anyway
    outlook = campaigns.record(
        database, store, plugins, plan, start=True, pilot=pilot, anyway=anyway, owner=user_name()
    )
    gating.judge(database, plugins, thorough=True)
    begun = database.patiently(lambda connection: read_progress(connection, brief.campaign)[0])
    # Also without new images there can be work: another attempt at one, or a gate that waits for its verdict.
    busy = begun.ended < begun.total or bool(begun.gates.get("ready"))
    end = _wait(settings, database, plugins, begun, asked.workers if busy else 0, quiet=asked.as_json)
    folder = asked.output or Path("outputs") / brief.campaign
    exports = database.patiently(lambda connection: list_exports(connection, brief.campaign, brief.naming))
    export(store, exports, folder)
    database.close()
    told = {
        "campaign": brief.campaign,
        "state": end.state,
        "reason": end.reason,
        "paused_by": end.paused_by,
        "pilot": end.pilot,
        "later": end.later,
        "made": end.jobs["done"] - begun.jobs["done"],
        "reused": outlook.reused,
        "failed": end.jobs["dead"],
        "held": end.gates.get("held", 0),
        "jobs": end.jobs,
        "folder": str(folder.absolute()),
        "files": len(exports),
        "seconds": round(time.monotonic() - began, 2),
    }
    print_json(told) if asked.as_json else _tell(told)
    whole = end.state == "finished" or end.paused_by == "pilot"
    return 0 if whole and not told["failed"] else SOME_FAILED


def _look_ahead(settings: Settings, database: Database, plan: Plan, asked: Asked) -> None:
    """Says what is about to be done, and refuses what its budget can't be enough for, before it is written."""
    from orchestrator.prospect import look_ahead

    def look(connection: Connection) -> Prospect:
        return look_ahead(connection, plan, settings, workers=asked.workers, pilot=asked.pilot)

    prospect = database.patiently(look)
    if not asked.as_json:
        plan_command.describe(prospect)
    if prospect.over is not None and not asked.anyway:
        raise BadInput(prospect.over)


def _wait(
    settings: Settings,
    database: Database,
    plugins: Registry,
    begun: Progress,
    workers: int,
    *,
    quiet: bool,
) -> Progress:
    """Waits for the campaign's end under a progress bar, with workers of this command if there is work."""
    from orchestrator.running import local_workers, wait_for, wake_all
    from orchestrator.stopping import Watch
    from orchestrator.unserved import Lacking, read_lacking

    name, watch = begun.name, Watch(database, plugins)

    def lacking(connection: Connection) -> list[Lacking]:
        return read_lacking(connection, name, plugins, settings)

    with _bar(begun.total, quiet=quiet) as show:
        wake_all(settings)
        with local_workers(settings, workers) if workers else contextlib.nullcontext() as local:
            return wait_for(database, name, show, _warn, lacking, local, watch.look)


def _warn(message: str) -> None:
    click.secho(f"warning: {message}", fg="yellow", err=True)


def _tell(told: dict[str, Any]) -> None:
    if told["paused_by"] == "pilot":
        _tell_pilot(told)
    elif told["paused_by"] == "rule":
        click.secho(f"Paused by its {told['reason']}.", fg="yellow")
        click.echo("Going on: with another rule in the file or with --anyway, which lets it count anew.")
    elif told["state"] != "finished":
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


def _tell_pilot(told: dict[str, Any]) -> None:
    click.echo(
        f"The pilot is made; {told['later']:,} images wait. Review it (`dreamline dashboard`), and `dreamline "
        f"campaign show {told['campaign']}` says what it foretells. The command without --pilot makes the rest."
    )


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
            dead = f"[red]{progress.scope['dead']} failed[/] " if progress.scope["dead"] else ""
            bar.update(task, completed=progress.ended, total=progress.total, note=dead + note)

        yield draw


def _left(progress: Progress) -> str:
    if progress.left is None or progress.ended == progress.total:
        return ""
    low, high = progress.left
    unit, size = ("s", 1) if high < 120 else ("min", 60)
    return f", about {low / size:.0f}-{high / size:.0f} {unit} left"
