"""What is tried: kinds of faults that belong together, how many of them, and what they are tried on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from faults import brokers, databases, disks, kills, leases, messages, people
from faults.clocks import jump
from faults.scene import Scene

Fault = Callable[[Scene], int]
"""Does something to a scene, writes down what, and says how many faults that were: 0 where it found no victim."""


@dataclass(frozen=True)
class Scenario:
    """Faults that are played in turns over one campaign, or over several when one is not long enough.

    Attributes:
        name: what the table calls it.
        faults: each is played in turn, in an order that the dice decide; none: the images themselves are at fault.
        few: how many faults CI injects.
        many: how many `make faults` injects.
        jobs: images of a campaign; CI has half as many.
        wired: whether workers of the embedded stack reach the database over a line that can be disturbed.
        crew: workers; 0 where the scenario brings its own.
        skewed: whether the workers' clocks are wrong.
        orders: images that misbehave: how many of each.
        settings: of the workers, where they differ.
        doomed: those of the orders that never succeed.
        harmless: whether no worker may end of it.
        telling: whether CI plays it on every stack.
    """

    name: str
    faults: tuple[Fault, ...] = ()
    few: int = 0
    many: int = 0
    jobs: int = 60
    wired: bool = False
    crew: int = 2
    skewed: bool = False
    orders: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    doomed: tuple[str, ...] = ()
    harmless: bool = False
    telling: bool = False


SCENARIOS = (
    Scenario(
        "kills at random moments",
        (kills.kill_worker, kills.kill_child, databases.kill, kills.kill_child),
        few=4,
        many=8,
        telling=True,
    ),
    Scenario(
        "messages lost, doubled, late, out of order",
        (messages.drop, messages.double, messages.delay, messages.reorder, messages.herd),
        few=8,
        many=30,
        harmless=True,
        telling=True,
    ),
    Scenario(
        "broker away, wiped, slow",
        (brokers.stop, brokers.kill, brokers.wipe, brokers.slow, brokers.cut, brokers.refuse),
        few=4,
        many=6,
        harmless=True,
        telling=True,
    ),
    Scenario(
        "malformed messages", (messages.malform, messages.malform, messages.garble), few=6, many=10, harmless=True
    ),
    Scenario("stopped past the lease", (kills.stop_past_lease,), few=2, many=5),
    Scenario("renewals starved", (kills.starve, leases.block), few=2, many=4),
    Scenario("signals in any order", (kills.signals,), few=5, many=14),
    Scenario(
        "leases out, rescuers racing, names reused", (leases.expire, leases.race, leases.reuse), few=5, many=12
    ),
    Scenario(
        "Postgres away",
        (databases.restart, databases.terminate, databases.crowd, databases.forbid),
        few=4,
        many=7,
    ),
    Scenario("store full or not writable", (disks.cut_short, disks.forbid), few=4, many=6),
    Scenario("files damaged or lost", (disks.flip, disks.lose), few=2, many=4),
    Scenario("the command line killed", (kills.kill_run,), few=2, many=3, crew=0),
    Scenario("kills around a COMMIT", (kills.kill_at_commit,), few=3, many=7, wired=True),
    Scenario("connections cut around a COMMIT", (kills.cut_at_commit,), few=4, many=8, wired=True),
    Scenario("the line to Postgres", (databases.cut, databases.hold, databases.slow), few=4, many=8, wired=True),
    Scenario(
        "people change their minds",
        (
            people.submit_twice,
            people.cancel_running,
            people.cancel_at_the_finish,
            people.hesitate,
            people.change,
            people.unusable,
        ),
        few=8,
        many=14,
        jobs=8,
        wired=True,
    ),
    Scenario(
        "everything at once",
        (
            kills.kill_worker,
            kills.kill_child,
            kills.stop_past_lease,
            kills.cut_at_commit,
            databases.kill,
            databases.terminate,
            databases.cut,
            databases.hold,
            messages.drop,
            messages.double,
            messages.herd,
            brokers.wipe,
            brokers.refuse,
            leases.expire,
            leases.race,
            disks.cut_short,
            people.cancel_running,
        ),
        few=10,
        many=18,
        wired=True,
    ),
    Scenario("clocks an hour apart", (jump, kills.kill_child), few=3, many=5, skewed=True),
    Scenario(
        "images that break their maker",
        jobs=8,
        orders=dict.fromkeys(
            (
                *("do crash 2", "do memory 1", "do raise 1", "do nan 1", "do hang 1", "do eat 1"),
                *("do bad 9", "do crash 9"),
            ),
            1,
        ),
        settings={
            "DREAMLINE_BATCH_SECONDS": "5",
            "DREAMLINE_CHILD_MEMORY_GB": "0.8",
            "DREAMLINE_MAX_ATTEMPTS": "8",
        },
        doomed=("do bad 9", "do crash 9"),
    ),
)
