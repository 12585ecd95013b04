"""Clocks that are wrong by an hour, and that jump: leases go by the database's alone."""

from __future__ import annotations

import os
from pathlib import Path

from faults.scene import Scene
from faults.stacks import HERE


def skewed(folder: Path, environment: dict[str, str]) -> list[dict[str, str]]:
    """Environments of two workers, one an hour ahead and one behind; `jump` changes them under way."""
    environments = []
    for slot, hours in enumerate((1, -1)):
        file = folder / f"clock-{slot}"
        file.write_text(f"{hours * 3600}\n")
        path = os.pathsep.join((str(HERE / "clock"), environment["PYTHONPATH"]))
        environments.append({**environment, "PYTHONPATH": path, "FAULTS_CLOCK": str(file)})
    return environments


def jump(scene: Scene) -> int:
    """A worker's clock is an hour or so wrong from now on, this way or that."""
    seconds = scene.dice.randint(-4000, 4000)
    (scene.stack.folder / f"clock-{scene.dice.randrange(2)}").write_text(f"{seconds}\n")
    scene.pause(0.6, 1.4)
    scene.tally["clock jumps by up to an hour"] += 1
    return 1
