"""Plays a scenario on a stack: a schedule of faults that the seed decides, then calm, then the reckoning."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping

from faults.clocks import skewed
from faults.crew import Crew
from faults.history import Outcome
from faults.scenarios import Fault, Scenario
from faults.scene import Scene
from faults.stacks import Stack

PATIENCE = 400.0
"""Seconds after which faults that found no victim are given up, and that images have to end afterwards."""

FEW = 8
"""Open images below which another campaign is begun, while faults are left."""


def play(scenario: Scenario, stack: Stack, crew: Crew, seed: str, *, many: bool) -> Outcome:
    """The table's row of one scenario; raises AssertionError where something was lost, doubled or left over."""
    scene = Scene.open(stack, crew, scenario.name, seed)
    orders = {order: count * (2 if many else 1) for order, count in scenario.orders.items()}
    try:
        crew.equip(_environments(scenario, stack))
        jobs = scenario.jobs if many else scenario.jobs // 2
        scene.submit(jobs, orders)
        with _marks(scene), _unharmed(scene, crew) if scenario.harmless else contextlib.nullcontext():
            _inject(scene, scenario, jobs, scenario.many if many else scenario.few)
            scene.calm()
            scene.wait(PATIENCE)
        outcome = scene.outcome()
        doomed = {f"{order.replace(' ', '-')}-{k}" for order in scenario.doomed for k in range(orders[order])}
        assert set(_dead(scene)) == doomed
    finally:
        scene.close()
    assert outcome.lost == outcome.doubled == 0, outcome
    return outcome


def _inject(scene: Scene, scenario: Scenario, jobs: int, number: int) -> None:
    order = _turns(scene, scenario)
    deadline = time.monotonic() + PATIENCE
    while number > 0 and time.monotonic() < deadline:
        if scene.open_jobs() < FEW:
            scene.submit(jobs)
        if scenario.crew:
            scene.under_way()
        scene.pause()
        number -= next(order)(scene)
    assert number <= 0, f"{number} faults found no victim; done were {dict(scene.tally)}"


def _turns(scene: Scene, scenario: Scenario) -> Iterator[Fault]:
    """Each fault once, in an order that the dice decide, and then again in another."""
    while True:
        yield from scene.dice.sample(scenario.faults, len(scenario.faults))


def _environments(scenario: Scenario, stack: Stack) -> list[Mapping[str, str]]:
    common = {**stack.environment(wired=scenario.wired or stack.name != "embedded"), **scenario.settings}
    return list(skewed(stack.folder, common)) if scenario.skewed else [common] * scenario.crew


@contextlib.contextmanager
def _marks(scene: Scene) -> Iterator[None]:
    """Counts what images did to their maker meanwhile."""
    before = {path.name for path in scene.stack.marks.iterdir()}
    yield
    done = Counter(path.name.split("-")[0] for path in scene.stack.marks.iterdir() if path.name not in before)
    for word, times in done.items():
        scene.tally[f"image at fault: {word}"] += times


@contextlib.contextmanager
def _unharmed(scene: Scene, crew: Crew) -> Iterator[None]:
    """Holds that every worker who was there is there still."""
    scene.under_way()
    before = crew.starts
    yield
    assert crew.starts == before, f"{crew.starts - before} workers ended; {crew.log} says why"


def _dead(scene: Scene) -> list[str]:
    """Rows whose images were given up."""
    query = """
    select distinct item.row_key from job join item on item.job_id = job.id
    join campaign on campaign.id = item.campaign_id where campaign.name = any(:names) and job.state = 'dead'
    """
    return scene.values(query, names=scene.campaigns)
