"""Recipes as JSON: the way back from `recipe.json`, and single values changed by name.

Both go through one reader, which holds every value against the recipe's own annotations.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import BadInput, Problem
from core.training.recipes import NewBase, Recipe
from core.training.shipped_recipes import RECIPES
from core.training.world.truth import WORLDS

FILE = "recipe.json"


def named_recipe(name: str) -> Recipe:
    """A shipped recipe.

    Raises:
        BadInput: none is called so.
    """
    if name not in RECIPES:
        raise BadInput.at("RECIPE", f"there is no recipe {name!r}", f"Recipes: {', '.join(RECIPES)}")
    return RECIPES[name]()


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """As JSON would give it back."""
    told: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return told


def recipe_from(told: Any, where: str = FILE) -> Recipe:
    """The recipe that `plain_recipe` tells of.

    Args:
        told: what JSON gave.
        where: names the source in messages.

    Raises:
        BadInput: naming each value that no recipe can have.
    """
    recipe: Recipe = _read(Recipe, told, where)
    BadInput.gather(_problems(recipe, where))
    return recipe


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run's folder began with.

    Raises:
        BadInput: the folder holds no run, or its recipe can't be read.
    """
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mend = "Name the folder of a run: `dreamline train run` makes one"
        raise BadInput.at(str(path), f"can't be read ({error.strerror})", mend) from error
    except ValueError as error:
        raise BadInput.at(str(path), f"is not JSON ({error})", "Begin the run again in an empty folder") from error
    return recipe_from(told, str(path))


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with `key=value` changes, in order.

    A key is the path of a value: `batch`, `base.transformer.heads`, `stages.full.rate` (a stage by its name, or
    `*` for all). A value is JSON; what is no JSON is text.

    Raises:
        BadInput: naming the change whose key or value no recipe can have.
    """
    for change in changes:
        where, told = f"option --set {change}", plain_recipe(recipe)
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise BadInput.at(where, "has no key and value", "Say key=value, as in --set batch=8")
        _put(told, key.split("."), _value(text), where)
        recipe = recipe_from(told, where)
    return recipe


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(told: Any, path: Sequence[str], value: Any, where: str) -> None:
    """Puts a value at its place; a list of stages is entered by their names."""
    key, rest = path[0], path[1:]
    if isinstance(told, list):
        names = [one["name"] for one in told if isinstance(one, dict) and "name" in one]
        chosen = [one for one in told if isinstance(one, dict) and key in ("*", one.get("name"))]
        if not chosen or not rest:
            raise BadInput.at(where, f"{key!r} leads nowhere", f"Here are: {', '.join((*names, '*'))}")
        for one in chosen:
            _put(one, rest, copy.deepcopy(value), where)
    elif not isinstance(told, dict) or key not in told:
        known = ", ".join(told) if isinstance(told, dict) else "no further values"
        raise BadInput.at(where, f"there is no {key!r} here", f"Here are: {known}")
    elif rest:
        _put(told[key], rest, value, where)
    else:
        told[key] = value


def _read(hint: Any, value: Any, where: str) -> Any:
    """The value as the annotation wants it."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _read_fields(hint, value, where)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _read_union(typing.get_args(hint), value, where)
    if typing.get_origin(hint) is tuple:
        return _read_tuple(typing.get_args(hint), value, where)
    if typing.get_origin(hint) is typing.Literal:
        offered = typing.get_args(hint)
        if value not in offered:
            raise BadInput.at(where, f"{value!r} can't be chosen", f"Say {', '.join(map(str, offered))}")
        return value
    # JSON writes whole numbers without a point, and True is an int to Python.
    fits = isinstance(value, (int, float) if hint is float else hint) and isinstance(value, bool) == (hint is bool)
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise BadInput.at(where, f"{value!r} is of the wrong type", f"Give {_NAMES[hint]}")
    return value


_NAMES: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _read_fields(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise BadInput.at(where, f"{value!r} is no object", f"Give the values of {kind.__name__} by name")
    hints = typing.get_type_hints(kind)
    wanted = {
        one.name: one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        for one in dataclasses.fields(kind)
    }
    problems = [
        Problem(f"{where}, key {key}", "has no meaning", f"Known are: {', '.join(wanted)}")
        for key in value
        if key not in wanted
    ]
    problems += [
        Problem(f"{where}, key {key}", "is missing", "A recipe can't be without it")
        for key, needed in wanted.items()
        if needed and key not in value
    ]
    found = {}
    for key in wanted.keys() & value.keys():
        try:
            found[key] = _read(hints[key], value[key], f"{where}, key {key}")
        except BadInput as error:
            problems.extend(error.problems)
    BadInput.gather(problems)
    return kind(**found)


def _read_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    """None where it is offered; of several classes the one whose fields the value names."""
    if value is None and types.NoneType in choices:
        return None
    choices = tuple(one for one in choices if one is not types.NoneType)
    if isinstance(value, dict):
        for one in choices:
            names = {field.name for field in dataclasses.fields(one)} if dataclasses.is_dataclass(one) else set()
            if value.keys() <= names:
                return _read(one, value, where)
    return _read(choices[0], value, where)


def _read_tuple(parts: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise BadInput.at(where, f"{value!r} is no list", "Give a list in brackets")
    if parts[-1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise BadInput.at(where, f"{value!r} has {len(value)} values", f"Give {len(parts)}")
    given = enumerate(zip(parts, value, strict=True), start=1)
    return tuple(_read(part, one, f"{where}, value {number}") for number, (part, one) in given)


def _problems(recipe: Recipe, where: str) -> Iterator[Problem]:
    """What no value shows by its type."""
    if (recipe.minutes is None) == (recipe.steps is None):
        yield Problem(where, "a run has a length in minutes or in steps", "Give one of them, the other null")
    for name in ("minutes", "steps", "batch", "together", "pool", "rank", "checkpoint_minutes", "clip"):
        if (number := getattr(recipe, name)) is not None and number <= 0:
            yield Problem(f"{where}, key {name}", f"{number!r} is too little", "Give more than 0")
    if recipe.drawers < 0:
        yield Problem(f"{where}, key drawers", f"{recipe.drawers!r} is too little", "Give 0 or more")
    if any(share <= 0 for _, share in recipe.data) or sum(share for _, share in recipe.data) > 1 + 1e-9:
        told = ", ".join(f"{path} {share:g}" for path, share in recipe.data)
        yield Problem(f"{where}, key data", f"the shares of {told} can't be", "Give shares over 0, of 1 at most")
    if recipe.world not in WORLDS:
        yield Problem(f"{where}, key world", f"{recipe.world!r} is no world", f"Known are: {', '.join(WORLDS)}")
    for stage in recipe.stages:
        key = f"{where}, key stages.{stage.name}"
        if stage.trains in ("words", "everything") and not isinstance(recipe.base, NewBase):
            mend = "Train the adapter, or give the shape of a base of your own"
            yield Problem(f"{key}.trains", f"{stage.trains!r} would write over a base that was given", mend)
        if not 0 <= stage.alone < 1 or (stage.alone and stage.trains != "everything"):
            mend = "Give 0; in a stage of everything, less than 1"
            yield Problem(f"{key}.alone", f"{stage.alone!r} does not go with {stage.trains!r}", mend)
    if len({stage.name for stage in recipe.stages}) < len(recipe.stages) or not recipe.stages:
        yield Problem(f"{where}, key stages", "two have one name, or there is none", "Name each stage once")
    for side in (side for size, _ in (*recipe.canvases, *recipe.references) for side in size):
        if side <= 0 or side % 16:
            yield Problem(where, f"a side of {side} pixels can't be drawn", "Give multiples of 16")
