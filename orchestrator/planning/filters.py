"""Planning: what templates do with values: empty cells, what is written for a value, filters, methods of texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.filters import FILTERS as JINJA
from jinja2.runtime import Undefined

MAX_LENGTH = 10_000
"""Characters of a template, and of what it makes."""


class TemplateMistake(Exception):
    """A template that can't be read, or can't be filled in for a row; the caller knows the place.

    `column` is the one whose cell is to blame, where that is known.
    """

    def __init__(self, what: str, mend: str, column: str | None = None) -> None:
        self.what, self.mend, self.column = what, mend, column
        super().__init__(f"{what}. {mend}")


class Blank(str):
    """An empty cell: an empty text that remembers its column, so that writing it out can be refused by name."""

    __slots__ = ("column",)
    column: str

    @classmethod
    def of(cls, column: str) -> Blank:
        blank = cls()
        blank.column = column
        return blank


def written(value: Any) -> Any:
    """What stands in the text for a value; empty cells are refused, for nobody wants 'a  on the beach'."""
    if isinstance(value, Blank):
        column = f"row.{value.column}" if value.column.isidentifier() else f'row["{value.column}"]'
        told = f"the cell in column {value.column!r} is empty"
        mend = f'Fill it, or write {{{{ {column} or "" }}}} where nothing will do'
        raise TemplateMistake(told, mend, value.column)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        raise TemplateMistake("a whole row can't be written out", "Name a column: {{ row.noun }}")
    return value


def _replace(value: Any, old: Any, new: Any) -> str:
    """Every `old` in `value` becomes `new`."""
    text = str(value)
    if len(text) + text.count(str(old)) * len(str(new)) > MAX_LENGTH:
        raise TemplateMistake("replace makes too long a text", f"{MAX_LENGTH} characters is the most")
    return text.replace(str(old), str(new))


def _join(values: Any, between: Any = "") -> str:
    """The values as one text, with `between` between them."""
    parts = [str(written(value)) for value in values]
    if sum(map(len, parts)) + len(parts) * len(str(between)) > MAX_LENGTH:
        raise TemplateMistake("join makes too long a text", f"{MAX_LENGTH} characters is the most")
    return str(between).join(parts)


def _split(value: Any, at: Any = None) -> list[str]:
    """The parts of a text between `at` (spaces when it is left out), without the spaces around them."""
    return [part.strip() for part in str(value).split(None if at is None else str(at))]


def _round(value: Any, digits: int = 0) -> float | int:
    """The number with so many digits after the point; a whole number when that is none."""
    number = round(float(value), max(0, min(int(digits), 15)))
    return number if digits else int(number)


def _default(value: Any, other: Any = "", falsy: bool = False) -> Any:
    """`other` for no such column or an empty cell; with `true`, for 0 and false too."""
    missing = isinstance(value, Undefined | Blank) or (falsy and not value)
    return other if missing else value


def _first(values: Any) -> Any:
    """The first part of a list, the first letter of a text."""
    return values[0]


def _last(values: Any) -> Any:
    """The last part of a list, the last letter of a text."""
    return values[-1]


def _unless_blank(filter_: Any) -> Callable[..., Any]:
    """An empty cell stays one whatever is done to it, so that `{{ row.noun | upper }}` is refused too."""
    return lambda value, *args, **named: value if isinstance(value, Blank) else filter_(value, *args, **named)


_TAKEN = ("abs", "capitalize", "float", "int", "lower", "title", "trim", "upper")
_OWN = {"first": _first, "join": _join, "last": _last, "replace": _replace, "round": _round, "split": _split}
FILTERS: dict[str, Callable[..., Any]] = {
    **{name: _unless_blank(JINJA[name]) for name in _TAKEN},
    **{name: _unless_blank(filter_) for name, filter_ in _OWN.items()},
    "d": _default,
    "default": _default,
    "length": len,
    "string": lambda value: str(written(value)),
}
METHODS = frozenset(
    ("capitalize", "endswith", "lower", "lstrip", "rstrip", "split", "startswith", "strip", "title", "upper")
)
