"""Whatever is killed, cut, lost, doubled, late, full or wrong: every image that was asked for ends, once."""

from __future__ import annotations

import os

import pytest
from faults.crew import Crew
from faults.history import Outcome
from faults.playing import play
from faults.scenarios import SCENARIOS, Scenario
from faults.stacks import NAMES, Stack

MANY = os.environ.get("FAULTS") == "all"

PLAYED = [
    pytest.param(name, scenario, id=f"{name}-{scenario.name.replace(' ', '-')}")
    for name in NAMES
    for scenario in SCENARIOS
    if MANY or scenario.telling or name == "embedded"
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("stack", "scenario"), PLAYED, indirect=["stack"])
def test_nothing_is_lost_and_nothing_doubled(
    stack: Stack, scenario: Scenario, crew: Crew, seed: str, report: list[Outcome]
) -> None:
    outcome = play(scenario, stack, crew, seed, many=MANY)
    print(outcome)
    report.append(outcome)
    assert outcome.tried
