"""Gates at work: images that are there are held against the gates of each campaign that asks for them.

An item's `gate` is `none` where nothing is to be judged, `due` while its image is not made, `ready` once it is,
and then `passed`, `last` (shown after the others) or `held` (shown to those who ask). Whoever looks judges: each
item is judged once, in a transaction that checks that it still stands as it was read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from core.errors import BadInput, PluginError
from core.registry import Registry
from orchestrator.planning.gates import TRIES, read_gates, verdict
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.records.gates import ASKED_BY_GATE, HELD_BACK
from orchestrator.records.plain_json import to_json
from orchestrator.reviewing import attempts

log = logging.getLogger("dreamline")

AT_ONCE = 500


@dataclass(slots=True)
class Judged:
    """How many items came to what."""

    passed: int = 0
    last: int = 0
    held: int = 0
    retried: int = 0

    def __bool__(self) -> bool:
        return bool(self.passed or self.last or self.held or self.retried)


def mark(connection: Connection, campaign: int, *, again: bool) -> None:
    """After a campaign was planned: its new items wait for their judgement; with `again` all of them do."""
    connection.execute(text(_MARK), {"campaign": campaign, "again": again})


def mark_made(connection: Connection, jobs: Sequence[int]) -> None:
    """After images were made: the items that they fill can be judged; what a plugin holds back is held at once.

    Items that somebody has locked are left out, so that nobody waits in a circle: `judge` finds them.
    """
    connection.execute(text(_MARK_MADE), {"jobs": list(jobs)})


def judge(database: Database, registry: Registry, *, thorough: bool = False) -> Judged:
    """Judges up to `AT_ONCE` items that are ready; several may do so at once.

    Args:
        database: with the items.
        registry: asked for kinds where another image is wanted.
        thorough: looks first for made images whose items nobody could mark.
    """
    total = Judged()
    with database.begin() as connection:
        if thorough:
            connection.execute(text(_FIND_MADE))
        rows = connection.execute(text(_READY), {"item": None, "limit": AT_ONCE}).all()
        _settle(connection, rows, total)
    for row in rows:
        if _outcome(row)[0] == "retry":
            try:
                _retry(database, registry, row.id, total)
            except (PluginError, BadInput) as error:
                # It stays ready, and is judged again; the others, and whatever comes after judging, go on.
                log.warning("item %s could not be judged: %s", row.id, error)
    return total


def read_missed(connection: Connection, campaign: int, limit: int = 1000) -> list[dict[str, Any]]:
    """The items that are shown last or held back, with the reasons, in the order of the brief."""
    rows = connection.execute(text(_MISSED), {"campaign": campaign, "limit": limit})
    return [{**row._mapping} for row in rows]


def _settle(connection: Connection, rows: Any, total: Judged) -> None:
    """Writes what needs no further image."""
    settled = []
    for row in rows:
        what, reasons = _outcome(row)
        if what != "retry":
            gate = {"last": "last", "hold": "held"}.get(what or "", "passed")
            setattr(total, gate, getattr(total, gate) + 1)
            settled.append({"item": row.id, "version": row.version, "gate": gate, "reasons": to_json(reasons)})
    if settled:
        connection.execute(text(_SETTLE), settled)


def _retry(database: Database, registry: Registry, item: int, total: Judged) -> None:
    """Asks for another image in place of one that missed a gate; where no more may be asked for it is held.

    The item is read anew: meanwhile a person may have decided about it, or the gates may be others.
    """
    with database.begin() as connection:
        # Plans lock preparations before items, and an attempt the other way round.
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})
        row = connection.execute(text(_READY), {"item": item, "limit": 1}).one_or_none()
        if row is None:
            return
        what, reasons = _outcome(row)
        if what != "retry":
            _settle(connection, [row], total)
            return
        tried = row.tries < TRIES
        actor = ASKED_BY_GATE + "; ".join(reasons)
        if tried and attempts.ask(connection, registry, row.campaign_id, row.id, None, (), actor).version:
            total.retried += 1
            return
        total.held += 1
        told = to_json([*reasons, f"{row.tries + 1} images were tried"])
        connection.execute(
            text(_SETTLE), {"item": row.id, "version": row.version, "gate": "held", "reasons": told}
        )


def _outcome(row: Row[Any]) -> tuple[str | None, list[str]]:
    held: Mapping[str, str] = row.held_back or {}
    if held:
        return "hold", [f"{plugin}: {reason}" for plugin, reason in held.items()]
    if row.verdict != "open":
        return None, []
    return verdict(read_gates(row.gates), row.scores or {})


# Also of items that the brief no longer asks for: they may come back.
_MARK = f"""
update item set gate_reasons = '[]', gate = case
    when made.job_id is not null and (campaign.gates <> '{{}}' or made.facts ? '{HELD_BACK}') then 'ready'
    when campaign.gates <> '{{}}' then 'due' else 'none' end
from campaign, item self left join asset made on made.job_id = self.job_id
where item.id = self.id and campaign.id = :campaign and self.campaign_id = :campaign
    and (:again or (self.gate = 'none' and (campaign.gates <> '{{}}' or made.facts ? '{HELD_BACK}')))
"""  # noqa: S608 - constants of ours

_MARK_MADE = f"""
update item set gate = case when made.facts ? '{HELD_BACK}' then 'held' else 'ready' end,
    gate_reasons = coalesce((
        select jsonb_agg(key || ': ' || value order by key) from jsonb_each_text(made.facts->'{HELD_BACK}')
    ), '[]')
from asset made
where made.job_id = item.job_id and item.id in (
    select id from item where job_id = any(:jobs) and verdict = 'open' and gate in ('none', 'due')
    for update skip locked
) and (item.gate = 'due' or made.facts ? '{HELD_BACK}')
"""  # noqa: S608 - constants of ours

_FIND_MADE = """
update item set gate = 'ready' where id in (
    select item.id from item join campaign on campaign.id = item.campaign_id
    where campaign.state = 'running' and campaign.gates <> '{}' and item.gate = 'due'
        and exists (select 1 from asset where asset.job_id = item.job_id)
    order by item.id for update of item skip locked
)
"""

_READY = f"""
select item.id, item.version, item.campaign_id, item.verdict, campaign.gates,
       made.facts->'{HELD_BACK}' as held_back,
       (select jsonb_object_agg(name, given) from (
            select name, jsonb_agg(value) as given from score where score.job_id = item.job_id group by name
        ) named) as scores,
       (select count(*) from attempt where item_id = item.id and actor like '{ASKED_BY_GATE}%' and version >= (
            select max(first.version) from attempt first
            where first.item_id = item.id and first.parent_job_id = item.brief_job_id
       )) as tries
from item join campaign on campaign.id = item.campaign_id join asset made on made.job_id = item.job_id
where item.gate = 'ready' and not item.obsolete and campaign.state <> 'cancelled'
    and (cast(:item as bigint) is null or item.id = :item)
order by item.id limit :limit for update of item skip locked
"""  # noqa: S608 - constants of ours

_MISSED = """
select item.id, item.row_key as row, item.variant, item.format, item.seed, item.gate, item.gate_reasons as reasons
from item left join brief_row on brief_row.campaign_id = item.campaign_id and brief_row.key = item.row_key
where item.campaign_id = :campaign and item.gate in ('last', 'held') and not item.obsolete
order by brief_row.number, item.format, item.variant::text, item.seed, item.id limit :limit
"""

_SETTLE = """
update item set gate = :gate, gate_reasons = cast(:reasons as jsonb)
where id = :item and version = :version and gate = 'ready'
"""
