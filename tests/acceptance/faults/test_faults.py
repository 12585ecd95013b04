"""Whatever is killed, lost or doubled: every image is made once, and nothing lies about."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EACH = 5
SORTS = ("worker", "child", "command line", "postgres")


@pytest.mark.timeout(400)
def test_kills_at_random_moments_lose_and_double_nothing(stage: Any) -> None:
    left = [sort for sort in SORTS for _ in range(EACH)]
    stage.dice.shuffle(left)
    stage.start()
    deadline = time.monotonic() + 240
    while left and time.monotonic() < deadline:
        time.sleep(stage.dice.uniform(0.3, 1.5))
        if not stage.running():
            stage.start()
            continue
        if stage.kill(left[-1]):
            left.pop()
        else:
            stage.dice.shuffle(left)
    if not stage.running():
        stage.start()
    stage.wait(120)
    assert not left, f"not all kills found their victim: {left}"
    stage.command("doctor", "--fix")
    counts = stage.check()
    print({**counts, "kills": len(stage.kills), "runs": stage.runs})


@contextmanager
def meddling(folder: Path, meddle: Callable[[Path], None]) -> Iterator[list[str]]:
    """Does something to every message file as soon as it is there; the list names them."""
    seen: list[str] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            for path in folder.glob("*.msg"):
                if path.name not in seen and not path.name.startswith("twin"):
                    seen.append(path.name)
                    try:
                        meddle(path)
                    except FileNotFoundError:
                        seen.remove(path.name)
            time.sleep(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(180)
def test_a_run_whose_every_message_is_lost_ends_the_same(stage: Any) -> None:
    stage.environment["DREAMLINE_FAKE_SECONDS"] = "0.01"
    with meddling(stage.home / "messages" / "queue", Path.unlink) as lost:
        stage.start()
        report = stage.wait(120)
    assert (report["made"], report["failed"], len(lost) > 0) == (200, 0, True)
    stage.check()


@pytest.mark.timeout(180)
def test_a_run_whose_every_message_comes_twice_ends_the_same(stage: Any) -> None:
    stage.environment["DREAMLINE_FAKE_SECONDS"] = "0.01"

    def double(path: Path) -> None:
        shutil.copy(path, path.with_name(f"twin_{path.name}"))

    with meddling(stage.home / "messages" / "queue", double) as doubled:
        stage.start()
        report = stage.wait(120)
    assert (report["made"], report["failed"], len(doubled) > 0) == (200, 0, True)
    stage.check()
