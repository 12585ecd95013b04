"""Stacks and crews for the faults, and the table at the end.

`FAULTS_SEED` repeats what was printed; `FAULTS=all` plays every scenario in full on every stack, as `make faults`
does; `FAULTS_REPORT` names a folder for the table as `faults.md` and `faults.json`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.crew import Crew
from faults.history import Outcome
from faults.stacks import HERE, Stack
from faults.table import as_json, as_markdown

SEED = os.environ.get("FAULTS_SEED") or str(time.time_ns() % 100_000)

outcomes: list[Outcome] = []


class Grounds:
    """The stack that tests are on, with its crew: one at a time, kept until another is asked for.

    A stack's folder is kept when a test on it failed.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._failed = 0
        self._stack: Stack | None = None
        self._crew: Crew | None = None

    def enter(self, name: str) -> tuple[Stack, Crew]:
        if self._stack is None or self._stack.name != name:
            self.leave()
            folder = Path(tempfile.mkdtemp(prefix=f"dreamline-faults-{name}-"))
            folder.chmod(0o711)
            self._failed = self._session.testsfailed
            self._stack = Stack.start(name, folder)
            self._crew = Crew(folder / "workers.log")
        assert self._crew is not None
        return self._stack, self._crew

    def leave(self) -> None:
        if self._stack is not None and self._crew is not None:
            self._crew.close()
            self._stack.stop()
            if self._session.testsfailed == self._failed:
                shutil.rmtree(self._stack.folder, ignore_errors=True)
        self._stack = self._crew = None


@pytest.fixture(scope="session")
def grounds(request: pytest.FixtureRequest) -> Iterator[Grounds]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE / "site"))
        grounds = Grounds(request.session)
        yield grounds
        grounds.leave()


@pytest.fixture
def stack(grounds: Grounds, request: pytest.FixtureRequest) -> Stack:
    """Servers, tables and lines of the stack that the test names."""
    return grounds.enter(request.param)[0]


@pytest.fixture
def crew(grounds: Grounds, stack: Stack) -> Crew:
    return grounds.enter(stack.name)[1]


@pytest.fixture(scope="session")
def seed() -> str:
    print(f"FAULTS_SEED={SEED}")
    return SEED


@pytest.fixture(scope="session")
def report() -> list[Outcome]:
    """Where outcomes are put for the table."""
    return outcomes


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if outcomes:
        terminalreporter.write_sep("=", f"faults, FAULTS_SEED={SEED}")
        terminalreporter.write_line(as_markdown(outcomes))
    folder = os.environ.get("FAULTS_REPORT")
    if outcomes and folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "faults.md").write_text(as_markdown(outcomes) + "\n")
        (Path(folder) / "faults.json").write_text(as_json(outcomes, SEED) + "\n")
