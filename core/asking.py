"""From what a person says to values: a reference pinned to its method, a request with the card's defaults in.

What a model can't make is found here, before anything is prepared or loaded.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core import prompts
from core.cards import ModelCard
from core.conditions import ConditionType
from core.errors import Problem
from core.registry import Offer
from core.requests import Method, Reference, Request
from core.settings import Settings


def make_reference(
    name: str,
    data: bytes,
    source: str,
    offer: Offer,
    options: Mapping[str, Any],
    settings: Settings,
    where: str,
    mask: bytes | None = None,
) -> tuple[Reference | None, list[Problem]]:
    """A reference with its options filled in and its method pinned, or what is wrong with it.

    Args:
        name: how the prompt names it.
        data: the bytes of the picture's file.
        source: the file's name.
        offer: its kind.
        options: as given; the kind's defaults fill the rest.
        settings: what this machine can do.
        where: of the options, for messages.
        mask: the bytes of its mask's file.
    """
    condition = offer.condition
    filled, problems = condition.read_options(options, where)
    if filled is None:
        return None, problems
    told = asdict(filled)
    sha256 = hashlib.sha256(data).hexdigest()
    if mask is not None:
        problem = mask_problem(condition, told.get("method"), where)
        if problem is not None:
            return None, [problem]
        assert condition.by_mask is not None
        masked = hashlib.sha256(mask).hexdigest()
        return Reference(name, condition.name, sha256, source, told, offer.pin, condition.by_mask, masked), []
    method = pick_method(condition, told.get("method"), settings)
    if method is None:
        offered = ", ".join(one.name for one in condition.methods(settings)) or "none"
        text = f"{told.get('method')!r} is no method of {condition.name} on this machine"
        return None, [Problem(f"{where}.method", text, f"Here: {offered}")]
    return Reference(name, condition.name, sha256, source, told, offer.pin, method), []


def mask_problem(condition: ConditionType[Any], method: Any, where: str) -> Problem | None:
    """What keeps a reference from having a mask's file; None where it may have one."""
    if condition.by_mask is None:
        return Problem(where, f"kind {condition.name} takes no mask", "Leave the mask out")
    if method not in (None, "", "auto", condition.by_mask.name):
        mend = "Leave the mask or the method out"
        return Problem(f"{where}.method", f"{method!r} does not look at the mask that was given", mend)
    return None


def pick_method(condition: ConditionType[Any], wanted: str | None, settings: Settings) -> Method | None:
    """The method of that name; the best one where none is named (or `auto`); None where there is no such."""
    return choose_method(condition.methods(settings), wanted)


def choose_method(methods: Sequence[Method], wanted: Any) -> Method | None:
    """The method of that name; the first where nobody chooses (nothing, or `auto`)."""
    if wanted in (None, "", "auto"):
        return next(iter(methods), None)
    return next((method for method in methods if method.name == wanted), None)


def make_request(
    card: ModelCard,
    kinds: Mapping[str, ConditionType[Any]],
    prompt: str,
    references: Sequence[Reference],
    *,
    width: int,
    height: int,
    seed: int,
    **changes: Any,
) -> Request:
    """A request with the prompt in DreamO's words and the card's defaults, but for `changes`.

    `[name]` becomes `[ref#k]`, and what kinds put before prompts is put there; names have been checked with
    `core.prompts.problems`. A change to None leaves the card's default.
    """
    placed = prompts.place(prompt, [reference.name for reference in references])
    defaults = {name: getattr(card, name) for name in FROM_CARD}
    return Request(
        model=card.name,
        prompt=prompts.with_prefixes(placed, [kinds[one.kind].prompt_prefix for one in references]),
        references=tuple(references),
        width=width,
        height=height,
        seed=seed,
        **(defaults | {name: value for name, value in changes.items() if value is not None}),
    )


FROM_CARD = (
    "steps",
    "guidance",
    "first_step_guidance",
    "true_cfg",
    "true_cfg_start",
    "true_cfg_end",
    "negative_guidance",
)
"""Fields of a request whose defaults stand on the model card."""


def size_problems(card: ModelCard, width: int, height: int, where: str) -> Iterator[Problem]:
    """Sides that the card can't make; sides outside the published range are no problem, see `size_notice`."""
    for name, side in (("width", width), ("height", height)):
        if side <= 0 or side % card.grid:
            below = max(card.grid, side // card.grid * card.grid)
            near = f"{below} or {below + card.grid}"
            yield Problem(where, f"{name} {side} is off the grid", f"Say a multiple of {card.grid}, like {near}")
        elif side > LARGEST:
            yield Problem(where, f"{name} {side} is too large", f"Sides have at most {LARGEST} pixels")


LARGEST = 4096
"""Pixels along a side: past this a slip of the pen is likelier than a wish."""


def size_notice(card: ModelCard, width: int, height: int) -> str:
    """What to tell about a size outside the range that the model's authors publish; empty inside it."""
    low, high = card.sides
    if low <= min(width, height) and max(width, height) <= high:
        return ""
    return f"{width}x{height} lies outside the sides that {card.name} was published for ({low}-{high} pixels)"


def combination_problems(
    card: ModelCard, kinds: Mapping[str, ConditionType[Any]], used: Sequence[str], where: str
) -> Iterator[Problem]:
    """Kinds, one for each reference, that the model does not take together."""
    if used and card.generator == "dreamo" and not card.embeddings:
        yield Problem(where, f"{card.name} has no embeddings and takes no references", "Name another model")
    elif len(used) > card.max_references:
        yield Problem(where, f"{len(used)} references are too many", f"{card.name} takes {card.max_references}")
    for kind, count in Counter(used).items():
        roles = kinds[kind].role.files if kind in kinds else {}
        if roles and card.generator == "dreamo" and card.base_name not in roles:
            text = f"kind {kind} has no role for the base {card.base_name or card.name!r} of {card.name}"
            mend = f"It has roles for {', '.join(roles)}: name such a model; `dreamline train kind` learns another"
            yield Problem(where, text, mend)
        if kind in card.alone and len(used) > 1:
            text = f"{card.name} takes a {kind} reference only by itself"
            yield Problem(where, text, "Leave out the other references, or name another model")
        if kind in kinds and count > kinds[kind].per_request:
            most = kinds[kind].per_request
            yield Problem(where, f"{count} references are of kind {kind}", f"It takes {most} in one request")
