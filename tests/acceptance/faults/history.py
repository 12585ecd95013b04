"""What must be true of a campaign's history, whatever was done to those who wrote it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

ENDED = ("done", "dead", "cancelled")


@dataclass(frozen=True)
class History:
    """All rows about the work of one campaign, events in the order in which they were written.

    Attributes:
        jobs: state and fence by job.
        assets: fence and hash by job.
        events: number, kind, job (None for those of campaigns), fence.
        files: hashes that rows point at.
    """

    jobs: Mapping[int, tuple[str, int]]
    assets: Mapping[int, tuple[int, str]]
    events: Sequence[tuple[int, str, int | None, int | None]]
    files: frozenset[str]

    @property
    def executions(self) -> int:
        return sum(kind == "job.claimed" for _, kind, _, _ in self.events)

    @property
    def done(self) -> set[int]:
        return {job for job, (state, _) in self.jobs.items() if state == "done"}

    @property
    def lost(self) -> int:
        """Accepted jobs that came to no end, or to a result that is not there."""
        open_ = sum(state not in ENDED for state, _ in self.jobs.values())
        return open_ + len(self.done - self.assets.keys())

    def doubled(self, again: Iterable[int] = ()) -> int:
        """Finishes beyond one for each job; jobs made `again` on purpose are left out."""
        again = set(again)
        return sum(len(fences) - 1 for job, fences in self._fences("job.done").items() if job not in again)

    def _fences(self, kind: str) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for _, this, job, fence in self.events:
            if this == kind and job is not None and fence is not None:
                found[job].append(fence)
        return found

    def violations(self, again: Iterable[int] = ()) -> Iterable[str]:
        """Everything in which the history is wrong; `again` are jobs that a person had made once more."""
        claims, finishes = self._fences("job.claimed"), self._fences("job.done")
        again = set(again)
        for job, (state, fence) in self.jobs.items():
            if state not in ENDED:
                yield f"job {job} is {state}: it came to no end"
            if claims[job] != list(range(1, fence + 1)):
                yield f"job {job} has fence {fence}, its claims bear {claims[job]}"
            ends = finishes[job][-1:] if job in again else finishes[job]
            if state == "done" and ends != [fence]:
                yield f"job {job} is done with fence {fence}, its finishes bear {finishes[job]}"
            if state != "done" and ends and job not in again:
                yield f"job {job} is {state}, yet it was finished with {ends}"
            if state == "done" and self.assets.get(job, (None, ""))[0] != fence:
                yield f"job {job} is done with fence {fence}, its asset is {self.assets.get(job)}"
        for job in self.assets.keys() - self.done:
            yield f"job {job} has an asset and is {self.jobs[job][0]}"
        yield from self._after_cancel()

    def _after_cancel(self) -> Iterable[str]:
        """A finish after the cancel was acknowledged has to come from a claim after it."""
        cancelled = [number for number, kind, _, _ in self.events if kind == "campaign.cancelled"]
        claimed = {(job, fence): number for number, kind, job, fence in self.events if kind == "job.claimed"}
        for number, kind, job, fence in self.events:
            if kind == "job.done":
                begun = claimed.get((job, fence), 0)
                if any(begun < cancel < number for cancel in cancelled):
                    yield f"job {job} was claimed before a cancel and finished after it"


def read_history(connection: Connection, campaign: int) -> History:
    """The history of a campaign that shares no job with any other."""
    values = {"campaign": campaign}
    own = "select job_id from item where campaign_id = :campaign"
    jobs = connection.execute(text(f"select id, state, fence from job where id in ({own})"), values).all()
    assets = connection.execute(text(f"select job_id, fence, sha256 from asset where job_id in ({own})"), values)
    events = connection.execute(
        text(f"""
        select id, kind, work_id, (facts->>'fence')::bigint as fence from event
        where campaign_id = :campaign or (kind like 'job.%' and work_id in ({own})) order by id
        """),
        values,
    )
    files = connection.execute(
        text(f"""
        select sha256 from asset where job_id in ({own})
        union select reference_sha256 from preparation p join job_reference r on r.preparation_id = p.id
            where r.job_id in ({own})
        union select unnest(array[result, mask]) from preparation p join job_reference r on r.preparation_id = p.id
            where r.job_id in ({own}) and p.state = 'done'
        """),
        values,
    )
    return History(
        jobs={row.id: (row.state, row.fence) for row in jobs},
        assets={row.job_id: (row.fence, row.sha256) for row in assets},
        events=[tuple(row) for row in events],
        files=frozenset(one for one in files.scalars() if one is not None),
    )


def damaged(files: Iterable[str], read: Callable[[str], bytes]) -> Iterable[str]:
    """Files that rows point at and that are not there whole."""
    for sha256 in files:
        try:
            found = hashlib.sha256(read(sha256)).hexdigest()
        except Exception as error:
            yield f"file {sha256} can't be read: {error}"
        else:
            if found != sha256:
                yield f"file {sha256} holds {found}"


def overdue(connection: Connection, grace: float) -> list[Any]:
    """Work whose lease has been out for `grace` seconds under the eyes of a worker who has been there as long."""
    query = " union all ".join(
        f"""
        select '{table}' as what, id, lease_until from {table}
        where state = 'leased' and lease_until < clock_timestamp() - make_interval(secs => :grace) and exists (
            select 1 from worker where started_at < seen_at - make_interval(secs => :grace)
                and seen_at > {table}.lease_until + make_interval(secs => :grace)
        )
        """
        for table in ("job", "preparation")
    )
    return list(connection.execute(text(query), {"grace": grace}))


@dataclass
class Outcome:
    """One row of the table."""

    stack: str
    scenario: str
    faults: dict[str, int] = field(default_factory=dict)
    jobs: int = 0
    executions: int = 0
    results: int = 0
    lost: int = 0
    doubled: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def tried(self) -> int:
        return sum(self.faults.values())
