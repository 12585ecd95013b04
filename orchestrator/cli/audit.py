"""`dreamline audit`: the record of who decided what: check it, take it out."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.settings import Settings
from orchestrator.cli import print_json

if TYPE_CHECKING:
    from sqlalchemy import Connection


@click.group()
def command() -> None:
    """Check and export the record of decisions: verify, export."""


@command.command()
@click.argument("campaigns", nargs=-1, metavar="[CAMPAIGN]...")
@click.option("--head", help="Hash of a decision that must be in the chain, as an earlier export named it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def verify(settings: Settings, campaigns: tuple[str, ...], head: str | None, as_json: bool) -> None:
    """Follow the chain of decisions of CAMPAIGNs (all by default) and say where it is broken.

    Exit code 1: a chain is broken.
    """
    from orchestrator.reviewing import chain

    told, found = [], head is None
    with opened(settings) as connection:
        for name, number in _chosen(connection, campaigns):
            count, problems = chain.verify(connection, number, name)
            last = chain.head(connection, number)[1]
            lacking = chain.missing_head(connection, number, name, head) if head else []
            found = found or not lacking
            problems += lacking if campaigns else []
            told.append(
                {"campaign": name, "decisions": count, "head": last, "problems": [p.as_dict() for p in problems]}
            )
            if not as_json:
                state = click.style("broken", fg="red") if problems else click.style("whole", fg="green")
                click.echo(f"{name}: {count:,} decisions, {state}, head {last[:16]}")
                for problem in problems:
                    click.echo(f"  {problem}", err=True)
    if as_json:
        print_json(told)
    if not found and not campaigns:
        click.echo(f"No campaign has a decision with the hash {head}. Decisions were cut off", err=True)
    sys.exit(0 if found and not any(one["problems"] for one in told) else 1)


@command.command()
@click.argument("campaign")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File [standard output].")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.pass_obj
def export(settings: Settings, campaign: str, output: Path | None, form: str) -> None:
    """Write every decision of CAMPAIGN, oldest first, with its hashes.

    The last line's hash is the head: keep it somewhere else, and `verify --head` proves that nothing was cut
    off since.
    """
    from orchestrator.reviewing import chain

    with opened(settings) as connection:
        ((_, number),) = _chosen(connection, (campaign,))
        words = chain.item_words(connection, number)
        lines = [
            {**link.as_dict(), "item": words.get(link.item_id, "")}
            for link in chain.read_chain(connection, number)
        ]
    text = _csv(lines) if form == "csv" else "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        head = str(lines[-1]["hash"]) if lines else "none"
        click.echo(f"{len(lines):,} decisions in {output}; head {head}")


def _csv(lines: list[dict[str, object]]) -> str:
    file = io.StringIO()
    if lines:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(
            {key: json.dumps(value) if isinstance(value, list) else _plain(value) for key, value in line.items()}
            for line in lines
        )
    return file.getvalue()


def _plain(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Connection]:
    """One transaction on the database, which has tables of this version."""
    from orchestrator.records.database import Database

    database = Database(settings)
    try:
        database.upgrade() if settings.embedded else database.require_newest()
        with database.begin() as connection:
            yield connection
    finally:
        database.close()


def _chosen(connection: Connection, names: tuple[str, ...]) -> list[tuple[str, int]]:
    from sqlalchemy import text

    from orchestrator import campaigns

    if names:
        return [(found.name, found.id) for found in (campaigns.find(connection, name) for name in names)]
    rows = connection.execute(text("select name, id from campaign order by name"))
    return [(row.name, row.id) for row in rows]
