"""Planning: a passage, one template of a prompt at its place, written for a row with its references placed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core import prompts
from orchestrator.planning.document import Place
from orchestrator.planning.rows import Row
from orchestrator.planning.scope import Scope
from orchestrator.planning.templates import GAP, Template, TemplateMistake, read_template


@dataclass(slots=True)
class Passage:
    """A template with the references that it may name.

    `named` are those that it has named so far; `constant` is its text where nothing is filled in.
    """

    template: Template
    scope: Scope
    place: Place
    references: tuple[str, ...]
    named: set[str] = field(default_factory=set)
    constant: str | None = None

    @classmethod
    def read(cls, source: str, scope: Scope, place: Place, references: Sequence[str]) -> Passage | None:
        """The passage at a place; None, with the mistakes noted, when it can't be used."""
        usable = scope.read(source, *place)
        try:
            template = usable or read_template(source)
        except TemplateMistake:
            return None
        where = scope.document.where(*place)
        problems = prompts.problems(template.literal, references, where)
        wrong = [one for one in problems if GAP not in one.what]
        for problem in wrong:
            scope.findings.include(problem)
        if usable is None or wrong:
            return None
        passage = cls(template, scope, place, tuple(references))
        if template.plain:
            text = " ".join(template.literal.split())
            passage.named.update(prompts.names_in(text))
            passage.constant = prompts.place(text, references)
        return passage

    def through(self, columns: Iterable[str]) -> Passage:
        """The same passage with further columns of the row that take part in it by way of variables."""
        every = tuple(dict.fromkeys((*self.template.columns, *columns)))
        return replace(self, template=replace(self.template, columns=every))

    def write(self, row: Row, data: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
        """The text for a row, with single spaces; None, with the mistake noted, when there is none."""
        if self.constant is not None:
            return self.constant
        filled = self.scope.fill(self.template, row, data, values, *self.place)
        if filled is None:
            return None
        text = " ".join(filled.split())
        if "[" not in text and "]" not in text:
            return text
        names = prompts.names_in(text)
        self.named.update(names)
        wrong = [name for name in names if name not in self.references]
        for problem in prompts.problems(text, self.references, "") if wrong else ():
            self.scope.note(self.template, row, problem.what, problem.mend, (self.place, "name"), *self.place)
        return text if wrong else prompts.place(text, self.references)
