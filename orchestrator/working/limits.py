"""Working: how much memory a working process may take, and how much it takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

from core.settings import Settings

SHARES = {"cpu": 0.5, "gpu": 0.9}
"""Of the machine's memory, by queue: preparing is modest; a large model waits in main memory for its turn."""

RENEWED = {"prepare": 0.5, "make": 1.0, "finish": 0.5}
"""Of the limit, by role: past it a process is renewed while it has nothing to do. Without a model that costs a
second."""

CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells a container its limit (versions 2 and 1 of control groups)."""


def memory_limit(settings: Settings, queue: str) -> float:
    """Bytes that a process of `queue` may take: what the setting says, else a share of the machine's."""
    return settings.child_memory_gb * 2**30 or SHARES[queue] * machine_memory()


def machine_memory(told: Iterable[Path] = CGROUPS) -> int:
    """Bytes of this machine, or of the container where that has a limit of its own."""
    found = psutil.virtual_memory().total
    for path in told:
        try:
            found = min(found, int(path.read_text()))
        except (OSError, ValueError):
            continue
    return found


def memory_of(process: int) -> int | None:
    """Bytes that a process keeps from others: without files that it only maps, which a system takes back.

    None when the process is gone.
    """
    try:
        info = psutil.Process(process).memory_info()
    except psutil.Error:
        return None
    return int(info.rss - getattr(info, "shared", 0))
