"""`dreamline db`: the database itself."""

from __future__ import annotations

import click

from core.settings import Settings
from orchestrator.cli import print_json


@click.group()
def command() -> None:
    """The database: upgrade, status, url, stop."""


@command.command()
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Bring the tables to this version of dreamline; safe to call at any time, also by several at once.

    Workers, dashboards and commands go on meanwhile: no write waits for a change for longer than a second. Tables
    that a later dreamline has changed are refused. A table that others keep locked is asked for again for two
    minutes; then the command says so, and what it has done by then stays done.
    """
    from orchestrator.records.database import Database, newest

    Database(settings).upgrade()
    click.echo(f"The tables are of version {newest()}.")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Say which database is used, whether it can be reached and what it holds."""
    from sqlalchemy import text

    from orchestrator.records.database import Database, newest, version

    with Database(settings).begin() as connection:
        found = version(connection)
        server = connection.execute(text("show server_version")).scalar_one()
        tables = ("campaign", "item", "job", "asset") if found else ()
        count = "select count(*) from {}"
        counts = {name: connection.execute(text(count.format(name))).scalar_one() for name in tables}
    told = {
        "embedded": settings.embedded,
        "postgres": server,
        "version": found,
        "newest": newest(),
        "rows": counts,
    }
    if as_json:
        print_json(told)
        return
    where = f"embedded, below {settings.home}" if settings.embedded else "DREAMLINE_DATABASE_URL"
    click.echo(f"Postgres {server} ({where}), tables of version {found or 'none'} (newest {newest()})")
    if found not in (None, newest()):
        click.echo("Not this dreamline's tables: `dreamline db upgrade` upgrades them or says what to install.")
    for name, count_found in counts.items():
        click.echo(f"  {name}: {count_found:,}")


@command.command()
@click.pass_obj
def url(settings: Settings) -> None:
    """Print the URL of the database, for psql and other tools; starts the embedded one and keeps it a while."""
    from orchestrator.records import embedded

    click.echo(settings.database_url or embedded.ensure_running(settings.home))


@command.command()
@click.pass_obj
def stop(settings: Settings) -> None:
    """Stop the embedded Postgres; the next command starts it again."""
    from orchestrator.records import embedded

    if settings.embedded:
        embedded.stop(settings.home)
