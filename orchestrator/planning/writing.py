"""Planning: holding a plan against what is recorded, and writing it down in one transaction.

100,000 items go in by COPY into temporary tables and from there, set by set, into the real ones; what is
there already stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.planning.comparison import read_images, read_states
from orchestrator.planning.keys import canonical
from orchestrator.planning.plan import Plan
from orchestrator.planning.sample import Cell, cell_of
from orchestrator.records.states import Work


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan would do, in images: `reused` are made already, `failed` were given up before."""

    items: int
    images: int
    new: int
    reused: int
    failed: int
    preparations: int

    @property
    def shared(self) -> int:
        """Items whose image another item of the same campaign asks for too."""
        return self.items - self.images


def count_outlook(connection: Connection | None, plan: Plan, images: Mapping[str, str] | None = None) -> Outlook:
    """Counts what is new; reads only. Without a connection (no database yet) everything is.

    `images` says how the image of each job stands, where that has been read.
    """
    counts = Counter((read_images(connection, list(plan.jobs)) if images is None else images).values())
    prepared = read_states(connection, "preparation", list(plan.preparations)) if connection is not None else {}
    return Outlook(
        items=len(plan.items),
        images=len(plan.jobs),
        new=counts["to make"] + counts["under way"],
        reused=counts["made"],
        failed=counts["failed"],
        preparations=len(plan.preparations) - sum(state == Work.DONE for state in prepared.values()),
    )


def write_plan(
    connection: Connection, campaign_id: int, number: int, plan: Plan, *, held: bool, pilot: Sequence[int] = ()
) -> None:
    """Writes rows, preparations, jobs and items of plan `number`; items that it no longer has turn obsolete.

    New jobs that are `held` wait for the campaign's start; the others workers may have after the commit. `pilot`
    are places of items that belong to the campaign's pilot from now on.
    """
    _copy(connection, "row", "key text, number bigint, data jsonb", _rows(plan))
    _copy(
        connection,
        "preparation",
        "key text, pin text, sha256 text, spec jsonb",
        plan.preparations.values(),
    )
    _copy(
        connection,
        "job",
        "key text, pin text, batch text, request jsonb, pinned jsonb",
        (job[:5] for job in plan.jobs.values()),
    )
    _copy(connection, "job_reference", "job text, position smallint, preparation text", _references(plan))
    _copy(
        connection,
        "item",
        "row_key text, variant_key text, variant jsonb, seed bigint, format text, job text",
        plan.items,
    )
    values = {
        "campaign": campaign_id,
        "plan": number,
        "model": plan.model.card,
        "priority": plan.brief.priority,
        "held": held,
    }
    for statement in _STATEMENTS if number > 1 else _FIRST_STATEMENTS:
        connection.execute(text(statement), values)
    if pilot:
        cells = (cell_of(plan.items[place]) for place in pilot)
        _copy(connection, "pilot", "row_key text, variant_key text, seed bigint, format text", cells)
        connection.execute(text(_PILOT), values)


def read_sampled_cells(connection: Connection, campaign_id: int) -> set[Cell]:
    """The items of a campaign's pilot that its brief still asks for."""
    rows = connection.execute(text(_PILOT_BEFORE), {"campaign": campaign_id})
    return {(row.row_key, row.variant_key, row.seed, row.format) for row in rows}


def _rows(plan: Plan) -> Iterable[tuple[Any, ...]]:
    return ((row.key, row.number, canonical(row.data)) for row in plan.brief.rows)


def _references(plan: Plan) -> Iterable[tuple[Any, ...]]:
    for job in plan.jobs.values():
        for position, preparation in enumerate(job.preparations, start=1):
            yield job.key, position, preparation


def _copy(connection: Connection, name: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
    connection.execute(text(f"create temporary table planned_{name} ({columns}) on commit drop"))
    cursor = connection.connection.cursor()
    with cursor.copy(f"copy planned_{name} from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(text(f"analyze planned_{name}"))


_ROWS = """
insert into brief_row (campaign_id, key, number, data)
select :campaign, key, number, data from planned_row
on conflict (campaign_id, key) do update set number = excluded.number, data = excluded.data
where (brief_row.number, brief_row.data) is distinct from (excluded.number, excluded.data)
"""

_PREPARATIONS = """
insert into preparation (key, pin, batch, reference_sha256, model, spec, priority, held, owner, turn)
select p.key, p.pin, p.pin, p.sha256, :model, p.spec, :priority, :held, campaign.owner,
       coalesce(share.turn, 0) + row_number() over (partition by p.pin)
from planned_preparation p join campaign on campaign.id = :campaign
left join share on share.pin = p.pin and share.owner = campaign.owner
on conflict (key) do nothing
"""

_WANTED_AGAIN = """
update preparation set state = 'queued', attempts = 0, error = null, changed_at = now()
where state = 'cancelled' and key in (select key from planned_preparation)
"""

# A preparation that is being finished right now holds its row: wait for it, so that `waiting` below counts
# what was true when this transaction ends, and whoever finishes later sees the new jobs.
_STEADY = """
select count(*) from (
    select id from preparation where state <> 'done' and key in (select key from planned_preparation)
    order by id for share
) steady
"""

# In the same way images that are being finished: items are theirs to mark before or after, not meanwhile.
_STEADY_JOBS = """
select count(*) from (
    select id from job where state <> 'done' and key in (select key from planned_job) order by id for no key update
) steady
"""

# New work takes its turns from where its owner stands: campaigns of one owner are served side by side. `offset 0`
# keeps the planner from an anti join, which it takes for empty once the table is larger than the plan: it would
# then read all references anew for each job.
_JOBS = """
insert into job (key, pin, batch, model, request, pinned, priority, held, waiting, state, error, owner, turn)
select j.key, j.pin, j.batch, :model, j.request, j.pinned, :priority, :held,
       coalesce(r.waiting, 0), case when r.dead is null then 'queued' else 'dead' end, r.dead, campaign.owner,
       coalesce(share.turn, 0) + row_number() over ()
from planned_job j join campaign on campaign.id = :campaign
left join share on share.pin = j.pin and share.owner = campaign.owner left join (
    select r.job, count(*) filter (where p.state <> 'done') as waiting,
           (array_agg(p.error) filter (where p.state = 'dead'))[1] as dead
    from planned_job_reference r join preparation p on p.key = r.preparation group by r.job
) r on r.job = j.key
where not exists (select 1 from job where job.key = j.key offset 0)
on conflict (key) do nothing
"""

_JOB_REFERENCES = """
insert into job_reference (job_id, position, preparation_id)
select j.id, r.position, p.id
from planned_job_reference r join job j on j.key = r.job join preparation p on p.key = r.preparation
on conflict (job_id, position) do nothing
"""

_ITEMS = """
insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id, plan)
select :campaign, i.row_key, i.variant_key, i.variant, i.seed, i.format, j.id, :plan
from planned_item i join job j on j.key = i.job
on conflict (campaign_id, row_key, variant_key, seed, format) do update set
    obsolete = false, plan = excluded.plan
"""

# What the brief asked for is `brief_job_id` where a reviewer asked for another attempt since. An item is
# changed only when the brief asks for another image; then nothing that was decided about it holds.
_REPLACE = """
update item set job_id = j.id, brief_job_id = null, version = item.version + 1,
    brief_version = item.version + 1, verdict = 'open', decision_id = null, gate = 'none', gate_reasons = '[]'
from planned_item i join job j on j.key = i.job
where item.campaign_id = :campaign and item.row_key = i.row_key and item.variant_key = i.variant_key
    and item.seed = i.seed and item.format = i.format and coalesce(item.brief_job_id, item.job_id) <> j.id
"""

_CHANGED = """
insert into event (kind, campaign_id, work_id, facts)
select 'job.replaced', :campaign, i.job_id, jsonb_build_object('item', i.id, 'version', i.version)
from planned_item n
join item i on i.campaign_id = :campaign and i.row_key = n.row_key and i.variant_key = n.variant_key
    and i.seed = n.seed and i.format = n.format
join job j on j.id = coalesce(i.brief_job_id, i.job_id)
where j.key <> n.job
"""

_OBSOLETE = """
update item set obsolete = true where campaign_id = :campaign and plan < :plan and not obsolete
"""

_PILOT = """
update item set pilot = true from planned_pilot p
where item.campaign_id = :campaign and item.row_key = p.row_key and item.variant_key = p.variant_key
    and item.seed = p.seed and item.format = p.format and not item.pilot
"""

_PILOT_BEFORE = """
select row_key, variant_key, seed, format from item where campaign_id = :campaign and pilot and not obsolete
"""

_FIRST_STATEMENTS = (_ROWS, _PREPARATIONS, _WANTED_AGAIN, _STEADY, _STEADY_JOBS, _JOBS, _JOB_REFERENCES, _ITEMS)

_STATEMENTS = (*_FIRST_STATEMENTS[:-1], _CHANGED, _ITEMS, _REPLACE, _OBSOLETE)
