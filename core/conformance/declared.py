"""Checks of what a plugin declares: hooks, names, options, methods.

A check yields a `Problem` for whatever is not as promised: where it stands, what it is, and the mend.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

from core.conditions import ConditionType
from core.conformance.trial import Trial
from core.errors import DreamlineError, PluginError, Problem
from core.hookspecs import Panel
from core.registry import GENERATION
from core.requests import Method, Role

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""How kinds and plugins are called."""


def hooks(trial: Trial) -> Iterator[Problem]:
    """Every hook returns what its specification says."""
    for one in trial.registry.kinds().values():
        if one.plugin == trial.plugin:
            yield from _kind_types(one.condition)
    implemented = trial.hooks()
    if "make_generator" in implemented and trial.plugin != GENERATION:
        yield from _generator_types(trial)
    if "review_panels" in implemented:
        for panel in trial.registry.panels():
            if not isinstance(panel, Panel) or not callable(panel.draw):
                yield Problem("review_panels", f"{panel!r} is no Panel that draws", "Return Panel(title, draw)")
    if "register_commands" in implemented:
        import click

        group = click.Group()
        trial.registry.add_commands(group)
        for name, command in group.commands.items():
            if not command.help:
                yield Problem(f"command {name}", "has no help", "Give its function a docstring")


def _kind_types(condition: ConditionType[Any]) -> Iterator[Problem]:
    wanted: dict[str, tuple[bool, str]] = {
        "title": (isinstance(condition.title, str) and condition.title.strip() != "", "one line for people"),
        "prepare": (callable(condition.prepare), "a function"),
        "options": (isinstance(condition.options, type) and is_dataclass(condition.options), "a dataclass"),
        "methods": (callable(condition.methods), "a function"),
        "prompt_prefix": (isinstance(condition.prompt_prefix, str), "text"),
        "role": (isinstance(condition.role, Role), "a Role"),
        "tokens": (condition.tokens is None or _positive(condition.tokens), "a whole number over 0, or None"),
        "per_request": (_positive(condition.per_request), "a whole number over 0"),
        "fidelity": (
            isinstance(condition.fidelity, tuple) and all(isinstance(one, str) for one in condition.fidelity),
            "a tuple of scores' names",
        ),
    }
    for name, (right, words) in wanted.items():
        if not right:
            value = getattr(condition, name)
            yield Problem(f"kind {condition.name}", f"{name} is {value!r}", f"Make it {words}")
    if isinstance(condition.role, Role):
        for base, file in condition.role.files.items():
            if not file.is_file():
                yield Problem(f"kind {condition.name}", f"role file {file} for {base} is missing", "Package it")


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _generator_types(trial: Trial) -> Iterator[Problem]:
    """A generator leaves cards that are not its own to others; whether its images are good is not tried."""
    foreign = replace(trial.card, generator="of-another-plugin")
    try:
        made = trial.registry.generator(foreign, trial.settings, "cpu")
    except PluginError:
        raise
    except DreamlineError:
        return
    mend = "Return None unless card.generator is the plugin's own"
    yield Problem("make_generator", f"takes a card of another generator ({made!r})", mend)


def names(trial: Trial) -> Iterator[Problem]:
    """Names can be written in campaign files and are nobody else's."""
    yield from _clashes(trial)
    for offer in trial.offers():
        name = offer.condition.name
        if not isinstance(name, str) or not NAME.fullmatch(name):
            mend = "Use lower-case letters, digits and single hyphens, a letter first"
            yield Problem(f"kind {name!r}", "is no name for campaign files", mend)
        if not offer.version:
            yield Problem(f"kind {name}", "its plugin has no version", 'Say __version__ = "1" in the module')


def _clashes(trial: Trial) -> Iterator[Problem]:
    """Kinds of the plugin that another installed one offers too; what others quarrel about is theirs."""
    if trial.beside is None:
        return
    try:
        trial.beside.kinds()
    except PluginError as error:
        if repr(trial.plugin) in str(error):
            yield Problem("condition_types", str(error), "Give the kind another name")


def options(trial: Trial) -> Iterator[Problem]:
    """Options are a frozen dataclass with help; defaults fit and survive JSON."""
    known = {one.name for offer in trial.offers() for one in fields(offer.condition.options)}
    for name in sorted((trial.options or {}).keys() - known):
        yield Problem(f"option {name}", "no kind of the plugin has it", f"They have: {', '.join(sorted(known))}")
    for offer in trial.offers():
        kind, options = offer.condition, offer.condition.options
        where = f"kind {kind.name}, options"
        if not options.__dataclass_params__.frozen:
            yield Problem(where, f"{options.__name__} can be changed", "Say @dataclass(frozen=True)")
        for one in fields(options):
            if not one.metadata.get("help"):
                yield Problem(f"{where}.{one.name}", "has no help", 'Say field(..., metadata={"help": "..."})')
        given = trial.reference(offer, b"").options
        read, problems = kind.read_options(given, where)
        yield from problems
        try:
            again, problems = kind.read_options(json.loads(json.dumps(given)), where)
        except TypeError as error:
            yield Problem(where, f"can't be written as JSON ({error})", "Use numbers, texts and lists")
            continue
        yield from problems
        if read is not None and again is not None and _json(read) != _json(again):
            yield Problem(where, f"{read!r} comes back from JSON as {again!r}", "Use types that JSON has")


def methods(trial: Trial) -> Iterator[Problem]:
    """A kind has a method on this machine, each with a name and a version of its own."""
    for offer in trial.offers():
        where, found = f"kind {offer.condition.name}, methods", offer.condition.methods(trial.settings)
        if not isinstance(found, Sequence) or not all(isinstance(one, Method) for one in found):
            yield Problem(where, f"{found!r} is no sequence of Method", 'Return (Method("name", "1"),)')
        elif not found:
            yield Problem(where, "there is none here", "Offer one that needs no weights")
        elif len({one.name for one in found}) < len(found):
            yield Problem(where, "two have one name", "Give each its own")
        elif not all(one.name and one.version for one in found):
            yield Problem(where, "one has no name or no version", 'Say Method("name", "1")')


def _json(options: Any) -> str:
    return json.dumps(asdict(options), sort_keys=True)
