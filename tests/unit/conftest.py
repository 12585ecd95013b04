"""Fixtures of unit tests: rows read from a source, as planning reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from orchestrator.planning.campaign_file import RowSource
from orchestrator.planning.document import Document
from orchestrator.planning.fetching.fetcher import Fetcher
from orchestrator.planning.findings import Findings
from orchestrator.planning.rows import Table, read_rows


class Read:
    """Reads rows as a campaign file in `folder` would, whose `rows` stand in line 3 and `pictures` in line 5."""

    def __call__(self, folder: Path, rows: Any, key: str | None = None) -> tuple[Table, Findings]:
        findings = Findings()
        document = Document(folder / "campaign.yaml", "", {}, {("rows",): 3, ("rows", "pictures"): 5})
        fetcher = Fetcher(Settings(home=folder / "home", private_hosts=("127.0.0.1",)))
        return read_rows(rows, key, document, findings, fetcher), findings

    def of(self, source: str, path: str, **keys: Any) -> RowSource:
        """The mapping that names a source."""
        return RowSource.model_validate({"source": source, "path": path, **keys})

    def told(self, findings: Findings) -> str:
        """All problems, one a line."""
        return "\n".join(str(problem) for problem in findings.problems)

    def filled(self, table: Table) -> list[dict[str, Any]]:
        """The cells of each row that are not empty."""
        return [{name: cell for name, cell in row.data.items() if cell is not None} for row in table.rows]


@pytest.fixture(scope="session")
def read() -> Read:
    return Read()
