"""Examining: files and the rows that point at them: what is gone, and what nobody points at."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from orchestrator.examining.finding import Finding
from orchestrator.records.database import SWEEP_LOCK, VERBS_LOCK, Database
from orchestrator.records.storage import Storage

HALF_WRITTEN = 600.0
"""Seconds after which a temporary file can belong to no write under way."""

FIX = "`dreamline doctor --fix`"


def missing_files(database: Database, store: Storage, *, fix: bool) -> Iterator[Finding]:
    """Rows whose file is gone; images and preparations can be made again."""
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
        again = "Run its campaign again" if row.what == "reference" else "Bring it in again on the Compare page"
        yield Finding("files", "error", message, f"{again} to bring it back, or restore it from a backup")
    if lost := len(gone) - len(references):
        mend = f"Restore them from a backup; or {FIX} queues their work again"
        yield Finding("files", "warning", f"{lost} recorded files are gone", mend, "queued again" if fix else "")
    if not gone:
        yield Finding("files", "ok", "every recorded file is in the store")


def _make_again(connection: Connection, ids: set[int], statements: tuple[str, ...]) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})
    for statement in statements if ids else ():
        connection.execute(text(statement), {"ids": list(ids)})


def unknown_files(database: Database, store: Storage, *, fix: bool) -> Iterator[Finding]:
    """Files without a row: what a killed worker leaves."""
    files = dict(store.all())
    with database.begin() as connection:
        if fix:
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": SWEEP_LOCK})
        known = {row.sha256 for row in connection.execute(text(_POINTED_AT))}
        unknown = files.keys() - known
        if files and len(unknown) == len(files):
            message = f"none of its {len(files)} files belongs to this database; nothing is deleted"
            mend = "Is it another database's? Correct DREAMLINE_STORAGE_URL or DREAMLINE_DATABASE_URL"
            yield Finding("store", "warning", message, mend)
            return
        if fix:
            for sha256 in unknown:
                store.delete(sha256)
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
