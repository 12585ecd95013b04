"""Working: images and the references that they wait for. Callers hold the references' rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text


def let_dependents_go(connection: Connection, preparation: int) -> int:
    """After a preparation is done: its jobs wait for one less. Returns how many became ready."""
    _lock_dependents(connection, [preparation])
    ready = connection.execute(
        text("""
        with less as (
            update job set waiting = waiting - uses.count, changed_at = now()
            from (select job_id, count(*) as count from job_reference
                  where preparation_id = :preparation group by job_id) uses
            where job.id = uses.job_id
            returning job.waiting, job.held, job.state
        ) select count(*) from less where waiting = 0 and not held and state = 'queued'
        """),
        {"preparation": preparation},
    )
    return int(ready.scalar_one())


def end_dependents(connection: Connection, preparations: Sequence[int]) -> None:
    """After preparations died: the jobs that need them are dead too, with the preparation's error."""
    _lock_dependents(connection, preparations)
    connection.execute(
        text("""
        with ended as (
            update job set state = 'dead', error = cause.error, changed_at = now()
            from (select distinct on (r.job_id) r.job_id, p.error from job_reference r
                  join preparation p on p.id = r.preparation_id
                  where p.id = any(:preparations) order by r.job_id, r.position) cause
            where job.id = cause.job_id and job.state in ('queued', 'failed')
            returning job.id, cause.error
        )
        insert into event (kind, work_id, facts)
        select 'job.dead', id, jsonb_build_object('error', error) from ended
        """),
        {"preparations": list(preparations)},
    )


def _lock_dependents(connection: Connection, preparations: Sequence[int]) -> None:
    """Locks the jobs that need these preparations; the caller holds the preparations."""
    connection.execute(
        text("""
        select count(*) from (
            select id from job where id in (
                select job_id from job_reference where preparation_id = any(:preparations)
            ) order by id for no key update
        ) locked
        """),
        {"preparations": list(preparations)},
    )
