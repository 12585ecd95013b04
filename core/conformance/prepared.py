"""Checks of what a kind's preparer does: with pictures that it takes, with odd ones, twice, and to the rest.

A check yields a `Problem` for whatever is not as promised: where it stands, what it is, and the mend.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from core.cards import ModelCard
from core.conformance.pictures import ODD, large
from core.conformance.trial import NothingTaken, Trial
from core.conformance.watching import empty_folder, measure, watch
from core.errors import BadInput, DreamlineError, Problem
from core.preparing import prepare_reference, workbench
from core.registry import Offer
from core.requests import Preparation

AREAS = (16 * 16, 48 * 48, 512 * 512)
"""Reference areas of models, from the least that a card may say."""

SECONDS = 15.0
LARGE_SECONDS = 60.0
MEGABYTES = 2500
"""Generous limits: for a picture of 320 x 320 pixels, and for one of 8000 x 8000 (192 MB as RGB)."""


def prepares(trial: Trial) -> Iterator[Problem]:
    """A picture that the kind takes comes out right, for every area and method."""
    for offer in trial.offers():
        where = f"kind {offer.condition.name}"
        try:
            data = trial.sample(offer)
        except NothingTaken as error:
            mend = "Name one that it takes: --picture FILE, or picture= in a test"
            yield Problem(where, f"takes no sample picture ({error})", mend)
            continue
        for area in AREAS:
            yield from _only_refuses(trial, offer, data, where, replace(trial.card, reference_area=area))
        for method in offer.condition.methods(trial.settings):
            reference = replace(trial.reference(offer, data), method=method)
            try:
                made = prepare_reference(data, reference, offer.condition, trial.card, trial.settings)
            except BadInput:
                continue
            yield from _plain_data(made, f"{where}, method {method.name}")


def _plain_data(made: Preparation, where: str) -> Iterator[Problem]:
    if not isinstance(made.warnings, tuple) or not all(isinstance(one, str) for one in made.warnings):
        yield Problem(where, f"warnings are {made.warnings!r}", "Make them a tuple of texts")
    try:
        same = json.loads(json.dumps(dict(made.facts), allow_nan=False)) == dict(made.facts)
    except (TypeError, ValueError):
        same = False
    if not same:
        yield Problem(where, f"facts are {made.facts!r}", "Use JSON values: numbers, texts, lists, dicts")


def repeats(trial: Trial) -> Iterator[Problem]:
    """The same bytes come out again, also after random generators have moved."""
    for offer in trial.offers():
        data, outcomes = trial.sample(offer), []
        for seed in (1, 1, 2):
            with _dice(seed):
                outcomes.append(_told(trial.prepare(offer, data)))
        where = f"kind {offer.condition.name}"
        if outcomes[0] != outcomes[1]:
            yield Problem(where, "the same picture came out differently", "Make prepare a pure function")
        elif outcomes[0] != outcomes[2]:
            mend = "Seed every generator with bench.seed (random.Random, numpy's default_rng, cv2.setRNGSeed)"
            yield Problem(where, "what comes out hangs on the global random generators", mend)


@contextlib.contextmanager
def _dice(seed: int) -> Iterator[None]:
    """Sets the global generators of random, numpy and OpenCV; puts back those whose state can be read."""
    import random

    import cv2
    import numpy as np

    kept, numpys = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed)
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(numpys)


def _told(made: Preparation) -> tuple[Any, ...]:
    mask = made.mask.tobytes() if made.mask is not None else b""
    return made.picture.size, made.picture.tobytes(), mask, made.warnings, _json(dict(made.facts))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def digest(trial: Trial) -> str:
    """sha256 of what comes out of the samples: another process has to come to the same.

    Raises:
        NothingTaken: a kind takes no sample.
    """
    outcomes = [_told(trial.prepare(offer, trial.sample(offer))) for offer in trial.offers()]
    return hashlib.sha256(repr(outcomes).encode()).hexdigest()


def pure(trial: Trial) -> Iterator[Problem]:
    """Preparing changes nothing else: no file, no connection, no process, not even its own picture."""
    from core.images import read_picture

    for offer in trial.offers():
        condition, where = offer.condition, f"kind {offer.condition.name}"
        with empty_folder() as folder:
            data = trial.sample(offer)
            left = sorted(path.name for path in folder.rglob("*"))
        reference = trial.reference(offer, data)
        settled, problems = condition.read_options(reference.options, where)
        BadInput.gather(problems)
        picture = read_picture(data, "picture.png")
        before = picture.mode, picture.size, picture.tobytes()
        with watch() as seen:
            bench = workbench(reference, condition, trial.card, replace(trial.settings, models=seen.models), "")
            condition.prepare(picture, settled, replace(bench, source="picture.png"))
        if (picture.mode, picture.size, picture.tobytes()) != before:
            yield Problem(where, "draws into the picture that it was given", "Work on picture.copy()")
        for deed in seen.deeds or [f"leaves the file {one!r} behind" for one in left]:
            yield Problem(where, f"preparing {deed}", "Use the picture, the options and the workbench alone")


def odd_pictures(trial: Trial) -> Iterator[Problem]:
    """Whatever people bring is prepared within the contract, or refused with the mend."""
    for offer in trial.offers():
        for what, draw in ODD.items():
            yield from _only_refuses(trial, offer, draw(), f"kind {offer.condition.name}, {what}")


def odd_options(trial: Trial) -> Iterator[Problem]:
    """Whatever an option's type allows is taken or refused with the mend."""
    for offer in trial.offers():
        data = trial.sample(offer)
        for name, hint in get_type_hints(offer.condition.options).items():
            for value in _edges(hint):
                where = f"kind {offer.condition.name}, {name}: {value!r}"
                yield from _only_refuses(trial, offer, data, where, **{name: value})


def _edges(hint: Any) -> list[Any]:
    """Values of a type that plugins tend to forget."""
    edges: dict[Any, list[Any]] = {
        bool: [False, True],
        int: [-1, 0, 1, 10**9],
        float: [-1.0, 0, 1.0, 1e9, math.nan, math.inf],
        str: ["", " ", "nonsense", "ñ\u0000", "9" * 1000],
    }
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    parts = [edge for part in get_args(hint) for edge in _edges(part)] if get_origin(hint) is not tuple else []
    return edges.get(hint, parts)


def _only_refuses(
    trial: Trial, offer: Offer, data: bytes, where: str, card: ModelCard | None = None, **options: Any
) -> Iterator[Problem]:
    """Prepares; only `BadInput` that says where, what and the mend may come out."""
    try:
        made = trial.prepare(offer, data, card, **options)
    except BadInput as error:
        if not error.problems or not all(one.where and one.what and one.mend for one in error.problems):
            yield Problem(where, "is refused without a reason or a mend", "BadInput.at(where, what, mend)")
    except DreamlineError as error:
        mend = "Stay within the contract, or raise BadInput.at(bench.source, what, mend)"
        yield Problem(where, str(error).removeprefix(f"plugin {trial.plugin!r}: "), mend)
    else:
        yield from _plain_data(made, where)


def limits(trial: Trial) -> Iterator[Problem]:
    """Preparing stays within time and memory, also for 8000 x 8000 pixels."""
    for offer in trial.offers():
        for what, data, most in (("a sample", trial.sample(offer), SECONDS), ("8000 px", large(), LARGE_SECONDS)):
            where = f"kind {offer.condition.name}, {what}"
            with measure() as cost, contextlib.suppress(BadInput):
                trial.prepare(offer, data)
            if cost.seconds > most:
                told = f"took {cost.seconds:.1f} s, {most:.0f} s are the most"
                yield Problem(where, told, "Resize to bench.area before costly work")
            if cost.grown > MEGABYTES * 10**6:
                told = f"took {cost.grown / 1e6:.0f} MB, {MEGABYTES} MB are the most"
                yield Problem(where, told, "Resize to bench.area before costly work")
