"""Working: the process in which plugins and models run. It holds no lease and writes no row.

Started by its supervisor as `python -m orchestrator.working.child FD`, so that no library meets a forked
process, and killed without harm at any moment: files go to the store under a name of their own first. The
loaded model stays from batch to batch.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from core import registry
from core.cards import ModelCard, load_card
from core.errors import DreamlineError, Infrastructure, PluginError, Stopped
from core.hookspecs import Generator
from core.recipes import encode_image
from core.requests import DREAMO_ROLE, Image, Preparation, Reference, Request
from core.settings import Settings
from orchestrator.previews import Previews, look
from orchestrator.records.storage import Storage, open_storage
from orchestrator.working.messages import Batch, Drop, Failed, Finished, Made, Ready
from orchestrator.working.retries import describe

log = logging.getLogger("dreamline.child")


class Child:
    """Answers batches until its supervisor is gone."""

    def __init__(self, wire: Connection, settings: Settings) -> None:
        self._wire = wire
        self._settings = settings
        self._registry = registry.load(settings)
        self._store: Storage = open_storage(settings.store_url)
        self._previews = Previews(settings, self._store)
        self._generators: dict[str, Generator] = {}
        self._dropped: set[int] = set()

    def serve(self) -> None:
        """Batch after batch; ends when the wire does."""
        self._wire.send(Ready())
        while True:
            try:
                message = self._wire.recv()
            except EOFError:
                return
            if isinstance(message, Batch):
                self._dropped = set()
                if message.table == "preparation":
                    self._prepare(message.payloads)
                else:
                    self._make(message.payloads)
                self._wire.send(Finished())

    def _prepare(self, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            began = time.monotonic()
            self._listen()
            if payload["id"] in self._dropped:
                continue
            try:
                result = self._prepare_one(payload["spec"])
            except Exception as error:
                log.debug("preparation %s failed", payload["id"], exc_info=True)
                self._wire.send(Failed(payload["id"], describe(error)))
            else:
                self._wire.send(Made(payload["id"], result, time.monotonic() - began))

    def _prepare_one(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        from core.preparing import prepare_reference

        given = {key: value for key, value in spec.items() if key not in ("area", "grid", "model")}
        reference = Reference.from_dict(given)
        offer = self._registry.kinds().get(reference.kind)
        if offer is None:
            raise PluginError(reference.plugin.split(" ")[0], f"its kind {reference.kind!r} is gone")
        if offer.pin != reference.plugin:
            raise Infrastructure(
                f"planned with plugin {reference.plugin}, here is {offer.pin}: restart the worker"
            )
        card = ModelCard(
            name=spec["model"], title="", generator="", reference_area=spec["area"], grid=spec["grid"]
        )
        data = self._store.get(reference.sha256)
        mask = self._store.get(reference.mask) if reference.mask else None
        prepared = prepare_reference(data, reference, offer.condition, card, self._settings, mask)
        label = f"preparation-{reference.kind}"
        return {
            "result": self._store.put(_png(prepared.picture), label),
            "mask": self._store.put(_png(prepared.mask), label) if prepared.mask is not None else None,
            "warnings": list(prepared.warnings),
            "facts": {**prepared.facts, "width": prepared.picture.width, "height": prepared.picture.height},
        }

    def _make(self, payloads: Sequence[Mapping[str, Any]]) -> None:
        waiting = list(payloads)
        try:
            for image, references, seconds in self._images(payloads):
                payload = waiting.pop(0)
                if payload["id"] not in self._dropped:
                    self._wire.send(self._keep(payload, image, references, seconds))
            if waiting:
                raise PluginError("generation", f"{len(waiting)} of {len(payloads)} images were not made")
        except Stopped:
            return
        except Exception as error:
            log.debug("batch failed", exc_info=True)
            for payload in waiting:
                self._wire.send(Failed(payload["id"], describe(error), shared=len(payloads) > 1))

    def _images(
        self, payloads: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[Image, Sequence[Preparation], float]]:
        requests = [Request.from_dict(payload["request"]) for payload in payloads]
        prepared = [[self._open(one) for one in payload["references"]] for payload in payloads]
        generator = self._generator(payloads[0]["pin"], requests[0].model)
        began = time.monotonic()
        wanted = {payload["id"] for payload in payloads}

        def on_step(step: int, steps: int) -> None:
            self._listen()
            if wanted <= self._dropped:
                raise Stopped("nothing of this batch is wanted any more")

        for references, image in zip(prepared, generator.generate(requests, prepared, on_step), strict=False):
            yield image, references, time.monotonic() - began
            began = time.monotonic()

    def _keep(
        self, payload: Mapping[str, Any], image: Image, references: Sequence[Preparation], seconds: float
    ) -> Made | Failed:
        scores, unscored = self._score(image, references)
        try:
            data = encode_image(image)
            sha256 = self._store.put(data, f"job-{payload['id']}-{payload['fence']}")
            self._previews.make(sha256, image.picture)
        except Exception as error:
            return Failed(payload["id"], describe(error))
        result = {
            "sha256": sha256,
            "size": len(data),
            "width": image.picture.width,
            "height": image.picture.height,
            "media_type": "image/png",
            "facts": {**image.facts, **({"unscored": unscored} if unscored else {})},
            "look": look(image.picture),
            "scores": scores,
        }
        return Made(payload["id"], result, seconds)

    def _score(
        self, image: Image, references: Sequence[Preparation]
    ) -> tuple[list[tuple[Any, ...]], dict[str, str]]:
        """What plugins make of an image; and of those that failed, why: the image is kept without their scores."""
        scores, unscored = [], {}
        for plugin in self._registry.scorers():
            try:
                found = self._registry.scores(plugin, image, references, self._settings)
            except DreamlineError as error:
                log.warning("%s", error)
                unscored[plugin] = str(error)
            else:
                scores += [
                    (plugin, one.name, one.value, one.compared, one.higher_is_better, one.crop) for one in found
                ]
        return scores, unscored

    def _open(self, prepared: Mapping[str, Any]) -> Preparation:
        from PIL import Image as PillowImage

        mask = prepared["mask"]
        kind = self._registry.kinds().get(prepared["kind"])
        return Preparation(
            picture=PillowImage.open(io.BytesIO(self._store.get(prepared["result"]))).convert("RGB"),
            mask=PillowImage.open(io.BytesIO(self._store.get(mask))).convert("L") if mask else None,
            role=kind.condition.role if kind is not None else DREAMO_ROLE,
        )

    def _generator(self, pin: str, model: str) -> Generator:
        """The generator of a pin: when the card or its files change, so does the pin, and it is built anew."""
        if pin not in self._generators:
            card = load_card(model, self._settings)
            generator = self._registry.generator(card, self._settings, self._settings.device)
            if f" {generator.id} " not in pin:
                raise Infrastructure(f"planned for {pin!r}, here is {generator.id}: restart the worker")
            self._generators = {pin: generator}
        return self._generators[pin]

    def _listen(self) -> None:
        while self._wire.poll():
            message = self._wire.recv()
            if isinstance(message, Drop):
                self._dropped |= message.ids


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=3)
    return file.getvalue()


def _die_with(parent: int) -> None:
    """Ends this process when its supervisor is gone, also in the middle of a long step."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main(arguments: Sequence[str]) -> None:
    """The wire is the file descriptor named by the only argument; what is printed goes to standard error."""
    wire = Connection(int(arguments[0]))
    os.dup2(2, 1)
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    settings = Settings.from_env()
    logging.basicConfig(level=settings.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    Child(wire, settings).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
