"""Delivering: the items of a campaign with their images, and what was decided about them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

HELD_BACK = ("held", "ready")
"""How an image stands against its gates while they hold it back."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved an image, when, and the number and hash of the decision in the campaign's chain."""

    actor: str
    at: datetime.datetime
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Item:
    """One cell of a campaign.

    Attributes:
        row: key of its row; `data`: the row's cells.
        sha256: of its image as it lies in the store; empty while there is none. `size` are its bytes.
        width, height: of that image, pixels.
        verdict: what was decided last: `open`, `proposed`, `approved` or `rejected`.
        gate: how its scores stand against the campaign's gates.
        model: the card that its image is made with.
        prompt, references: what the image was made of, each reference as `kind:sha256`; of approved ones alone.
        approval: of this very image; None where it has none.
    """

    row: str
    data: Mapping[str, Any]
    variant: Mapping[str, Any]
    seed: int
    format: str
    sha256: str
    size: int
    width: int
    height: int
    verdict: str
    gate: str
    model: str
    prompt: str
    references: tuple[str, ...]
    approval: Approval | None

    @property
    def kept_back(self) -> bool:
        """Whether its gates hold it back and nobody approved it all the same, or a person rejected it."""
        return self.verdict == "rejected" or (self.gate in HELD_BACK and self.verdict != "approved")


def read_items(connection: Connection, campaign: str) -> list[Item]:
    """Everything that the brief asks for, in the order of its rows, whether it is made yet or not."""
    rows = connection.execute(text(_ITEMS), {"campaign": campaign}, execution_options={"stream_results": True})
    return [
        Item(
            row=row.row_key,
            data=row.data or {},
            variant=row.variant,
            seed=row.seed,
            format=row.format,
            sha256=row.sha256 or "",
            size=row.size or 0,
            width=row.width or 0,
            height=row.height or 0,
            verdict=row.verdict,
            gate=row.gate,
            model=row.model,
            prompt=row.prompt or "",
            references=tuple(row.refs or ()),
            approval=None if row.actor is None else Approval(row.actor, row.at, row.number, row.hash),
        )
        for row in rows
    ]


# An approval counts for the image that was looked at, and for no other.
_ITEMS = """
select item.row_key, item.variant, item.seed, item.format, item.verdict, item.gate, brief_row.data, job.model,
    case when decision.id is not null then job.request->>'prompt' end as prompt,
    case when decision.id is not null then array(
        select one->>'kind' || ':' || (one->>'sha256')
        from jsonb_array_elements(job.request->'references') with ordinality as given (one, place) order by place
    ) end as refs,
    asset.sha256, asset.size, asset.width, asset.height,
    decision.actor, decision.at, decision.number, decision.hash
from item join campaign on campaign.id = item.campaign_id join job on job.id = item.job_id
left join asset on asset.job_id = item.job_id
left join brief_row on brief_row.campaign_id = campaign.id and brief_row.key = item.row_key
left join decision on decision.id = item.decision_id and item.verdict = 'approved'
    and decision.version = item.version and decision.asset_sha256 = asset.sha256
where campaign.name = :campaign and not item.obsolete
order by brief_row.number, item.id
"""
