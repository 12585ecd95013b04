"""Ctrl-C, a pause and a cancel from another terminal, while a campaign runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.records import embedded

CAMPAIGN = "campaign: slow\nmodel: storyboard\nprompt: a mug on a table\nseeds: 40\nformats: [square]\n"
DREAMLINE = (sys.executable, "-m", "orchestrator.cli")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name, value in (("HOME", str(tmp_path / "home")), ("FAKE_SECONDS", "0.2"), ("POLL_SECONDS", "0.5")):
        monkeypatch.setenv(f"DREAMLINE_{name}", value)
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    yield tmp_path
    embedded.stop(tmp_path / "home")


def start() -> subprocess.Popen[str]:
    command = [*DREAMLINE, "run", "campaign.yaml", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def show() -> dict[str, Any]:
    done = subprocess.run([*DREAMLINE, "campaign", "show", "slow", "--json"], capture_output=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"jobs": {"done": 0}}
    return found


def wait_until_some_are_done() -> None:
    deadline = time.monotonic() + 30
    while not 0 < show()["jobs"]["done"] < 40:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ours(home: Path) -> list[str]:
    """Command lines of processes that work in this home."""
    found = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["environ"] or {}).get("DREAMLINE_HOME") == str(home)
    ]
    return [line for line in found if "working.child" in line or "cli worker" in line]


@pytest.mark.timeout(120)
def test_ctrl_c_leaves_nothing_behind_and_the_same_command_goes_on(place: Path) -> None:
    first = start()
    wait_until_some_are_done()
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=30)
    assert first.returncode == 130
    assert "Nothing is lost" in errors
    assert "Traceback" not in errors
    assert ours(place / "home") == []
    before = show()["jobs"]
    assert before["leased"] == 0
    assert 0 < before["done"] < 40
    output, _ = start().communicate(timeout=60)
    report = json.loads(output)
    assert (report["made"], report["reused"]) == (40 - before["done"], before["done"])


@pytest.mark.timeout(120)
def test_a_worker_goes_when_the_command_that_started_it_is_killed(place: Path) -> None:
    first = start()
    wait_until_some_are_done()
    first.kill()
    first.communicate()
    deadline = time.monotonic() + 15
    while ours(place / "home"):
        assert time.monotonic() < deadline, ours(place / "home")
        time.sleep(0.2)
    assert show()["jobs"]["leased"] == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("verb", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_campaign_that_is_ended_from_elsewhere_ends_the_run_and_can_go_on(
    place: Path, verb: str, state: str
) -> None:
    first = start()
    wait_until_some_are_done()
    subprocess.run([*DREAMLINE, "campaign", verb, "slow"], check=True, capture_output=True)
    output, _ = first.communicate(timeout=30)
    report = json.loads(output)
    assert (first.returncode, report["state"]) == (3, state)
    assert 0 < report["made"] < 40
    second = start()
    output, _ = second.communicate(timeout=60)
    report = json.loads(output)
    assert (second.returncode, report["state"], report["jobs"]["done"]) == (0, "finished", 40)
