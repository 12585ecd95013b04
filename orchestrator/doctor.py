"""What could be wrong with an installation, and the mending of what can be mended without asking.

Each check answers with findings; `mend` undoes exactly what a finding reports: leases without an owner, files
without a row, rows without a file, jobs that wait for what is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

from core import registry, settings
from core.errors import DreamlineError
from orchestrator.records.database import SWEEP_LOCK, VERBS_LOCK, Database, newest, version
from orchestrator.records.storage import Storage, open_storage
from orchestrator.working.rescue import rescue

Level = Literal["ok", "warning", "error"]

HALF_WRITTEN = 600.0
"""Seconds after which a temporary file can belong to no write under way."""

LEAST_FREE = 2 * 2**30
"""Bytes of disk below which a warning is given."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of a check. `mended` says what `--fix` did about it."""

    check: str
    level: Level
    message: str
    mended: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(config: settings.Settings, *, fix: bool = False) -> Iterator[Finding]:
    """Runs every check, one after the other; later ones are left out where the database can't be reached."""
    yield from _environment()
    yield from _plugins(config)
    yield from _disk(config)
    database = Database(config)
    try:
        yield from _database(database, config, fix=fix)
    except DreamlineError as error:
        yield Finding("database", "error", str(error))
    finally:
        database.close()


def _database(database: Database, config: settings.Settings, *, fix: bool) -> Iterator[Finding]:
    with database.begin() as connection:
        found = version(connection)
    if found != newest():
        yield Finding("database", "error", f"tables are of version {found}: run `dreamline db upgrade`")
        return
    yield Finding("database", "ok", f"reached, tables of version {found}")
    yield _broker(config)
    store = open_storage(config.store_url)
    yield from _leases(database, config, fix=fix)
    yield from _missing_files(database, store, fix=fix)
    yield from _unknown_files(database, store, fix=fix)
    yield from _waiting(database, fix=fix)


def _environment() -> Iterator[Finding]:
    problems = settings.misspelt()
    yield from (Finding("environment", "warning", str(problem)) for problem in problems)
    if not problems:
        yield Finding("environment", "ok", "every DREAMLINE_ variable is known")


def _plugins(config: settings.Settings) -> Iterator[Finding]:
    try:
        plugins = registry.load(config)
        kinds = ", ".join(sorted(plugins.kinds()))
    except DreamlineError as error:
        yield Finding("plugins", "error", str(error))
        return
    for info in plugins.broken.values():
        yield Finding("plugins", "error", f"plugin {info.name!r} can't be loaded: {info.error}")
    if not plugins.broken:
        yield Finding("plugins", "ok", f"kinds: {kinds}")


def _disk(config: settings.Settings) -> Iterator[Finding]:
    place = config.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    level: Level = "ok" if free > LEAST_FREE else "warning"
    yield Finding("disk", level, f"{free / 2**30:.1f} GB free at {place}")


def _broker(config: settings.Settings) -> Finding:
    from orchestrator.working.celery_app import make_app

    if config.broker_url is None:
        return Finding("broker", "ok", f"messages are files below {config.home / 'messages'}")
    try:
        with make_app(config).connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:
        message = f"can't be reached ({error}): wake-ups are not sent, workers find work by polling alone"
        return Finding("broker", "warning", message)
    return Finding("broker", "ok", "reached")


def _leases(database: Database, config: settings.Settings, *, fix: bool) -> Iterator[Finding]:
    with database.begin() as connection:
        lost = sum(
            connection.execute(
                text(f"select count(*) from {table} where state = 'leased' and lease_until < clock_timestamp()")  # noqa: S608
            ).scalar_one()
            for table in ("job", "preparation")
        )
        if lost and fix:
            rescue(connection, config.max_attempts)
    if lost:
        yield Finding("leases", "warning", f"{lost} ran out with their work unfinished", "freed" if fix else "")
    else:
        yield Finding("leases", "ok", "none ran out")


def _missing_files(database: Database, store: Storage, *, fix: bool) -> Iterator[Finding]:
    with database.begin() as connection:
        present = {sha256 for sha256, _ in store.all()}
        gone = [row for row in connection.execute(text(_POINTED_AT)) if row.sha256 not in present]
        gone = [row for row in gone if not store.exists(row.sha256)]
        if gone and fix:
            _make_again(connection, {row.id for row in gone if row.what == "image"}, _REMAKE)
            _make_again(connection, {row.id for row in gone if row.what == "preparation"}, _REPREPARE)
    references = [row for row in gone if row.what in ("reference", "rival")]
    for row in references:
        message = f"the {row.what} {row.source} ({row.sha256[:12]}…) is gone from the store"
        again = "run its campaign again" if row.what == "reference" else "bring it in again on the Compare page"
        yield Finding("files", "error", f"{message}: {again} to bring it back")
    lost = len(gone) - len(references)
    if lost:
        yield Finding("files", "warning", f"{lost} recorded files are gone", "queued again" if fix else "")
    if not gone:
        yield Finding("files", "ok", "every recorded file is in the store")


def _make_again(connection: Connection, ids: set[int], statements: tuple[str, ...]) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})
    for statement in statements if ids else ():
        connection.execute(text(statement), {"ids": list(ids)})


def _unknown_files(database: Database, store: Storage, *, fix: bool) -> Iterator[Finding]:
    files = dict(store.all())
    with database.begin() as connection:
        if fix:
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": SWEEP_LOCK})
        known = {row.sha256 for row in connection.execute(text(_POINTED_AT))}
        unknown = files.keys() - known
        if files and len(unknown) == len(files):
            message = f"none of its {len(files)} files belongs to this database: is it another one's?"
            yield Finding("store", "warning", f"{message} Nothing is deleted")
            return
        if fix:
            for sha256 in unknown:
                store.delete(sha256)
            for left in store.leftovers():
                if left.age > HALF_WRITTEN:
                    store.delete_leftover(left.name)
    size = sum(files[sha256] for sha256 in unknown)
    if unknown:
        message = f"{len(unknown)} files ({size / 2**20:.1f} MB) belong to no row"
        yield Finding("store", "warning", message, "deleted" if fix else "")
    else:
        yield Finding("store", "ok", f"{len(files)} files, each with its row")


def _waiting(database: Database, *, fix: bool) -> Iterator[Finding]:
    with database.begin() as connection:
        if fix:
            wrong = connection.execute(text(_COUNT_AGAIN)).rowcount
        else:
            wrong = connection.execute(text(_MISCOUNTED)).scalar_one()
    if wrong:
        yield Finding(
            "queue", "warning", f"{wrong} images wait for the wrong number of references", "mended" if fix else ""
        )
    else:
        yield Finding("queue", "ok", "every image waits for what it needs")


_POINTED_AT = """
select 'reference' as what, 0 as id, sha256, source from reference
union all select 'preparation', id, result, '' from preparation where result is not null and state = 'done'
union all select 'preparation', id, mask, '' from preparation where mask is not null and state = 'done'
union all select 'image', job_id, sha256, '' from asset
union all select 'rival', id, sha256, name from rival
"""

_REOPEN = """
update campaign set state = 'running', changed_at = now()
where state = 'finished' and exists (
    select 1 from item where campaign_id = campaign.id and not obsolete and job_id = any(:ids)
)
"""

_REMAKE = (
    "delete from asset where job_id = any(:ids)",
    _REOPEN,
    """
    update job set state = 'queued', attempts = 0, alone = false, changed_at = now(), held = not exists (
        select 1 from item join campaign on campaign.id = item.campaign_id
        where item.job_id = job.id and not item.obsolete and campaign.state = 'running'
    ) where id = any(:ids) and state = 'done'
    """,
)

_REPREPARE = (
    """
    with again as (
        update preparation set state = 'queued', attempts = 0, held = false, result = null, mask = null,
            changed_at = now()
        where id = any(:ids) and state = 'done' returning id
    )
    update job set waiting = waiting + uses.count
    from (select job_id, count(*) as count from job_reference join again on again.id = preparation_id
          group by job_id) uses
    where job.id = uses.job_id
    """,
)

_RIGHT_COUNT = """
select r.job_id, count(*) filter (where p.state <> 'done') as waiting
from job_reference r join preparation p on p.id = r.preparation_id group by r.job_id
"""

_MISCOUNTED = f"""
select count(*) from job join ({_RIGHT_COUNT}) right_count on right_count.job_id = job.id
where job.waiting <> right_count.waiting and job.state <> 'done'
"""  # noqa: S608 - constants of ours

_COUNT_AGAIN = f"""
update job set waiting = right_count.waiting from ({_RIGHT_COUNT}) right_count
where right_count.job_id = job.id and job.waiting <> right_count.waiting and job.state <> 'done'
"""  # noqa: S608 - constants of ours
