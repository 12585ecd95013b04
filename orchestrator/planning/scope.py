"""Planning: what the templates of one campaign file may name, and where their mistakes are reported."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.planning.document import Document
from orchestrator.planning.findings import Findings, suggest
from orchestrator.planning.rows import Row, Table
from orchestrator.planning.templates import Template, TemplateMistake, read_template


@dataclass(frozen=True, slots=True)
class Scope:
    """The columns of the rows and the names of the variants.

    Attributes:
        document: the campaign file.
        table: the rows; where nothing is known of its columns, none is missed.
        names: parts of a variant; None when they could not be read, so that none is missed.
        findings: takes all mistakes.
        fixed: values of names that are the same in every variant.
        mends: what to do about names that others have and this scope lacks.
    """

    document: Document
    table: Table
    names: tuple[str, ...] | None
    findings: Findings
    fixed: Mapping[str, Any] = field(default_factory=dict)
    mends: Mapping[str, str] = field(default_factory=dict)

    def read(self, source: str, *place: str | int) -> Template | None:
        """The template at a place of the campaign file; None, with the mistake noted, when it can't be used."""
        where = self.document.where(*place)
        try:
            template = read_template(source)
        except TemplateMistake as mistake:
            self.findings.add(where, mistake.what, mistake.mend)
            return None
        sound = [self._knows_column(column, where) for column in template.required]
        sound += [self._knows_name(name, where) for name in template.names]
        return template if all(sound) and (self.names is not None or not template.names) else None

    def fill(
        self, template: Template, row: Row, cells: Mapping[str, Any], variant: Mapping[str, Any], *place: str | int
    ) -> str | None:
        """The template's text for a row; None, with the mistake noted, when there is none."""
        try:
            return template.fill(cells, {**self.fixed, **variant} if self.fixed else variant)
        except TemplateMistake as mistake:
            columns = (mistake.column,) if mistake.column is not None else template.columns
            self._note(columns, row, mistake.what, mistake.mend, (place, mistake.mend), *place)
            return None

    def note(self, template: Template, row: Row, what: str, mend: str, group: Hashable, *place: str | int) -> None:
        """Notes a mistake in what a template made: once, or at the row where a row takes part in it."""
        self._note(template.columns, row, what, mend, group, *place)

    def _note(
        self, columns: tuple[str, ...], row: Row, what: str, mend: str, group: Hashable, *place: str | int
    ) -> None:
        if columns:
            where = self.table.where(row, *columns)
            self.findings.add(where, what, mend, group=group)
        else:
            self.findings.add_once(self.document.where(*place), what, mend)

    def _knows_column(self, column: str, where: str) -> bool:
        columns = self.table.columns
        if columns is None or column in columns:
            return True
        told = f"the template names the column {column!r}, which {self.table.source} does not have"
        mend = suggest(column, columns, "Columns") if columns else "Give rows with that column: rows: FILE"
        self.findings.add(where, told, mend)
        return False

    def _knows_name(self, name: str, where: str) -> bool:
        if self.names is None or name in self.names or name in self.fixed:
            return True
        if name in self.mends:
            mend = self.mends[name]
        elif name == "row":
            mend = "Name a column: {{ row.noun }}"
        elif self.table.columns and name in self.table.columns:
            mend = f"It is a column: write {{{{ row.{name} }}}}"
        else:
            mend = suggest(name, (*self.fixed, *self.names, "row.<column>"), "There are")
        self.findings.add(where, f"the template names {name!r}, which is nothing here", mend)
        return False
