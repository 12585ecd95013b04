"""Clocks that are wrong by an hour, and that jump: leases go by the database's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults.scene import Scene

LIBRARIES = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/faketime/libfaketimeMT.so.1"),
)


def skewed(folder: Path) -> list[dict[str, str]]:
    """Environments of two workers, one an hour ahead and one behind; `jump` changes them under way."""
    library = next((one for one in LIBRARIES if one.exists()), None)
    if library is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to install libfaketime")
        pytest.skip("libfaketime is not installed")
    environments = []
    for slot, hours in enumerate((1, -1)):
        (folder / f"clock-{slot}").write_text(f"{hours * 3600:+d}\n")
        environments.append(
            {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(folder / f"clock-{slot}"),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        )
    return environments


def jump(scene: Scene) -> int:
    """A worker's clock is an hour or so wrong from now on, this way or that."""
    seconds = scene.dice.randint(-4000, 4000)
    (scene.stack.folder / f"clock-{scene.dice.randrange(2)}").write_text(f"{seconds:+d}\n")
    scene.pause(0.6, 1.4)
    scene.tally["clock jumps by up to an hour"] += 1
    return 1
