"""Two homes at one Postgres, one Redis and one store: the campaign ends though half of its workers are gone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from faults.crew import until
from faults.history import Outcome
from faults.hosts import Host, have_networks, two_hosts
from faults.scene import Scene
from faults.stacks import LEASE, Stack

JOBS = 80

NETWORKS = pytest.mark.parametrize(
    "networks",
    [True, False] if os.environ.get("FAULTS") == "all" else [have_networks()],
    ids=lambda networks: "networks-of-their-own" if networks else "one-network",
)


def made_by(scene: Scene, host: Host) -> int:
    """How many of the scene's images the workers of a host have made; `host` tells by its process ids."""
    query = """
    select count(*) from asset join worker on worker.id = asset.worker join item on item.job_id = asset.job_id
    join campaign on campaign.id = item.campaign_id
    where campaign.name = any(:names) and worker.process = any(:processes)
    """
    processes = [one.pid for one in host.crew.workers()]
    return int(scene.patient(query, names=scene.campaigns, processes=processes)[0])


@pytest.fixture
def scene(stack: Stack, crew: object, seed: str, request: pytest.FixtureRequest) -> Iterator[Scene]:
    scene = Scene.open(stack, crew, request.node.name, seed)  # type: ignore[arg-type]
    yield scene
    scene.close()


def both_at_work(scene: Scene, hosts: tuple[Host, Host]) -> None:
    """Submits the campaign when the workers of both are there, and waits until both have made some of it."""

    def there() -> bool:
        found = set(scene.patient("select process from worker"))
        started = [one.pid for host in hosts for one in host.crew.workers()]
        return len(started) == len(hosts) and found.issuperset(started)

    assert until(120, there), "the workers of a host do not sign on"
    scene.submit(JOBS)
    assert until(120, lambda: all(made_by(scene, one) > 0 for one in hosts)), "one of the hosts makes nothing"


@NETWORKS
@pytest.mark.timeout(400)
@pytest.mark.parametrize("stack", ["redis"], indirect=True)
def test_a_campaign_ends_though_one_of_two_hosts_is_killed_half_way(
    stack: Stack, scene: Scene, report: list[Outcome], networks: bool
) -> None:
    scene.name = "a host killed"
    with two_hosts(stack, networks=networks, workers=1) as (here, there):
        both_at_work(scene, (here, there))
        assert until(120, lambda: scene.open_jobs() <= JOBS // 2)
        assert scene.open_jobs() > 0, "the campaign was over before the host was killed"
        there.die()
        scene.tally["host killed"] += 1
        scene.wait(120)
        assert made_by(scene, here) < JOBS
        outcome = scene.outcome()
        outcome.refused = sum(one.crew.late(0) for one in (here, there))
    assert (outcome.results, outcome.lost, outcome.doubled) == (JOBS, 0, 0)
    report.append(outcome)


@NETWORKS
@pytest.mark.timeout(400)
@pytest.mark.parametrize("stack", ["redis"], indirect=True)
def test_a_host_that_was_cut_off_past_its_leases_does_no_harm_when_it_is_back(
    stack: Stack, scene: Scene, report: list[Outcome], networks: bool
) -> None:
    scene.name = "a host cut off"
    with two_hosts(stack, networks=networks, workers=1) as (here, there):
        both_at_work(scene, (here, there))
        for _ in range(2):
            there.cut_off()
            time.sleep(LEASE * 2)
            there.join()
            scene.tally["host cut off past its leases"] += 1
            scene.pause(0.5, 1.0)
        scene.wait(120)
        outcome = scene.outcome()
        outcome.refused = sum(one.crew.late(0) for one in (here, there))
    assert (outcome.results, outcome.lost, outcome.doubled) == (JOBS, 0, 0)
    report.append(outcome)
