"""Planning: from the references of a campaign file to the values of each row: kind, options, method, picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.asking import combination_problems
from core.cards import ModelCard
from core.errors import Problem
from core.registry import Offer, Registry
from core.requests import Method, Reference
from core.settings import Settings
from orchestrator.planning.campaign_file import Told
from orchestrator.planning.document import Place
from orchestrator.planning.findings import Findings, shown, suggest
from orchestrator.planning.options import Settled, methods_of, settle
from orchestrator.planning.pictures import LEADS_OUT, PictureFile, check_pictures, leads_out
from orchestrator.planning.rows import Row
from orchestrator.planning.scope import Scope
from orchestrator.planning.templates import Template
from orchestrator.planning.variants import Variant

Filled = Sequence[tuple[Row, Mapping[str, Any]]]
"""Rows with their cells as templates see them."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One reference of the campaign file, before a row fills it in.

    `offer` is None for a kind that nobody offers: its picture is looked at all the same. `settled` is None
    where options come out of templates and so differ from row to row.
    """

    name: str
    offer: Offer | None
    methods: Sequence[Method]
    image: Template
    options: Mapping[str, Any]
    settled: Settled | None

    @property
    def prefix(self) -> str:
        """What its kind puts before prompts."""
        return self.offer.condition.prompt_prefix if self.offer else ""

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the row that decide it."""
        templates = [self.image, *self.templates.values()]
        return frozenset(name for template in templates for name in template.columns)

    @property
    def templates(self) -> Mapping[str, Template]:
        """Those options that are templates."""
        return {key: one for key, one in self.options.items() if isinstance(one, Template)}

    @property
    def names(self) -> frozenset[str]:
        """The parts of a variant that decide it."""
        templates = [self.image, *self.templates.values()]
        return frozenset(name for template in templates for name in template.names)


UNSETTLED = Settled({}, Method("none"), (Problem("", "its kind or options can't be used", "Mend them"),))
"""Stands where the mistakes have been noted already."""


def read_slots(told: Told, scope: Scope, settings: Settings, registry: Registry) -> list[Slot]:
    """The references whose pictures can be looked at; mistakes in their kinds and options are noted."""
    kinds = registry.kinds()
    slots = []
    for name, entry in told.file.references.items():
        place = ("references", name)
        image = scope.read(entry.image, *place, "image") if told.sound(*place, "image") else None
        options = _read_templates(entry.options, scope, *place, "options")
        offer = kinds.get(entry.kind)
        if offer is None and told.sound(*place, "kind"):
            mend = suggest(entry.kind, kinds, "Kinds here") + _not_loaded(registry)
            scope.findings.add(told.document.where(*place, "kind"), f"there is no kind {entry.kind!r}", mend)
        methods: Sequence[Method] = ()
        settled: Settled | None = UNSETTLED
        if offer is not None and options is not None:
            methods = methods_of(offer, settings)
            settled = _settle_now(told, name, offer, methods, options, scope.findings)
        if image is not None:
            slots.append(Slot(name, offer, methods, image, options or {}, settled))
    return slots


def _settle_now(
    told: Told, name: str, offer: Offer, methods: Sequence[Method], options: Mapping[str, Any], findings: Findings
) -> Settled | None:
    """The options of a reference where no row takes part in them."""
    if any(isinstance(one, Template) for one in options.values()):
        return None
    settled = settle(offer, methods, options, ())
    for problem in settled.problems:
        findings.add(told.document.where(*_option_place(name, problem.where)), problem.what, problem.mend)
    return settled


def _read_templates(options: Mapping[str, Any], scope: Scope, *place: str) -> Mapping[str, Any] | None:
    """The options with their templates read; None when one of them can't be used."""
    read: dict[str, Any] = {}
    broken = False
    for key, one in options.items():
        template = scope.read(one, *place, key) if isinstance(one, str) else None
        broken = broken or (isinstance(one, str) and template is None)
        read[key] = template if template is not None and not template.plain else one
    return None if broken else read


def _option_place(reference: str, option: str) -> Place:
    return ("references", reference, "options", option) if option else ("references", reference, "kind")


def _not_loaded(registry: Registry) -> str:
    names = ", ".join(sorted(registry.broken))
    return f". These plugins could not be loaded: {names}" if names else ""


def check_combination(told: Told, card: ModelCard, registry: Registry, findings: Findings) -> None:
    """Holds the number and kinds of the references against the model card and the kinds."""
    kinds = {name: offer.condition for name, offer in registry.kinds().items()}
    used = [told.file.references[name].kind if name in told.file.references else "" for name in told.references]
    for problem in combination_problems(card, kinds, used, told.document.where("references")):
        findings.include(problem)


@dataclass(slots=True)
class References:
    """The references of every row and variant, each distinct one built once.

    `within` is the folder that pictures may not lie out of, if there is one; `files` are the distinct pictures by
    their hash.
    """

    told: Told
    scope: Scope
    slots: Sequence[Slot]
    within: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)
    _pictures: Mapping[Path, PictureFile] = field(default_factory=dict)
    _settled: dict[tuple[Any, ...], Settled] = field(default_factory=dict)
    _paths: dict[tuple[Path, str], Path] = field(default_factory=dict)
    _built: dict[tuple[str, Path, int], Reference] = field(default_factory=dict)

    def fill(self, rows: Filled, variants: Sequence[Variant]) -> list[list[tuple[Reference, ...]]]:
        """For each row and each variant its references, in the file's order; those with mistakes are left out."""
        slots = self.slots
        if not rows:
            slots = [slot for slot in slots if not slot.columns]
        used = sorted({name for slot in slots for name in slot.names})
        parts = [tuple(repr(variant.get(name)) for name in used) for variant in variants]
        distinct = dict(zip(parts, variants, strict=True))
        asked = [
            [[self._ask(slot, row, cells, variant) for slot in slots] for variant in distinct.values()]
            for row, cells in rows or _NO_ROW
        ]
        self._pictures = check_pictures(one[0] for by_part in asked for ones in by_part for one in ones if one)
        filled = []
        for (row, _), by_part in zip(rows or _NO_ROW, asked, strict=True):
            built = {
                part: tuple(self._build(slots, row, ones)) for part, ones in zip(distinct, by_part, strict=True)
            }
            filled.append([built[part] for part in parts])
        return filled if rows else []

    def _ask(
        self, slot: Slot, row: Row, cells: Mapping[str, Any], variant: Variant
    ) -> tuple[Path, Settled | None] | None:
        """The picture's path for a row, and the options; None, with the mistake noted, for what fails."""
        settled = slot.settled or self._settle(slot, row, cells, variant)
        path = self._path(slot, row, cells, variant)
        return None if path is None else (path, settled)

    def _path(self, slot: Slot, row: Row, cells: Mapping[str, Any], variant: Variant) -> Path | None:
        place = ("references", slot.name, "image")
        text = self.scope.fill(slot.image, row, cells, variant, *place)
        if text is None:
            return None
        text = text.strip()
        if text and "://" not in text:
            folder = self.scope.table.folder if slot.image.columns else self.told.document.path.parent
            if leads_out(folder / text, self.within):
                mend = "Upload the picture along with it"
                self.scope.note(slot.image, row, f"{shown(text)} {LEADS_OUT}", mend, (slot.name, mend), *place)
                return None
            return self._paths.get((folder, text)) or self._paths.setdefault((folder, text), folder / text)
        what = f"{shown(text)} is an address, and pictures are read from files" if text else "names no picture"
        mend = "Download it and give its path" if text else "Give the path of a picture"
        self.scope.note(slot.image, row, what, mend, (slot.name, mend), *place)
        return None

    def _settle(self, slot: Slot, row: Row, cells: Mapping[str, Any], variant: Variant) -> Settled | None:
        texts = {
            key: self.scope.fill(template, row, cells, variant, "references", slot.name, "options", key)
            for key, template in slot.templates.items()
        }
        if None in texts.values() or slot.offer is None:
            return None
        memo = (slot.name, *texts.values())
        if memo not in self._settled:
            self._settled[memo] = settle(slot.offer, slot.methods, {**slot.options, **texts}, texts)
        settled = self._settled[memo]
        for problem in settled.problems:
            place = _option_place(slot.name, problem.where)
            if problem.where in texts:
                template, group = slot.templates[problem.where], (place, problem.mend)
                self.scope.note(
                    template, row, f"option {problem.where}: {problem.what}", problem.mend, group, *place
                )
            else:
                self.scope.findings.add_once(self.told.document.where(*place), problem.what, problem.mend)
        return settled

    def _build(
        self, slots: Sequence[Slot], row: Row, asked: Sequence[tuple[Path, Settled | None] | None]
    ) -> Iterator[Reference]:
        for slot, one in zip(slots, asked, strict=True):
            if one is None:
                continue
            path, settled = one
            picture = self._pictures[path]
            if not picture.sha256:
                place = ("references", slot.name, "image")
                self.scope.note(slot.image, row, picture.what, picture.mend, (place, picture.mistake), *place)
            elif settled is not None and not settled.problems and slot.offer is not None:
                yield self._reference(slot, slot.offer, picture, settled)

    def _reference(self, slot: Slot, offer: Offer, picture: PictureFile, settled: Settled) -> Reference:
        key = (slot.name, picture.path, id(settled))
        if key not in self._built:
            self.files.setdefault(picture.sha256, picture.path)
            self._built[key] = Reference(
                name=slot.name,
                kind=offer.condition.name,
                sha256=picture.sha256,
                source=str(picture.path),
                options=settled.options,
                plugin=offer.pin,
                method=settled.method,
            )
        return self._built[key]


_NO_ROW: Filled = ((Row(1, "1", {}), {}),)
"""Stands in where rows can't be read, so that pictures which no row names are looked at all the same."""
