"""What stop rules count of a campaign: what it has spent, what failed, what people rejected."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Row, text

from orchestrator.planning.stops import ENOUGH, Rule, read_rules


@dataclass(frozen=True, slots=True)
class Spent:
    """What was made for a campaign: images, the seconds that they took, and what those cost (None: not known)."""

    images: int
    seconds: float
    cost: float | None
    currency: str


@dataclass(frozen=True, slots=True)
class Reached:
    """A stop rule at its limit, and why in words."""

    rule: str
    why: str


MEANWHILE = 100
"""Decisions of others that one session can't see yet, at most."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What people have just decided: how often, and whether anything but approvals of what was not approved."""

    count: int
    worse: bool

    def can_reach(self, rule: Rule) -> bool:
        """Whether a rule may be at its limit now that was not before."""
        return rule.name == "rejected" and (self.worse or self.window(rule) > 0)

    def window(self, rule: Rule) -> int:
        """Where there are so many decisions, a share counted before these too, and approvals change nothing.

        Others may have decided at the same moment, and see as little of these as these of theirs.
        """
        return ENOUGH + self.count + MEANWHILE if rule.unit == "%" and not rule.last else 0


def find_reached(connection: Connection, campaign: int, decided: Decided | None = None) -> Reached | None:
    """The first stop rule of a campaign that is at its limit; None also where nothing is left to be stopped.

    With `decided` only what these decisions can have changed is counted.
    """
    row = connection.execute(text(_CAMPAIGN), {"campaign": campaign}).one()
    for rule in read_rules(row.stop, row.price.get("currency", "")):
        if decided is not None and not decided.can_reach(rule):
            continue
        why = rule.reached(*_count(connection, campaign, rule, row, decided))
        if why and connection.execute(text(_OPEN), {"campaign": campaign}).scalar_one():
            return Reached(rule.name, f"stop rule {rule.name}: {why}")
    return None


def read_spent(connection: Connection, campaign: int, *, counted: bool = False) -> Spent:
    """What a campaign has spent since it was recorded; `counted`: only what its stop rules count."""
    row = connection.execute(text(_CAMPAIGN), {"campaign": campaign}).one()
    return _spent(connection, campaign, row, row.since if counted else row.created_at)


def _count(
    connection: Connection, campaign: int, rule: Rule, row: Row[object], decided: Decided | None
) -> tuple[float, int]:
    """What the rule counts, and for shares out of how many."""
    if rule.name in ("budget", "images"):
        spent = _spent(connection, campaign, row, row.since)
        if rule.name == "images":
            return spent.images, 0
        return (spent.seconds if rule.unit == "s" else spent.cost or 0.0), 0
    query = _FAILED if rule.name == "failed" else _REJECTED
    window = decided.window(rule) if decided is not None and not decided.worse else 0
    values = {"campaign": campaign, "since": row.since, "last": rule.last or window or None}
    found = connection.execute(text(query), values).one()
    return (0, 0) if window and found.whole == window else (found.bad, found.whole)


def _spent(connection: Connection, campaign: int, row: Row[object], since: object) -> Spent:
    found = connection.execute(text(_SPENT), {"campaign": campaign, "since": since}).one()
    hour = row.price.get("hour") or None
    cost = None if hour is None else found.seconds / 3600 * hour
    return Spent(found.images, found.seconds, cost, row.price.get("currency", ""))


_CAMPAIGN = """
select stop, price, created_at, greatest(created_at, stop_from) as since from campaign where id = :campaign
"""

_OPEN = """
select exists (
    select 1 from item join job on job.id = item.job_id
    where item.campaign_id = :campaign and not item.obsolete and job.state in ('queued', 'leased', 'failed')
)
"""

# Also what its items showed before: for the brief's earlier wishes and for earlier attempts was paid as well.
_SPENT = """
select count(*) as images, coalesce(sum(seconds), 0) as seconds from asset
where made_at >= :since and job_id in (
    select job_id from item where campaign_id = :campaign
    union select attempt.job_id from attempt join item on item.id = attempt.item_id
        where item.campaign_id = :campaign
    union select attempt.parent_job_id from attempt join item on item.id = attempt.item_id
        where item.campaign_id = :campaign
    union select work_id from event where campaign_id = :campaign and kind = 'job.replaced'
)
"""

_FAILED = """
select count(*) filter (where state = 'dead') as bad, count(*) as whole from (
    select state from job
    where state in ('done', 'dead') and changed_at >= :since
        and id in (select job_id from item where campaign_id = :campaign and not obsolete)
    order by changed_at desc, id desc limit :last
) ended
"""

_UNDONE = "exists (select 1 from decision undo where undo.item_id = {one}.item_id and undo.undoes = {one}.id)"

STANDING = f"""
select decision.item_id, decision.version, decision.number, decision.verdict
from decision join item on item.id = decision.item_id
where decision.campaign_id = :campaign and decision.at >= :since and not item.obsolete
    and decision.version >= item.brief_version and not {_UNDONE.format(one="decision")}
    and not exists (
        select 1 from decision later where later.item_id = decision.item_id and later.version = decision.version
            and later.number > decision.number and not {_UNDONE.format(one="later")}
    )
"""  # noqa: S608 - a constant of ours
"""What people last said about each image of the brief's present wishes, earlier attempts too.

The last ones are found without reading the others.
"""

_REJECTED = f"""
select count(*) filter (where verdict = 'rejected') as bad, count(*) as whole from (
    select verdict from ({STANDING}) standing
    where verdict in ('approved', 'rejected') order by number desc limit :last
) decided
"""  # noqa: S608 - a constant of ours
