"""Dashboard: the items of a question for the grid, as JSON values, in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from dashboard.questions import BRIEF, STANDS, Question, matches, stands, values_of
from orchestrator.reviewing import stacks


@dataclass(slots=True)
class Listing:
    """Items for the grid as JSON values. What many items share stands once: references, scores' names."""

    items: list[dict[str, Any]] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    number: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "items": self.items,
            "references": self.references,
            "scores": self.scores,
            "number": self.number,
        }


def read_items(connection: Connection, question: Question) -> Listing:
    """The items that a question asks for, with references, scores and how they stand: five queries.

    `number` is the campaign's last decision at this moment: `read_changes` goes on from there.
    """
    number = connection.execute(
        text("""
        select coalesce(max(number), 0) from decision join campaign on campaign.id = decision.campaign_id
        where campaign.name = :campaign
        """),
        {"campaign": question.campaign},
    ).scalar_one()
    values = values_of(question) | _score(connection, question)
    where = f"{matches(question)} and {stands(question)}"
    join = _WITH_SCORE if question.order == "worst" else ""
    statement = _ITEMS.format(order=_ORDERS[question.order], where=where, join=join)
    rows = connection.execute(text(statement), values).all()
    listing = Listing(number=number)
    listing.items = [_item(row) for row in rows]
    _add_parts(connection, listing, rows)
    _add_stacks(listing, rows)
    if question.order == "similar":
        listing.items.sort(key=lambda item: (item["stack"] or item["id"], item["id"]))
    return listing


def _add_stacks(listing: Listing, rows: Any) -> None:
    pictured = [
        stacks.Pictured(row.id, (row.row_key, row.format), row.variant_key, row.look) for row in rows if row.look
    ]
    found = stacks.stack(pictured)
    sizes = Counter(found.values())
    for item in listing.items:
        item["stack"] = found.get(item["id"])
        item["stackSize"] = sizes.get(item["stack"], 0)


def _item(row: Any) -> dict[str, Any]:
    told = {
        "id": row.id,
        "v": row.version,
        "sha": row.sha256,
        "w": row.width,
        "h": row.height,
        "row": row.row_key,
        "title": row.title,
        "variant": row.variant,
        "seed": row.seed,
        "format": row.format,
        "is": row.stands,
        "by": row.actor or "",
        "why": row.reasons or [],
        "said": row.comment or "",
        "seen": str(row.decision_id) if row.decision_id else None,
        "job": row.job_id,
    }
    if row.gate in ("last", "held"):
        told["missed"] = row.gate_reasons
    if row.parent_sha256:
        told["before"] = {
            "sha": row.parent_sha256,
            "why": row.asked_for,
            "changes": row.changes,
            "by": row.asked_by,
            "count": row.attempts + 1,
        }
    return told


def _add_parts(connection: Connection, listing: Listing, rows: Any) -> None:
    """References and scores of all listed items, each distinct one once."""
    jobs = sorted({row.job_id for row in rows})
    references: dict[tuple[str, str, str], int] = {}
    of_job: dict[int, list[int]] = {}
    for row in connection.execute(text(_REFERENCES), {"jobs": jobs}):
        key = row.reference_sha256, row.kind, row.name
        if key not in references:
            references[key] = len(references)
            listing.references.append({"sha": key[0], "kind": key[1], "name": key[2]})
        of_job.setdefault(row.job_id, []).append(references[key])
    scores: dict[tuple[str, str, bool], int] = {}
    scored: dict[int, list[list[float]]] = {}
    for row in connection.execute(text(_SCORES), {"jobs": jobs}):
        told = row.name, row.compared, row.higher_is_better
        if told not in scores:
            scores[told] = len(scores)
            listing.scores.append({"name": told[0], "compared": told[1], "higher": told[2]})
        scored.setdefault(row.job_id, []).append([scores[told], round(row.value, 4)])
    for item in listing.items:
        job = item.pop("job")
        item["refs"] = of_job.get(job, [])
        item["scores"] = scored.get(job, [])


def _score(connection: Connection, question: Question) -> dict[str, str]:
    """Which score `worst` means: the one that is named, else the first by name that the campaign's images have."""
    found = connection.execute(
        text(_A_SCORE), {"campaign": question.campaign, "score": question.score}
    ).one_or_none()
    return {"score": found.name, "plugin": found.plugin} if found is not None else {"score": "", "plugin": ""}


_A_SCORE = """
select score.name, score.plugin from (
    select item.job_id from item join campaign on campaign.id = item.campaign_id
    join asset on asset.job_id = item.job_id
    where campaign.name = :campaign and not item.obsolete limit 50
) few join score on score.job_id = few.job_id
where :score = '' or score.name = :score order by score.name, score.plugin limit 1
"""

_AS_IN_THE_BRIEF = (
    'item.gate = \'last\', brief_row.number, item.format collate "C", item.variant_key collate "C", item.seed, '
    "item.id"
)

_ORDERS = {
    "row": _AS_IN_THE_BRIEF,
    "worst": "case when score.higher_is_better then score.value else -score.value end nulls last, item.id",
    "similar": _AS_IN_THE_BRIEF,
}

_WITH_SCORE = """
left join score on score.job_id = item.job_id and score.plugin = :plugin and score.name = :score
"""

_ITEMS = f"""
with picked as materialized (
    select item.id, row_number() over () as place
    from (
        select item.id
        from item left join asset on asset.job_id = item.job_id {BRIEF} {{join}}
        where {{where}}
        order by {{order}} limit :limit offset :offset
    ) item
)
select item.id, item.version, item.row_key, item.variant_key, item.variant, item.seed, item.format, item.job_id,
       item.gate, item.gate_reasons, item.decision_id,
       coalesce(asset.sha256, old.sha256) as sha256, coalesce(asset.width, old.width) as width,
       coalesce(asset.height, old.height) as height, asset.look, {STANDS} as stands,
       decision.actor, decision.reasons, decision.comment,
       coalesce(brief_row.data->>'title', brief_row.data->>'name', brief_row.data->>'product', '') as title,
       old.sha256 as parent_sha256, attempt.reasons as asked_for, attempt.changes, attempt.actor as asked_by,
       (select count(*) from attempt earlier where earlier.item_id = item.id) as attempts
from picked join item on item.id = picked.id
left join asset on asset.job_id = item.job_id {BRIEF}
left join decision on decision.id = item.decision_id
left join attempt on attempt.item_id = item.id and attempt.version = item.version
left join asset old on old.job_id = attempt.parent_job_id
order by picked.place
"""  # noqa: S608 - constants of ours

_REFERENCES = """
select r.job_id, p.reference_sha256, p.spec->>'kind' as kind, p.spec->>'name' as name
from job_reference r join preparation p on p.id = r.preparation_id
where r.job_id = any(:jobs) order by r.job_id, r.position
"""

_SCORES = """
select job_id, name, value, compared, higher_is_better from score where job_id = any(:jobs) order by job_id, name
"""
