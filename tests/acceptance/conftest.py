"""Fixtures for tests that use dreamline as people do: by command, in a folder and a home of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from orchestrator.records import embedded


class Command(Protocol):
    """Runs `dreamline WORDS` in the folder of the test, `patience` seconds at most; the exit code is `expect`."""

    def __call__(
        self, *words: str, expect: int = 0, patience: float = 150
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    home = tmp_path / "home"

    def run(*words: str, expect: int = 0, patience: float = 150) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", *words],
            cwd=tmp_path,
            env={**os.environ, "DREAMLINE_HOME": str(home), "DREAMLINE_POLL_SECONDS": "0.3"},
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr[-3000:]
        return done

    yield run
    embedded.stop(home)
