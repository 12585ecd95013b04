"""`dreamline plan`: what a campaign file would make, before anything is written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.settings import Settings
from orchestrator.cli import print_json
from orchestrator.cli.fetching import show_fetching
from orchestrator.telling import tell_estimate, tell_pilot

if TYPE_CHECKING:
    from core.registry import Registry
    from orchestrator.planning.comparison import Comparison
    from orchestrator.planning.expand import Brief
    from orchestrator.planning.plan import Plan
    from orchestrator.prospect import Prospect
    from orchestrator.records.database import Database

REFUSED = 2
SORTS = {"new": "green", "changed": "yellow", "same": "", "obsolete": "red"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--rows", "with_rows", is_flag=True, help="List each row that is new, changed or gone, and why.")
@click.option(
    "--pilot", type=click.IntRange(1, 1000), help="Also say what `run --pilot N`, a sample of N items, takes."
)
@click.option(
    "-w", "--workers", type=click.IntRange(1, 1000), help="Workers that will make it [those that run now, or one]."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with --rows every row.")
@click.pass_obj
def command(
    settings: Settings, file: Path, with_rows: bool, pilot: int | None, workers: int | None, as_json: bool
) -> None:
    """Say what campaign FILE would change, make, take and cost. Nothing is written.

    Held against what is recorded, an item is new, changed (the picture, prompt, plugin, model file, size or option
    that makes it another image is named), the same, or obsolete: no longer asked for. Images that exist are used
    again, whichever campaign made them. Time and money are ranges from the seconds that images of the model took
    here; the price of an hour is DREAMLINE_GPU_HOUR_COST.

    Every mistake in the file, its table and its pictures is reported at once. Exit code 2: it has mistakes, or
    can't be made as things are (over its budget, weights that nobody has); the output says why.
    """
    from core import registry
    from orchestrator.planning.expand import read_brief
    from orchestrator.prospect import look_ahead
    from orchestrator.records import embedded
    from orchestrator.records.database import Database, version

    plugins = registry.load(settings)
    database = None if settings.embedded and not embedded.exists(settings.home) else Database(settings)
    brief = read_brief(file, settings, plugins, show=show_fetching())
    if database is not None:
        _ready(settings, database)
    plan = plan_brief(brief, settings, plugins, database)
    told = None
    asked = {"workers": workers or 0, "pilot": pilot or 0}
    if database is not None and database.patiently(version) is not None:
        with database.begin() as connection:
            told = look_ahead(connection, plan, settings, **asked)
    prospect = told or look_ahead(None, plan, settings, **asked)
    if as_json:
        print_json({**prospect.as_dict(), **({"rows": prospect.list_rows()} if with_rows else {})})
    else:
        describe(prospect, with_rows=with_rows)
        for problem in prospect.refusals:
            click.secho(f"  refused: {problem}", fg="red")
    if prospect.refusals:
        raise click.exceptions.Exit(REFUSED)


def _ready(settings: Settings, database: Database) -> None:
    """Tables of an older dreamline are brought to this one's, or the command that does so is told."""
    from orchestrator.records.database import version

    if settings.embedded:
        database.upgrade()
    elif database.patiently(version) is not None:
        database.require_newest()


def plan_brief(brief: Brief, settings: Settings, plugins: Registry, database: Database | None) -> Plan:
    """A brief as a plan, with the model's files pinned as they were recorded.

    Raises:
        BadInput: the model's files were never checked.
    """
    from orchestrator.planning.plan import make_plan
    from orchestrator.records.models import pin_files, recorded_files

    files = pin_files(brief.card, settings, recorded_files(database, brief.card.name))
    return make_plan(brief, settings, plugins, files)


def describe(prospect: Prospect, *, with_rows: bool = False) -> None:
    """The plan for people."""
    brief, outlook = prospect.plan.brief, prospect.outlook
    click.echo(
        f"{click.style(brief.campaign, bold=True)}: {len(brief.rows):,} rows, {outlook.items:,} items, "
        f"model {brief.card.name}"
    )
    for shape in brief.shapes:
        click.echo(f"  {shape.name}: {shape}")
    example = prospect.plan.example()
    click.echo(f"  prompt of {example['row']}: {example['prompt']}")
    if example["negative_prompt"]:
        click.echo(f"  away from: {example['negative_prompt']}")
    if prospect.comparison.recorded:
        _describe_changes(prospect.comparison)
    shared = f" ({outlook.shared:,} items share an image)" if outlook.shared else ""
    click.echo(
        f"  images: {outlook.new:,} new, {outlook.reused:,} reused, {outlook.failed:,} failed before{shared}"
    )
    sources = {name: count for name, count in prospect.comparison.sources.items() if name != brief.campaign}
    if sources:
        click.echo(f"  reused from: {', '.join(f'{name} ({count:,})' for name, count in sources.items())}")
    if outlook.preparations:
        click.echo(f"  references to prepare: {outlook.preparations:,}")
    _describe_estimates(prospect)
    if with_rows:
        _describe_rows(prospect)
    if outlook.failed:
        click.echo(f"  `dreamline campaign retry {brief.campaign}` tries again what failed")
    for warning in (*brief.warnings, *prospect.warnings):
        click.secho(f"  warning: {warning}", fg="yellow")
    if brief.card.notice:
        click.secho(f"  note: {brief.card.notice}", fg="yellow")


def _describe_changes(against: Comparison) -> None:
    """What is new, changed, the same and gone, and why."""
    counts = Counter(one.what for one in against.items)
    listed = [f"{counts[what]:,} {what}" for what in SORTS if counts[what]]  # type: ignore[index]
    click.echo(f"  against what is recorded: {', '.join(listed)}")
    for cause in against.causes():
        rows = "1 row" if len(cause.rows) == 1 else f"{len(cause.rows):,} rows"
        click.echo(f"    {click.style(cause.what, fg='yellow')} of {cause.items:,} in {rows}")
        for row, change in cause.examples:
            click.echo(f"      {row}: {change.before or 'none'} → {change.after or 'none'}")
    if lost := against.lost():
        what = "1 approved image" if lost == 1 else f"{lost:,} approved images"
        click.secho(f"  {what} would be replaced or no longer asked for", fg="yellow")


def _describe_estimates(prospect: Prospect) -> None:
    if prospect.estimate.images:
        click.echo(f"  takes: {tell_estimate(prospect.estimate)}")
    if prospect.sample is not None:
        told = tell_estimate(prospect.sample)
        click.echo(f"  pilot: {prospect.sample.images:,} images{f', {told}' if prospect.sample.wait else ''}")
    if prospect.pilot is not None:
        for line in tell_pilot(prospect.pilot, prospect.rest):
            click.echo(f"  {line}")


def _describe_rows(prospect: Prospect) -> None:
    for row in prospect.list_rows():
        sorts = [what for what in SORTS if row.get(what) and what != "same"]
        if sorts:
            told = ", ".join(click.style(f"{row[what]:,} {what}", fg=SORTS[what]) for what in sorts)
            why = f": {'; '.join(row['why'])}" if row["why"] else ""
            where = f"row {row['number']}" if row["number"] is not None else "gone"
            click.echo(f"  {row['row']} ({where}): {told}{why}")
