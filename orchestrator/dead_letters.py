"""Images that were given up: each with its cause, what was said last, and another round, changed where one asks.

What decides no pixels (`batch=1`) tries the same image again. What does (`steps=8`) asks for another image in its
place: a new job, with the item's lineage, that stands until the brief asks for something else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text

from core.errors import BadInput, Problem
from core.requests import Request
from orchestrator import wanted
from orchestrator.planning.keys import ModelPin, batch_key, canonical, job_key
from orchestrator.records.gates import AFTER_TURN
from orchestrator.reviewing.reasons import Change

ACTOR = "retried with "
"""How attempts that were asked for here begin to say who asked."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An image that was given up. `log` are the last lines of the process that it took along, if it did."""

    job: int
    row: str
    format: str
    seed: int
    kind: str
    message: str
    plugin: str
    log: tuple[str, ...]
    attempts: int
    at: str

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "job": self.job,
            "row": self.row,
            "format": self.format,
            "seed": self.seed,
            "class": self.kind,
            "message": self.message,
            "plugin": self.plugin,
            "log": list(self.log),
            "attempts": self.attempts,
            "at": self.at,
        }


@dataclass(frozen=True, slots=True)
class Changes:
    """What the next round does otherwise: fields of requests, and whether each image is made by itself."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False

    def __str__(self) -> str:
        told = [f"{name}={value}" for name, value in self.fields.items()]
        return ", ".join([*told, *(["batch=1"] if self.alone else [])])


CHANGEABLE: Mapping[str, tuple[float, float, float]] = {
    "steps": (1, 1000, 1),
    "guidance": (0, 100, 0),
    "true_cfg": (1, 100, 0),
    "width": (16, 4096, 16),
    "height": (16, 4096, 16),
}
"""Fields of a request that can be changed: the least value, the largest, and what it is a multiple of (0: any)."""


def read_changes(words: Sequence[str]) -> Changes:
    """`NAME=VALUE` words of the command line as changes.

    Raises:
        BadInput: for each word that names nothing, or whose value does not fit.
    """
    fields: dict[str, Any] = {}
    alone, problems = False, []
    for word in words:
        name, _, value = word.partition("=")
        name, value = name.strip().replace("-", "_"), value.strip()
        if (name, value) == ("batch", "1"):
            alone = True
            continue
        try:
            fields[name] = _read(name, value)
        except ValueError as error:
            problems.append(Problem(f"--with {word}", str(error), f"Say one of batch=1, {_examples()}"))
    BadInput.gather(problems)
    return Changes(fields, alone)


def _read(name: str, value: str) -> float:
    if name == "batch":
        raise ValueError("only a batch of one can be had")
    if name not in CHANGEABLE:
        raise ValueError("names nothing that can be changed")
    low, high, step = CHANGEABLE[name]
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is no number") from None
    if not low <= number <= high or (step and number % step):
        raise ValueError(f"{value!r} does not fit")
    return int(number) if step else number


def _examples() -> str:
    told = (
        f"{name}={low:g}…{high:g}" + (f" by {step:g}" if step > 1 else "")
        for name, (low, high, step) in CHANGEABLE.items()
    )
    return ", ".join(told)


def read_dead(connection: Connection, campaign: str, limit: int = 100) -> list[DeadLetter]:
    """Images of a campaign that were given up, latest first."""
    rows = connection.execute(text(_LETTERS), {"campaign": campaign, "limit": limit})
    return [
        DeadLetter(
            job=row.job,
            row=row.row_key,
            format=row.format,
            seed=row.seed,
            kind=row.error.get("class", ""),
            message=row.error.get("message", ""),
            plugin=row.error.get("plugin", ""),
            log=tuple(row.error.get("log", ())),
            attempts=row.attempts,
            at=row.changed_at.isoformat(),
        )
        for row in rows
    ]


def revive_with(changes: Changes, causes: Collection[str] = ()) -> Callable[[Connection, int], int]:
    """What `campaigns.retry` does to a campaign's dead images before it lets them go; returns how many there were.

    Args:
        changes: what is done otherwise.
        causes: classes of errors; images that died of others stay as they are. None: all.
    """

    def revive(connection: Connection, campaign: int) -> int:
        wanted.lock_work(connection, campaign)
        chosen = {"campaign": campaign, "causes": list(causes) or None}
        rows = connection.execute(text(_DEAD), chosen).all()
        connection.execute(text(_REVIVE_PREPARATIONS), {"ids": [row.id for row in rows]})
        same = []
        for row in rows:
            before = Request.from_dict(row.request)
            after = replace(before, **changes.fields)
            if after == before:
                same.append(row.id)
            else:
                _change(connection, campaign, row, after, changes)
        connection.execute(text(_REVIVE), {"ids": same, "alone": changes.alone})
        return len(rows)

    return revive


def _change(connection: Connection, campaign: int, row: Any, after: Request, changes: Changes) -> None:
    """Puts another image in the place of one that was given up, in each item of the campaign that asks for it."""
    pin = ModelPin(row.pinned["card"], row.pinned["generator"], row.pinned["digest"])
    job = connection.execute(
        text(_JOB),
        {
            "from": row.id,
            "key": job_key(after, pin, row.preparations or []),
            "batch": batch_key(after, pin),
            "request": canonical(after.as_dict()),
            "alone": changes.alone,
        },
    ).scalar_one()
    connection.execute(text(_REFERENCES), {"from": row.id, "job": job})
    told = [
        Change(name, f"{row.request[name]:g}", f"{value:g}").as_dict() for name, value in changes.fields.items()
    ]
    values = {"campaign": campaign, "from": row.id, "job": job}
    connection.execute(text(_ATTEMPTS), {**values, "changes": json.dumps(told), "actor": f"{ACTOR}{changes}"})
    connection.execute(text(_TURN), values)


_LETTERS = """
select distinct on (job.changed_at, job.id) job.id as job, item.row_key, item.format, item.seed, job.error,
       job.attempts, job.changed_at
from item join job on job.id = item.job_id join campaign on campaign.id = item.campaign_id
where campaign.name = :campaign and not item.obsolete and job.state = 'dead' and job.error is not null
order by job.changed_at desc, job.id, item.id limit :limit
"""

_DEAD = """
select job.id, job.request, job.pinned, (
    select array_agg(p.key order by r.position) from job_reference r join preparation p on p.id = r.preparation_id
    where r.job_id = job.id
) as preparations
from job where state = 'dead'
    and id in (select job_id from item where campaign_id = :campaign and not obsolete)
    and (cast(:causes as text[]) is null or error->>'class' = any(cast(:causes as text[])))
order by job.id
"""

_REVIVE = """
update job set state = 'queued', attempts = 0, alone = :alone, company = null, error = null, changed_at = now()
where id = any(:ids) and state = 'dead'
"""

# A reference that is tried again is waited for again: it had not been counted off.
_REVIVE_PREPARATIONS = """
update preparation set state = 'queued', attempts = 0, alone = false, company = null, error = null,
    changed_at = now()
where state = 'dead' and id in (select preparation_id from job_reference where job_id = any(:ids))
"""

_JOB = """
insert into job (key, pin, batch, model, request, pinned, priority, owner, turn, alone, waiting)
select :key, pin, :batch, model, cast(:request as jsonb), pinned, priority, owner, turn, :alone,
       (select count(*) from job_reference r join preparation p on p.id = r.preparation_id
        where r.job_id = job.id and p.state <> 'done')
from job where id = :from
on conflict (key) do update set alone = job.alone or excluded.alone, changed_at = now(),
    state = case when job.state in ('dead', 'cancelled') then 'queued' else job.state end,
    attempts = case when job.state in ('dead', 'cancelled') then 0 else job.attempts end,
    error = case when job.state in ('dead', 'cancelled') then null else job.error end
returning id
"""

_REFERENCES = """
insert into job_reference (job_id, position, preparation_id)
select :job, position, preparation_id from job_reference where job_id = :from
on conflict (job_id, position) do nothing
"""

_ATTEMPTS = """
insert into attempt (item_id, version, job_id, parent_job_id, decision_id, reasons, changes, actor)
select id, version + 1, :job, :from, null, '[]', cast(:changes as jsonb), :actor
from item where campaign_id = :campaign and job_id = :from and not obsolete
"""

_TURN = f"""
update item set brief_job_id = coalesce(brief_job_id, job_id), job_id = :job, version = version + 1,
    verdict = 'open', decision_id = null, gate_reasons = '[]', gate = {AFTER_TURN.format(job=":job")}
where campaign_id = :campaign and job_id = :from and not obsolete
"""  # noqa: S608 - constants of ours
