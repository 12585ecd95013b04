"""Checks of a finished image: made end to end on dreamo-mini, with the plugin's reference and its scores.

A check yields a `Problem` for whatever is not as promised: where it stands, what it is, and the mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from core.asking import make_request
from core.conformance.trial import Trial
from core.conformance.watching import watch
from core.errors import Problem
from core.registry import Offer, Registry
from core.requests import Image, Preparation, Request


def image(trial: Trial) -> Iterator[Problem]:
    """An image is made end to end on dreamo-mini and scored, twice alike."""
    offers: Sequence[Offer | None] = [one for one in trial.offers() if trial.makes(one)]
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
        yield from _hold_problems(trial, made)


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
        found = trial.registry.scores(trial.plugin, made, prepared, trial.settings)
    for one in found:
        if not one.name or not one.compared:
            yield Problem("score_image", f"{one!r} does not say what it compared", "Fill in name and compared")
        if one.crop is not None and not _is_crop(one.crop):
            mend = "Give left, top, right, bottom from 0 to 1, or None"
            yield Problem("score_image", f"{one.crop!r} is no part of an image", mend)
    if len({one.name for one in found}) < len(found):
        yield Problem("score_image", "two scores have one name", "Add the reference's name after a colon")
    if trial.registry.scores(trial.plugin, made, prepared, trial.settings) != found:
        yield Problem("score_image", "one image has two scores", "Make it a pure function")
    if made.picture.tobytes() != before:
        yield Problem("score_image", "draws into the image", "Work on image.picture.copy()")
    for deed in seen.deeds:
        yield Problem("score_image", deed, "Use the image and its request alone")


def _hold_problems(trial: Trial, made: Image) -> Iterator[Problem]:
    """A plugin that may hold images back answers with words or None, and does not fail."""
    if "hold_back" not in trial.hooks():
        return
    with watch() as seen:
        held = trial.registry.manager.hook.hold_back(image=made, request=made.request, settings=trial.settings)
    for one in held:
        if not isinstance(one, str) or not one.strip():
            yield Problem("hold_back", f"{one!r} is no reason", "Return words, or None")
    for deed in seen.deeds:
        yield Problem("hold_back", deed, "Use the image and its request alone")


def _is_crop(crop: tuple[float, ...]) -> bool:
    if len(crop) != 4:
        return False
    left, top, right, bottom = crop
    return 0 <= left < right <= 1 and 0 <= top < bottom <= 1
