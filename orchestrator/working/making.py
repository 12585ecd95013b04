"""Working: images made, batch after batch, with as little as possible between two batches.

The generator has the main thread. One thread beside it opens the references of the batch that comes next, another
writes finished images into the store: neither runs a plugin's code. The loaded model stays from batch to batch.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from core.cards import load_card
from core.errors import Infrastructure, PluginError, Stopped
from core.hookspecs import Generator
from core.recipes import encode_image
from core.registry import Registry
from core.requests import Image, Preparation, Request
from core.settings import Settings
from orchestrator import logs
from orchestrator.records.plain_json import plain
from orchestrator.records.storage import Storage
from orchestrator.working.inbox import Inbox
from orchestrator.working.messages import Batch, Begun, Doing, Failed, Finished, Soon, Stored
from orchestrator.working.references import open_references
from orchestrator.working.retries import describe

log = logging.getLogger("dreamline.child")

LEAD = 2.0
"""Seconds before the end of a batch at which the next one is asked for: long enough for a slow database and store,
short enough that a worker doesn't hoard what another one could begin."""

MOST_UNSAVED = 16
"""Images in memory that wait to be written before the generator has to wait for the store."""

Payload = Mapping[str, Any]


@dataclass(slots=True)
class Stopwatch:
    """Seconds that the generator was at work and that it waited between two batches, since they were last told."""

    busy: float = 0.0
    idle: float = 0.0
    ended: float | None = None

    def begin(self, *, follows: bool) -> None:
        """A batch begins; the wait before it counts where it could have come at once."""
        if follows and self.ended is not None:
            self.idle += time.monotonic() - self.ended

    def tell(self, number: int) -> Finished:
        """What is told at the end of a batch; counts from nothing again."""
        told = Finished(number, self.busy, self.idle)
        self.busy = self.idle = 0.0
        return told


class Maker:
    """The role of a process that makes images."""

    def __init__(self, inbox: Inbox, settings: Settings, registry: Registry, store: Storage) -> None:
        self._inbox = inbox
        self._settings = settings
        self._registry = registry
        self._store = store
        self._generators: dict[str, Generator] = {}
        self._fetcher = ThreadPoolExecutor(1, "fetch")
        self._saver = ThreadPoolExecutor(1, "save")
        self._fetched: dict[tuple[int, int], Future[list[Preparation]]] = {}
        self._unsaved: deque[Future[None]] = deque()
        self._waiting: list[Payload] = []
        self._watch = Stopwatch()
        self._told_soon = 0

    def serve(self) -> None:
        """See `orchestrator.working.child.Role`."""
        while (batch := self._inbox.next()) is not None:
            if isinstance(batch, Batch):
                self._inbox.send(Begun(batch.number))
                self._fetch(batch)
                with logs.about(**batch.about):
                    log.debug("makes %d images", len(batch.payloads))
                    self._make(batch)
                # After the last image was saved; the next batch need not wait for that.
                self._saver.submit(self._inbox.send, self._watch.tell(batch.number))

    def _fetch(self, batch: Batch) -> None:
        for payload in batch.payloads:
            key = batch.number, payload["id"]
            if key not in self._fetched:
                self._fetched[key] = self._fetcher.submit(open_references, self._store, self._registry, payload)

    def _opened(self, batch: Batch) -> list[tuple[Payload, list[Preparation]]]:
        """The payloads that can be made, with their references; one whose references can't be read fails alone."""
        found = []
        for payload in batch.payloads:
            try:
                found.append((payload, self._fetched.pop((batch.number, payload["id"])).result()))
            except Exception as error:
                self._inbox.send(Failed(payload["id"], describe(error)))
        self._fetched = {key: one for key, one in self._fetched.items() if key[0] > batch.number}
        return found

    def _make(self, batch: Batch) -> None:
        opened = self._opened(batch)
        self._waiting = waiting = [payload for payload, _ in opened]
        if not waiting:
            return
        try:
            for image, seconds in self._images(batch, opened):
                payload = waiting.pop(0)
                if self._inbox.wanted(payload["id"]):
                    self._save_later(payload, image, seconds)
                self._inbox.send(self._making(waiting, image.request.model))
                if len(waiting) == 1:
                    self._tell_soon(batch)
            if waiting:
                raise PluginError("generation", f"{len(waiting)} of {len(opened)} images were not made")
        except Stopped:
            return
        except Exception as error:
            log.debug("batch failed", exc_info=True)
            together = tuple(payload["id"] for payload in waiting)
            for work in together:
                self._inbox.send(Failed(work, describe(error), together))
        finally:
            self._watch.ended = time.monotonic()

    def _images(
        self, batch: Batch, opened: Sequence[tuple[Payload, list[Preparation]]]
    ) -> Iterator[tuple[Image, float]]:
        """Each image with the seconds since the one before.

        Raises:
            PluginError: the generator gave an image of another request than was due.
        """
        requests = [Request.from_dict(payload["request"]) for payload, _ in opened]
        generator = self._generator(opened[0][0]["pin"], requests[0].model)
        self._inbox.send(self._making([payload for payload, _ in opened], requests[0].model))
        self._watch.begin(follows=batch.follows)
        began = time.monotonic()

        def on_step(step: int, steps: int) -> None:
            for coming in self._inbox.listen():
                if isinstance(coming, Batch):
                    self._fetch(coming)
            if (time.monotonic() - began) / max(step, 1) * (steps - step) < LEAD:
                self._tell_soon(batch)
            if not any(self._inbox.wanted(payload["id"]) for payload in self._waiting):
                raise Stopped("nothing of this batch is wanted any more")

        images = iter(generator.generate(requests, [prepared for _, prepared in opened], on_step))
        for request in requests:
            since = time.monotonic()
            try:
                image = next(images, None)
            finally:
                self._watch.busy += time.monotonic() - since
            if image is None:
                return
            if image.request != request:
                raise PluginError("generation", f"{generator.id} gave an image of another request than was due")
            yield image, time.monotonic() - since

    def _tell_soon(self, batch: Batch) -> None:
        if self._told_soon != batch.number:
            self._told_soon = batch.number
            self._inbox.send(Soon(batch.number))

    def _save_later(self, payload: Payload, image: Image, seconds: float) -> None:
        self._unsaved.append(self._saver.submit(self._save, payload, image, seconds, logs.known()))
        while self._unsaved and (self._unsaved[0].done() or len(self._unsaved) > MOST_UNSAVED):
            self._unsaved.popleft().result()

    def _save(self, payload: Payload, image: Image, seconds: float, about: Mapping[str, Any]) -> None:
        with logs.about(**{**about, "job": payload["id"]}):
            try:
                data = encode_image(image)
                stored = {
                    "sha256": self._store.put(data, f"job-{payload['id']}-{payload['fence']}"),
                    "size": len(data),
                    "width": image.picture.width,
                    "height": image.picture.height,
                    "media_type": "image/png",
                    "facts": plain(image.facts),
                }
            except Exception as error:
                log.debug("image %s could not be kept", payload["id"], exc_info=True)
                self._inbox.send(Failed(payload["id"], describe(error)))
            else:
                self._inbox.send(Stored(payload["id"], stored, seconds))

    def _generator(self, pin: str, model: str) -> Generator:
        """The generator of a pin: when the card or its files change, so does the pin, and it is built anew."""
        if pin not in self._generators:
            card = load_card(model, self._settings)
            generator = self._registry.generator(card, self._settings, self._settings.device)
            if f" {generator.id} " not in pin:
                raise Infrastructure(f"planned for {pin!r}, here is {generator.id}: restart the worker")
            self._generators = {pin: generator}
        return self._generators[pin]

    def _making(self, waiting: Sequence[Payload], model: str) -> Doing:
        """That the generator is at work on these; where it is one alone, on that one."""
        (generator,) = self._generators.values()
        what = {0: "ended its batch", 1: "made it"}.get(len(waiting), f"made {len(waiting)} images")
        alone = waiting[0]["id"] if len(waiting) == 1 else None
        return Doing(f"generator {generator.id} {what} with {model}", id=alone)
