"""Dashboard: what happened since: decisions of others, attempts that came back; and whose picture a picture is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from dashboard.questions import STANDS


def read_changes(connection: Connection, campaign: str, after: int, limit: int = 500) -> dict[str, Any]:
    """What others decided since decision `after`, and how those items stand now, with pictures that came back."""
    rows = connection.execute(
        text(f"""
        select item.id, item.version, {STANDS} as stands, item.decision_id, last.actor, last.number,
               asset.sha256, asset.width, asset.height
        from (
            select decision.item_id, max(decision.number) as number,
                   (array_agg(decision.actor order by number desc))[1] as actor
            from decision join campaign on campaign.id = decision.campaign_id
            where campaign.name = :campaign and decision.number > :after group by decision.item_id
            order by 2 limit :limit
        ) last join item on item.id = last.item_id left join asset on asset.job_id = item.job_id
        """),  # noqa: S608 - a constant of ours
        {"campaign": campaign, "after": after, "limit": limit},
    ).all()
    back = connection.execute(
        text("""
        select item.id, item.version, asset.sha256, asset.width, asset.height, attempt.reasons, attempt.changes,
               attempt.actor, (select count(*) from attempt earlier where earlier.item_id = item.id) as attempts
        from attempt join item on item.id = attempt.item_id and item.version = attempt.version
        join asset on asset.job_id = item.job_id join campaign on campaign.id = item.campaign_id
        where campaign.name = :campaign and asset.made_at > now() - interval '10 minutes' limit :limit
        """),
        {"campaign": campaign, "limit": limit},
    ).all()
    return {
        "number": max((row.number for row in rows), default=after),
        "items": [
            {
                "id": row.id,
                "v": row.version,
                "is": row.stands,
                "seen": str(row.decision_id) if row.decision_id else None,
                "by": row.actor,
                "sha": row.sha256,
                "w": row.width,
                "h": row.height,
            }
            for row in rows
        ],
        "back": [
            {
                "id": row.id,
                "v": row.version,
                "sha": row.sha256,
                "w": row.width,
                "h": row.height,
                "why": row.reasons,
                "changes": row.changes,
                "by": row.actor,
                "count": row.attempts + 1,
            }
            for row in back
        ],
    }


def shows(connection: Connection, campaign: str, sha256: str) -> bool:
    """Whether a picture is a campaign's: an image, one before it, a reference given or made ready, a rival's."""
    return bool(connection.execute(text(_SHOWS), {"campaign": campaign, "sha256": sha256}).scalar_one())


_SHOWS = """
select exists (
    select 1 from asset join item on item.job_id = asset.job_id join campaign on campaign.id = item.campaign_id
    where asset.sha256 = :sha256 and campaign.name = :campaign
) or exists (
    select 1 from asset join attempt on attempt.parent_job_id = asset.job_id
    join item on item.id = attempt.item_id join campaign on campaign.id = item.campaign_id
    where asset.sha256 = :sha256 and campaign.name = :campaign
) or exists (
    select 1 from preparation p join job_reference r on r.preparation_id = p.id
    join item on item.job_id = r.job_id join campaign on campaign.id = item.campaign_id
    where p.reference_sha256 = :sha256 and campaign.name = :campaign
) or exists (
    select 1 from preparation p join job_reference r on r.preparation_id = p.id
    join item on item.job_id = r.job_id join campaign on campaign.id = item.campaign_id
    where :sha256 in (p.result, p.mask) and campaign.name = :campaign
) or exists (
    select 1 from rival join campaign on campaign.id = rival.campaign_id
    where rival.sha256 = :sha256 and campaign.name = :campaign
)
"""
