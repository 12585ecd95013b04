"""Reviewing: second attempts. A rejection with reasons makes another job for the item, with its lineage.

The item points to the new job and its version grows, so nothing that was decided about the old picture is
said of the new one; the old picture stays, and is shown beside the new one when that returns.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, text

from core.registry import Registry
from core.requests import Reference, Request
from orchestrator import wanted
from orchestrator.planning.keys import ModelPin, batch_key, canonical, job_key, preparation_key
from orchestrator.records.gates import AFTER_TURN, ASKED_BY_GATE
from orchestrator.reviewing import reasons


@dataclass(frozen=True, slots=True)
class Made:
    """What came of asking: the item's new version, its picture if that exists already, and a sentence on it.

    Version 0: there is no further attempt.
    """

    version: int
    sha256: str | None
    said: str


def ask(
    connection: Connection,
    registry: Registry,
    campaign: int,
    item: int,
    decision: uuid.UUID | None,
    names: Sequence[str],
    actor: str,
) -> Made:
    """Queues another attempt at an item whose picture was rejected for `names`.

    The campaign runs again if it had finished, and a pilot that was made goes on with this image; another paused
    campaign, or one that was not started, keeps the attempt until it goes on.
    """
    state = connection.execute(text(_ITEM), {"item": item}).one()
    if decision is not None and state.asked >= reasons.limits().attempts:
        return Made(0, None, f"no further attempt: {state.attempts} were made already")
    if state.campaign_state == "cancelled":
        return Made(0, None, "no further attempt: the campaign was cancelled")
    before = Request.from_dict(state.request)
    pin = ModelPin(state.pinned["card"], state.pinned["generator"], state.pinned["digest"])
    preparations, changes = _prepare_larger(connection, registry, state, names)
    after = reasons.change_request(before, names, seed=not names)
    tried = set(connection.execute(text(_TRIED), {"item": item}).scalars())
    key = job_key(after, pin, [one.key for one in preparations])
    while key in tried:
        after = reasons.change_request(replace(before, seed=after.seed), names, seed=True)
        key = job_key(after, pin, [one.key for one in preparations])
    job = _write_job(connection, state, pin, after, key, [one.id for one in preparations])
    changes = [*reasons.list_changes(before, after), *changes]
    told = [change.as_dict() for change in changes]
    connection.execute(
        text("""
        insert into attempt (item_id, version, job_id, parent_job_id, decision_id, reasons, changes, actor)
        values (:item, :version, :job, :parent, :decision, cast(:reasons as jsonb), cast(:changes as jsonb),
            :actor)
        """),
        {
            "item": item,
            "version": state.version + 1,
            "job": job,
            "parent": state.job_id,
            "decision": decision,
            "reasons": json.dumps(list(names)),
            "changes": json.dumps(told),
            "actor": actor,
        },
    )
    connection.execute(text(_TURN), {"item": item, "job": job})
    connection.execute(text(_RUN), {"campaign": campaign})
    wanted.end_if_hopeless(connection, job)
    _note(
        connection, campaign, job, "job.attempted", {"item": item, "version": state.version + 1, "changes": told}
    )
    sha256 = connection.execute(text("select sha256 from asset where job_id = :job"), {"job": job}).scalar()
    said = "; ".join(str(change) for change in changes)
    return Made(state.version + 1, sha256, f"attempt {state.attempts + 2} is queued: {said}")


def withdraw(connection: Connection, item: int, decision: uuid.UUID | None, actor: str) -> Made | None:
    """Takes back the attempt that `decision` asked for, as long as nobody decided about it.

    Returns:
        The item with the picture that it had before, or None when there is nothing to take back.
    """
    row = connection.execute(text(_WITHDRAWABLE), {"item": item, "decision": decision}).one_or_none()
    if row is None:
        return None
    connection.execute(text("delete from attempt where id = :id"), {"id": row.id})
    connection.execute(text(_TURN_BACK), {"item": item, "job": row.parent_job_id})
    connection.execute(text(_CANCEL), {"job": row.job_id})
    facts = {"item": item, "decision": str(decision), "actor": actor}
    _note(connection, row.campaign_id, row.job_id, "job.withdrawn", facts)
    return Made(row.version + 1, row.sha256, "the attempt was withdrawn")


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: int
    key: str


def _prepare_larger(
    connection: Connection, registry: Registry, state: Row[Any], names: Sequence[str]
) -> tuple[list[_Prepared], list[reasons.Change]]:
    """The references of the next attempt, larger where a reason asks for it and the kind's tokens allow it."""
    rows = connection.execute(text(_PREPARATIONS), {"job": state.job_id}).all()
    kinds = registry.kinds(sound=True)
    found, changes = [], []
    for row in rows:
        offer = kinds.get(row.spec["kind"])
        tokens = offer.condition.tokens if offer is not None else 0
        area = reasons.enlarge(row.spec["area"], names, reasons.limits().area if tokens is None else tokens * 256)
        if area == row.spec["area"]:
            found.append(_Prepared(row.id, row.key))
            continue
        given = {key: value for key, value in row.spec.items() if key not in ("area", "grid", "model")}
        key = preparation_key(Reference.from_dict(given), area, row.spec["grid"])
        spec = canonical({**row.spec, "area": area})
        made = connection.execute(text(_PREPARE), {"from": row.id, "key": key, "spec": spec}).scalar_one()
        found.append(_Prepared(made, key))
        before, after = f"{row.spec['area'] / 1e3:.0f}k", f"{area / 1e3:.0f}k"
        changes.append(reasons.Change(f"pixels of {row.spec['name']}", before, after))
    return found, changes


def _write_job(
    connection: Connection, state: Row[Any], pin: ModelPin, request: Request, key: str, preparations: list[int]
) -> int:
    # A preparation that is being finished right now holds its row: wait, so that `waiting` counts what is true.
    connection.execute(
        text("select id from preparation where id = any(:ids) order by id for share"), {"ids": preparations}
    )
    job: int = connection.execute(
        text(_JOB),
        {
            "from": state.job_id,
            "key": key,
            "batch": batch_key(request, pin),
            "request": canonical(request.as_dict()),
            "preparations": preparations,
            "held": state.campaign_state == "planned"
            or (state.campaign_state == "paused" and state.paused_by != "pilot"),
        },
    ).scalar_one()
    connection.execute(
        text("""
        insert into job_reference (job_id, position, preparation_id)
        select :job, position, id from unnest(cast(:preparations as bigint[])) with ordinality as p (id, position)
        on conflict (job_id, position) do nothing
        """),
        {"job": job, "preparations": preparations},
    )
    return job


def _note(connection: Connection, campaign: int, job: int, kind: str, facts: dict[str, Any]) -> None:
    connection.execute(
        text("""
        insert into event (kind, campaign_id, work_id, facts)
        values (:kind, :campaign, :job, cast(:facts as jsonb))
        """),
        {"kind": kind, "campaign": campaign, "job": job, "facts": json.dumps(facts)},
    )


_ITEM = f"""
select item.version, item.job_id, job.request, job.pinned, campaign.state as campaign_state, campaign.paused_by,
       (select count(*) from attempt where item_id = item.id) as attempts,
       (select count(*) from attempt where item_id = item.id and actor not like '{ASKED_BY_GATE}%') as asked
from item join job on job.id = item.job_id join campaign on campaign.id = item.campaign_id
where item.id = :item
"""  # noqa: S608 - a constant of ours

_TRIED = """
select job.key from job where job.id in (
    select job_id from item where id = :item
    union select job_id from attempt where item_id = :item
    union select parent_job_id from attempt where item_id = :item
)
"""

_PREPARATIONS = """
select p.id, p.key, p.spec from job_reference r join preparation p on p.id = r.preparation_id
where r.job_id = :job order by r.position
"""

_PREPARE = """
insert into preparation (key, pin, batch, reference_sha256, model, spec, priority, held, owner, turn)
select :key, pin, batch, reference_sha256, model, cast(:spec as jsonb), priority + 1, false, owner, turn
from preparation where id = :from
on conflict (key) do update set held = false,
    state = case preparation.state when 'cancelled' then 'queued' else preparation.state end
returning id
"""

_JOB = """
insert into job (key, pin, batch, model, request, pinned, priority, owner, turn, waiting, held)
select :key, pin, :batch, model, cast(:request as jsonb), pinned, priority + 1, owner, turn,
       (select count(*) from unnest(cast(:preparations as bigint[])) as wanted (id)
        join preparation p on p.id = wanted.id where p.state <> 'done'), :held
from job where id = :from
on conflict (key) do update set held = job.held and excluded.held,
    state = case job.state when 'cancelled' then 'queued' else job.state end, changed_at = now()
returning id
"""

_TURN = f"""
update item set brief_job_id = coalesce(brief_job_id, job_id), job_id = :job, version = version + 1,
    verdict = 'open', decision_id = null, gate_reasons = '[]', gate = {AFTER_TURN.format(job=":job")}
where id = :item
"""  # noqa: S608 - constants of ours

_TURN_BACK = f"""
update item set brief_job_id = nullif(brief_job_id, :job), job_id = :job, version = version + 1,
    verdict = 'open', decision_id = null, gate_reasons = '[]', gate = {AFTER_TURN.format(job=":job")}
where id = :item
"""  # noqa: S608 - constants of ours

_RUN = """
update campaign set state = 'running', reason = '', paused_by = '', changed_at = now()
where id = :campaign and (state in ('running', 'finished') or (state = 'paused' and paused_by = 'pilot'))
"""

_WITHDRAWABLE = """
select attempt.id, attempt.version, attempt.job_id, attempt.parent_job_id, item.campaign_id, asset.sha256
from attempt join item on item.id = attempt.item_id and item.version = attempt.version
join asset on asset.job_id = attempt.parent_job_id
where attempt.item_id = :item and attempt.decision_id = :decision and item.decision_id is null
for update of attempt
"""

_CANCEL = """
update job set state = 'cancelled', lease_until = null, worker = null, changed_at = now()
where id = :job and state in ('queued', 'failed', 'leased')
    and not exists (select 1 from item where item.job_id = :job and not item.obsolete)
"""
