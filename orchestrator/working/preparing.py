"""Working: references made ready by the plugins of their kinds, one after the other."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Mapping
from typing import Any

from core.cards import ModelCard
from core.errors import Infrastructure, PluginError
from core.registry import Registry
from core.requests import Reference
from core.settings import Settings
from orchestrator import logs
from orchestrator.records.plain_json import plain
from orchestrator.records.storage import Storage
from orchestrator.working.inbox import Inbox
from orchestrator.working.messages import Batch, Begun, Doing, Failed, Finished, Made
from orchestrator.working.retries import describe

log = logging.getLogger("dreamline.child")


class Preparer:
    """The role of a process that prepares."""

    def __init__(self, inbox: Inbox, settings: Settings, registry: Registry, store: Storage) -> None:
        self._inbox = inbox
        self._settings = settings
        self._registry = registry
        self._store = store

    def serve(self) -> None:
        """See `orchestrator.working.child.Role`."""
        while (batch := self._inbox.next()) is not None:
            if isinstance(batch, Batch):
                self._inbox.send(Begun(batch.number))
                with logs.about(**batch.about):
                    for payload in batch.payloads:
                        self._answer(payload)
                self._inbox.send(Finished(batch.number))

    def _answer(self, payload: Mapping[str, Any]) -> None:
        began = time.monotonic()
        self._inbox.listen()
        if not self._inbox.wanted(payload["id"]):
            return
        try:
            with logs.about(preparation=payload["id"]):
                result = self._prepare(payload["id"], payload["spec"])
        except Exception as error:
            log.debug("preparation %s failed", payload["id"], exc_info=True)
            self._inbox.send(Failed(payload["id"], describe(error)))
        else:
            self._inbox.send(Made(payload["id"], result, time.monotonic() - began))

    def _prepare(self, work: int, spec: Mapping[str, Any]) -> dict[str, Any]:
        from core.preparing import prepare_reference

        given = {key: value for key, value in spec.items() if key not in ("area", "grid", "model")}
        reference = Reference.from_dict(given)
        plugin, source = reference.plugin.split(" ")[0], reference.source or reference.name
        offer = self._registry.kinds(sound=True).get(reference.kind)
        if offer is None:
            mend = "Install it again, then `dreamline campaign retry`"
            raise PluginError(plugin, f"its kind {reference.kind!r} is gone. {mend}")
        if offer.pin != reference.plugin:
            raise Infrastructure(
                f"planned with plugin {reference.plugin}, here is {offer.pin}: restart the worker"
            )
        card = ModelCard(
            name=spec["model"], title="", generator="", reference_area=spec["area"], grid=spec["grid"]
        )
        data = self._store.get(reference.sha256)
        mask = self._store.get(reference.mask) if reference.mask else None
        self._inbox.send(Doing(f"plugin {plugin!r} prepared {source}", plugin, work))
        prepared = prepare_reference(data, reference, offer.condition, card, self._settings, mask)
        self._inbox.send(Doing(f"the worker kept what was made of {source}"))
        label = f"preparation-{reference.kind}"
        return {
            "result": self._store.put(_png(prepared.picture), label),
            "mask": self._store.put(_png(prepared.mask), label) if prepared.mask is not None else None,
            "warnings": plain(prepared.warnings),
            "facts": plain({**prepared.facts, "width": prepared.picture.width, "height": prepared.picture.height}),
        }


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=3)
    return file.getvalue()
