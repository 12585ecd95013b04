"""Planning: words in the prompts of a campaign that the model's text encoders do not know, told in one warning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from core.cards import ModelCard
from core.languages import Strange, names_of, strange_language, strange_script
from orchestrator.planning.rows import Row
from orchestrator.planning.scope import Scope

MOST = 2_000
"""Distinct texts whose language is told, so that a million rows cost no more than these."""

Heard = tuple[str, tuple[str, ...]]
"""A text with the columns that it stands in."""


@dataclass(slots=True)
class _Found:
    """The first text of one sort of strangeness, and the rows that have it."""

    where: str
    strange: Strange
    rows: set[int]


@dataclass(slots=True)
class Foreign:
    """Listens to all texts of a campaign; cards that know a drawn world or name no languages take any."""

    card: ModelCard
    scope: Scope
    _verdicts: dict[str, tuple[Strange | None, Strange | None]] = field(default_factory=dict)
    _found: dict[int, _Found] = field(default_factory=dict)

    def hear(self, row: Row, texts: Iterable[Heard]) -> None:
        """Takes the texts of one row."""
        if self.card.world or not self.card.languages:
            return
        for text, columns in texts:
            verdicts = self._verdicts.get(text)
            if verdicts is None:
                verdicts = self._judge(text)
            for sort, strange in enumerate(verdicts):
                if strange is not None:
                    self._note(sort, strange, row, columns)

    def warn(self) -> None:
        """Says once for scripts and once for languages what was heard, and what to do about it."""
        known = names_of(self.card.languages)
        for _, found in sorted(self._found.items()):
            others = len(found.rows) - 1
            more = f"; so do {others} more rows" if others > 1 else "; so does one more row" if others else ""
            verb = "holds" if found.strange.what.endswith("characters") else "looks like"
            told = f"{verb} {found.strange.what} ({found.strange.sample}{more})"
            mend = "Translate it, or say it otherwise for its market (docs/briefs.md)"
            encoders = f"the text encoders of {self.card.name} know {known}"
            self.scope.findings.warn(f"{found.where}: {told}, and {encoders}. {mend}")

    def _judge(self, text: str) -> tuple[Strange | None, Strange | None]:
        full = len(self._verdicts) >= MOST
        script = strange_script(text, self.card.languages)
        verdicts = script, None if script or full else strange_language(text, self.card.languages)
        if not full:
            self._verdicts[text] = verdicts
        return verdicts

    def _note(self, sort: int, strange: Strange, row: Row, columns: tuple[str, ...]) -> None:
        if sort not in self._found:
            table = self.scope.table
            where = table.where(row, *columns) if table.columns else self.scope.document.where("prompt")
            self._found[sort] = _Found(where, strange, set())
        self._found[sort].rows.add(row.number)
