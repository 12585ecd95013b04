"""A campaign's entry in the records: its own row, and the references' files that it brings along."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from core.errors import BadInput
from orchestrator.planning.plan import Plan
from orchestrator.records.database import SWEEP_LOCK
from orchestrator.records.states import Campaign
from orchestrator.records.storage import AT_ONCE, Storage


@dataclass(frozen=True, slots=True)
class Found:
    """A campaign as the verbs see it."""

    id: int
    name: str
    state: Campaign
    plan: int
    pilot: int = 0
    paused_by: str = ""


def write(connection: Connection, plan: Plan, *, start: bool, pilot: int, owner: str) -> Found:
    """Writes the campaign's own row, for the first time or anew.

    Args:
        connection: of the transaction that writes the plan.
        plan: of the campaign.
        start: it runs from now on; else it stays running or paused if it is, and is planned if not.
        pilot: with `start`, how many items come before the rest; 0: no pilot, or an end to one.
        owner: whose it is where neither the file says so nor it was said before.
    """
    row = connection.execute(
        text(_UPSERT),
        {
            "name": plan.brief.campaign,
            "model": plan.model.card,
            "source": str(plan.brief.path.absolute()),
            "text": plan.brief.text,
            "priority": plan.brief.priority,
            "gates": json.dumps(dict(plan.brief.gates)),
            "stop": json.dumps(dict(plan.brief.stop)),
            "price": json.dumps({"hour": plan.price.hour, "currency": plan.price.currency}),
            "owner": plan.brief.owner,
            "whose": owner,
            "start": start,
            "pilot": pilot,
        },
    ).one()
    return Found(row.id, row.name, Campaign(row.state), row.plan, row.pilot)


def store_references(store: Storage, plan: Plan) -> dict[str, int]:
    """Puts the references' files into the store, many at a time; their sizes by content.

    Raises:
        BadInput: a file is no longer what was planned.
    """
    files = plan.brief.files
    with ThreadPoolExecutor(AT_ONCE, "references") as threads:
        sizes = list(threads.map(lambda one: _store_reference(store, *one), files.items()))
    return dict(zip(files, sizes, strict=True))


def keep_from_sweep(connection: Connection, store: Storage, plan: Plan) -> None:
    """From here to the commit no sweep deletes; what one took since it was stored is stored again.

    Raises:
        BadInput: a file is no longer what was planned.
    """
    connection.execute(text("select pg_advisory_xact_lock_shared(:lock)"), {"lock": SWEEP_LOCK})
    for sha256 in store.lacking(list(plan.brief.files)):
        _store_reference(store, sha256, plan.brief.files[sha256])


def _store_reference(store: Storage, sha256: str, path: Path) -> int:
    """Puts one file into the store; its size."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInput.at(str(path), "is no longer there", "Plan again") from None
    except OSError as error:
        raise BadInput.at(str(path), f"can't be read any more ({error.strerror})", "Plan again") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BadInput.at(str(path), "was changed while it was being planned", "Plan again")
    store.put(data, f"reference-{path.name}")
    return len(data)


def write_references(connection: Connection, plan: Plan, sizes: Mapping[str, int]) -> None:
    """Notes the references' files, with their sizes in bytes."""
    files = plan.brief.files
    connection.execute(
        text("""
        insert into reference (sha256, source, size)
        select * from unnest(cast(:keys as text[]), cast(:sources as text[]), cast(:sizes as bigint[]))
        on conflict (sha256) do nothing
        """),
        {
            "keys": list(files),
            "sources": [plan.brief.addresses.get(sha256, str(path.absolute())) for sha256, path in files.items()],
            "sizes": [sizes[sha256] for sha256 in files],
        },
    )


_UPSERT = """
insert into campaign (name, state, model, source, text, plan, priority, gates, stop, price, owner, pilot)
values (:name, case when :start then 'running' else 'planned' end, :model, :source, :text, 1, :priority,
    cast(:gates as jsonb), cast(:stop as jsonb), cast(:price as jsonb),
    coalesce(nullif(:owner, ''), :whose), :pilot)
on conflict (name) do update set model = excluded.model, source = excluded.source, text = excluded.text,
    priority = excluded.priority, gates = excluded.gates, stop = excluded.stop, price = excluded.price,
    owner = coalesce(nullif(:owner, ''), nullif(campaign.owner, ''), :whose),
    pilot = case when :start then :pilot else campaign.pilot end,
    plan = campaign.plan + 1, changed_at = now(),
    reason = case when not :start and campaign.state = 'paused' then campaign.reason else '' end,
    paused_by = case when not :start and campaign.state = 'paused' then campaign.paused_by else '' end,
    state = case when :start then 'running'
        when campaign.state in ('running', 'paused') then campaign.state else 'planned' end
returning id, name, state, plan, pilot
"""
