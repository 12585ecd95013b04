"""`dreamline prompt`: the prompts that a campaign file makes, as a model will read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from orchestrator.cli import print_json

if TYPE_CHECKING:
    from core.registry import Registry
    from core.requests import Request
    from orchestrator.planning.drafts import Draft
    from orchestrator.planning.expand import Brief


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--row", metavar="KEY", help="Only this row.")
@click.option("--market", metavar="NAME", help="Only this market, of a campaign that varies it.")
@click.option("-n", "--number", type=click.IntRange(1), default=3, help="So many prompts at most [3].")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    settings: Settings,
    file: Path,
    row: str | None,
    market: str | None,
    number: int,
    everything: bool,
    as_json: bool,
) -> None:
    """Print the prompts that campaign FILE makes, one for each row and variant, with their sections.

    \b
    dreamline prompt campaign.yaml --row a-1
    dreamline prompt campaign.yaml --market de --all --json

    What plugins change is in them. Mistakes are reported as by `dreamline plan`, and nothing is written.
    """  # noqa: D301 - click reads the \b
    from core import registry
    from orchestrator.planning.expand import read_brief

    plugins = registry.load(settings)
    brief = read_brief(file, settings, plugins)
    found = choose(brief, file, row, market)
    chosen = found if everything else found[:number]
    first = next(brief.items()).request
    told = [as_dict(draft, first, plugins) for draft in chosen]
    if as_json:
        print_json(
            {"campaign": brief.campaign, "prompts": told, "of": len(found), "warnings": list(brief.warnings)}
        )
        return
    for one in told:
        describe(one)
    if len(chosen) < len(found):
        click.echo(f"{len(chosen)} of {len(found):,} prompts; --all prints all, --row KEY those of one row")
    for warning in brief.warnings:
        click.secho(f"warning: {warning}", fg="yellow")


def choose(brief: Brief, file: Path, row: str | None, market: str | None) -> list[Draft]:
    """The drafts of a row and a market, or of all.

    Raises:
        BadInput: there is no such row or market.
    """
    from core.errors import BadInput, Problem
    from orchestrator.planning.findings import suggest

    rows = [one.key for one in brief.rows]
    markets = list(dict.fromkeys(str(one.variant["market"]) for one in brief.drafts if "market" in one.variant))
    problems = []
    if row is not None and row not in rows:
        problems.append(Problem("option --row", f"{file} has no row {row!r}", suggest(row, rows, "Rows")))
    if market is not None and market not in markets:
        mend = suggest(market, markets, "Markets that it varies")
        problems.append(Problem("option --market", f"{file} has no market {market!r}", mend))
    BadInput.gather(problems)
    return [
        draft
        for draft in brief.drafts
        if (row is None or draft.row.key == row) and (market is None or str(draft.variant["market"]) == market)
    ]


def as_dict(draft: Draft, first: Request, plugins: Registry) -> dict[str, Any]:
    """One prompt for `--json`.

    Args:
        draft: what the row and the variant decide.
        first: the campaign's first request, of which it is another.
        plugins: asked what they change; `changed_by` names them by what they change.
    """
    request, changed_by = plugins.change_request(
        replace(first, prompt=draft.prompt, negative_prompt=draft.negative_prompt, references=draft.references)
    )
    return {
        "row": draft.row.key,
        "variant": dict(draft.variant),
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "sections": dict(draft.sections),
        "changed_by": changed_by,
    }


def describe(told: dict[str, Any]) -> None:
    """One prompt for people."""
    variant = ", ".join(f"{name}: {value}" for name, value in told["variant"].items())
    click.echo(click.style(told["row"], bold=True) + (f" ({variant})" if variant else ""))
    click.echo(f"  {told['prompt']}")
    if told["negative_prompt"]:
        click.echo(f"  away from: {told['negative_prompt']}")
    for name, text in told["sections"].items():
        click.echo(f"    {name + ':':13}{text}")
    for name, plugin in told["changed_by"].items():
        click.echo(f"  plugin {plugin!r} changes {name}")
