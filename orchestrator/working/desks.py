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
from orchestrator.records.gates import HELD_BACK
from orchestrator.records.models import hash_files, pin_files
from orchestrator.records.plain_json import to_json
from orchestrator.records.storage import Storage
from orchestrator.working.claims import Claim, Table, finish, were_finished
from orchestrator.working.dependents import let_dependents_go
from orchestrator.working.messages import Made

log = logging.getLogger("dreamline.worker")

Recorded: TypeAlias = Mapping[str, Mapping[str, str]]
Result: TypeAlias = tuple[Claim, Made]


class Desk(Protocol):
    """One kind of work. `queue` is where its wake-ups go, `wakes` whose work its results make ready.

    A desk that `keeps_models` loses time where its next work asks for another one. Of results that come together
    it keeps `at_once` in one transaction.
    """

    @property
    def queue(self) -> str: ...

    @property
    def wakes(self) -> str | None: ...

    @property
    def table(self) -> Table: ...

    @property
    def keeps_models(self) -> bool: ...

    @property
    def at_once(self) -> int: ...

    def pins(self, recorded: Recorded, registry: Registry, settings: Settings) -> list[str]:
        """What this machine can do, as plans pin it; `recorded` are the hashes of models' files by card."""
        ...

    def load(self, connection: Connection, claims: Sequence[Claim]) -> list[dict[str, Any]]:
        """What the child needs to know of each claim."""
        ...

    def keep(
        self, connection: Connection, store: Storage, results: Sequence[Result], worker: uuid.UUID
    ) -> frozenset[int]:
        """Records up to `at_once` results; returns the ids of those that are: the claims of the others were lost.

        Raises:
            Infrastructure: a file left the store before it was recorded.
        """
        ...


class Preparing:
    """References made ready, on any processor."""

    queue = "cpu"
    wakes = "gpu"
    table: Table = "preparation"
    keeps_models = False
    # Each locks the images that wait for it.
    at_once = 1

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

    def keep(
        self, connection: Connection, store: Storage, results: Sequence[Result], worker: uuid.UUID
    ) -> frozenset[int]:
        ((claim, made),) = results
        _no_sweep(connection, store, [made.result["result"], made.result["mask"]])
        outcome = finish(connection, self.table, claim)
        if outcome != "done":
            return frozenset([claim.id] if outcome == "already" else [])
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
        return frozenset([claim.id])


class Making:
    """Images, where the models are."""

    queue = "gpu"
    wakes = None
    table: Table = "job"
    keeps_models = True
    at_once = 32

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

    def keep(
        self, connection: Connection, store: Storage, results: Sequence[Result], worker: uuid.UUID
    ) -> frozenset[int]:
        columns = {**_asset_columns(results), **_score_columns(results)}
        rows = connection.execute(_KEEP, {**columns, "worker": worker, "lock": SWEEP_LOCK}).all()
        done = {row.id for row in rows}
        _refuse_missing(store, [made.result["sha256"] for claim, made in results if claim.id in done])
        held_back = {claim.id for claim, made in results if HELD_BACK in made.result["facts"]}
        if judged := [row.id for row in rows if row.due or row.id in held_back]:
            gating.mark_made(connection, judged)
        rest = [claim for claim, _ in results if claim.id not in done]
        return frozenset(done | were_finished(connection, self.table, rest))


DESKS: Mapping[str, Desk] = {"cpu": Preparing(), "gpu": Making()}


def _asset_columns(results: Sequence[Result]) -> dict[str, list[Any]]:
    plain = ("sha256", "size", "width", "height", "media_type", "look")
    return {
        "jobs": [claim.id for claim, _ in results],
        "fences": [claim.fence for claim, _ in results],
        "facts": [to_json(made.result["facts"]) for _, made in results],
        "seconds": [made.seconds for _, made in results],
        **{name: [made.result[name] for _, made in results] for name in plain},
    }


def _score_columns(results: Sequence[Result]) -> dict[str, list[Any]]:
    scores = [(claim.id, *score) for claim, made in results for score in made.result["scores"]]
    columns: list[list[Any]] = [list(column) for column in zip(*scores, strict=True)] or [[] for _ in range(7)]
    scored, plugins, names, values, compared, higher, crops = columns
    return {
        "scored": scored,
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
    for sha256 in store.lacking([one for one in files if one is not None]):
        raise Infrastructure(f"file {sha256} left the store before it was recorded")


# The ends of the claims, their events, the images and their scores in one statement: one trip to the database. The
# lock keeps sweeps away until the commit; whether one was faster is looked at after it is held. `due` says whether
# gates wait for the image.
_KEEP = text("""
with unswept as materialized (
    select pg_advisory_xact_lock_shared(:lock)
), given as materialized (
    select * from unnest(
        cast(:jobs as bigint[]), cast(:fences as bigint[]), cast(:sha256 as text[]), cast(:size as bigint[]),
        cast(:width as integer[]), cast(:height as integer[]), cast(:media_type as text[]),
        cast(:facts as text[]), cast(:look as bigint[]), cast(:seconds as double precision[])
    ) as given (job_id, fence, sha256, size, width, height, media_type, facts, look, seconds)
), ours as materialized (
    select id, given.fence from job join given on job_id = id and given.fence = job.fence
    where state = 'leased' and exists (select 1 from unswept) order by id for no key update of job
), done as (
    update job set state = 'done', lease_until = null, error = null, changed_at = now()
    from ours where job.id = ours.id and job.fence = ours.fence and state = 'leased' returning job.id
), noted as (
    insert into event (kind, work_id, facts)
    select 'job.done', job_id, jsonb_build_object('fence', fence) from done join given on job_id = id
), kept as (
    insert into asset (job_id, sha256, size, width, height, media_type, facts, look, fence, worker, seconds)
    select job_id, sha256, size, width, height, media_type, cast(facts as jsonb), look, fence, :worker, seconds
    from done join given on job_id = id
    on conflict (job_id) do update set sha256 = excluded.sha256, size = excluded.size, facts = excluded.facts,
        look = excluded.look, fence = excluded.fence, worker = excluded.worker, seconds = excluded.seconds,
        made_at = now()
    where asset.fence < excluded.fence
    returning job_id
), scored as (
    insert into score (job_id, plugin, name, value, compared, higher_is_better, crop)
    select job_id, plugin, name, value, compared, higher, cast(crop as jsonb)
    from kept join unnest(
        cast(:scored as bigint[]), cast(:plugins as text[]), cast(:names as text[]),
        cast(:values as double precision[]), cast(:compared as text[]), cast(:higher as boolean[]),
        cast(:crops as text[])
    ) as told (job_id, plugin, name, value, compared, higher, crop) using (job_id)
    on conflict (job_id, plugin, name) do update set value = excluded.value, crop = excluded.crop
)
select id, exists (select 1 from item where job_id = done.id and gate = 'due') as due from done
""")
