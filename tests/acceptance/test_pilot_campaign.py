"""Plans, pilots, stop rules and watching by command, with real workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from core.registry import Registry
from core.settings import Settings
from orchestrator.records.database import Database
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Role
from orchestrator.reviewing.wishes import Wish

if TYPE_CHECKING:
    from conftest import Command

CAMPAIGN = """
campaign: drop
model: storyboard
owner: ana
rows: [{sku: mug}, {sku: lamp}, {sku: hat}, {sku: bag}]
prompt: "a {{ row.sku }} {{ scene }}"
vary: {scene: [here, there, far]}
formats: [square, portrait]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "campaign.yaml"
    path.write_text(CAMPAIGN)
    return path


def told(command: Command, *words: str, expect: int = 0) -> Any:
    return json.loads(command(*words, "--json", expect=expect).stdout)


def review(home: Path, registry: Registry, rejected: int) -> None:
    """A person decides about all that is made: so many rejections, then approvals."""
    database = Database(Settings(home=home))
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            select item.id, item.version from item join asset on asset.job_id = item.job_id
            where verdict = 'open' order by item.id
            """)
        ).all()
    for number, row in enumerate(rows):
        no = number < rejected
        wish = Wish(
            id=uuid.uuid4(), item=row.id, version=row.version, seen=None, verdict="rejected" if no else "approved",
            reasons=("glossy",) if no else (),
        )  # fmt: skip
        decide(database, registry, Actor("eva", Role.ADMIN), "drop", [wish])
    database.close()


def test_a_pilot_is_made_reviewed_and_foretells_the_rest_which_the_same_command_makes(
    command: Command, file: Path, tmp_path: Path, registry: Registry
) -> None:
    assert told(command, "plan", "campaign.yaml")["estimate"]["seconds"] is None
    report = told(command, "run", "campaign.yaml", "-o", "out", "--pilot", "8")
    assert (report["made"], report["state"], report["paused_by"], report["later"]) == (8, "paused", "pilot", 16)
    assert told(command, "run", "campaign.yaml", "-o", "out", "--pilot", "8")["made"] == 0
    review(tmp_path / "home", registry, rejected=2)
    shown = told(command, "campaign", "show", "drop")
    assert (shown["owner"], shown["spent"]["images"]) == ("ana", 8)
    assert shown["pilot_says"]["rate"]["share"] == 0.75
    low, high = shown["pilot_says"]["forecast"]["approved"]
    assert 6 < low < 12 < high <= 16
    assert "6 of 8 approved at first sight: 75% (41% to 93%)" in command("campaign", "show", "drop").stdout
    plan = told(command, "plan", "campaign.yaml", "--rows")
    assert plan["compared"] == {"new": 0, "changed": 0, "same": 24, "obsolete": 0}
    assert plan["estimate"]["images"] == plan["rest_estimate"]["images"] == 16
    assert plan["estimate"]["seconds"] is not None
    report = told(command, "run", "campaign.yaml", "-o", "out")
    # What was rejected is not written.
    assert (report["made"], report["state"], report["files"]) == (16, "finished", 22)


def test_a_stop_rule_pauses_a_running_campaign_says_why_and_is_lifted_on_purpose(
    command: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMLINE_BATCH_SIZE", "2")
    monkeypatch.setenv("DREAMLINE_FAKE_SECONDS", "0.1")
    file.write_text(CAMPAIGN + "stop: {images: 6}\n")
    report = told(command, "run", "campaign.yaml", "-o", "out", expect=3)
    assert (report["state"], report["paused_by"]) == ("paused", "rule")
    assert "the limit is 6" in report["reason"]
    assert 6 <= report["made"] < 24
    assert "stop rule images" in command("campaign", "show", "drop").stdout
    refused = command("run", "campaign.yaml", expect=2)
    assert "would be stopped at once" in refused.stderr
    assert "--anyway" in command("campaign", "resume", "drop", expect=2).stderr
    file.write_text(CAMPAIGN)
    assert told(command, "run", "campaign.yaml", "-o", "out")["state"] == "finished"


def test_watching_ends_with_the_campaign_and_prints_each_change_once(command: Command, file: Path) -> None:
    command("run", "campaign.yaml", "-o", "out")
    lines = command("campaign", "show", "drop", "--watch", "--json").stdout.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["finished"]
    once = command("campaign", "list", "--watch").stdout
    assert once.count("drop") == 1
    assert "finished" in once


def test_watching_a_paused_campaign_lasts_until_somebody_stops_it(
    command: Command, file: Path, tmp_path: Path
) -> None:
    command("run", "campaign.yaml", "-o", "out", "--pilot", "4")
    watching = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli", "campaign", "show", "drop", "--watch", "--json"],
        cwd=tmp_path,
        env={**os.environ, "DREAMLINE_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["paused_by"] == "pilot"
    command("campaign", "priority", "drop", "-5")
    assert json.loads(watching.stdout.readline())["priority"] == -5
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=30)
    assert watching.returncode == 0
    assert "No longer watching" in said
