"""Planning: structured prompts, written for every row and variant: sections of several files as one text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.planning.campaign_file import Told
from orchestrator.planning.document import Place
from orchestrator.planning.findings import suggest
from orchestrator.planning.layers import MARKET, Layer, Resolved, Said, everything, markets_of, resolve
from orchestrator.planning.passages import Passage
from orchestrator.planning.rows import Row
from orchestrator.planning.scope import Scope
from orchestrator.planning.sections import AVOID, SECTIONS, assemble, listed, tidy
from orchestrator.planning.templates import Template, TemplateMistake, read_template


@dataclass(frozen=True, slots=True)
class Written:
    """A prompt for one row and variant: one text, what to keep away from, and the sections that say something."""

    text: str
    avoid: str = ""
    sections: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Value:
    """What a variable is filled with: a template at its place, or a number or truth value as it stands."""

    said: Said
    scope: Scope
    template: Template | None


@dataclass(frozen=True, slots=True)
class _Sheet:
    """All that is said to one market, with the templates read; values come first, sections use them."""

    sections: Mapping[str, Sequence[Passage]]
    values: Mapping[str, _Value]

    def constants(self) -> dict[str, str]:
        """The texts of sections in which nothing is filled in."""
        texts = {name: [one.constant for one in passages] for name, passages in self.sections.items()}
        return {name: _section(each) for name, each in texts.items() if None not in each}


@dataclass(slots=True)
class Structured:
    """A structured prompt with its layers; what it comes to for a market is read once."""

    told: Told
    scope: Scope
    layers: tuple[Layer, ...]
    references: tuple[str, ...]
    named: set[str] = field(default_factory=set)
    _sheets: dict[str, _Sheet | None] = field(default_factory=dict)
    _constants: dict[str, dict[str, str]] = field(default_factory=dict)
    _passages: dict[tuple[int, Place], Passage | None] = field(default_factory=dict)
    _values: dict[tuple[int, Place], _Value | None] = field(default_factory=dict)

    def check(self) -> bool:
        """Notes what is wrong for any market that the campaign is for; false when it can't be written."""
        findings = self.scope.findings
        before = len(findings)
        self._check_twice()
        used = self._check_all_templates()
        markets = self._check_markets()
        sheets = [self._sheet(market) for market in markets]
        if len(findings) > before or None in sheets:
            return False
        for layer in self.layers[:-1]:
            for name in layer.own():
                if name not in used:
                    findings.warn(f"{layer.where('variables', name)}: no template uses this variable")
        needed = {name for sheet in sheets if sheet is not None for name in _names(sheet)}
        for name in self.layers[-1].says.set:
            if name not in needed:
                where = self.layers[-1].where("set", name)
                findings.warn(f"{where}: nothing uses this value, for the sections that did are said otherwise")
        return True

    def write(self, row: Row, data: Mapping[str, Any], variant: Mapping[str, Any]) -> Written | None:
        """The prompt for a row; None, with the mistakes noted, when there is none."""
        market = variant.get(MARKET, self.told.file.market)
        key = "" if market is None else str(market)
        sheet = self._sheet(key)
        if sheet is None:
            return None
        constants = self._constants.get(key)
        if constants is None:
            constants = self._constants.setdefault(key, sheet.constants())
        values: dict[str, Any] = dict(variant)
        sound = True
        for name, value in sheet.values.items():
            values[name] = value.said.told
            if value.template is not None:
                values[name] = value.scope.fill(value.template, row, data, variant, *value.said.place)
                sound = sound and values[name] is not None
        made: dict[str, str] = {}
        for name, passages in sheet.sections.items() if sound else ():
            text = constants.get(name)
            if text is None:
                texts = [one.write(row, data, values) for one in passages]
                sound = sound and None not in texts
                text = _section(texts)
            if text:
                made[name] = text
        if not sound:
            return None
        avoid = made.pop(AVOID, "")
        return Written(assemble(made), avoid, (*made.items(), *((AVOID, avoid),) * bool(avoid)))

    def avoided(self) -> Iterator[str]:
        """The keys that say what to keep away from, in any market that the campaign is for."""
        for sheet in self._sheets.values():
            for passage in sheet.sections.get(AVOID, ()) if sheet is not None else ():
                yield passage.scope.document.where(*(part for part in passage.place if isinstance(part, str)))

    def columns(self) -> frozenset[str]:
        """The columns of the row that take part in it."""
        sheets = [sheet for sheet in self._sheets.values() if sheet is not None]
        passages = (one for sheet in sheets for each in sheet.sections.values() for one in each)
        return frozenset(column for one in passages for column in one.template.columns)

    def names(self) -> frozenset[str]:
        """The parts of a variant that take part in it."""
        sheets = [sheet for sheet in self._sheets.values() if sheet is not None]
        values = [one.template for sheet in sheets for one in sheet.values.values() if one.template is not None]
        used = {name for sheet in sheets for name in _names(sheet)} | {
            name for one in values for name in one.names
        }
        return frozenset(used & set(self.scope.names or ()))

    def _check_twice(self) -> None:
        """Notes variables that the campaign both sets and varies."""
        for name in self.layers[-1].says.set:
            if name in (self.scope.names or ()):
                where = self.layers[-1].where("set", name)
                self.scope.findings.add(where, f"vary has a list for {name!r} too", "Keep one of them")

    def _check_all_templates(self) -> set[str]:
        """Notes texts that are no templates, whoever they are for; gives the names that any of them uses."""
        used: set[str] = set()
        for said in everything(self.layers):
            for place, text in said.texts():
                try:
                    used.update(read_template(text).names)
                except TemplateMistake as mistake:
                    self.scope.findings.add(said.layer.document.where(*place), mistake.what, mistake.mend)
                    key = (id(said.layer), place)
                    self._passages[key] = self._values[key] = None
        return used

    def _check_markets(self) -> Sequence[str]:
        """The markets that the campaign is for, one without a name when it says none; unknown ones are noted."""
        vary = self.told.file.vary
        asked: dict[Place, str] = {} if self.told.file.market is None else {(MARKET,): self.told.file.market}
        asked |= {("vary", MARKET, index): str(one) for index, one in enumerate(vary.lists.get(MARKET, []))}
        asked |= {("vary", "zip", MARKET, index): str(one) for index, one in enumerate(vary.zip.get(MARKET, []))}
        known = markets_of(self.layers)
        told = {place: market for place, market in asked.items() if self.told.sound(*place)}
        unknown = {place: market for place, market in told.items() if known and market not in known}
        for place, market in unknown.items():
            mend = f"{suggest(market, known, 'Markets')}. Where nothing differs, say so: {market}: {{}}"
            self.scope.findings.add(self.told.document.where(*place), f"the prompt has no market {market!r}", mend)
        return [one for one in dict.fromkeys(told.values()) if one not in unknown.values()] or [""]

    def _sheet(self, market: str) -> _Sheet | None:
        if market not in self._sheets:
            self._sheets[market] = self._read_sheet(resolve(self.layers, market))
        return self._sheets[market]

    def _read_sheet(self, resolved: Resolved) -> _Sheet | None:
        read = {
            name: [self._passage(name, said.layer, place, text) for place, text in said.texts()]
            for name in (*SECTIONS, AVOID)
            if (said := resolved.sections.get(name)) is not None
        }
        sections = {name: [one for one in each if one is not None] for name, each in read.items()}
        sound = all(one is not None for each in read.values() for one in each)
        values: dict[str, _Value] = {}
        for name, passages in sections.items():
            for passage in passages:
                for variable in passage.template.names:
                    sound = self._find_value(variable, name, passage, resolved, values) and sound
        if not sound:
            return None
        through = {
            name: [one.through(_columns_of(one, values)) for one in passages]
            for name, passages in sections.items()
        }
        return _Sheet(through, values)

    def _find_value(
        self, name: str, section: str, passage: Passage, resolved: Resolved, values: dict[str, _Value]
    ) -> bool:
        """Puts the value of a variable into `values`; false, with the mistake noted, when there is none."""
        if name in values or self.scope.names is None or self._is_given(name, passage.scope, passage.place):
            return True
        if name == MARKET:
            return False
        said = resolved.values.get(name)
        if said is None:
            self._note_missing(name, section, passage)
            return False
        value = self._value(said)
        if value is None:
            return False
        values[name] = value
        inner = value.template.names if value.template is not None else ()
        return all(self._is_given(one, value.scope, value.said.place) for one in inner)

    def _is_given(self, name: str, scope: Scope, place: Place) -> bool:
        """Whether row or variant give what a template names; a market that nobody says is noted."""
        given = name in (self.scope.names or ()) or name in self.scope.fixed
        if not given and name == MARKET:
            what = "the prompt names the market, and the campaign says none"
            mend = "Say market: NAME in the campaign file, or vary it"
            self.scope.findings.add_once(scope.document.where(*place), what, mend)
        return given

    def _note_missing(self, name: str, section: str, passage: Passage) -> None:
        campaign = self.layers[-1]
        if any(place[:2] == ("prompt", "set") for place in self.told.broken):
            return
        about = campaign.variables[name].about.strip().rstrip(".")
        what = f"nothing gives {name!r}{f' ({about})' if about else ''}"
        file = passage.scope.document.path.name
        mend = f"Say set: {{{name}: …}} here, vary it, or give it a default in {file}"
        where = campaign.where("use")
        self.scope.findings.add_once(where, f"{what}, which {file} wants for its {section}", mend)

    def _passage(self, section: str, layer: Layer, place: Place, text: str) -> Passage | None:
        key = (id(layer), place)
        if key not in self._passages:
            references = () if section == AVOID else self.references
            passage = Passage.read(text, self._scope(layer), place, references)
            if passage is not None:
                self.named |= passage.named
                passage.named = self.named
            self._passages[key] = passage
        return self._passages[key]

    def _value(self, said: Said) -> _Value | None:
        key = (id(said.layer), said.place)
        if key not in self._values:
            scope = self._scope(said.layer, variables=False)
            template = scope.read(said.told, *said.place) if isinstance(said.told, str) else None
            broken = isinstance(said.told, str) and template is None
            self._values[key] = None if broken else _Value(said, scope, template)
        return self._values[key]

    def _scope(self, layer: Layer, *, variables: bool = True) -> Scope:
        """What templates of a layer may name: its variables, the market, and in the campaign what it varies."""
        if self.scope.names is None:
            return replace(self.scope, document=layer.document)
        campaign = layer is self.layers[-1]
        names = (*self.scope.names,) if campaign else ()
        own = tuple(layer.variables) if variables else ()
        every = tuple(dict.fromkeys((*own, *names, MARKET)))
        file = layer.document.path.name
        undeclared = f"Declare it in {file}: variables: {{NAME: {{about: …}}}}"
        mends = dict.fromkeys(self.scope.names, undeclared) if not campaign else {}
        if not variables:
            mends = dict.fromkeys(layer.variables, "A value names columns of the row, and no other variable")
        return replace(self.scope, document=layer.document, names=every, mends=mends)


def _section(texts: Sequence[str | None]) -> str:
    """A section of one text or of several that are listed."""
    return tidy(texts[0] or "") if len(texts) == 1 else listed(one or "" for one in texts)


def _names(sheet: _Sheet) -> Iterator[str]:
    for passages in sheet.sections.values():
        for passage in passages:
            yield from passage.template.names


def _columns_of(passage: Passage, values: Mapping[str, _Value]) -> Iterator[str]:
    for name in passage.template.names:
        value = values.get(name)
        if value is not None and value.template is not None:
            yield from value.template.columns
