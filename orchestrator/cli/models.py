"""`dreamline models`: model cards, tools, and their files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from core.settings import Settings
from orchestrator.cli import print_json

if TYPE_CHECKING:
    from core.cards import ModelCard
    from core.generation.checks import Report
    from core.toolbox import Tool


@click.group()
def command() -> None:
    """Model cards, tools, and their weights.

    A card names a base model, adapters with their strengths, and defaults. Cards of your own lie in the folders
    of DREAMLINE_CARDS; weights lie below DREAMLINE_MODELS. Tools are small networks beside the model: they cut
    out, find faces and judge images where they are present.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def list_cards(settings: Settings, as_json: bool) -> None:
    """List model cards and tools, and whether their files are here."""
    from rich.console import Console
    from rich.table import Table

    from core.cards import find_cards, read_card
    from core.toolbox import TOOLS

    rows = [(card, state_of(card, settings)) for card in map(read_card, find_cards(settings).values())]
    if as_json:
        cards = [
            {"name": card.name, "title": card.title, "base": card.base, "state": state} for card, state in rows
        ]
        print_json([*cards, *(tool_as_dict(tool, settings) for tool in TOOLS.values())])
        return
    table = Table(box=None, header_style="bold")
    for heading, whole in (("name", True), ("files", True), ("title", False)):
        table.add_column(heading, no_wrap=whole)
    for card, state in rows:
        table.add_row(card.name, state, card.title)
    table.add_section()
    for tool in TOOLS.values():
        table.add_row(tool.name, tool_state(tool, settings), f"{tool.title} ({tool.licence})")
    Console().print(table)


@command.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def show(settings: Settings, model: str, as_json: bool) -> None:
    """Show card or tool MODEL: what it names, where that lies, and what it may be used for."""
    from core.cards import load_card
    from core.generation.files import card_files
    from core.toolbox import TOOLS

    if model in TOOLS:
        show_tool(TOOLS[model], settings, as_json)
        return
    card = load_card(model, settings)
    files = card_files(card, settings) if card.base else []
    if as_json:
        told = [{"name": file.name, "path": str(file.path), "here": file.path.is_file()} for file in files]
        print_json({**asdict(card), "files": told})
        return
    for key, value in asdict(card).items():
        if key != "adapters" and value not in ("", (), None):
            click.echo(f"{key:22}{value}")
    for adapter in card.adapters:
        click.echo(f"{'adapter':22}{adapter.repository}/{adapter.file} x {adapter.scale}")
    for file in files:
        click.echo(f"{'here' if file.path.is_file() else 'missing':22}{file.path}")


@command.command()
@click.argument("model")
@click.pass_obj
def fetch(settings: Settings, model: str) -> None:
    """Fetch the files of card or tool MODEL from where they are published; nothing else ever does."""
    from core.cards import load_card
    from core.generation.fetching import fetch_card, fetch_tool
    from core.toolbox import REFUSED, REMBG, TOOLS, find_tool

    if model in TOOLS or model in REFUSED:
        tool = find_tool(model)
        for path in fetch_tool(tool, settings, lambda text: click.echo(text, err=True)):
            click.echo(str(path))
        if tool.repository == REMBG:
            click.echo("It runs where dreamline[matting] is installed: pip install 'dreamline[matting]'", err=True)
        return
    card = load_card(model, settings)
    for path in fetch_card(card, settings, lambda text: click.echo(text, err=True)):
        click.echo(str(path))
    click.echo(f"`dreamline models check {card.name}` reads the files and records their hashes.")


@command.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--record/--no-record", default=True, help="Record the hashes in the database; plans pin them.")
@click.pass_obj
def check(settings: Settings, model: str, as_json: bool, record: bool) -> None:
    """Check every tensor of card MODEL: name, shape and finiteness; then record the files' hashes.

    Exit code 2: something is missing or wrong; nothing was recorded.
    """
    from core.cards import load_card
    from core.generation.checks import Report, check_card

    card = load_card(model, settings)
    report = check_card(card, settings, lambda name: click.echo(name, err=True)) if card.base else Report({}, ())
    if as_json:
        print_json(as_dict(report))
    else:
        describe(card, report)
    if not report.good:
        raise SystemExit(2)
    if record:
        keep(card, report, settings)


@command.command()
@click.argument("model")
@click.pass_obj
def fuse(settings: Settings, model: str) -> None:
    """Fuse the adapters of card MODEL into its base now, rather than when it is first used."""
    from core.cards import load_card
    from core.errors import BadInput
    from core.generation.memory import resolve_device
    from core.generation.model import fuse_card
    from core.generation.precision import precision_of

    card = load_card(model, settings)
    if not card.base:
        raise BadInput.at(f"model {card.name}", "has no base to fuse into", "Name a card with a base")
    precision = precision_of(settings.precision, resolve_device(settings.device))
    click.echo(str(fuse_card(card, settings, precision)))


def state_of(card: ModelCard, settings: Settings) -> str:
    """In one word or two, for the list."""
    from core.generation.files import card_files

    if not card.base:
        return "needs none"
    files = card_files(card, settings)
    missing = sum(not file.path.is_file() for file in files)
    state = f"{missing} of {len(files)} missing" if missing else "here"
    return f"{state}, untried" if card.untried else state


def tool_state(tool: Tool, settings: Settings) -> str:
    """In one word, for the list."""
    from core.toolbox import tool_files

    return "missing" if tool_files(tool.name, settings) is None else "here"


def tool_as_dict(tool: Tool, settings: Settings) -> dict[str, object]:
    """A tool as JSON values."""
    told = {"name": tool.name, "title": tool.title, "tool": True, "licence": tool.licence}
    return {**told, "purpose": tool.purpose, "state": tool_state(tool, settings)}


def show_tool(tool: Tool, settings: Settings, as_json: bool) -> None:
    """Prints a tool, and where each of its files lies."""
    from core.toolbox import tool_folder

    paths = {file: tool_folder(tool, settings) / file for file in tool.files}
    told = {**tool_as_dict(tool, settings), "repository": tool.repository}
    if as_json:
        files = [{"name": name, "path": str(path), "here": path.is_file()} for name, path in paths.items()]
        print_json({**told, "files": files})
        return
    for key, value in told.items():
        if key not in ("tool", "state"):
            click.echo(f"{key:22}{value}")
    for path in paths.values():
        click.echo(f"{'here' if path.is_file() else 'missing':22}{path}")


def as_dict(report: Report) -> dict[str, object]:
    """A report as JSON values."""
    return {
        "good": report.good,
        "files": {name: {"sha256": sha256, "size": size} for name, (sha256, size) in report.files.items()},
        "problems": [problem.as_dict() for problem in report.problems],
        "missing": report.missing,
        "parameters": dict(report.parameters),
    }


def describe(card: ModelCard, report: Report) -> None:
    """Prints a report for people: hashes on standard output, what is wrong on standard error."""
    for name, (sha256, size) in report.files.items():
        click.echo(f"{sha256}  {size:>13,}  {name}")
    for name, count in report.parameters.items():
        click.echo(f"{count:,} parameters in {name}")
    for problem in report.problems:
        click.echo(f"{click.style('error', fg='red')}: {problem}", err=True)
    if report.missing:
        click.echo(f"{click.style('error', fg='red')}: {report.missing}", err=True)
    if not card.base:
        click.echo(f"{card.name}: needs no weights.")
    elif report.good:
        click.echo(f"{card.name}: every tensor is there, of the right shape, and finite.")


def keep(card: ModelCard, report: Report, settings: Settings) -> None:
    """Records the files' hashes, which plans pin from now on; says so on standard error."""
    from orchestrator.records.database import Database
    from orchestrator.records.models import record

    database = Database(settings)
    database.upgrade() if settings.embedded else database.require_newest()
    with database.begin() as connection:
        record(connection, card.name, report.files)
    database.close()
    click.echo(f"{len(report.files)} hashes recorded: plans pin them.", err=True)
