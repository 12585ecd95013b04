"""Dashboard: all that is known of one item: how its image came to be, what was said of it, what came before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from orchestrator.reviewing.people import Actor, Right


def read_detail(connection: Connection, actor: Actor, item: int) -> dict[str, Any] | None:
    """An item with request, references, scores, decisions and attempts, as JSON values; None if there is none.

    `elsewhere` names only campaigns that the actor may see; the caller checks the item's own.
    Six queries, whatever the item's history.
    """
    row = connection.execute(text(_ITEM), {"item": item}).one_or_none()
    if row is None:
        return None
    request, pinned = dict(row.request), dict(row.pinned)
    values = {"item": item, "job": row.job_id}
    return {
        "id": row.id,
        "campaign": row.campaign,
        "row": row.row_key,
        "data": row.data or {},
        "variant": row.variant,
        "format": row.format,
        "version": row.version,
        "verdict": row.verdict,
        "gate": row.gate,
        "gate_reasons": row.gate_reasons,
        "state": row.state,
        "error": row.error,
        "prompt": request.get("prompt", ""),
        "request": {key: value for key, value in request.items() if key not in ("prompt", "references")},
        "pinned": pinned,
        "key": row.key,
        "image": None
        if row.sha256 is None
        else {
            "sha": row.sha256,
            "width": row.width,
            "height": row.height,
            "bytes": row.size,
            "type": row.media_type,
            "facts": row.facts,
            "seconds": row.seconds,
            "made_at": _when(row.made_at),
            "attempt_of_work": row.fence,
        },
        "references": _rows(connection, _REFERENCES, values),
        "scores": _rows(connection, _SCORES, values),
        "decisions": _rows(connection, _DECISIONS, values),
        "attempts": _rows(connection, _ATTEMPTS, values),
        "elsewhere": [
            one for one in _rows(connection, _ELSEWHERE, values) if actor.may(Right.SEE, one["campaign"])
        ],
    }


def is_known(connection: Connection, sha256: str) -> bool:
    """Whether any campaign has this picture."""
    return bool(connection.execute(text(_KNOWN), {"sha256": sha256}).scalar_one())


def _rows(connection: Connection, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {key: _when(value) for key, value in row._mapping.items()}
        for row in connection.execute(text(statement), values)
    ]


def _when(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat(timespec="seconds")
    return str(value) if type(value).__name__ == "UUID" else value


_ITEM = """
select item.id, item.row_key, item.variant, item.format, item.version, item.verdict, item.gate, item.gate_reasons,
       item.job_id,
       campaign.name as campaign, brief_row.data, job.state, job.error, job.request, job.pinned, job.key,
       asset.sha256, asset.width, asset.height, asset.size, asset.media_type, asset.facts, asset.seconds,
       asset.made_at, asset.fence
from item join campaign on campaign.id = item.campaign_id join job on job.id = item.job_id
left join asset on asset.job_id = job.id
left join brief_row on brief_row.campaign_id = campaign.id and brief_row.key = item.row_key
where item.id = :item
"""

_REFERENCES = """
select r.position, p.spec->>'name' as name, p.spec->>'kind' as kind, p.spec->>'plugin' as plugin,
       p.spec->'method' as method, p.spec->'options' as options, p.spec->>'area' as area,
       p.reference_sha256 as sha, reference.source, p.result, p.mask, p.warnings, p.facts, p.state
from job_reference r join preparation p on p.id = r.preparation_id
join reference on reference.sha256 = p.reference_sha256
where r.job_id = :job order by r.position
"""

_SCORES = """
select plugin, name, value, compared, higher_is_better as higher, crop from score where job_id = :job order by name
"""

_DECISIONS = """
select number, version, verdict, reasons, comment, pins, actor, at, milliseconds, asset_sha256 as sha, hash
from decision where item_id = :item order by number desc
"""

_ATTEMPTS = """
select attempt.version, attempt.reasons, attempt.changes, attempt.actor, attempt.at, asset.sha256 as before,
       job.request->>'seed' as seed, job.request->>'guidance' as guidance
from attempt join job on job.id = attempt.parent_job_id left join asset on asset.job_id = job.id
where attempt.item_id = :item order by attempt.version desc
"""

_ELSEWHERE = """
select campaign.name as campaign, count(*) as items
from item join campaign on campaign.id = item.campaign_id
where item.job_id = :job and not item.obsolete and item.id <> :item group by 1 order by 1
"""

_KNOWN = """
select exists (select 1 from asset where sha256 = :sha256)
    or exists (select 1 from preparation where :sha256 in (reference_sha256, result, mask))
    or exists (select 1 from reference where sha256 = :sha256)
    or exists (select 1 from rival where sha256 = :sha256)
"""
