"""Examining: files and the rows that point at them: what is gone, and what nobody points at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, Row, text

from orchestrator.examining.finding import Finding
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.records.storage import Storage
from orchestrator.records.sweep import read_named, sweep

HALF_WRITTEN = 600.0
"""Seconds after which a temporary file can belong to no write under way."""

MADE = ("image", "preparation")
"""What can be made again; the rest was given."""

FIX = "`dreamline doctor --fix`"

WHOSE = "Is it the right store, and mounted? Correct DREAMLINE_STORAGE_URL or DREAMLINE_DATABASE_URL"


def missing_files(
    database: Database, store: Storage, *, fix: bool, accept_loss: bool = False
) -> Iterator[Finding]:
    """Rows whose file is gone; images and preparations can be made again.

    Where most files are gone it is more likely that this is another store: then nothing is queued again without
    `accept_loss`.
    """
    present = {sha256 for sha256, _ in store.all()}
    with database.begin() as connection:
        rows = connection.execute(text(_POINTED_AT)).all()
        away = set(store.lacking(sorted({row.sha256 for row in rows} - present)))
        gone = [row for row in rows if row.sha256 in away]
        given, lost = ([row for row in gone if (row.what in MADE) == made] for made in (False, True))
        doubtful = bool(lost) and not accept_loss and _is_doubtful(rows, away)
        if lost and fix and not doubtful:
            _make_again(connection, {row.id for row in lost if row.what == "image"}, _REMAKE)
            _make_again(connection, {row.id for row in lost if row.what == "preparation"}, _REPREPARE)
    if doubtful:
        message = f"{len(away)} of {len({row.sha256 for row in rows})} recorded files are not in {store.url}"
        mend = f"{WHOSE}. If they are lost: restore a backup, or {FIX} with --accept-loss makes images again"
        yield Finding("files", "error", message, mend)
        return
    for row in given:
        message = f"the {row.what} {row.source} ({row.sha256[:12]}…) is gone from the store"
        again = "Run its campaign again" if row.what == "reference" else "Bring it in again on the Compare page"
        yield Finding("files", "error", message, f"{again} to bring it back, or restore it from a backup")
    if lost:
        message = f"{len(lost)} recorded files are gone"
        mend = f"Restore them from a backup; or {FIX} queues their work again"
        yield Finding("files", "warning", message, mend, "queued again" if fix else "")
    if not gone:
        yield Finding("files", "ok", "every recorded file is in the store")


def _is_doubtful(rows: Collection[Row[Any]], away: Collection[str]) -> bool:
    """Whether most of all files are away, or most of those that work has made."""
    made = {row.sha256 for row in rows if row.what in MADE}
    return any(_are_most(known & set(away), known) for known in (made, {row.sha256 for row in rows}))


def _are_most(away: Collection[str], known: Collection[str]) -> bool:
    """More than half, and more than a single one, which any store may lose."""
    return len(away) > 1 and 2 * len(away) > len(known)


def _make_again(connection: Connection, ids: set[int], statements: tuple[str, ...]) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})
    for statement in statements if ids else ():
        connection.execute(text(statement), {"ids": list(ids)})


def unknown_files(
    database: Database, store: Storage, *, fix: bool, accept_loss: bool = False
) -> Iterator[Finding]:
    """Files without a row: what a killed worker leaves."""
    files = dict(store.all())
    with database.begin() as connection:
        known = read_named(connection)
    unknown = files.keys() - known
    if files and len(unknown) == len(files):
        message = f"none of its {len(files)} files belongs to this database; nothing is deleted"
        yield Finding("store", "warning", message, WHOSE)
        return
    if unknown and not accept_loss and _are_most(known - files.keys(), known):
        message = f"{len(unknown)} files belong to no row, but most that belong to one are not here"
        yield Finding("store", "warning", f"{message}; nothing is deleted", WHOSE)
        return
    if fix:
        # What has been named since is kept.
        unknown = sweep(database, store, unknown)
        for left in store.leftovers():
            if left.age > HALF_WRITTEN:
                store.delete_leftover(left.name)
    if unknown:
        size = sum(files[sha256] for sha256 in unknown)
        message = f"{len(unknown)} files ({size / 2**20:.1f} MB) belong to no row"
        yield Finding("store", "warning", message, f"{FIX} deletes them", "deleted" if fix else "")
    else:
        yield Finding("store", "ok", f"{len(files)} files, each with its row")


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
