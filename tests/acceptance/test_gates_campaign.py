"""Gates in a campaign by command: tried again, held back, let through when the gates change."""

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

CAMPAIGN = """
campaign: gated
model: storyboard
prompt: "a {{ noun }} on a table"
vary: {noun: [mug, lamp]}
formats: [square]
gates: {sharpness: "GATE"}
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    embedded.stop(tmp_path / "home")


def dreamline(place: Path, *words: str, expect: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *words, "--json"],
        cwd=place,
        env={**os.environ, "DREAMLINE_HOME": str(place / "home"), "DREAMLINE_POLL_SECONDS": "0.3"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr[-3000:]
    return json.loads(done.stdout)


def run(place: Path, gate: str) -> Any:
    (place / "campaign.yaml").write_text(CAMPAIGN.replace("GATE", gate))
    return dreamline(place, "run", "campaign.yaml", "-o", "out")


def written(place: Path) -> int:
    return len(list((place / "out").glob("*.png")))


def test_images_that_miss_a_gate_are_made_again_and_then_held_back_until_the_gate_changes(place: Path) -> None:
    report = run(place, ">2 else retry")
    assert (report["state"], report["held"], report["failed"]) == ("finished", 2, 0)
    assert written(place) == 0
    told = dreamline(place, "campaign", "gates", "gated")
    assert told["items"] == {"held": 2}
    assert all(miss["reasons"][-1] == "3 images were tried" for miss in told["missed"])

    report = run(place, ">2 else retry")
    assert (report["made"], report["held"]) == (0, 2)

    report = run(place, ">0 else retry")
    assert (report["made"], report["held"], report["files"]) == (0, 0, 2)
    assert written(place) == 2
