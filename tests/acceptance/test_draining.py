"""`dreamline worker --drain`, and what signals and verbs do to work under way, with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from PIL import Image, ImageDraw

from orchestrator.records import embedded

CAMPAIGN = "campaign: slow\nmodel: storyboard\nprompt: a mug on a table\nseeds: 24\nformats: [square]\nsteps: 20\n"
WITH_REFERENCE = """
campaign: things
model: storyboard
references:
  thing: {kind: subject, image: thing.png}
prompt: "[thing] on a table"
seeds: 3
formats: [square]
"""
DREAMLINE = (sys.executable, "-m", "orchestrator.cli")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name, value in (("HOME", str(tmp_path / "home")), ("POLL_SECONDS", "0.5"), ("FAKE_SECONDS", "0")):
        monkeypatch.setenv(f"DREAMLINE_{name}", value)
    (tmp_path / "slow.yaml").write_text(CAMPAIGN)
    yield tmp_path
    embedded.stop(tmp_path / "home")


def dreamline(*words: str, expect: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [*DREAMLINE, *words], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def plan(place: Path, file: str) -> None:
    """Plans and starts a campaign without workers."""
    running = f"select 1 from campaign where state = 'running' and name = '{Path(file).stem}'"
    with subprocess.Popen(
        [*DREAMLINE, "run", file, "--workers", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as planning:
        wait_until(lambda: bool(ask(place, running)))
        planning.send_signal(signal.SIGINT)
        planning.communicate(timeout=60)


def ask(place: Path, query: str) -> list[Any]:
    with psycopg.connect(embedded.ensure_running(place / "home")) as connection:
        try:
            return connection.execute(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return []


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def leased(place: Path) -> int:
    return int(ask(place, "select count(*) from job where state = 'leased'")[0][0])


@pytest.mark.timeout(200)
def test_a_draining_worker_prepares_makes_and_ends_when_nothing_is_left(place: Path) -> None:
    picture = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(picture).ellipse((70, 60, 190, 200), fill="teal")
    picture.save(place / "thing.png")
    (place / "things.yaml").write_text(WITH_REFERENCE)
    plan(place, "things.yaml")
    told = json.loads(dreamline("worker", "--drain", "-q", "gpu", "--json", expect=3))
    assert told == {"ready": 0, "lacking": 0, "waiting": 3, "elsewhere": 0, "again": 0}
    assert dreamline("worker", "--drain") == "Nothing is left.\n"
    assert ask(place, "select state, count(*) from job group by 1") == [("done", 3)]


@pytest.mark.timeout(200)
def test_what_no_plugin_here_can_do_is_left_and_told(place: Path) -> None:
    plan(place, "slow.yaml")
    told = dreamline("worker", "--drain", expect=3, DREAMLINE_BLOCK="generation")
    assert told == "Left: 24 ask for a model or a plugin that is not here.\n"


@pytest.mark.timeout(200)
def test_a_signal_ends_a_worker_after_its_batch_and_gives_back_the_next(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(place, "slow.yaml")
    monkeypatch.setenv("DREAMLINE_FAKE_SECONDS", "0.2")
    worker = subprocess.Popen([*DREAMLINE, "worker", "--drain"], stdout=subprocess.PIPE, text=True)
    # The next batch is claimed two seconds before the first one ends.
    wait_until(lambda: leased(place) > 8)
    worker.send_signal(signal.SIGTERM)
    told, _ = worker.communicate(timeout=60)
    assert worker.returncode == 3
    assert re.fullmatch(r"Left: (8|16) are ready\.\n", told)
    assert ask(place, "select distinct state, attempts from job order by 1") == [("done", 1), ("queued", 0)]
    done = ask(place, "select count(*) from job where state = 'done'")[0][0]
    assert done in (8, 16)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("verb", "after"), [("pause", ("queued", 0)), ("cancel", ("cancelled", 1))])
def test_a_pause_or_a_cancel_stops_an_image_in_the_midst_of_its_steps(
    place: Path, verb: str, after: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(place, "slow.yaml")
    monkeypatch.setenv("DREAMLINE_FAKE_SECONDS", "60")  # three seconds a step
    worker = subprocess.Popen([*DREAMLINE, "worker", "-q", "gpu"], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: leased(place) == 8)
        busy_child(worker.pid)
        dreamline("campaign", verb, "slow")
        began = time.monotonic()
        wait_until(lambda: leased(place) == 0)
        assert time.monotonic() - began < 3
        assert ask(place, "select distinct state, attempts from job where fence > 0") == [after]
        # The generator is free for others within a step, in the same process: no model is loaded anew.
        children = busy_child(worker.pid)
        (place / "other.yaml").write_text(CAMPAIGN.replace("slow", "other").replace("seeds: 24", "seeds: 1"))
        (place / "other.yaml").write_text((place / "other.yaml").read_text().replace("a mug", "a cup"))
        plan(place, "other.yaml")
        wait_until(lambda: leased(place) == 1, 30)
        assert busy_child(worker.pid) == children
    finally:
        worker.kill()
        worker.wait()


def busy_child(worker: int) -> int:
    """The process in which the worker's generator runs, once it is there."""

    def makers() -> list[int]:
        children = psutil.Process(worker).children(recursive=True)
        return [one.pid for one in children if one.cmdline()[-1:] == ["make"]]

    wait_until(lambda: bool(makers()))
    return makers()[0]
