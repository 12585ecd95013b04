"""Dashboard: campaigns as the pages see them. Each question is one query, however many items there are."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Overview:
    """A campaign in the list: `images` of `items` exist; `verdicts` counts items by how they stand.

    `reason` says why it is paused where that was no person: `paused_by` a `pilot` that is made, or a `rule`.
    """

    id: int
    name: str
    state: str
    reason: str
    paused_by: str
    model: str
    source: str
    two_step: bool
    items: int
    images: int
    failed: int
    verdicts: Mapping[str, int]
    cover: tuple[str, ...]
    created_at: datetime.datetime
    changed_at: datetime.datetime

    @property
    def decided(self) -> int:
        return self.verdicts.get("approved", 0) + self.verdicts.get("rejected", 0)

    @property
    def approval(self) -> float | None:
        """Approved out of what was decided; None before the first decision."""
        return self.verdicts.get("approved", 0) / self.decided if self.decided else None


def read_overviews(connection: Connection, name: str | None = None) -> list[Overview]:
    """All campaigns (or one), newest first, with progress, verdicts and a few pictures."""
    rows = connection.execute(
        text("""
        select c.id, c.name, c.state, c.reason, c.paused_by, c.model, c.source, c.two_step, c.created_at,
               c.changed_at, i.items, i.images, i.failed, i.open, i.proposed, i.approved, i.rejected, cover.shas
        from campaign c
        cross join lateral (
            select count(*) as items, count(asset.job_id) as images,
                   count(*) filter (where asset.job_id is null and
                   (select state from job where job.id = item.job_id) = 'dead') as failed,
                   count(asset.job_id) filter (where item.verdict = 'open'
                       and item.gate not in ('held', 'ready')) as open,
                   count(*) filter (where item.verdict = 'proposed') as proposed,
                   count(*) filter (where item.verdict = 'approved') as approved,
                   count(*) filter (where item.verdict = 'rejected') as rejected
            from item left join asset on asset.job_id = item.job_id
            where item.campaign_id = c.id and not item.obsolete
        ) i
        cross join lateral (
            select coalesce(array_agg(sha256), '{}') as shas from (
                select asset.sha256 from item join asset on asset.job_id = item.job_id
                where item.campaign_id = c.id and not item.obsolete and item.gate <> 'held'
                order by item.id limit 4
            ) few
        ) cover
        where cast(:name as text) is null or c.name = :name
        order by c.changed_at desc, c.id desc
        """),
        {"name": name},
    )
    found = []
    for row in rows:
        told = dict(row._mapping)
        verdicts = {name: told.pop(name) for name in ("open", "proposed", "approved", "rejected")}
        cover = tuple(told.pop("shas"))
        found.append(Overview(**told, cover=cover, verdicts=verdicts))
    return found


def read_names(connection: Connection) -> list[str]:
    """Names of the campaigns that have items, newest first."""
    return list(
        connection.execute(
            text("""
            select name from campaign where exists (select 1 from item where campaign_id = campaign.id)
            order by changed_at desc, id desc
            """)
        ).scalars()
    )


@dataclass(frozen=True, slots=True)
class Recent:
    """A picture that was made lately."""

    item: int
    sha256: str
    row: str
    format: str
    made_at: datetime.datetime


def read_recent(connection: Connection, campaign: str, limit: int = 12) -> list[Recent]:
    """The last pictures of a campaign, newest first."""
    rows = connection.execute(
        text("""
        select item.id as item, asset.sha256, item.row_key as row, item.format, asset.made_at
        from item join campaign on campaign.id = item.campaign_id join asset on asset.job_id = item.job_id
        where campaign.name = :campaign and not item.obsolete and item.gate <> 'held'
        order by asset.made_at desc limit :limit
        """),
        {"campaign": campaign, "limit": limit},
    )
    return [Recent(**row._mapping) for row in rows]
