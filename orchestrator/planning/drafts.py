"""Planning: the texts of a campaign, written for every row and variant: prompts with their references placed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import prompts
from core.cards import ModelCard
from core.requests import Reference
from orchestrator.planning.campaign_file import Told
from orchestrator.planning.foreign import Foreign, Heard
from orchestrator.planning.layers import read_layers
from orchestrator.planning.passages import Passage
from orchestrator.planning.references import Filled, References, Slot
from orchestrator.planning.rows import Row
from orchestrator.planning.scope import Scope
from orchestrator.planning.structured import Structured, Written
from orchestrator.planning.templates import cells
from orchestrator.planning.variants import Variant


@dataclass(frozen=True, slots=True)
class Draft:
    """What a row and a variant decide of their images; formats and seeds come on top.

    `sections` are those of a structured prompt that say something, with their names.
    """

    row: Row
    variant: Variant
    prompt: str
    negative_prompt: str
    references: tuple[Reference, ...]
    sections: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Plain:
    """A prompt that is one template."""

    passage: Passage

    @property
    def named(self) -> set[str]:
        """The references that it has named so far."""
        return self.passage.named

    def columns(self) -> frozenset[str]:
        """The columns of the row that take part in it."""
        return frozenset(self.passage.template.columns)

    def names(self) -> frozenset[str]:
        """The parts of a variant that take part in it."""
        return frozenset(self.passage.template.names)

    def write(self, row: Row, data: Mapping[str, Any], variant: Variant) -> Written | None:
        """The prompt for a row; None, with the mistake noted, when there is none."""
        text = self.passage.write(row, data, variant)
        return None if text is None else Written(text)


def write_drafts(
    told: Told, scope: Scope, references: References, variants: Sequence[Variant], card: ModelCard | None
) -> tuple[Draft, ...]:
    """Fills in every template for every row and variant; `card` says whether negative prompts are read."""
    rows: Filled = [(row, cells(row.data)) for row in scope.table.rows]
    by_row = references.fill(rows, variants)
    prompt = _read_prompt(told, scope, references)
    negative = _read_negative(told, scope)
    prefixes = tuple(slot.prefix for slot in references.slots)
    avoids = card is None or card.true_cfg != 1
    foreign = Foreign(card, scope) if card is not None and prompt is not None else None
    columns, names = (prompt.columns(), prompt.names()) if prompt else (frozenset(), frozenset())
    drafts = []
    for (row, data), by_variant in zip(rows, by_row, strict=True):
        for variant, filled in zip(variants, by_variant, strict=True):
            written = prompt.write(row, data, variant) if prompt else None
            if prompt is not None and written is not None and not written.text and told.sound("prompt"):
                _note_empty(prompt, scope, row)
            written = written or Written("")
            unwanted = [(negative.write(row, data, variant) if negative else "") or ""]
            unwanted += [written.avoid] if avoids else []
            text = prompts.with_prefixes(written.text, prefixes)
            if foreign is not None:
                foreign.hear(row, _heard(written, data, columns, variant, names))
            sections = written.sections
            drafts.append(Draft(row, variant, text, ", ".join(filter(None, unwanted)), filled, sections))
    if prompt is not None and drafts and not scope.findings:
        _warn_of_unnamed(scope, references.slots, prompt.named)
        if foreign is not None:
            foreign.warn()
        if card is not None and not avoids and isinstance(prompt, Structured):
            _warn_of_avoided(scope, card, prompt.avoided())
    return tuple(drafts)


def _read_prompt(told: Told, scope: Scope, references: References) -> Plain | Structured | None:
    """The prompt; None, with the mistakes noted, when it can't be used."""
    says = told.file.prompt
    if ("prompt",) in told.broken or ("references",) in told.broken:
        return None
    if isinstance(says, str):
        passage = Passage.read(says, scope, ("prompt",), told.references)
        return None if passage is None else Plain(passage)
    if ("prompt", "use") in told.broken:
        return None
    layers = read_layers(told.document, ("prompt",), says, scope.findings, references.within)
    if layers is None:
        return None
    prompt = Structured(told, scope, layers, told.references)
    return prompt if prompt.check() else None


def _read_negative(told: Told, scope: Scope) -> Passage | None:
    source = told.file.negative_prompt
    if not source or not told.sound("negative_prompt") or ("references",) in told.broken:
        return None
    return Passage.read(source, scope, ("negative_prompt",), ())


def _heard(
    written: Written, data: Mapping[str, Any], columns: Iterable[str], variant: Variant, names: Iterable[str]
) -> Iterator[Heard]:
    """The texts of a row whose language is looked at: those that were filled in by themselves, then the whole."""
    for column in columns:
        if isinstance(cell := data.get(column), str) and cell:
            yield cell, (column,)
    for name in names:
        if isinstance(part := variant.get(name), str):
            yield part, ()
    if written.sections:
        yield from ((text, ()) for _, text in written.sections)
    else:
        yield written.text, ()


def _note_empty(prompt: Plain | Structured, scope: Scope, row: Row) -> None:
    """Notes a prompt of which nothing is left, at the row where a row takes part in it."""
    if columns := sorted(prompt.columns()):
        scope.findings.add(
            scope.table.where(row, *columns), "the prompt is empty", "Say what to make", group="empty"
        )
    else:
        scope.findings.add_once(scope.document.where("prompt"), "the prompt is empty", "Say what to make")


def _warn_of_unnamed(scope: Scope, slots: Iterable[Slot], named: set[str]) -> None:
    """Warns of references that no prompt names, but for kinds that say what they are by their own words."""
    for slot in slots:
        if slot.name not in named and not slot.prefix:
            where = scope.document.where("references", slot.name)
            scope.findings.warn(
                f"{where}: no prompt names [{slot.name}], so the model is not told what the picture is for"
            )


def _warn_of_avoided(scope: Scope, card: ModelCard, places: Iterable[str]) -> None:
    for where in places:
        scope.findings.warn(
            f"{where}: {card.name} makes one pass a step (true_cfg 1) and never reads a negative prompt, so this "
            "is left out. Say in constraints what should be there instead"
        )
