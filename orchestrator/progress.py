"""How far a campaign is: counts, rate and a range of the time left, in one row each."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.records.states import ENDED, Work


@dataclass(frozen=True, slots=True)
class Progress:
    """One campaign now.

    `jobs` counts its distinct images by state, `sample` those of its pilot, `gates` its items by how they stand
    against its gates; `rate` is images a minute lately. `pilot` is not 0 while only the pilot is made; `reason`
    says why it is paused where that was no person (`paused_by`).
    """

    id: int
    name: str
    owner: str
    state: str
    reason: str
    paused_by: str
    priority: int
    pilot: int
    stop: dict[str, Any]
    model: str
    source: str
    items: int
    obsolete: int
    jobs: dict[str, int]
    sample: dict[str, int]
    preparations: dict[str, int]
    gates: dict[str, int]
    rate: float | None
    created_at: datetime.datetime
    changed_at: datetime.datetime

    @property
    def scope(self) -> dict[str, int]:
        """The images that are being made, by state: during a pilot its own."""
        return self.sample if self.pilot else self.jobs

    @property
    def total(self) -> int:
        return sum(self.scope.values())

    @property
    def ended(self) -> int:
        return sum(self.scope[state] for state in ENDED)

    @property
    def later(self) -> int:
        """Images that wait until the pilot was reviewed."""
        return sum(self.jobs[state] - self.scope[state] for state in self.jobs if state not in ENDED)

    @property
    def left(self) -> tuple[float, float] | None:
        """Seconds left, as a range; None while no rate is known."""
        if not self.rate:
            return None
        seconds = (self.total - self.ended) / self.rate * 60
        return seconds * 0.8, seconds * 1.4

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "owner": self.owner,
            "state": self.state,
            "reason": self.reason,
            "paused_by": self.paused_by,
            "priority": self.priority,
            "stop": self.stop,
            "pilot": self.pilot,
            "model": self.model,
            "source": self.source,
            "items": self.items,
            "obsolete": self.obsolete,
            "jobs": self.jobs,
            "sample": self.sample,
            "preparations": self.preparations,
            "gates": self.gates,
            "images_a_minute": self.rate,
            "seconds_left": self.left,
            "created_at": self.created_at.isoformat(),
            "changed_at": self.changed_at.isoformat(),
        }


def read_progress(connection: Connection, name: str | None = None) -> list[Progress]:
    """Progress of one campaign, or of all, newest first.

    A campaign's jobs were written together: between the least and the largest of their ids lie few of others, and
    the table need not be read for them, however large it is. The planner can't know how many those are: `offset 0`
    keeps it from walking an index for the largest, and from looking up each of them.
    """
    rows = connection.execute(
        text("""
        select c.id, c.name, c.owner, c.state, c.reason, c.paused_by, c.priority, c.pilot, c.stop, c.model,
               c.source, c.created_at, c.changed_at, coalesce(s.sample, '{}') as sample,
               coalesce(i.items, 0) as items, coalesce(i.obsolete, 0) as obsolete,
               coalesce(i.gates, '{}') as gates, coalesce(j.jobs, '{}') as jobs,
               coalesce(p.preparations, '{}') as preparations, r.rate
        from campaign c
        left join lateral (
            select sum(n) filter (where not obsolete) as items, sum(n) filter (where obsolete) as obsolete,
                   jsonb_object_agg(gate, n) filter (where not obsolete and gate <> 'none') as gates
            from (select obsolete, gate, count(*) as n from item where campaign_id = c.id group by 1, 2) counted
        ) i on true
        left join lateral (
            select min(job_id) as low, max(job_id) as high from (
                select job_id from item where campaign_id = c.id and not obsolete offset 0
            ) mine
        ) span on true
        left join lateral (
            select jsonb_object_agg(state, n) as jobs from (
                select state, count(*) as n from job where id between span.low and span.high
                    and id in (select job_id from item where campaign_id = c.id and not obsolete offset 0)
                group by state
            ) s
        ) j on true
        left join lateral (
            select jsonb_object_agg(state, n) as sample from (
                select state, count(*) as n from job where id in (
                    select job_id from item where campaign_id = c.id and not obsolete and item.pilot
                ) group by state
            ) s
        ) s on c.pilot > 0
        left join lateral (
            select jsonb_object_agg(state, n) as preparations from (
                select state, count(*) as n from preparation where id in (
                    select preparation_id from job_reference where job_id between span.low and span.high
                        and job_id in (select job_id from item where campaign_id = c.id and not obsolete offset 0)
                ) group by state
            ) s
        ) p on true
        left join lateral (
            select case when count(*) > 1 and max(made_at) > min(made_at) then
                (count(*) - 1) * 60.0 / extract(epoch from max(made_at) - min(made_at)) end as rate
            from asset where c.state = 'running' and made_at > now() - interval '2 minutes'
                and job_id in (select job_id from item where campaign_id = c.id and not obsolete)
        ) r on true
        where cast(:name as text) is null or c.name = :name
        order by c.changed_at desc, c.id desc
        """),
        {"name": name},
    )
    return [
        Progress(
            **{
                **row._mapping,
                "jobs": {state.value: row.jobs.get(state.value, 0) for state in Work},
                "sample": {state.value: row.sample.get(state.value, 0) for state in Work},
                "preparations": {state.value: row.preparations.get(state.value, 0) for state in Work},
                "items": int(row.items),
                "obsolete": int(row.obsolete),
                "rate": float(row.rate) if row.rate is not None else None,
            }
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Failure:
    """One cause for which images of a campaign could not be made, with how many it took and an example."""

    message: str
    kind: str
    images: int
    example: str


def read_failures(connection: Connection, name: str, limit: int = 20) -> list[Failure]:
    """Causes of dead images, most frequent first."""
    rows = connection.execute(
        text("""
        select job.error->>'message' as message, job.error->>'class' as kind, count(distinct job.id) as images,
               min('row ' || coalesce(brief_row.number::text, item.row_key)
                   || ' (' || item.row_key || ')') as example
        from item join job on job.id = item.job_id
        join campaign on campaign.id = item.campaign_id
        left join brief_row on brief_row.campaign_id = campaign.id and brief_row.key = item.row_key
        where campaign.name = :name and not item.obsolete and job.state = 'dead'
        group by 1, 2 order by 3 desc limit :limit
        """),
        {"name": name, "limit": limit},
    )
    return [Failure(row.message or "", row.kind or "", row.images, row.example) for row in rows]
