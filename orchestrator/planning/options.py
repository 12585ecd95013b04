"""Planning: the options of one reference, held against its kind, and the method that they choose."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.asking import choose_method
from core.errors import DreamlineError, PluginError, Problem
from core.registry import Offer
from core.requests import Method
from core.settings import Settings
from orchestrator.planning.document import scalar
from orchestrator.planning.findings import shown, suggest

METHOD = "method"
"""The option that chooses among a kind's methods; every kind has it, whether its options name it or not."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Options with all defaults filled in, as JSON values, and the method; or what is wrong with them.

    A problem's `where` is the name of the option.
    """

    options: Mapping[str, Any]
    method: Method
    problems: tuple[Problem, ...] = ()


def methods_of(offer: Offer, settings: Settings) -> Sequence[Method]:
    """The ways of preparing that this machine has for a kind, best first.

    Raises:
        PluginError: the plugin raised.
    """
    try:
        return offer.condition.methods(settings)
    except DreamlineError:
        raise
    except Exception as error:
        told = f"methods of kind {offer.condition.name!r} raised {type(error).__name__}: {error}"
        raise PluginError(offer.plugin, told) from error


def settle(offer: Offer, methods: Sequence[Method], given: Mapping[str, Any], texts: Collection[str]) -> Settled:
    """Builds the options and pins the method.

    Args:
        offer: the kind and its plugin.
        methods: as `methods_of` tells them.
        given: the options by name, templates filled in.
        texts: names of options that came out of a template: a text there may stand for a number.
    """
    condition = offer.condition
    has_method = METHOD in {one.name for one in fields(condition.options)}
    asked = {name: value for name, value in given.items() if has_method or name != METHOD}
    value: Any
    value, problems = condition.read_options(asked, "")
    meant = {name: scalar(asked[name]) for name in map(_name, problems) if name in texts and name in asked}
    if meant:
        value, problems = condition.read_options({**asked, **meant}, "")
    found = [Problem(_name(one), one.what, one.mend) for one in problems]
    default = getattr(value, METHOD, None) if has_method else None
    method = choose_method(methods, given.get(METHOD, default))
    if method is None:
        found.append(_no_method(condition.name, given.get(METHOD, default), methods))
    if found or method is None:
        return Settled({}, Method("none"), tuple(found))
    return Settled(json.loads(json.dumps(asdict(value), default=str)), method)


def _name(problem: Problem) -> str:
    return problem.where.removeprefix(".")


def _no_method(kind: str, asked: Any, methods: Sequence[Method]) -> Problem:
    names = [method.name for method in methods]
    if not names:
        mend = "dreamline plugins tells of kinds; docs/conditions.md of what each needs"
        return Problem("", f"nothing on this machine can prepare kind {kind!r}", mend)
    return Problem(
        METHOD, f"kind {kind!r} has no method {shown(asked)} here", suggest(str(asked), names, "Methods")
    )
