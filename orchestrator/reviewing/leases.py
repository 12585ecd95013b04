"""Reviewing: leases, so that two reviewers don't meet. A lease is a courtesy: decisions have their own guard.

A reviewer holds the items around the one in view; they are free again after a while without a sign of life.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

SECONDS = 90
"""How long an item stays somebody's without a sign of life."""


def take(connection: Connection, campaign: str, items: Sequence[int], actor: str) -> dict[int, str]:
    """Leases items of a campaign to `actor` and lets go of the others that they held there.

    Returns:
        Whose the items are that somebody else holds; these are not taken.
    """
    values = {"campaign": campaign, "items": sorted(items), "actor": actor, "seconds": SECONDS}
    connection.execute(text(_LET_GO), values)
    connection.execute(text(_TAKE), values)
    rows = connection.execute(text(_OTHERS), values)
    return {row.item_id: row.actor for row in rows}


_LET_GO = """
delete from review_lease using item, campaign
where review_lease.item_id = item.id and item.campaign_id = campaign.id and campaign.name = :campaign
    and (review_lease.actor = :actor and item.id <> all(:items) or until < clock_timestamp())
"""

_TAKE = """
insert into review_lease (item_id, actor, until)
select item.id, :actor, clock_timestamp() + make_interval(secs => :seconds)
from item join campaign on campaign.id = item.campaign_id
where item.id = any(:items) and campaign.name = :campaign order by item.id
on conflict (item_id) do update set actor = excluded.actor, until = excluded.until
where review_lease.actor = excluded.actor or review_lease.until < clock_timestamp()
"""

_OTHERS = """
select review_lease.item_id, review_lease.actor
from review_lease join item on item.id = review_lease.item_id join campaign on campaign.id = item.campaign_id
where campaign.name = :campaign and review_lease.actor <> :actor and until >= clock_timestamp()
"""
