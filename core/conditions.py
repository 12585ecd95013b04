"""What a plugin declares when it offers a kind of condition.

A kind says how its references are prepared and which learned vectors their tokens get; it never touches
the model. How a kind prepares is a callable ON its type, so nobody writes `if kind == …`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from core.errors import Problem
from core.requests import DREAMO_ROLE, Method, Preparation, Role
from core.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For kinds that have nothing to choose."""


Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a preparer may know beside the picture and its options.

    Attributes:
        area: pixels that the prepared picture may have (the model card's reference area, cut to the kind's
            token budget).
        multiple: both sides are multiples of this.
        source: the file's name, for messages.
        method: the method pinned at plan time.
        models: folder of weights; nothing is fetched into it here.
        seed: for every random generator that is touched; derived from the reference's content.
        mask: `L`, of the picture's size, white where the thing is: the file that was given as its mask, if any.
    """

    area: int
    multiple: int
    source: str
    method: Method
    models: Path
    seed: int
    mask: Picture | None = None


def default_methods(settings: Settings) -> Sequence[Method]:
    """One method without weights, for kinds that have no choice."""
    return (Method("default"),)


@dataclass(frozen=True, kw_only=True)
class ConditionType(Generic[Options]):
    """A kind of reference.

    Attributes:
        name: what campaign files say (`kind: subject`); lower case, letters, digits, hyphens.
        title: one line for people.
        prepare: picture (upright sRGB, RGB or RGBA) → `Preparation`. A pure function of its arguments: same
            bytes in, same bytes out; raises `BadInput` for pictures that can't serve.
        options: a frozen dataclass; its fields become keys of campaign files and forms of the dashboard.
            A field's `help` stands in its metadata.
        methods: the ways of preparing that this machine can run, best first; the first is pinned at plan
            time unless the option `method` names another.
        prompt_prefix: words put before a prompt that uses the kind, once.
        role: the learned vectors of its tokens.
        tokens: at most so many tokens a reference (one is 16 x 16 pixels); None: the model card's area.
        per_request: at most so many references of this kind in one request.
        fidelity: names of the scores that say how well it was kept.
        by_mask: the method that is pinned where a mask's file comes along with a picture; `prepare` finds it in
            its workbench. None: the kind takes no masks.
    """

    name: str
    title: str
    prepare: Callable[[Picture, Options, Workbench], Preparation]
    options: type[Options] = NoOptions  # type: ignore[assignment]
    methods: Callable[[Settings], Sequence[Method]] = default_methods
    prompt_prefix: str = ""
    role: Role = DREAMO_ROLE
    tokens: int | None = None
    per_request: int = 9
    fidelity: tuple[str, ...] = ()
    by_mask: Method | None = None

    def read_options(self, given: Mapping[str, Any], where: str) -> tuple[Options | None, list[Problem]]:
        """Builds the options value; returns every mistake instead of raising, for reports of all at once."""
        assert is_dataclass(self.options)
        problems = []
        hints = get_type_hints(self.options)
        known = {one.name: one for one in fields(self.options)}
        for name in given.keys() - known.keys():
            offered = ", ".join(known) or "none"
            problems.append(
                Problem(f"{where}.{name}", f"kind {self.name!r} has no option {name!r}", f"It has: {offered}")
            )
        for name, one in known.items():
            if name in given and not _fits(given[name], hints[name]):
                wanted = _in_words(hints[name])
                problems.append(Problem(f"{where}.{name}", f"{given[name]!r} is not {wanted}", f"Give {wanted}"))
            elif name not in given and one.default is MISSING and one.default_factory is MISSING:
                problems.append(Problem(f"{where}.{name}", "this option is missing", "It has no default: set it"))
        if problems:
            return None, problems
        return self.options(**given), []


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin in (tuple, list):
        return isinstance(value, (tuple, list)) and all(_fits(part, get_args(hint)[0]) for part in value)
    return isinstance(value, hint)


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(value) for value in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_in_words(part) for part in get_args(hint))
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        type(None): "nothing",
    }
    return words.get(hint, getattr(hint, "__name__", str(hint)))
