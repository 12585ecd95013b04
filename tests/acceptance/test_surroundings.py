"""What lies around dreamline, a broker that is away or a folder named like ours, stops no work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.records import embedded

CAMPAIGN = "campaign: around\nmodel: storyboard\nprompt: a mug on a table\nseeds: 4\nformats: [square]\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    yield tmp_path
    embedded.stop(tmp_path / "home")


def run(place: Path, *more: str, expect: int = 0, **settings: str) -> Any:
    environment = {**os.environ, "DREAMLINE_HOME": str(place / "home")}
    environment |= {f"DREAMLINE_{name}": value for name, value in settings.items()}
    # As the installed command does it: the script's folder, not the user's, is where modules are looked for.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.cli", "run", "campaign.yaml", "--json", *more],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout) if expect in (0, 3) else done.stderr


@pytest.mark.timeout(90)
def test_images_are_made_though_the_broker_is_away(place: Path) -> None:
    assert run(place, BROKER_URL="redis://127.0.0.1:1/0")["made"] == 4


@pytest.mark.timeout(90)
def test_a_folder_named_like_ours_is_not_taken_for_ours(place: Path) -> None:
    for name in ("core", "plugins", "orchestrator"):
        (place / name).mkdir()
        (place / name / "__init__.py").write_text("raise SystemExit('this is not dreamline')")
    assert run(place)["made"] == 4


@pytest.mark.timeout(90)
def test_a_folder_that_cannot_be_written_is_an_error_and_the_images_are_kept(place: Path) -> None:
    (place / "file").write_text("")
    assert "--output" in run(place, "-o", "file/below", expect=2)
    assert run(place)["reused"] == 4


def test_a_database_url_that_is_none_is_refused_with_an_example(place: Path) -> None:
    assert "postgresql://user:password@host" in run(place, expect=2, DATABASE_URL="nonsense")
