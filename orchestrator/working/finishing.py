"""Working: what is done to an image once it is in the store: previews, guards and scores.

In a process of its own beside the one that makes images: whatever a plugin does to it, the loaded model stays, and
the next image does not wait.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.registry import Registry
from core.requests import Image, Preparation, Request, Score
from core.scoring.hashes import look
from core.settings import Settings
from orchestrator import logs
from orchestrator.previews import Previews
from orchestrator.records.gates import HELD_BACK
from orchestrator.records.storage import Storage
from orchestrator.working.inbox import Inbox
from orchestrator.working.messages import Doing, Failed, Finish, Made
from orchestrator.working.references import open_references
from orchestrator.working.retries import describe

log = logging.getLogger("dreamline.child")


class Finisher:
    """The role of a process that looks at images."""

    def __init__(self, inbox: Inbox, settings: Settings, registry: Registry, store: Storage) -> None:
        self._inbox = inbox
        self._settings = settings
        self._registry = registry
        self._store = store
        self._previews = Previews(settings, store)

    def serve(self) -> None:
        """See `orchestrator.working.child.Role`."""
        while (message := self._inbox.next()) is not None:
            if isinstance(message, Finish):
                with logs.about(**{**message.about, "jobs": None, "job": message.payload["id"]}):
                    self._inbox.send(self._finish(message))

    def _finish(self, message: Finish) -> Made | Failed:
        """The image as it is recorded: no scorer can change or lose it."""
        work = message.payload["id"]
        try:
            image, references = self._open(message)
            held = self._ask_guards(work, image)
            self._inbox.send(Doing("the worker made previews of the image", id=work))
            self._previews.make(message.stored["sha256"], image.picture)
            facts = {**message.stored["facts"], **({HELD_BACK: held} if held else {})}
            result = {**message.stored, "facts": facts, "look": look(image.picture), "scores": []}
        except Exception as error:
            log.debug("image %s could not be finished", work, exc_info=True)
            return Failed(work, describe(error))
        return self._score(Made(work, result, message.seconds), image, references, message.unasked)

    def _open(self, message: Finish) -> tuple[Image, list[Preparation]]:
        from PIL import Image as PillowImage

        self._inbox.send(Doing("the worker opened the image", id=message.payload["id"]))
        picture = PillowImage.open(io.BytesIO(self._store.get(message.stored["sha256"]))).convert("RGB")
        request = Request.from_dict(message.payload["request"])
        references = open_references(self._store, self._registry, message.payload)
        return Image(picture, request, message.stored["facts"]), references

    def _ask_guards(self, work: int, image: Image) -> dict[str, str]:
        held = {}
        for plugin in self._registry.guards():
            self._inbox.send(Doing(f"plugin {plugin!r} looked whether to hold the image back", plugin, work))
            if reason := self._registry.hold_back(plugin, image, self._settings):
                held[plugin] = reason
        return held

    def _score(
        self, made: Made, image: Image, references: Sequence[Preparation], unasked: Mapping[str, str]
    ) -> Made:
        """Adds what plugins make of an image; the image is kept without the scores of those that fail.

        Before each plugin the supervisor gets what there is, in which that plugin and the later ones are
        recorded as unscored: that is kept if the plugin never comes back.
        """
        scores: list[tuple[Any, ...]] = []
        unscored = dict(unasked)
        asked = [one for one in self._registry.scorers() if one not in unscored]
        for k, plugin in enumerate(asked):
            lost = dict.fromkeys(asked[k:], f"not asked, since plugin {plugin!r} ended the process")
            so_far = _with_scores(made, scores, {**unscored, **lost})
            self._inbox.send(Doing(f"plugin {plugin!r} scored the image", plugin, made.id, so_far))
            try:
                found = self._registry.scores(plugin, image, references, self._settings)
                scores += [_as_values(plugin, one) for one in found]
            except Exception as error:
                log.warning("%s", error)
                unscored[plugin] = str(error)
        return _with_scores(made, scores, unscored)


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
