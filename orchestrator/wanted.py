"""Which work is wanted: jobs and preparations are shared between campaigns, and follow what all of them want.

Every function runs inside a verb's transaction, on the work of one campaign.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from orchestrator.records.gates import AFTER_TURN


def release(connection: Connection, campaign: int) -> None:
    """Lets workers have what the campaign wants, brings back what was cancelled, ends what has no hope.

    During a pilot only its items are wanted; the others wait for a `release` after it.
    """
    lock_work(connection, campaign)
    for statement in (_RELEASE_PREPARATIONS, _RELEASE_JOBS, _END_HOPELESS):
        connection.execute(text(statement), {"campaign": campaign})


def end_if_hopeless(connection: Connection, job: int) -> None:
    """Ends an image one of whose references can never be prepared, with the reference's error."""
    connection.execute(text(_END_IF_HOPELESS), {"job": job})


def hold(connection: Connection, campaign: int) -> None:
    """Keeps from workers what only this campaign wants; what they have begun they give back."""
    lock_work(connection, campaign)
    for statement in (_HOLD_JOBS, _HOLD_PREPARATIONS):
        connection.execute(text(statement), {"campaign": campaign})


def cancel(connection: Connection, campaign: int) -> None:
    """Cancels what only this campaign asks for, also what is under way."""
    lock_work(connection, campaign)
    connection.execute(text(_CANCEL_JOBS), {"campaign": campaign})
    hold(connection, campaign)
    connection.execute(text(_CANCEL_PREPARATIONS), {"campaign": campaign})
    turn_back(connection)


def set_priority(connection: Connection, campaign: int) -> int:
    """Gives what the campaign waits for the campaign's priority; returns how many images.

    Work that another running campaign waits for too keeps at least that one's.
    """
    lock_work(connection, campaign)
    connection.execute(text(_SET_PREPARATIONS), {"campaign": campaign})
    return connection.execute(text(_SET_JOBS), {"campaign": campaign}).rowcount


def turn_back(connection: Connection) -> int:
    """Gives items whose further attempt came to nothing their image from before; returns how many.

    A further attempt that is dead or cancelled would keep a good picture from being decided on.
    """
    return connection.execute(text(_TURN_BACK)).rowcount


def remember(connection: Connection, campaign: int) -> None:
    """Notes, until the transaction ends, which jobs the campaign wants before it is planned again."""
    connection.execute(text(_REMEMBER))
    connection.execute(text(_FORMER), {"campaign": campaign})


def cancel_former(connection: Connection) -> None:
    """Cancels those of the remembered jobs that no campaign wants any more."""
    connection.execute(text(_CANCEL_FORMER))


def lock_work(connection: Connection, campaign: int) -> None:
    """Locks the campaign's unfinished preparations, then its jobs, each in the order of their ids.

    Workers that end a preparation lock in the same order, so that neither waits for the other in a circle.
    """
    for statement in (_LOCK_PREPARATIONS, _LOCK_JOBS):
        connection.execute(text(statement), {"campaign": campaign})


_JOBS_OF = "select job_id from item where campaign_id = :campaign and not obsolete"

_PREPARATIONS_OF = f"select preparation_id from job_reference where job_id in ({_JOBS_OF})"  # noqa: S608

_WANTED_NOW = f"{_JOBS_OF} and (pilot or 0 = (select pilot from campaign where id = :campaign))"  # noqa: S608

_PREPARED_NOW = f"select preparation_id from job_reference where job_id in ({_WANTED_NOW})"  # noqa: S608

_PRIORITY = "(select priority from campaign where id = :campaign)"

_ELSEWHERE = """
exists (
    select 1 from item other join campaign c on c.id = other.campaign_id
    where other.job_id = job.id and not other.obsolete and other.campaign_id <> :campaign and {condition}
)
"""

_LOCK_PREPARATIONS = f"""
select count(*) from (
    select id from preparation where state <> 'done' and id in ({_PREPARATIONS_OF}) order by id for no key update
) locked
"""  # noqa: S608 - constants of ours

_LOCK_JOBS = f"""
select count(*) from (
    select id from job where state <> 'done' and id in ({_JOBS_OF}) order by id for no key update
) locked
"""  # noqa: S608 - constants of ours

# What is released takes its turns from where its owner stands, behind nothing that other owners ask for.
_RELEASED = """
select {table}.id, campaign.owner,
       coalesce(share.turn, 0) + row_number() over (partition by {table}.pin order by {table}.id) as turn
from {table} join campaign on campaign.id = :campaign
left join share on share.pin = {table}.pin and share.owner = campaign.owner
where {table}.id in ({wanted}) and {table}.state in ('queued', 'failed', 'leased', 'cancelled')
    and (held or {table}.state = 'cancelled')
"""

_RELEASE_JOBS = f"""
update job set held = false, state = case state when 'cancelled' then 'queued' else state end,
    attempts = case state when 'cancelled' then 0 else attempts end,
    priority = greatest(priority, {_PRIORITY}), owner = released.owner, turn = released.turn, changed_at = now()
from ({_RELEASED.format(table="job", wanted=_WANTED_NOW)}) released where job.id = released.id
"""  # noqa: S608 - constants of ours

_RELEASE_PREPARATIONS = f"""
update preparation set held = false, state = case state when 'cancelled' then 'queued' else state end,
    attempts = case state when 'cancelled' then 0 else attempts end,
    priority = greatest(priority, {_PRIORITY}), owner = released.owner, turn = released.turn, changed_at = now()
from ({_RELEASED.format(table="preparation", wanted=_PREPARED_NOW)}) released
where preparation.id = released.id
"""  # noqa: S608 - constants of ours

_SET_JOBS = f"""
update job set priority = (
    select max(c.priority) from item join campaign c on c.id = item.campaign_id
    where item.job_id = job.id and not item.obsolete and (c.id = :campaign or c.state = 'running')
)
where id in ({_JOBS_OF}) and state in ('queued', 'failed', 'leased')
"""  # noqa: S608 - constants of ours

_SET_PREPARATIONS = f"""
update preparation set priority = (
    select max(c.priority) from job_reference r join item on item.job_id = r.job_id
    join campaign c on c.id = item.campaign_id
    where r.preparation_id = preparation.id and not item.obsolete and (c.id = :campaign or c.state = 'running')
)
where id in ({_PREPARATIONS_OF}) and state in ('queued', 'failed', 'leased')
"""  # noqa: S608 - constants of ours

_ENDED = """
with ended as (
    update job set state = 'dead', error = cause.error, changed_at = now()
    from (select distinct on (r.job_id) r.job_id, p.error from job_reference r
          join preparation p on p.id = r.preparation_id and p.state = 'dead'
          where r.job_id in ({jobs}) order by r.job_id, r.position) cause
    where job.id = cause.job_id and job.state in ('queued', 'failed')
    returning job.id, job.error
)
insert into event (kind, work_id, facts)
select 'job.dead', id, jsonb_build_object('error', error) from ended
"""

_END_HOPELESS = _ENDED.format(jobs=_JOBS_OF)

_END_IF_HOPELESS = _ENDED.format(jobs=":job")

_HOLD_JOBS = f"""
update job set held = true, changed_at = now()
where id in ({_JOBS_OF}) and state in ('queued', 'failed', 'leased') and not held
    and not {_ELSEWHERE.format(condition="c.state = 'running' and (c.pilot = 0 or other.pilot)")}
"""  # noqa: S608 - constants of ours

_HOLD_PREPARATIONS = f"""
update preparation set held = true, changed_at = now()
where id in ({_PREPARATIONS_OF}) and state in ('queued', 'failed', 'leased') and not held
    and not exists (
        select 1 from job_reference r join job on job.id = r.job_id
        where r.preparation_id = preparation.id and not job.held
            and job.state in ('queued', 'failed', 'leased')
    )
"""  # noqa: S608 - constants of ours

_CANCEL_JOBS = f"""
update job set state = 'cancelled', lease_until = null, worker = null, changed_at = now()
where id in ({_JOBS_OF}) and state in ('queued', 'failed', 'leased')
    and not {_ELSEWHERE.format(condition="c.state in ('planned', 'running', 'paused')")}
"""  # noqa: S608 - constants of ours

# What is under way is held, so that its worker gives it back.
_CANCEL_PREPARATIONS = f"""
update preparation set state = 'cancelled', changed_at = now()
where id in ({_PREPARATIONS_OF}) and state in ('queued', 'failed')
    and not exists (
        select 1 from job_reference r join job on job.id = r.job_id
        where r.preparation_id = preparation.id and job.state <> 'cancelled'
    )
"""  # noqa: S608 - constants of ours

_TURN_BACK = f"""
with fallen as (
    select item.id, attempt.parent_job_id from attempt
    join item on item.id = attempt.item_id and item.version = attempt.version and item.job_id = attempt.job_id
    join job on job.id = item.job_id and job.state in ('dead', 'cancelled')
    join asset on asset.job_id = attempt.parent_job_id
    order by item.id for no key update of item
)
update item set job_id = fallen.parent_job_id, brief_job_id = nullif(item.brief_job_id, fallen.parent_job_id),
    version = item.version + 1, verdict = 'open', decision_id = null, gate_reasons = '[]',
    gate = {AFTER_TURN.format(job="fallen.parent_job_id")}
from fallen where item.id = fallen.id
"""  # noqa: S608 - constants of ours

_REMEMBER = "create temporary table former_job (job_id bigint) on commit drop"

_FORMER = f"insert into former_job {_JOBS_OF}"

_CANCEL_FORMER = """
with unwanted as (
    select id from job where id in (select job_id from former_job) and state in ('queued', 'failed', 'leased')
        and not exists (
            select 1 from item join campaign c on c.id = item.campaign_id
            where item.job_id = job.id and not item.obsolete and c.state in ('planned', 'running', 'paused')
        )
    order by id for no key update
)
update job set state = 'cancelled', lease_until = null, worker = null, changed_at = now()
where id in (select id from unwanted)
"""
