"""What could be wrong with an installation, and the mending of what can be mended without asking.

Each check answers with findings, and each finding that is not well says what a person does about it. `fix`
undoes exactly what a finding reports: leases without an owner, files without a row, rows without a file, jobs
that wait for what is done.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import DreamlineError
from core.settings import Settings
from orchestrator.examining import connections, contents, queue, surroundings
from orchestrator.examining.finding import Finding
from orchestrator.records.database import Database
from orchestrator.records.models import read_recorded
from orchestrator.records.storage import open_storage

__all__ = ["Finding", "examine"]


def examine(config: Settings, *, fix: bool = False, accept_loss: bool = False) -> Iterator[Finding]:
    """Runs every check, one after the other; later ones are left out where what they need can't be reached.

    Args:
        config: of the installation.
        fix: mends what needs no decision.
        accept_loss: with `fix` also goes on where most files are gone from the store, which else is taken for
            another store than the one of this database.
    """
    yield from surroundings.environment()
    yield from surroundings.plugins(config)
    yield from surroundings.disks(config)
    yield from connections.broker(config)
    stored = list(connections.storage(config))
    yield from stored
    database = Database(config)
    try:
        whole = all(one.level == "ok" for one in stored)
        yield from _inside(database, config, stored=whole, fix=fix, accept_loss=accept_loss)
    except DreamlineError as error:
        theirs, ours = "Start Postgres, or correct DREAMLINE_DATABASE_URL", "The log that it names says why"
        yield Finding("database", "error", str(error), theirs if config.database_url else ours)
    finally:
        database.close()


def _inside(
    database: Database, config: Settings, *, stored: bool, fix: bool, accept_loss: bool
) -> Iterator[Finding]:
    found = list(connections.database(database))
    yield from found
    if any(one.level == "error" for one in found):
        return
    with database.begin() as connection:
        recorded = read_recorded(connection)
    yield from surroundings.weights(config, recorded)
    yield from queue.leases(database, config, fix=fix)
    yield from queue.waiting(database, fix=fix)
    yield from queue.workers(database, config)
    if stored:
        store = open_storage(config.store_url)
        yield from contents.missing_files(database, store, fix=fix, accept_loss=accept_loss)
        yield from contents.unknown_files(database, store, fix=fix, accept_loss=accept_loss)
