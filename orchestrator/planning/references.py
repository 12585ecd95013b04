"""Planning: from the references of a campaign file to the values of each row: kind, options, method, picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.asking import combination_problems, mask_problem
from core.cards import ModelCard
from core.errors import Problem
from core.registry import Offer, Registry
from core.requests import Method, Reference
from core.settings import Settings
from orchestrator.planning.campaign_file import Told
from orchestrator.planning.document import Place as Key
from orchestrator.planning.fetching.fetcher import Fetcher, public_part
from orchestrator.planning.fetching.refused import Refused
from orchestrator.planning.findings import Findings, shown, suggest
from orchestrator.planning.options import Settled, methods_of, settle
from orchestrator.planning.pictures import LEADS_OUT, PictureFile, Place, check_pictures, leads_out, place_of
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
    mask: Template | None
    options: Mapping[str, Any]
    settled: Settled | None

    @property
    def prefix(self) -> str:
        """What its kind puts before prompts."""
        return self.offer.condition.prompt_prefix if self.offer else ""

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the row that decide it."""
        return frozenset(name for template in self._all() for name in template.columns)

    @property
    def templates(self) -> Mapping[str, Template]:
        """Those options that are templates."""
        return {key: one for key, one in self.options.items() if isinstance(one, Template)}

    @property
    def names(self) -> frozenset[str]:
        """The parts of a variant that decide it."""
        return frozenset(name for template in self._all() for name in template.names)

    def _all(self) -> Iterator[Template]:
        yield self.image
        if self.mask is not None:
            yield self.mask
        yield from self.templates.values()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a row says of one reference."""

    path: Place
    mask: Place | None
    settled: Settled | None


UNSETTLED = Settled({}, Method("none"), (Problem("", "its kind or options can't be used", "Mend them"),))
"""Stands where the mistakes have been noted already."""


def read_slots(told: Told, scope: Scope, settings: Settings, registry: Registry) -> list[Slot]:
    """The references whose pictures can be looked at; mistakes in their kinds and options are noted."""
    kinds = registry.kinds()
    slots = []
    for name, entry in told.file.references.items():
        place = ("references", name)
        image = scope.read(entry.image, *place, "image") if told.sound(*place, "image") else None
        mask = scope.read(entry.mask, *place, "mask") if entry.mask and told.sound(*place, "mask") else None
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
            slots.append(Slot(name, offer, methods, image, mask, options or {}, settled))
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


def _option_place(reference: str, option: str) -> Key:
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

    `fetcher` gets those at addresses; `within` is the folder that pictures may not lie out of, if there is one;
    `files` are the distinct pictures by their hash, `addresses` where those were that were fetched.
    """

    told: Told
    scope: Scope
    slots: Sequence[Slot]
    fetcher: Fetcher
    within: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    _pictures: Mapping[Place, PictureFile] = field(default_factory=dict)
    _settled: dict[tuple[Any, ...], Settled] = field(default_factory=dict)
    _places: dict[tuple[Path, str], Place] = field(default_factory=dict)
    _built: dict[tuple[str, str, str, int], Reference] = field(default_factory=dict)

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
        known = (one for by_part in asked for ones in by_part for one in ones if one is not None)
        places = (place for one in known for place in (one.path, one.mask) if place is not None)
        self._pictures = check_pictures(places, self.fetcher)
        for picture in self._pictures.values():
            if picture.warning:
                self.scope.findings.warn(picture.warning)
        filled = []
        for (row, _), by_part in zip(rows or _NO_ROW, asked, strict=True):
            built = {
                part: tuple(self._build(slots, row, ones)) for part, ones in zip(distinct, by_part, strict=True)
            }
            filled.append([built[part] for part in parts])
        return filled if rows else []

    def _ask(self, slot: Slot, row: Row, cells: Mapping[str, Any], variant: Variant) -> _Asked | None:
        """The paths of picture and mask for a row, and the options; None, with the mistake noted, if they fail."""
        settled = slot.settled or self._settle(slot, row, cells, variant)
        path = self._place(slot, slot.image, "image", row, cells, variant)
        mask = self._place(slot, slot.mask, "mask", row, cells, variant) if slot.mask is not None else None
        return None if path is None else _Asked(path, mask, settled)

    def _place(
        self, slot: Slot, template: Template, key: str, row: Row, cells: Mapping[str, Any], variant: Variant
    ) -> Place | None:
        place = ("references", slot.name, key)
        text = self.scope.fill(template, row, cells, variant, *place)
        if text is None or (key == "mask" and not text.strip()):
            return None
        folder = self.scope.table.folder if template.columns else self.told.document.path.parent
        found = self._places.get((folder, text))
        if found is None:
            try:
                found = self._find(text.strip(), folder)
            except Refused as refused:
                what, mend = f"{shown(public_part(text))} {refused.what}".removeprefix("'' "), refused.mend
                self.scope.note(template, row, what, mend, (slot.name, mend), *place)
                return None
            self._places[folder, text] = found
        return found

    def _find(self, text: str, folder: Path) -> Place:
        if not text:
            raise Refused("names no picture", "Give the path or the address of a picture")
        found = place_of(text, folder, strange=self.fetcher.strange)
        if isinstance(found, Path) and leads_out(found, self.within):
            raise Refused(LEADS_OUT, "Upload the picture along with it")
        return found

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

    def _build(self, slots: Sequence[Slot], row: Row, asked: Sequence[_Asked | None]) -> Iterator[Reference]:
        for slot, one in zip(slots, asked, strict=True):
            if one is None:
                continue
            picture = self._picture(slot, slot.image, "image", row, one.path)
            mask = None
            if slot.mask is not None and one.mask is not None:
                mask = self._picture(slot, slot.mask, "mask", row, one.mask)
                if mask is None or not self._takes_mask(slot, one.settled):
                    continue
            if picture and one.settled is not None and not one.settled.problems and slot.offer is not None:
                yield self._reference(slot, slot.offer, picture, mask, one.settled)

    def _picture(self, slot: Slot, template: Template, key: str, row: Row, at: Place) -> PictureFile | None:
        picture = self._pictures[at]
        if picture.sha256:
            return picture
        place = ("references", slot.name, key)
        self.scope.note(template, row, picture.what, picture.mend, (place, picture.mistake), *place)
        return None

    def _takes_mask(self, slot: Slot, settled: Settled | None) -> bool:
        if slot.offer is None or settled is None or settled.problems:
            return False
        problem = mask_problem(slot.offer.condition, settled.options.get("method"), "")
        if problem is not None:
            where = self.told.document.where("references", slot.name, "mask")
            self.scope.findings.add_once(where, problem.what, problem.mend)
        return problem is None

    def _reference(
        self, slot: Slot, offer: Offer, picture: PictureFile, mask: PictureFile | None, settled: Settled
    ) -> Reference:
        key = (slot.name, picture.source, mask.source if mask else "", id(settled))
        if key not in self._built:
            for one in (picture, mask):
                if one is not None and self.files.setdefault(one.sha256, one.path) == one.path != Path(one.source):
                    self.addresses[one.sha256] = one.source
            by_mask = offer.condition.by_mask if mask is not None else None
            self._built[key] = Reference(
                name=slot.name,
                kind=offer.condition.name,
                sha256=picture.sha256,
                source=picture.source,
                options=settled.options,
                plugin=offer.pin,
                method=by_mask or settled.method,
                mask=mask.sha256 if mask is not None else "",
            )
        return self._built[key]


_NO_ROW: Filled = ((Row(1, "1", {}), {}),)
"""Stands in where rows can't be read, so that pictures which no row names are looked at all the same."""
