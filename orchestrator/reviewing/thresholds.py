"""Reviewing: thresholds that people's decisions suggest for a campaign's gates.

For each score the bound is looked for that would have kept most rejected images from being shown while losing at
most one in twenty of those that were approved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

APPROVED, REJECTED = 20, 10
"""Decisions of each sort below which nothing is suggested: a handful would suggest chance."""

LOST = 0.05
"""Share of approved images that a suggested gate may keep from being shown."""

CAUGHT = 0.2
"""Share of rejected images that a gate has to catch to be worth having."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A gate that decisions speak for, or how it is with a score that none is suggested for.

    Attributes:
        score: its name, without the reference's.
        gate: as a campaign file says it; empty where none is suggested.
        approved, rejected: decided images that have the score.
        caught, lost: shares of rejected and of approved images that miss the gate.
    """

    score: str
    gate: str
    approved: int
    rejected: int
    caught: float = 0.0
    lost: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def suggest_gates(connection: Connection, campaign: str | None) -> list[Suggestion]:
    """A suggestion for each score of decided images, of one campaign or of all.

    An image with several scores of one name (`colour:shoe`, `colour:bag`) counts with its worst.
    """
    rows = connection.execute(text(_DECIDED), {"campaign": campaign}).all()
    by_score: dict[tuple[str, bool], list[Any]] = {}
    for row in rows:
        by_score.setdefault((row.name, row.higher), []).append(row)
    return [
        suggest(
            name,
            [row.value for row in found if row.verdict == "approved"],
            [row.value for row in found if row.verdict == "rejected"],
            higher=higher,
        )
        for (name, higher), found in sorted(by_score.items())
    ]


def suggest(score: str, approved: Sequence[float], rejected: Sequence[float], *, higher: bool) -> Suggestion:
    """The bound that catches most of `rejected` and loses at most `LOST` of `approved`."""
    counted = Suggestion(score, "", len(approved), len(rejected))
    if len(approved) < APPROVED or len(rejected) < REJECTED:
        return counted
    side = 1.0 if higher else -1.0
    good = sorted(side * value for value in approved)
    bound = good[int(LOST * len(good))]
    caught = sum(side * value < bound for value in rejected) / len(rejected)
    lost = sum(value < bound for value in good) / len(good)
    if caught < CAUGHT:
        return counted
    gate = f"{'>=' if higher else '<='}{side * bound:.4g} else hold"
    return Suggestion(score, gate, len(approved), len(rejected), round(caught, 3), round(lost, 3))


_DECIDED = """
select decided.verdict, split_part(score.name, ':', 1) as name, score.higher_is_better as higher,
       case when score.higher_is_better then min(score.value) else max(score.value) end as value
from (
    select distinct on (decision.item_id, decision.version) decision.item_id, decision.version, decision.verdict,
           asset.job_id
    from decision join campaign on campaign.id = decision.campaign_id
    join item on item.id = decision.item_id
    join asset on asset.sha256 = decision.asset_sha256 and asset.job_id in (
        select item.job_id union
        select attempt.parent_job_id from attempt where attempt.item_id = decision.item_id
    )
    where cast(:campaign as text) is null or campaign.name = :campaign
    order by decision.item_id, decision.version, decision.number desc
) decided join score on score.job_id = decided.job_id
where decided.verdict in ('approved', 'rejected')
group by decided.item_id, decided.version, decided.verdict, 2, 3
"""
