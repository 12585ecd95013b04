"""Gates in a campaign by command: tried again, held back, let through when the gates change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Command

CAMPAIGN = """
campaign: gated
model: storyboard
prompt: "a {{ noun }} on a table"
vary: {noun: [mug, lamp]}
formats: [square]
gates: {sharpness: "GATE"}
"""


def run(command: Command, folder: Path, gate: str) -> Any:
    (folder / "campaign.yaml").write_text(CAMPAIGN.replace("GATE", gate))
    return json.loads(command("run", "campaign.yaml", "-o", "out", "--json").stdout)


def written(folder: Path) -> int:
    return len(list((folder / "out").glob("*.png")))


def test_images_that_miss_a_gate_are_made_again_and_then_held_back_until_the_gate_changes(
    command: Command, tmp_path: Path
) -> None:
    report = run(command, tmp_path, ">2 else retry")
    assert (report["state"], report["held"], report["failed"]) == ("finished", 2, 0)
    assert written(tmp_path) == 0
    told = json.loads(command("campaign", "gates", "gated", "--json").stdout)
    assert told["items"] == {"held": 2}
    assert all(miss["reasons"][-1] == "3 images were tried" for miss in told["missed"])

    report = run(command, tmp_path, ">2 else retry")
    assert (report["made"], report["held"]) == (0, 2)

    report = run(command, tmp_path, ">0 else retry")
    assert (report["made"], report["held"], report["files"]) == (0, 0, 2)
    assert written(tmp_path) == 2
