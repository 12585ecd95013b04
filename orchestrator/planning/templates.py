"""Planning: the templates of campaign files, a small part of Jinja in which nothing can run away.

What is left of Jinja are values, conditions, filters from a list and a few methods of texts. There are no
loops, no variables of one's own, no macros, no other files and no calls, so a template ends, in time bounded
by its length; and attributes are looked up in rows alone, so there is no way from a value into Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateAssertionError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from orchestrator.planning.filters import FILTERS, MAX_LENGTH, METHODS, Blank, TemplateMistake, written
from orchestrator.planning.findings import shown

__all__ = ["GAP", "MAX_LENGTH", "RESERVED", "ROW", "Template", "TemplateMistake", "cells", "read_template"]

ROW = "row"
RESERVED = frozenset(
    (ROW, "zip", "self", "true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is")
) | {"if", "elif", "else", "endif", "for", "set", "block"}

GAP = "\0"
"""Stands in `Template.literal` for what is filled in."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template, read and checked.

    Attributes:
        source: as written.
        columns: of the row that it names.
        required: those of them that it can't do without (`default` and `is defined` do without).
        names: everything else that it names: the parts of a variant.
        literal: its own words, with `GAP` for what is filled in.
        plain: true where nothing is filled in.
    """

    source: str
    columns: tuple[str, ...]
    required: tuple[str, ...]
    names: tuple[str, ...]
    literal: str
    plain: bool
    render: Callable[[Mapping[str, Any]], str]

    def fill(self, cells: Mapping[str, Any], variant: Mapping[str, Any]) -> str:
        """The text for one row and variant.

        Raises:
            TemplateMistake: an empty cell would be written, a value does not fit a filter, or too much came out.
        """
        if self.plain:
            return self.literal
        try:
            made = self.render({**variant, ROW: cells})
        except TemplateMistake:
            raise
        except (UndefinedError, SecurityError) as error:
            raise TemplateMistake(f"can't be filled in ({error})", "Mend the template or the row") from error
        except Exception as error:
            told = f"{type(error).__name__}: {shown(str(error))}"
            raise TemplateMistake(f"can't be filled in ({told})", "Mend the template or the row") from error
        if len(made) > MAX_LENGTH:
            raise TemplateMistake(f"makes {len(made)} characters", f"{MAX_LENGTH} is the most: say it shorter")
        return made


def cells(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row as templates see it: empty cells know their column."""
    if None not in data.values():
        return data
    return {name: Blank.of(name) if value is None else value for name, value in data.items()}


def read_template(source: str) -> Template:
    """Reads, checks and compiles a template.

    Raises:
        TemplateMistake: it is no template, or uses more of Jinja than there is here.
    """
    if len(source) > MAX_LENGTH:
        raise TemplateMistake(f"has {len(source)} characters", f"{MAX_LENGTH} is the most: say it shorter")
    try:
        tree = _environment().parse(source)
        _check(tree)
        compiled = _environment().from_string(tree)
        compiled.globals = {}
        columns, required, names, literal = _what_it_names(tree)
    except TemplateAssertionError as error:
        raise TemplateMistake(f"is no template ({error.message})", _THERE_ARE) from error
    except TemplateSyntaxError as error:
        raise TemplateMistake(f"is no template ({error.message})", "Mend the braces and what they hold") from error
    except TemplateMistake:
        raise
    except Exception as error:
        told = f"is no template ({type(error).__name__}: {shown(str(error))})"
        raise TemplateMistake(told, "Say it in a simpler way") from error
    return Template(source, columns, required, names, literal, GAP not in literal, compiled.render)


class _Environment(SandboxedEnvironment):
    """Jinja in which a dot after a row means a column and nothing else."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, Blank) and attribute in METHODS - {"endswith", "startswith"}:
            return lambda *_: obj
        if isinstance(obj, str) and attribute in METHODS:
            return super().getattr(obj, attribute)
        return self.undefined(f"{type(obj).__name__} {shown(obj)} has no {attribute!r}")

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping | str | list | tuple):
            try:
                return obj[argument]
            except (LookupError, TypeError, ValueError):
                pass
        return self.undefined(f"{shown(argument)} is not in {shown(obj)}")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        left, right = written(left), written(right)
        texts = isinstance(left, str) and isinstance(right, str) and operator == "+"
        if not texts and not (isinstance(left, int | float) and isinstance(right, int | float)):
            told = f"{shown(left)} {operator} {shown(right)} can't be worked out"
            raise TemplateMistake(told, "Texts are joined by ~, numbers are made from texts by | int")
        return super().call_binop(context, operator, left, right)


@cache
def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, finalize=written, cache_size=0, optimized=False)
    environment.globals.clear()
    environment.filters = dict(FILTERS)
    return environment


_WITHOUT = {"default", "d", "defined", "undefined"}

_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const),
    *(nodes.Slice, nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not),
    *(nodes.Compare, nodes.Operand, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv),
    *(nodes.Neg, nodes.Pos, nodes.List, nodes.Tuple, nodes.Keyword),
)
_IN_WORDS = {
    "For": "loops",
    "Assign": "variables of their own",
    "Include": "other files",
    "Import": "other files",
    "FromImport": "other files",
    "Extends": "other files",
    "Call": "functions",
    "Pow": "powers",
    "Mod": "remainders",
}


def _check(node: nodes.Node) -> None:
    """Refuses every node that is not on the list; what `~` joins is written out first, so no cell is empty."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Call):
            _check_call(child)
        elif not isinstance(child, _ALLOWED):
            kind = type(child).__name__
            raise TemplateMistake(f"templates here have no {_IN_WORDS.get(kind, kind.lower())}", _THERE_ARE)
        _check(child)
        if isinstance(child, nodes.Concat):
            child.nodes = [nodes.Filter(one, "string", [], [], None, None, lineno=1) for one in child.nodes]


def _check_call(call: nodes.Call) -> None:
    target = call.node
    if not isinstance(target, nodes.Getattr) or target.attr not in METHODS or call.dyn_args or call.dyn_kwargs:
        name = getattr(target, "attr", None) or getattr(target, "name", "that")
        raise TemplateMistake(f"{name!r} can't be called in a template", _THERE_ARE)


_THERE_ARE = f"There are {{{{ row.column }}}}, if, and these filters: {', '.join(sorted(FILTERS))}"


def _what_it_names(tree: nodes.Template) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]:
    columns: dict[str, None] = {}
    names: dict[str, None] = {}
    optional = set()
    for column, name, needed in _walk(tree, needed=True):
        if column is None:
            names[str(name)] = None
        else:
            columns[column] = None
            optional |= set() if needed else {column}
    parts = (part for output in tree.find_all(nodes.Output) for part in output.nodes)
    literal = "".join(part.data if isinstance(part, nodes.TemplateData) else GAP for part in parts)
    if any(True for _ in tree.find_all(nodes.If)):
        literal += GAP
    required = tuple(column for column in columns if column not in optional)
    return tuple(columns), required, tuple(names), literal


def _walk(node: nodes.Node, *, needed: bool) -> Iterator[tuple[str | None, str | None, bool]]:
    """Yields (column, None, needed) and (None, name, needed) for what stands below `node`."""
    if isinstance(node, nodes.Getattr) and _is_row(node.node):
        yield node.attr, None, needed
        return
    if isinstance(node, nodes.Getitem) and _is_row(node.node) and isinstance(node.arg, nodes.Const):
        yield str(node.arg.value), None, needed
        return
    if isinstance(node, nodes.Name) and node.name != ROW:
        yield None, node.name, needed
    without = isinstance(node, nodes.Filter | nodes.Test) and node.name in _WITHOUT
    for child in node.iter_child_nodes():
        first = without and child is getattr(node, "node", None)
        yield from _walk(child, needed=needed and not first)


def _is_row(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == ROW
