"""Planning: the texts of a campaign, written for every row and variant: prompts with their references placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core import prompts
from core.requests import Reference
from orchestrator.planning.campaign_file import Told
from orchestrator.planning.references import Filled, References, Slot
from orchestrator.planning.rows import Row
from orchestrator.planning.scope import Scope
from orchestrator.planning.templates import GAP, Template, TemplateMistake, cells, read_template
from orchestrator.planning.variants import Variant


@dataclass(frozen=True, slots=True)
class Draft:
    """What a row and a variant decide of their images; formats and seeds come on top."""

    row: Row
    variant: Variant
    prompt: str
    negative_prompt: str
    references: tuple[Reference, ...]


def write_drafts(
    told: Told, scope: Scope, references: References, variants: Sequence[Variant]
) -> tuple[Draft, ...]:
    """Fills in every template for every row and variant."""
    rows: Filled = [(row, cells(row.data)) for row in scope.table.rows]
    by_row = references.fill(rows, variants)
    prompt = Prompt.read(told, scope, references.slots, "prompt")
    negative = Prompt.read(told, scope, (), "negative_prompt")
    drafts = []
    for (row, data), by_variant in zip(rows, by_row, strict=True):
        for variant, filled in zip(variants, by_variant, strict=True):
            text = prompt.write(row, data, variant) if prompt else ""
            unwanted = negative.write(row, data, variant) if negative else ""
            drafts.append(Draft(row, variant, text, unwanted, filled))
    if prompt is not None and drafts and not scope.findings:
        prompt.warn_of_unnamed()
    return tuple(drafts)


@dataclass(slots=True)
class Prompt:
    """A prompt's template with the references that it may name."""

    template: Template
    key: str
    scope: Scope
    references: tuple[str, ...]
    prefixes: Mapping[str, str]
    named: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, told: Told, scope: Scope, slots: Sequence[Slot], key: str) -> Prompt | None:
        """The prompt at `key`; None, with the mistakes noted, when it can't be used."""
        source = getattr(told.file, key)
        if not told.sound(key) or (not source and key != "prompt"):
            return None
        usable = scope.read(source, key)
        if ("references",) in told.broken:
            return None
        try:
            template = usable or read_template(source)
        except TemplateMistake:
            return None
        prompt = cls(template, key, scope, told.references, {slot.name: slot.prefix for slot in slots})
        known = prompt._know(template.literal, scope.document.where(key))
        return prompt if usable and known else None

    def write(self, row: Row, data: Mapping[str, Any], variant: Variant) -> str:
        """The final prompt for a row; runs of spaces and line ends are one space."""
        filled = self.scope.fill(self.template, row, data, variant, self.key)
        if filled is None:
            return ""
        text = " ".join(filled.split())
        if not text and self.key == "prompt":
            self.scope.note(self.template, row, "the prompt is empty", "Say what to make", "empty", self.key)
        if "[" in text or "]" in text:
            names = prompts.names_in(text)
            self.named.update(names)
            wrong = [name for name in names if name not in self.references]
            for problem in prompts.problems(text, self.references, "") if wrong else ():
                self.scope.note(self.template, row, problem.what, problem.mend, (self.key, "name"), self.key)
            text = text if wrong else prompts.place(text, self.references)
        return prompts.with_prefixes(text, tuple(self.prefixes.values()))

    def warn_of_unnamed(self) -> None:
        """Warns of references that no prompt names, but for kinds that say what they are by their own words."""
        for name, prefix in self.prefixes.items():
            if name not in self.named and not prefix:
                where = self.scope.document.where("references", name)
                self.scope.findings.warn(
                    f"{where}: no prompt names [{name}], so the model is not told what the picture is for"
                )

    def _know(self, literal: str, where: str) -> bool:
        """Notes names in the template's own words that are no references."""
        wrong = [one for one in prompts.problems(literal, self.references, where) if GAP not in one.what]
        for problem in wrong:
            self.scope.findings.include(problem)
        return not wrong
