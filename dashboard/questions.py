"""Dashboard: what is asked of a campaign's items: filters, orders, and how many items each filter would leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

ORDERS = {
    "row": "By SKU, as in the brief",
    "worst": "Worst score first",
    "similar": "Similar together",
}

VERDICTS = {
    "open": "To review",
    "proposed": "Proposed",
    "approved": "Approved",
    "rejected": "Rejected",
    "held": "Held back",
    "making": "Being made again",
    "all": "All",
}

MOST = 3000
"""Items that are listed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which items of a campaign, in which order. Empty strings: no matter which."""

    campaign: str
    verdict: str = "open"
    format: str = ""
    reason: str = ""
    search: str = ""
    order: str = "row"
    score: str = ""
    limit: int = MOST
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items each filter would leave, with the others as they are."""

    verdicts: Mapping[str, int]
    formats: Mapping[str, int]
    reasons: Mapping[str, int]
    scores: tuple[str, ...]


STANDS = "case when asset.job_id is null then 'making' else item.verdict end"

FILED = """
case when item.verdict = 'open' and item.gate = 'held' and asset.job_id is not null then 'held'
     when item.verdict = 'open' and item.gate = 'ready' then 'making' else {} end
"""
"""Under which filter an item is found: what gates hold back or have not judged is not to be reviewed."""

BRIEF = "left join brief_row on brief_row.campaign_id = item.campaign_id and brief_row.key = item.row_key"

OF_CAMPAIGN = "item.campaign_id = (select id from campaign where name = :campaign) and not item.obsolete"


def matches(question: Question) -> str:
    """The conditions on what an item is about. Only those that are asked for: Postgres plans by what it reads."""
    parts = [OF_CAMPAIGN, "(asset.job_id is not null or item.brief_job_id is not null)"]
    if question.search.strip():
        texts = ("item.row_key", "brief_row.data::text", "item.variant::text")
        parts.append("(" + " or ".join(f"{one} ilike :like" for one in texts) + ")")
    if question.reason:
        parts.append(
            "exists (select 1 from decision given where given.item_id = item.id and given.reasons ? :reason)"
        )
    return " and ".join(parts)


def stands(question: Question) -> str:
    """The conditions on how an item stands, and on its format."""
    parts = ["true"]
    if question.verdict == "making":
        parts.append("(asset.job_id is null or item.verdict = 'open' and item.gate = 'ready')")
    elif question.verdict in ("open", "held"):
        gate = "= 'held'" if question.verdict == "held" else "not in ('held', 'ready')"
        parts.append(f"asset.job_id is not null and item.verdict = 'open' and item.gate {gate}")
    elif question.verdict != "all":
        parts.append("asset.job_id is not null and item.verdict = :verdict")
    if question.format:
        parts.append("item.format = :format")
    return " and ".join(parts)


def read_counts(connection: Connection, question: Question) -> Counts:
    """Counts for the filters of the review page, in two queries."""
    rows = connection.execute(
        text(f"""
        select shown.stands, shown.format, count(*) as items
        from (
            select item.format, {FILED.format(STANDS)} as stands
            from item left join asset on asset.job_id = item.job_id {BRIEF}
            where {matches(question)}
        ) shown group by 1, 2
        """),  # noqa: S608 - constants of ours
        values_of(question),
    ).all()
    verdicts: dict[str, int] = {}
    formats: dict[str, int] = {}
    for row in rows:
        if question.format in ("", row.format):
            verdicts[row.stands] = verdicts.get(row.stands, 0) + row.items
            verdicts["all"] = verdicts.get("all", 0) + row.items
        if question.verdict in ("all", row.stands):
            formats[row.format] = formats.get(row.format, 0) + row.items
    more = connection.execute(
        text("""
        select 'reason' as what, reason.name, count(distinct decision.item_id) as items
        from decision join campaign on campaign.id = decision.campaign_id
        cross join lateral jsonb_array_elements_text(decision.reasons) as reason (name)
        where campaign.name = :campaign group by 2
        union all
        select 'score', name, 0 from (
            select distinct score.name from score where score.job_id in (
                select item.job_id from item join campaign on campaign.id = item.campaign_id
                where campaign.name = :campaign and not item.obsolete order by item.id limit 50
            )
        ) scores order by 1, 2
        """),
        {"campaign": question.campaign},
    ).all()
    return Counts(
        verdicts,
        dict(sorted(formats.items())),
        {row.name: row.items for row in more if row.what == "reason"},
        tuple(row.name for row in more if row.what == "score"),
    )


def values_of(question: Question) -> dict[str, Any]:
    return {
        "campaign": question.campaign,
        "verdict": question.verdict,
        "format": question.format,
        "reason": question.reason,
        "search": question.search.strip(),
        "like": "%" + question.search.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%",
        "score": question.score,
        "limit": min(question.limit, MOST),
        "offset": question.offset,
    }
