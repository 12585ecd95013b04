"""Reviewing: deciding. A decision is an event appended to its campaign's chain; nothing is ever overwritten.

A decision comes with an id made by whoever sends it, so that sending it twice records it once, and with what
the person saw: the item's version, its last decision and its picture. When somebody else was faster, or another
picture is there now, it is not recorded but answered with how the item stands.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from core.errors import BadInput
from core.hookspecs import Event
from core.registry import Registry
from orchestrator import stopping
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.reviewing import attempts
from orchestrator.reviewing.chain import Link, head
from orchestrator.reviewing.people import Actor, Right
from orchestrator.reviewing.two_steps import Step, proposer, stood_before
from orchestrator.reviewing.wishes import Answer, Wish, check
from orchestrator.tallies import Decided

CHAIN_LOCK = 7_310_010
"""Advisory lock, with the campaign's id: one writer of a chain at a time."""


def decide(
    database: Database, registry: Registry, actor: Actor, campaign: str, wishes: Sequence[Wish]
) -> list[Answer]:
    """Records decisions on items of one campaign, in order, in one transaction.

    Raises:
        Forbidden: the person may not decide in this campaign.
        BadInput: too many at once, an unknown reason, or a comment or pin that can't be kept; nothing is
            recorded then.
    """
    actor.require(Right.DECIDE, campaign)
    check(wishes)
    with database.begin() as connection:
        if any(wish.again or wish.undoes for wish in wishes):
            # Second attempts write jobs, as the verbs on campaigns do: the same lock, taken first.
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})
        session = _Session.open(connection, registry, actor, campaign, wishes)
        answers = [session.decide(wish) for wish in wishes]
        session.write()
    recorded = sum(answer.outcome == "recorded" for answer in answers)
    if recorded:
        registry.tell(Event("decided", campaign, {"decisions": recorded, "actor": actor.name}))
        stopping.look_after(database, registry, campaign, Decided(recorded, session.worse))
    return answers


def set_two_step(database: Database, actor: Actor, campaign: str, wanted: bool) -> None:
    """Says whether an approval in this campaign needs a second person.

    Raises:
        Forbidden: only an admin may.
    """
    actor.require(Right.MANAGE, campaign)
    with database.begin() as connection:
        connection.execute(
            text("update campaign set two_step = :wanted where name = :name"), {"wanted": wanted, "name": campaign}
        )
        connection.execute(
            text("""
            insert into event (kind, campaign_id, facts)
            select 'campaign.two_step', id, cast(:facts as jsonb) from campaign where name = :name
            """),
            {"name": campaign, "facts": json.dumps({"wanted": wanted, "actor": actor.name})},
        )


@dataclass(frozen=True, slots=True)
class _Known:
    id: uuid.UUID
    item_id: int
    actor: str
    number: int


class _Session:
    """One transaction's decisions on one campaign; later ones see what earlier ones did."""

    def __init__(self, connection: Connection, registry: Registry, actor: Actor, campaign: Row[Any]) -> None:
        self._connection = connection
        self._registry = registry
        self._actor = actor
        self._campaign = campaign
        self._number, self._hash = head(connection, campaign.id)
        self._at: datetime.datetime = connection.execute(text("select clock_timestamp()")).scalar_one()
        self._items: dict[int, dict[str, Any]] = {}
        self._recorded: dict[uuid.UUID, _Known] = {}
        self._new: list[Link] = []
        self._attempts: set[uuid.UUID | None] = set()  # decisions that asked for an attempt
        self._steps: dict[int, list[Step]] = {}  # of each item where they matter
        self.worse = False  # whether anything but an approval of what was not approved was recorded

    @classmethod
    def open(
        cls, connection: Connection, registry: Registry, actor: Actor, name: str, wishes: Sequence[Wish]
    ) -> _Session:
        campaign = connection.execute(
            text("select id, name, two_step from campaign where name = :name"), {"name": name}
        ).one_or_none()
        if campaign is None:
            raise BadInput.at("campaign", f"there is none called {name!r}", "See `dreamline campaign list`")
        connection.execute(
            text("select pg_advisory_xact_lock(cast(:lock as int), cast(:campaign as int))"),
            {"lock": CHAIN_LOCK, "campaign": campaign.id % 2**31},
        )
        session = cls(connection, registry, actor, campaign)
        session._read(wishes)
        return session

    def _read(self, wishes: Sequence[Wish]) -> None:
        rows = self._connection.execute(
            text("""
            select item.id, item.version, item.verdict, item.decision_id, item.job_id, asset.sha256,
                   asset.width, asset.height, decision.actor, decision.number
            from item left join asset on asset.job_id = item.job_id
            left join decision on decision.id = item.decision_id
            where item.id = any(:items) and item.campaign_id = :campaign
            order by item.id for update of item
            """),
            {"items": [wish.item for wish in wishes], "campaign": self._campaign.id},
        )
        self._items = {row.id: dict(row._mapping) for row in rows}
        known = self._connection.execute(
            text("select id, item_id, actor, number from decision where id = any(:ids)"),
            {"ids": [wish.id for wish in wishes]},
        )
        self._recorded = {row.id: _Known(*row) for row in known}
        asked = self._connection.execute(
            text("select decision_id from attempt where decision_id = any(:ids)"),
            {"ids": [wish.undoes for wish in wishes if wish.undoes]},
        )
        self._attempts = set(asked.scalars())
        items = [wish.item for wish in wishes if wish.verdict == "approved" and self._takes_history(wish)]
        steps = self._connection.execute(
            text("""
            select item_id, id, version, verdict, undoes, actor from decision
            where item_id = any(:items) and campaign_id = :campaign order by number
            """),
            {"items": items, "campaign": self._campaign.id},
        )
        for row in steps:
            self._steps.setdefault(row.item_id, []).append(Step(*row[1:]))

    def _takes_history(self, wish: Wish) -> bool:
        """Whether it takes an item's earlier decisions to know what this one comes to."""
        return self._campaign.two_step or wish.undoes is not None

    def decide(self, wish: Wish) -> Answer:
        item = self._items.get(wish.item)
        if item is None:
            return Answer(id=wish.id, item=wish.item, outcome="unknown")
        before = self._recorded.get(wish.id)
        if before is not None and (before.item_id, before.actor) != (wish.item, self._actor.name):
            return self._answer(wish, "conflict")
        if before is not None or any(link.id == wish.id for link in self._new):
            return self._answer(wish, "already")
        if self._is_final(wish, item):
            return self._answer(wish, "already")
        withdrawn = wish.undoes in self._attempts and self._withdraw(wish, item)
        if item["sha256"] is None or not (withdrawn or _stands(wish, item)):
            return self._answer(wish, "conflict")
        self._append(wish, item)
        attempt = ""
        if wish.again and wish.verdict == "rejected":
            attempt = self._ask_again(wish, item)
        return self._answer(wish, "recorded", attempt)

    def _is_final(self, wish: Wish, item: dict[str, Any]) -> bool:
        """Whether this yes adds nothing to one of two people, so that it stays theirs."""
        again = wish.verdict == "approved" == item["verdict"] and wish.undoes is None
        return again and self._campaign.two_step and _stands(wish, item)

    def _append(self, wish: Wish, item: dict[str, Any]) -> None:
        verdict = self._verdict(wish, item)
        link = Link(
            id=wish.id,
            campaign_id=self._campaign.id,
            number=self._number + 1,
            item_id=wish.item,
            version=item["version"],
            asset_sha256=item["sha256"],
            verdict=verdict,
            reasons=list(wish.reasons),
            comment=wish.comment,
            pins=[dict(pin) for pin in wish.pins],
            undoes=wish.undoes,
            milliseconds=max(0, min(wish.milliseconds, 2**31 - 1)),
            actor=self._actor.name,
            at=self._at,
            previous=self._hash,
        ).sealed()
        better = verdict == "approved" or (verdict == "proposed" and item["verdict"] != "approved")
        self.worse = self.worse or not better or wish.undoes is not None
        self._number, self._hash = link.number, link.hash
        self._new.append(link)
        step = Step(link.id, link.version, link.verdict, link.undoes, link.actor)
        self._steps.setdefault(wish.item, []).append(step)
        item["verdict"] = "open" if verdict == "cleared" else verdict
        item["decision_id"], item["actor"], item["number"] = link.id, link.actor, link.number

    def _verdict(self, wish: Wish, item: dict[str, Any]) -> str:
        """In two steps the first yes is a proposal; only an approver's, who did not propose it, is final.

        What is approved stays so, and an undo of one's own decision brings back the verdict before it.
        """
        if wish.verdict != "approved":
            return wish.verdict
        if wish.undoes is not None and (restored := self._restored(wish)):
            return restored
        if not self._campaign.two_step or item["verdict"] == "approved":
            return "approved"
        another = item["verdict"] == "proposed" and proposer(self._steps.get(wish.item, [])) != self._actor.name
        return "approved" if another and self._actor.may(Right.CONFIRM) else "proposed"

    def _restored(self, wish: Wish) -> str:
        """The yes that stood before a decision of this person's that is taken back; empty where none did."""
        steps = self._steps.get(wish.item, [])
        undone = next((step for step in steps if step.id == wish.undoes), None)
        stood = stood_before(steps, undone.id) if undone is not None and undone.actor == self._actor.name else None
        return stood.verdict if stood is not None and stood.verdict in ("approved", "proposed") else ""

    def _ask_again(self, wish: Wish, item: dict[str, Any]) -> str:
        """Queues a second attempt; the answer says how it differs, or why there is none."""
        self._flush()
        made = attempts.ask(
            self._connection, self._registry, self._campaign.id, wish.item, wish.id, wish.reasons, self._actor.name
        )
        if made.version:
            self._attempts.add(wish.id)
            item.update(version=made.version, verdict="open", decision_id=None, **self._picture(wish.item))
        return made.said

    def _withdraw(self, wish: Wish, item: dict[str, Any]) -> bool:
        self._flush()
        back = attempts.withdraw(self._connection, wish.item, wish.undoes, self._actor.name)
        if back is None:
            return False
        item.update(version=back.version, verdict="open", decision_id=None, **self._picture(wish.item))
        return True

    def _picture(self, item: int) -> dict[str, Any]:
        """What an item shows after its job changed."""
        row = self._connection.execute(
            text("""
            select asset.sha256, asset.width, asset.height
            from item left join asset on asset.job_id = item.job_id where item.id = :item
            """),
            {"item": item},
        ).one()
        return dict(row._mapping)

    def _answer(self, wish: Wish, outcome: Any, attempt: str = "") -> Answer:
        item = self._items[wish.item]
        return Answer(
            id=wish.id,
            item=wish.item,
            outcome=outcome,
            version=item["version"],
            verdict=item["verdict"],
            decision=item["decision_id"],
            actor=item["actor"] or "",
            number=item["number"] or 0,
            attempt=attempt,
            sha=item["sha256"] or "",
            width=item["width"] or 0,
            height=item["height"] or 0,
        )

    def write(self) -> None:
        self._flush()

    def _flush(self) -> None:
        """Writes what was decided so far: the events, and how their items stand."""
        if not self._new:
            return
        rows = [
            {**link.as_dict(), "at": link.at, "reasons": json.dumps(link.reasons), "pins": json.dumps(link.pins)}
            for link in self._new
        ]
        self._connection.execute(
            text("""
            insert into decision (id, campaign_id, number, item_id, version, asset_sha256, verdict, reasons,
                comment, pins, undoes, milliseconds, actor, at, previous, hash)
            values (:id, :campaign_id, :number, :item_id, :version, :asset_sha256, :verdict,
                cast(:reasons as jsonb), :comment, cast(:pins as jsonb), :undoes, :milliseconds, :actor, :at,
                :previous, :hash)
            """),
            rows,
        )
        touched = {link.item_id: self._items[link.item_id] for link in self._new}
        self._connection.execute(
            text("update item set verdict = :verdict, decision_id = :decision_id where id = :id"),
            [{key: item[key] for key in ("id", "verdict", "decision_id")} for item in touched.values()],
        )
        self._recorded.update(
            {link.id: _Known(link.id, link.item_id, link.actor, link.number) for link in self._new}
        )
        self._new = []


def _stands(wish: Wish, item: dict[str, Any]) -> bool:
    """Whether the item is still as the person saw it, and what they take back is what it stands by."""
    if (wish.version, wish.seen) != (item["version"], item["decision_id"]):
        return False
    if wish.sha and wish.sha != item["sha256"]:
        return False
    return wish.undoes is None or wish.undoes == item["decision_id"]
