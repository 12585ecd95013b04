"""`dreamline plan`: what a campaign file would make, before anything is written."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.settings import Settings
from orchestrator.cli import print_json
from orchestrator.cli.fetching import show_fetching

if TYPE_CHECKING:
    from core.registry import Registry
    from orchestrator.planning.expand import Brief
    from orchestrator.planning.plan import Plan
    from orchestrator.planning.writing import Outlook
    from orchestrator.records.database import Database


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(settings: Settings, file: Path, as_json: bool) -> None:
    """Say what campaign FILE would make: how many images are new, reused, or failed before.

    Every mistake in the file, its table and its pictures is reported at once. Nothing is written.
    """
    from core import registry
    from orchestrator.planning.expand import read_brief
    from orchestrator.planning.writing import look_ahead
    from orchestrator.records import embedded
    from orchestrator.records.database import Database, version

    plugins = registry.load(settings)
    database = None if settings.embedded and not embedded.exists(settings.home) else Database(settings)
    brief = read_brief(file, settings, plugins, show=show_fetching())
    plan = plan_brief(brief, settings, plugins, database)
    outlook = look_ahead(None, plan)
    if database is not None:
        with database.begin() as connection:
            if version(connection) is not None:
                outlook = look_ahead(connection, plan)
    if as_json:
        print_json(as_dict(plan, outlook))
    else:
        describe(plan, outlook)


def plan_brief(brief: Brief, settings: Settings, plugins: Registry, database: Database | None) -> Plan:
    """A brief as a plan, with the model's files pinned as they were recorded.

    Raises:
        BadInput: the model's files were never checked.
    """
    from orchestrator.planning.plan import make_plan
    from orchestrator.records.models import pin_files, recorded_files

    files = pin_files(brief.card, settings, recorded_files(database, brief.card.name))
    return make_plan(brief, settings, plugins, files)


def as_dict(plan: Plan, outlook: Outlook) -> dict[str, object]:
    """For `--json`."""
    return {
        "campaign": plan.brief.campaign,
        "model": asdict(plan.model),
        **asdict(outlook),
        "formats": {shape.name: str(shape) for shape in plan.brief.shapes},
        "example": example(plan),
        "warnings": list(plan.brief.warnings),
        "notice": plan.brief.card.notice,
    }


def example(plan: Plan) -> dict[str, str]:
    """The prompt of the first image, as a model will read it."""
    first = plan.items[0]
    request = json.loads(plan.jobs[first.job].request)
    return {"row": first.row_key, "prompt": request["prompt"], "negative_prompt": request["negative_prompt"]}


def describe(plan: Plan, outlook: Outlook) -> None:
    """The plan for people."""
    brief = plan.brief
    bold = {"bold": True}
    click.echo(
        f"{click.style(brief.campaign, **bold)}: {len(brief.rows):,} rows, {outlook.items:,} items, "
        f"model {brief.card.name}"
    )
    for shape in brief.shapes:
        click.echo(f"  {shape.name}: {shape}")
    shown = example(plan)
    click.echo(f"  prompt of {shown['row']}: {shown['prompt']}")
    if shown["negative_prompt"]:
        click.echo(f"  away from: {shown['negative_prompt']}")
    shared = f" ({outlook.shared:,} items share an image)" if outlook.shared else ""
    click.echo(
        f"  images: {outlook.new:,} new, {outlook.reused:,} reused, {outlook.failed:,} failed before{shared}"
    )
    if outlook.preparations:
        click.echo(f"  references to prepare: {outlook.preparations:,}")
    if outlook.failed:
        click.echo(f"  `dreamline campaign retry {brief.campaign}` tries again what failed")
    for warning in brief.warnings:
        click.secho(f"  warning: {warning}", fg="yellow")
    if brief.card.notice:
        click.secho(f"  note: {brief.card.notice}", fg="yellow")
