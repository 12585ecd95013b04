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
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from core import registry
from core.cards import ModelCard, load_card
from core.errors import Infrastructure, PluginError, Stopped
from core.hookspecs import Generator
from core.recipes import encode_image
from core.requests import DREAMO_ROLE, Image, Preparation, Reference, Request, Score
from core.scoring.hashes import look
from core.settings import Settings
from orchestrator import logs
from orchestrator.previews import Previews
from orchestrator.records.gates import HELD_BACK
from orchestrator.records.plain_json import plain
from orchestrator.records.storage import Storage, open_storage
from orchestrator.working.messages import Batch, Doing, Drop, Failed, Finished, Made, Ready
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
        self._unasked: Mapping[str, str] = {}

    def serve(self) -> None:
        """Batch after batch; ends when the wire does."""
        self._wire.send(Ready())
        while True:
            try:
                message = self._wire.recv()
            except EOFError:
                return
            if isinstance(message, Batch):
                self._dropped, self._unasked = set(), message.unasked
                with logs.about(**message.about):
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
                with logs.about(preparation=payload["id"]):
                    result = self._prepare_one(payload["id"], payload["spec"])
            except Exception as error:
                log.debug("preparation %s failed", payload["id"], exc_info=True)
                self._wire.send(Failed(payload["id"], describe(error)))
            else:
                self._wire.send(Made(payload["id"], result, time.monotonic() - began))

    def _prepare_one(self, work: int, spec: Mapping[str, Any]) -> dict[str, Any]:
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
        self._wire.send(Doing(f"plugin {plugin!r} prepared {source}", plugin, work))
        prepared = prepare_reference(data, reference, offer.condition, card, self._settings, mask)
        self._wire.send(Doing(f"the worker kept what was made of {source}"))
        label = f"preparation-{reference.kind}"
        return {
            "result": self._store.put(_png(prepared.picture), label),
            "mask": self._store.put(_png(prepared.mask), label) if prepared.mask is not None else None,
            "warnings": plain(prepared.warnings),
            "facts": plain({**prepared.facts, "width": prepared.picture.width, "height": prepared.picture.height}),
        }

    def _make(self, payloads: Sequence[Mapping[str, Any]]) -> None:
        waiting = list(payloads)
        try:
            for image, references, seconds in self._images(payloads):
                payload = waiting.pop(0)
                if payload["id"] not in self._dropped:
                    with logs.about(job=payload["id"]):
                        self._wire.send(self._keep(payload, image, references, seconds))
                self._wire.send(self._making(waiting, image.request.model))
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
        self._wire.send(self._making(payloads, requests[0].model))
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
        """The image's file, then its scores: no scorer can change or lose an image that was made."""
        held = {}
        for plugin in self._registry.guards():
            self._wire.send(
                Doing(f"plugin {plugin!r} looked whether to hold the image back", plugin, payload["id"])
            )
            if reason := self._registry.hold_back(plugin, image, self._settings):
                held[plugin] = reason
        self._wire.send(Doing("the worker kept the image"))
        try:
            data = encode_image(image)
            sha256 = self._store.put(data, f"job-{payload['id']}-{payload['fence']}")
            self._previews.make(sha256, image.picture)
            result = {
                "sha256": sha256,
                "size": len(data),
                "width": image.picture.width,
                "height": image.picture.height,
                "media_type": "image/png",
                "facts": plain({**image.facts, **({HELD_BACK: held} if held else {})}),
                "look": look(image.picture),
                "scores": [],
            }
        except Exception as error:
            return Failed(payload["id"], describe(error))
        return self._score(Made(payload["id"], result, seconds), image, references)

    def _score(self, made: Made, image: Image, references: Sequence[Preparation]) -> Made:
        """Adds what plugins make of an image; the image is kept without the scores of those that fail.

        Before each plugin the supervisor gets what there is, in which that plugin and the later ones are
        recorded as unscored: that is kept if the plugin never comes back.
        """
        scores: list[tuple[Any, ...]] = []
        unscored = dict(self._unasked)
        asked = [one for one in self._registry.scorers() if one not in unscored]
        for k, plugin in enumerate(asked):
            lost = dict.fromkeys(asked[k:], f"not asked, since plugin {plugin!r} ended the process")
            so_far = _with_scores(made, scores, {**unscored, **lost})
            self._wire.send(Doing(f"plugin {plugin!r} scored the image", plugin, made.id, so_far))
            try:
                found = self._registry.scores(plugin, image, references, self._settings)
                scores += [_as_values(plugin, one) for one in found]
            except Exception as error:
                log.warning("%s", error)
                unscored[plugin] = str(error)
        return _with_scores(made, scores, unscored)

    def _open(self, prepared: Mapping[str, Any]) -> Preparation:
        from PIL import Image as PillowImage

        mask = prepared["mask"]
        kind = self._registry.kinds(sound=True).get(prepared["kind"])
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

    def _making(self, waiting: Sequence[Mapping[str, Any]], model: str) -> Doing:
        """That the generator is at work on these; where it is one alone, on that one."""
        (generator,) = self._generators.values()
        what = {0: "ended its batch", 1: "made it"}.get(len(waiting), f"made {len(waiting)} images")
        alone = waiting[0]["id"] if len(waiting) == 1 else None
        return Doing(f"generator {generator.id} {what} with {model}", id=alone)

    def _listen(self) -> None:
        while self._wire.poll():
            message = self._wire.recv()
            if isinstance(message, Drop):
                self._dropped |= message.ids


def _with_scores(made: Made, scores: Sequence[tuple[Any, ...]], unscored: Mapping[str, str]) -> Made:
    facts = {**made.result["facts"], **({"unscored": dict(unscored)} if unscored else {})}
    return replace(made, result={**made.result, "scores": list(scores), "facts": facts})


def _as_values(plugin: str, score: Score) -> tuple[Any, ...]:
    """A score as it is recorded: values of Python's own, whatever numbers a plugin counts with."""
    crop = tuple(float(side) for side in score.crop) if score.crop else None
    return (
        plugin,
        str(score.name),
        float(score.value),
        str(score.compared),
        bool(score.higher_is_better),
        crop,
    )


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
    logs.set_up(settings)
    Child(wire, settings).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
