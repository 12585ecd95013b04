"""What is kept no longer than it is of use: old events, images that no brief asks for, caches, rows of workers.

What a person has decided about is kept, whatever its age, and so is whatever anybody's brief still asks for. Each
part is searched for and deleted by the same condition, some rows at a time, and nobody waits for a search. Rows go
before their files: what an interruption leaves is a file without a row, which `dreamline doctor --fix` deletes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from core.generation import code_cache
from core.settings import Settings
from orchestrator.planning.fetching.kept import Kept, age
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.records.storage import Storage
from orchestrator.records.sweep import sweep

AT_ONCE = 2000
"""Rows that one transaction deletes."""

FILES_AT_ONCE = 200
"""Rows with files that one transaction deletes: no verb begins meanwhile. Their files go after its COMMIT."""


@dataclass(frozen=True, slots=True)
class Ages:
    """Days after which each kind of thing may go."""

    events: int = 90
    obsolete: int = 30
    files: int = 30
    workers: int = 7


@dataclass(frozen=True, slots=True)
class Waste:
    """How much of one kind there is that may go, or went: pieces, and bytes where they are files."""

    what: str
    count: int
    size: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def clean(
    settings: Settings, database: Database, store: Storage, ages: Ages, *, delete: bool = False
) -> Iterator[Waste]:
    """Says what may go, kind by kind; with `delete` it is gone by then."""
    yield _rows(database, "events of images and references", _EVENTS, ages.events, delete=delete)
    yield _rows(database, "workers that are gone", _WORKERS, ages.workers, delete=delete)
    yield _rows(database, "shares of owners who ask for nothing", _SHARES, ages.events, delete=delete)
    yield _images(database, store, ages.obsolete, delete=delete)
    yield _preparations(database, store, ages.obsolete, delete=delete)
    yield _uploads(database, settings.home / "uploads", ages.files, delete=delete)
    yield _previews(settings.home / "previews", ages.files, delete=delete)
    yield _fetched(Kept.of(settings), ages.files, delete=delete)
    yield _compiled(settings, ages.files, delete=delete)


def _rows(database: Database, what: str, old: str, days: int, *, delete: bool) -> Waste:
    """Rows of one table, of which `old` selects the ids."""
    table, identity, condition = old.split("|")
    if not delete:
        with database.begin() as connection:
            query = text(f"select count(*) from {table} where {condition}")  # noqa: S608 - constants of ours
            return Waste(what, int(connection.execute(query, {"days": days}).scalar_one()))
    statement = text(
        f"delete from {table} where {identity} in (select {identity} from {table} where {condition} limit :most)"  # noqa: S608
    )
    gone = 0
    while True:
        with database.begin() as connection:
            count = connection.execute(statement, {"days": days, "most": AT_ONCE}).rowcount
        gone += count
        if count < AT_ONCE:
            return Waste(what, gone)


def _images(database: Database, store: Storage, days: int, *, delete: bool) -> Waste:
    """Images that no brief asks for any more and nobody has decided about, with their items, jobs and files."""
    what = "images that no brief asks for"
    if not delete:
        with database.begin() as connection:
            row = connection.execute(text(_COUNT_IMAGES), {"days": days}).one()
            return Waste(what, row.images, int(row.size or 0))
    count = size = 0
    for ids in _some(database, _OLD_JOBS, days):
        with database.begin() as connection:
            _keep_verbs_out(connection)
            jobs = list(connection.execute(text(_STILL_OLD_JOBS), {"days": days, "ids": ids}).scalars())
            files = {row.sha256: row.size for row in connection.execute(text(_FILES_OF), {"jobs": jobs})}
            for statement in _DELETE_JOBS:
                connection.execute(text(statement), {"jobs": jobs})
        size += sum(files[sha256] for sha256 in sweep(database, store, files))
        count += len(jobs)
    return Waste(what, count, size)


def _preparations(database: Database, store: Storage, days: int, *, delete: bool) -> Waste:
    """Prepared references that no image needs; the pictures that were given stay."""
    what = "prepared references that no image needs"
    if not delete:
        with database.begin() as connection:
            names = connection.execute(text(_COUNT_PREPARATIONS), {"days": days}).all()
        found = (store.size(sha256) or 0 for row in names for sha256 in row if sha256)
        return Waste(what, len(names), sum(found))
    count = size = 0
    for ids in _some(database, _OLD_PREPARATIONS, days):
        with database.begin() as connection:
            named = connection.execute(text(_FILES_OF_PREPARATIONS), {"ids": ids}).scalars().all()
        # A bucket is asked before anybody has to wait for it.
        sizes = {sha256: store.size(sha256) or 0 for sha256 in named}
        with database.begin() as connection:
            _keep_verbs_out(connection)
            rows = connection.execute(text(_DELETE_PREPARATIONS), {"days": days, "ids": ids}).all()
        gone = sweep(database, store, {sha256 for row in rows for sha256 in row if sha256})
        size += sum(sizes.get(sha256, 0) for sha256 in gone)
        count += len(rows)
    return Waste(what, count, size)


def _some(database: Database, query: str, days: int) -> Iterator[list[int]]:
    """Ids that a query finds, some at a time, in order. Whoever takes them looks again whether they may go."""
    last = 0
    while True:
        with database.begin() as connection:
            values = {"days": days, "last": last, "most": FILES_AT_ONCE}
            ids = list(connection.execute(text(query), values).scalars())
        if ids:
            yield ids
            last = ids[-1]
        if len(ids) < FILES_AT_ONCE:
            return


def _keep_verbs_out(connection: Connection) -> None:
    """No plan begins to ask for what is deleted here."""
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})


def _uploads(database: Database, folder: Path, days: int, *, delete: bool) -> Waste:
    """Uploaded briefs of which no campaign was made."""
    with database.begin() as connection:
        sources = [Path(source) for source in connection.execute(text("select source from campaign")).scalars()]
    used = {source.relative_to(folder).parts[0] for source in sources if source.is_relative_to(folder)}
    old = [one for one in _entries(folder) if one.name not in used and age(one) > days]
    size = sum(_size(one) for one in old)
    for one in old if delete else ():
        if one.is_dir():
            shutil.rmtree(one, ignore_errors=True)
        else:
            one.unlink(missing_ok=True)
    return Waste("uploads that became no campaign", len(old), size)


def _previews(folder: Path, days: int, *, delete: bool) -> Waste:
    """Small pictures for screens; whoever misses one makes it again."""
    old = [one for one in folder.rglob("*") if one.is_file() and age(one) > days]
    return _files("previews, which are made again when they are looked at", old, delete=delete)


def _fetched(kept: Kept, days: int, *, delete: bool) -> Waste:
    """Pictures from addresses that no plan has asked for."""
    return _files(
        "fetched pictures, which are fetched again when a plan asks for them", kept.old(days), delete=delete
    )


def _compiled(settings: Settings, days: int, *, delete: bool) -> Waste:
    """Code that torch compiled and no process has loaded since, and what is more than may be kept."""
    unused = code_cache.find_unused(settings, days)
    if delete:
        code_cache.drop(unused)
    size = sum(one.size for one in unused)
    return Waste("folders of compiled code, which is compiled again when a model needs it", len(unused), size)


def _files(what: str, old: Sequence[Path], *, delete: bool) -> Waste:
    size = sum(_size(one) for one in old)
    for one in old if delete else ():
        one.unlink(missing_ok=True)
    return Waste(what, len(old), size)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file())


_EVENTS = (
    "event|id|at < now() - make_interval(days => :days) and campaign_id is null "
    "and (kind like 'job.%' or kind like 'preparation.%')"
)

_WORKERS = "worker|id|coalesce(stopped_at, seen_at) < now() - make_interval(days => :days)"

_SHARES = "share|ctid|at < now() - make_interval(days => :days)"

# Jobs all of whose items are undecided, in no lineage and no comparison, and have been obsolete for long: since
# the plan that came after the last one that had them.
_OLD = """
job.state in ('done', 'dead', 'cancelled') and job.changed_at < now() - make_interval(days => :days)
and exists (select 1 from item where item.job_id = job.id)
and not exists (
    select 1 from item join campaign on campaign.id = item.campaign_id
    where item.job_id = job.id and (
        not item.obsolete or item.verdict <> 'open'
        or coalesce(
            (select max(at) from event where event.campaign_id = campaign.id and kind = 'campaign.planned'
                and facts->'plan' = to_jsonb(item.plan + 1)),
            campaign.changed_at
        ) > now() - make_interval(days => :days)
        or exists (select 1 from decision where decision.item_id = item.id)
        or exists (select 1 from attempt where attempt.item_id = item.id)
        or exists (select 1 from comparison where comparison.item_id = item.id)
    )
)
and not exists (select 1 from item where item.brief_job_id = job.id)
and not exists (select 1 from attempt where attempt.job_id = job.id or attempt.parent_job_id = job.id)
"""

_COUNT_IMAGES = f"""
select count(*) as images, sum(asset.size) as size from job left join asset on asset.job_id = job.id where {_OLD}
"""  # noqa: S608 - constants of ours

_OLD_JOBS = f"select id from job where {_OLD} and id > :last order by id limit :most"  # noqa: S608

_STILL_OLD_JOBS = f"select id from job where {_OLD} and id = any(:ids) order by id for update"  # noqa: S608

_FILES_OF = "select sha256, size from asset where job_id = any(:jobs)"

_DELETE_JOBS = (
    "delete from item where job_id = any(:jobs)",
    "delete from asset where job_id = any(:jobs)",
    "delete from job where id = any(:jobs)",
)

# Also those that nobody began: without an image that needs them nobody will.
_UNUSED = """
state <> 'leased' and changed_at < now() - make_interval(days => :days)
and not exists (select 1 from job_reference where preparation_id = preparation.id)
"""

_COUNT_PREPARATIONS = f"select result, mask from preparation where {_UNUSED}"  # noqa: S608

_OLD_PREPARATIONS = f"select id from preparation where {_UNUSED} and id > :last order by id limit :most"  # noqa: S608

_FILES_OF_PREPARATIONS = """
select distinct sha256 from preparation cross join unnest(array[result, mask]) sha256
where id = any(:ids) and sha256 is not null
"""

_DELETE_PREPARATIONS = f"""
delete from preparation where id in (
    select id from preparation where {_UNUSED} and id = any(:ids) order by id for update
) returning result, mask
"""  # noqa: S608 - constants of ours
