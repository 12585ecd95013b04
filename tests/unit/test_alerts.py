"""Alarms: rules that Prometheus can read, that ring when they should, and that the documentation explains."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docker" / "alerts.yaml"
BEHAVIOUR = ROOT / "tests" / "data" / "alerts" / "behaviour.yaml"


def alarms() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize("alarm", alarms(), ids=lambda alarm: alarm["alert"])
def test_each_alarm_says_how_bad_it_is_and_is_explained(alarm: dict[str, Any]) -> None:
    assert alarm["labels"]["severity"] in ("warning", "critical")
    assert alarm["annotations"].keys() == {"summary", "description"}
    assert f"`{alarm['alert']}`" in (ROOT / "docs" / "operations.md").read_text()


def test_each_alarm_is_tried_on_made_up_figures() -> None:
    tried = set(re.findall(r"alertname: (\w+)", BEHAVIOUR.read_text()))
    assert tried == {alarm["alert"] for alarm in alarms()}


def test_the_alarms_ring_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (it comes with Prometheus)")
    for path in (RULES, BEHAVIOUR):
        shutil.copy(path, tmp_path)
    done = subprocess.run(
        [promtool, "test", "rules", "behaviour.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_can_read_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (it comes with Prometheus)")
    command = [promtool, "check", "config", "--syntax-only", "prometheus.yaml"]
    done = subprocess.run(command, cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
