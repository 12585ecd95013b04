"""`dreamline models`: model cards and the files that they name."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from core.settings import Settings
from orchestrator.cli import print_json

if TYPE_CHECKING:
    from core.cards import ModelCard
    from core.generation.checks import Report


@click.group()
def command() -> None:
    """Model cards and their weights.

    A card names a base model, adapters with their strengths, and defaults. Cards of your own lie in the folders
    of DREAMLINE_CARDS; weights lie below DREAMLINE_MODELS.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def list_cards(settings: Settings, as_json: bool) -> None:
    """List model cards, and whether their files are here."""
    from rich.console import Console
    from rich.table import Table

    from core.cards import find_cards, read_card

    rows = [(card, state_of(card, settings)) for card in map(read_card, find_cards(settings).values())]
    if as_json:
        print_json(
            [{"name": card.name, "title": card.title, "base": card.base, "state": state} for card, state in rows]
        )
        return
    table = Table(box=None, header_style="bold")
    for heading, whole in (("name", True), ("files", True), ("title", False)):
        table.add_column(heading, no_wrap=whole)
    for card, state in rows:
        table.add_row(card.name, state, card.title)
    Console().print(table)


@command.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def show(settings: Settings, model: str, as_json: bool) -> None:
    """Show card MODEL: what it names, where that lies, and what it may be used for."""
    from core.cards import load_card
    from core.generation.files import card_files

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
    """Fetch what card MODEL names from the Hugging Face Hub; nothing else ever does."""
    from core.cards import load_card
    from core.generation.fetching import fetch_card

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
    """Records the files' hashes, which plans pin from now on."""
    from orchestrator.records.database import Database
    from orchestrator.records.models import record

    database = Database(settings)
    database.upgrade() if settings.embedded else database.require_newest()
    with database.begin() as connection:
        record(connection, card.name, report.files)
    click.echo(f"{len(report.files)} hashes recorded: plans pin them.")
