"""Reviewing: an image again: varied with another seed, or written down so that anybody can reproduce it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from core.errors import BadInput
from core.registry import Registry
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.reviewing import attempts
from orchestrator.reviewing.people import Actor, Right


def vary(database: Database, registry: Registry, actor: Actor, campaign: str, item: int) -> str:
    """Queues another attempt at an item with another seed; returns what was done, in words.

    Raises:
        Forbidden: the person may not steer this campaign.
        BadInput: the item's image is not made yet or is approved, or it has had its attempts.
    """
    actor.require(Right.STEER, campaign)
    with database.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})
        row = connection.execute(
            text("""
            select campaign.id, item.verdict from item join campaign on campaign.id = item.campaign_id
            join asset on asset.job_id = item.job_id
            where item.id = :item and campaign.name = :campaign for update of item
            """),
            {"item": item, "campaign": campaign},
        ).one_or_none()
        if row is None:
            raise BadInput.at(f"item {item}", "has no image yet", "Wait until it is made")
        if row.verdict == "approved":
            raise BadInput.at(f"item {item}", "is approved", "Have the approval taken back first")
        made = attempts.ask(connection, registry, row.id, item, None, (), actor.name)
    if not made.version:
        raise BadInput.at(f"item {item}", made.said, "Change the brief instead")
    return made.said


def write_brief(told: Mapping[str, Any]) -> str:
    """All that decides an image's pixels, as JSON: request, pinned model, references with their preparation."""
    return json.dumps(
        {
            "key": told["key"],
            "prompt": told["prompt"],
            "request": told["request"],
            "pinned": told["pinned"],
            "references": [
                {name: one[name] for name in ("position", "name", "kind", "plugin", "method", "options", "sha")}
                for one in told["references"]
            ],
            "image": told["image"] and {"sha256": told["image"]["sha"], "facts": told["image"]["facts"]},
        },
        indent=2,
        ensure_ascii=False,
        default=str,
    )
