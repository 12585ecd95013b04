"""Planning: a campaign's structured prompt on top of the creative briefs that it uses, file upon file.

Whoever is nearer to the campaign goes before what lies below, section by section and value by value; within one
file the override for a market goes before the rest of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput
from orchestrator.planning.brief_file import (
    CreativeBrief,
    Section,
    Sections,
    StructuredPrompt,
    Value,
    Variable,
    read_brief_file,
)
from orchestrator.planning.document import Document, Place
from orchestrator.planning.findings import Findings, nearest, suggest
from orchestrator.planning.pictures import LEADS_OUT, leads_out
from orchestrator.planning.templates import RESERVED

MARKET = "market"
MOST = 8
"""Creative briefs upon each other."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One file's part of a prompt.

    Attributes:
        document: the file.
        place: of the prompt in it; empty in a creative brief.
        says: what it says.
        variables: those that its templates may name: its own and those of the briefs below.
    """

    document: Document
    place: Place
    says: StructuredPrompt
    variables: Mapping[str, Variable]

    def where(self, *keys: str | int) -> str:
        """The place of a key in words."""
        return self.document.where(*self.place, *keys)

    def own(self) -> Mapping[str, Variable]:
        """The variables that it declares itself."""
        return self.says.variables if isinstance(self.says, CreativeBrief) else {}

    def defaults(self) -> dict[str, Said]:
        """The values that its variables have where nobody gives one."""
        return {
            name: Said(self, (*self.place, "variables", name, "default"), one.default)
            for name, one in self.own().items()
            if one.default is not None
        }

    def parts(self, market: str | None = None) -> Iterator[tuple[Place, Sections]]:
        """What it says to everyone, then what it says to one market; to all of them where None is given."""
        yield self.place, self.says
        for name, part in self.says.markets.items():
            if market is None or name == market:
                yield (*self.place, "markets", name), part


@dataclass(frozen=True, slots=True)
class Said:
    """A section, or the value of a variable, as one layer says it at a place."""

    layer: Layer
    place: Place
    told: Section | Value

    def texts(self) -> Iterator[tuple[Place, str]]:
        """Its texts, each with its place."""
        if isinstance(self.told, str):
            yield self.place, self.told
        elif isinstance(self.told, list):
            yield from (((*self.place, index), text) for index, text in enumerate(self.told))


@dataclass(frozen=True, slots=True)
class Resolved:
    """What all layers together say to one market: sections and values of variables, by name."""

    sections: Mapping[str, Said]
    values: Mapping[str, Said]


def resolve(layers: Sequence[Layer], market: str) -> Resolved:
    """Lays the layers upon each other, the lowest first; an empty market is none."""
    sections: dict[str, Said] = {}
    values: dict[str, Said] = {}
    for layer in layers:
        values.update(layer.defaults())
        for place, part in layer.parts(market):
            sections.update({name: Said(layer, (*place, name), told) for name, told in part.said().items()})
            values.update({name: Said(layer, (*place, "set", name), told) for name, told in part.set.items()})
    return Resolved(sections, values)


def everything(layers: Sequence[Layer]) -> Iterator[Said]:
    """Every section and value that any layer says to anyone, those that another goes before among them."""
    for layer in layers:
        yield from layer.defaults().values()
        for place, part in layer.parts():
            yield from (Said(layer, (*place, name), told) for name, told in part.said().items())
            yield from (Said(layer, (*place, "set", name), told) for name, told in part.set.items())


def markets_of(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The markets that any layer has an override for."""
    return tuple(dict.fromkeys(market for layer in layers for market in layer.says.markets))


def read_layers(
    document: Document, place: Place, says: StructuredPrompt, findings: Findings, within: Path | None = None
) -> tuple[Layer, ...] | None:
    """Reads the creative briefs below a structured prompt, the lowest first.

    Args:
        document: the file with the prompt.
        place: of the prompt in it.
        says: the prompt.
        findings: takes all mistakes.
        within: the folder that no brief may lie out of, if there is one.

    Returns:
        All layers, the prompt's own as the last; None, with the mistakes noted, when one can't be used.
    """
    chain: list[tuple[Document, Place, StructuredPrompt]] = [(document, place, says)]
    while chain[-1][2].use is not None:
        below = _read_below(chain, findings, within)
        if below is None:
            return None
        chain.append(below)
    layers: list[Layer] = []
    variables: Mapping[str, Variable] = {}
    for one, at, told in reversed(chain):
        own = told.variables if isinstance(told, CreativeBrief) else {}
        variables = {**variables, **own}
        layers.append(Layer(one, at, told, variables))
    known = [_knows(layer, findings) for layer in layers]
    return tuple(layers) if all(known) else None


def _read_below(
    chain: Sequence[tuple[Document, Place, StructuredPrompt]], findings: Findings, within: Path | None
) -> tuple[Document, Place, StructuredPrompt] | None:
    """The creative brief that the last of the chain uses."""
    document, place, says = chain[-1]
    where, path = document.where(*place, "use"), document.path.parent / str(says.use)
    paths = [one.path.resolve() for one, _, _ in chain]
    if leads_out(path, within):
        findings.add(where, f"{says.use} {LEADS_OUT}", "Upload the creative brief along with it")
    elif (problem := _no_file(path)) is not None:
        findings.add(where, *problem)
    elif path.resolve() in paths:
        circle = " → ".join(one.name for one in (*paths[paths.index(path.resolve()) :], path))
        findings.add(where, f"the files use each other in a circle: {circle}", "Take use: out of one of them")
    elif len(chain) > MOST:
        findings.add(where, f"more than {MOST} creative briefs lie upon each other", "Put some of them together")
    else:
        try:
            below, brief = read_brief_file(path, findings)
        except BadInput as error:
            for one in error.problems:
                findings.include(one)
            return None
        return None if brief is None else (below, (), brief)
    return None


def _no_file(path: Path) -> tuple[str, str] | None:
    """What is wrong with the path of a creative brief, and the mend; None where it is a file."""
    try:
        if path.is_file():
            return None
        names = sorted(one.name for one in path.parent.iterdir() if one.suffix in (".yaml", ".yml", ".json"))
    except (OSError, ValueError):
        names = []
    close = nearest(path.name, names)
    here = f"{path.parent} holds {', '.join(names[:5])}" if names else "It is looked for beside this file"
    return f"there is no file {path}", f"Did you mean {close!r}?" if close else f"Check the path: {here}"


def _knows(layer: Layer, findings: Findings) -> bool:
    """Whether the layer's variables can have their names, and its values belong to variables."""
    before = len(findings)
    for name in layer.own():
        if name in RESERVED or name == MARKET:
            mend = "Give a name that means nothing else in templates"
            findings.add(layer.where("variables", name), f"{name!r} can't be a name here", mend)
    for place, part in layer.parts():
        for name in part.set:
            if name not in layer.variables:
                mend = suggest(name, layer.variables, "Variables")
                if not layer.variables:
                    mend = "Variables are declared in a creative brief: say use: FILE, or write the text itself"
                where = layer.document.where(*place, "set", name)
                findings.add(where, f"no creative brief here has a variable {name!r}", mend)
    return len(findings) == before
