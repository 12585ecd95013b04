"""Checks of a finished image: made end to end on dreamo-mini, with the plugin's reference and its scores.

A check yields a `Problem` for whatever is not as promised: where it stands, what it is, and the mend.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from core.asking import make_request
from core.conformance.trial import Trial
from core.conformance.watching import watch
from core.errors import Problem
from core.registry import Offer, Registry
from core.requests import Image, Preparation, Request, Score


def image(trial: Trial) -> Iterator[Problem]:
    """An image is made end to end on dreamo-mini and scored, twice alike."""
    offers: Sequence[Offer | None] = trial.offers()
    for offer in offers or [None]:
        where = f"kind {offer.condition.name}" if offer else "an image without references"
        request, prepared = _request(trial, offer)
        asked, _ = trial.registry.change_request(request)
        if trial.registry.change_request(request)[0] != asked:
            yield Problem("before_generate", "changes one request in two ways", "Make it a pure function")
        own = Registry(_without_generators(trial))
        (made,) = own.generator(trial.card, trial.settings, "cpu").generate([asked], [prepared])
        if made.picture.size != (asked.width, asked.height):
            yield Problem(where, f"its image has {made.picture.size} pixels", "Leave the request's size")
        yield from _score_problems(trial, made, prepared)


def _request(trial: Trial, offer: Offer | None) -> tuple[Request, list[Preparation]]:
    card, references, prepared = trial.card, [], []
    if offer is not None:
        data = trial.sample(offer)
        references, prepared = [trial.reference(offer, data)], [trial.prepare(offer, data)]
    kinds = {one.condition.name: one.condition for one in trial.offers()}
    side, prompt = card.sides[0], "a picture of [it]" if offer else "a picture"
    return make_request(card, kinds, prompt, references, width=side, height=side, seed=1), prepared


def _without_generators(trial: Trial) -> Any:
    """A manager with dreamline's generators alone: the image is dreamo-mini's, whatever the plugin brings."""
    import pluggy

    from core import hookspecs
    from core.generation import builtin

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(builtin)
    return manager


def _score_problems(trial: Trial, made: Image, prepared: Sequence[Preparation]) -> Iterator[Problem]:
    before = made.picture.tobytes()
    with watch() as seen:
        found = trial.registry.scores(made, prepared)
    for _, one in found:
        if not isinstance(one, Score) or not isinstance(one.value, (int, float)) or not math.isfinite(one.value):
            yield Problem("score_image", f"{one!r} is no Score with a finite number", "Leave such scores out")
        elif not one.name or not one.compared:
            yield Problem("score_image", f"{one!r} does not say what it compared", "Fill in name and compared")
    if trial.registry.scores(made, prepared) != found:
        yield Problem("score_image", "one image has two scores", "Make it a pure function")
    if made.picture.tobytes() != before:
        yield Problem("score_image", "draws into the image", "Work on image.picture.copy()")
    for deed in seen.deeds:
        yield Problem("score_image", deed, "Use the image and its request alone")
