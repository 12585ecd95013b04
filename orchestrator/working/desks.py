"""Working: the two kinds of work, seen from the database: what a batch needs, and how its results are kept.

A desk's `keep` runs inside the transaction that ends the claim: result and state change together or not at
all.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Connection, text

from core.cards import find_cards, read_card
from core.errors import DreamlineError, Infrastructure
from core.registry import Registry
from core.settings import Settings
from orchestrator import gating
from orchestrator.planning.keys import method_pin, model_pin
from orchestrator.records.database import SWEEP_LOCK
from orchestrator.records.models import hash_files, pin_files
from orchestrator.records.plain_json import to_json
from orchestrator.records.storage import Storage
from orchestrator.working.claims import Claim, Table, finish, was_finished
from orchestrator.working.dependents import let_dependents_go
from orchestrator.working.messages import Made

log = logging.getLogger("dreamline.worker")

Recorded: TypeAlias = Mapping[str, Mapping[str, str]]


class Desk(Protocol):
    """One kind of work. `queue` is where its wake-ups go, `wakes` whose work its results make ready.

    A desk that `keeps_models` loses time where its next work asks for another one.
    """

    @property
    def queue(self) -> str: ...

    @property
    def wakes(self) -> str | None: ...

    @property
    def table(self) -> Table: ...

    @property
    def keeps_models(self) -> bool: ...

    def pins(self, recorded: Recorded, registry: Registry, settings: Settings) -> list[str]:
        """What this machine can do, as plans pin it; `recorded` are the hashes of models' files by card."""
        ...

    def load(self, connection: Connection, claims: Sequence[Claim]) -> list[dict[str, Any]]:
        """What the child needs to know of each claim."""
        ...

    def keep(self, connection: Connection, store: Storage, claim: Claim, made: Made, worker: uuid.UUID) -> bool:
        """Records a result; False when the claim was lost and nothing was changed."""
        ...


class Preparing:
    """References made ready, on any processor."""

    queue = "cpu"
    wakes = "gpu"
    table: Table = "preparation"
    keeps_models = False

    def pins(self, recorded: Recorded, registry: Registry, settings: Settings) -> list[str]:
        pins = []
        for kind, offer in registry.kinds(sound=True).items():
            try:
                methods = (*offer.condition.methods(settings), offer.condition.by_mask)
            except Exception as error:
                log.warning("plugin %r: methods of kind %r raised %r", offer.plugin, kind, error)
                continue
            pins += [method_pin(kind, offer.pin, method) for method in methods if method is not None]
        return pins

    def load(self, connection: Connection, claims: Sequence[Claim]) -> list[dict[str, Any]]:
        rows = connection.execute(
            text("select id, spec from preparation where id = any(:ids)"), {"ids": [one.id for one in claims]}
        )
        specs = {row.id: row.spec for row in rows}
        return [{"id": one.id, "fence": one.fence, "spec": specs[one.id]} for one in claims]

    def keep(self, connection: Connection, store: Storage, claim: Claim, made: Made, worker: uuid.UUID) -> bool:
        _no_sweep(connection, store, [made.result["result"], made.result["mask"]])
        outcome = finish(connection, self.table, claim)
        if outcome != "done":
            return outcome == "already"
        connection.execute(
            text("""
            update preparation set result = :result, mask = :mask, warnings = cast(:warnings as jsonb),
                facts = cast(:facts as jsonb) where id = :id
            """),
            {
                **made.result,
                "warnings": to_json(made.result["warnings"]),
                "facts": to_json(made.result["facts"]),
                "id": claim.id,
            },
        )
        let_dependents_go(connection, claim.id)
        return True


class Making:
    """Images, where the models are."""

    queue = "gpu"
    wakes = None
    table: Table = "job"
    keeps_models = True

    def pins(self, recorded: Recorded, registry: Registry, settings: Settings) -> list[str]:
        pins = []
        for name, path in find_cards(settings).items():
            try:
                card = read_card(path)
                generator = registry.generator(card, settings, settings.device)
                files = pin_files(card, settings, recorded.get(name, {}))
                if files == hash_files(card, settings):
                    pins.append(model_pin(card, generator.id, files).name)
            except DreamlineError as error:
                log.debug("model %s can't be made here: %s", name, error)
        return pins

    def load(self, connection: Connection, claims: Sequence[Claim]) -> list[dict[str, Any]]:
        ids = {"ids": [one.id for one in claims]}
        requests = {
            row.id: row.request
            for row in connection.execute(text("select id, request from job where id = any(:ids)"), ids)
        }
        references: dict[int, list[dict[str, Any]]] = {one.id: [] for one in claims}
        rows = connection.execute(
            text("""
            select r.job_id, p.result, p.mask, p.spec->>'kind' as kind
            from job_reference r join preparation p on p.id = r.preparation_id
            where r.job_id = any(:ids) order by r.job_id, r.position
            """),
            ids,
        )
        for row in rows:
            references[row.job_id].append({"result": row.result, "mask": row.mask, "kind": row.kind})
        return [
            {
                "id": one.id,
                "fence": one.fence,
                "pin": one.pin,
                "request": requests[one.id],
                "references": references[one.id],
            }
            for one in claims
        ]

    def keep(self, connection: Connection, store: Storage, claim: Claim, made: Made, worker: uuid.UUID) -> bool:
        result: Mapping[str, Any] = made.result
        kept = connection.execute(
            text(_KEEP),
            {
                **{key: value for key, value in result.items() if key not in ("facts", "scores")},
                "facts": to_json(result["facts"]),
                "job": claim.id,
                "fence": claim.fence,
                "worker": worker,
                "seconds": made.seconds,
                "lock": SWEEP_LOCK,
                **_score_columns(result["scores"]),
            },
        ).scalar_one()
        if kept:
            _refuse_missing(store, [result["sha256"]])
            gating.mark_made(connection, claim.id)
        return bool(kept) or was_finished(connection, self.table, claim)


DESKS: Mapping[str, Desk] = {"cpu": Preparing(), "gpu": Making()}


def _score_columns(scores: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    columns: list[list[Any]] = [list(column) for column in zip(*scores, strict=True)] or [[] for _ in range(6)]
    plugins, names, values, compared, higher, crops = columns
    return {
        "plugins": plugins,
        "names": names,
        "values": values,
        "compared": compared,
        "higher": higher,
        "crops": [to_json(crop) if crop else None for crop in crops],
    }


def _no_sweep(connection: Connection, store: Storage, files: Sequence[str | None]) -> None:
    """Keeps `doctor --fix` from sweeping files between being written and being pointed at.

    Raises:
        Infrastructure: a sweep was faster; the work has to be done again.
    """
    connection.execute(text("select pg_advisory_xact_lock_shared(:lock)"), {"lock": SWEEP_LOCK})
    _refuse_missing(store, files)


def _refuse_missing(store: Storage, files: Sequence[str | None]) -> None:
    for sha256 in files:
        if sha256 is not None and not store.exists(sha256):
            raise Infrastructure(f"file {sha256} left the store before it was recorded")


# The claim's end, its event, the image and its scores in one statement: one trip to the database. The lock keeps
# sweeps away until the commit; whether one was faster is looked at after it is held.
_KEEP = """
with unswept as materialized (
    select pg_advisory_xact_lock_shared(:lock)
), done as (
    update job set state = 'done', lease_until = null, error = null, changed_at = now()
    where id = :job and fence = :fence and state = 'leased' and exists (select 1 from unswept) returning id
), noted as (
    insert into event (kind, work_id, facts)
    select 'job.done', id, jsonb_build_object('fence', cast(:fence as bigint)) from done
), kept as (
    insert into asset (job_id, sha256, size, width, height, media_type, facts, look, fence, worker, seconds)
    select id, :sha256, :size, :width, :height, :media_type, cast(:facts as jsonb), :look, :fence, :worker,
        :seconds from done
    on conflict (job_id) do update set sha256 = excluded.sha256, size = excluded.size, facts = excluded.facts,
        look = excluded.look, fence = excluded.fence, worker = excluded.worker, seconds = excluded.seconds,
        made_at = now()
    where asset.fence < excluded.fence
    returning job_id
), scored as (
    insert into score (job_id, plugin, name, value, compared, higher_is_better, crop)
    select job_id, plugin, name, value, compared, higher, cast(crop as jsonb)
    from kept cross join unnest(
        cast(:plugins as text[]), cast(:names as text[]), cast(:values as double precision[]),
        cast(:compared as text[]), cast(:higher as boolean[]), cast(:crops as text[])
    ) as given (plugin, name, value, compared, higher, crop)
    on conflict (job_id, plugin, name) do update set value = excluded.value, crop = excluded.crop
)
select count(*) from done
"""
