"""People who submit twice, cancel at the last moment, and change their minds; files that nobody can use."""

from __future__ import annotations

import threading
import time

import pytest
from faults.kills import TRANSACTIONS
from faults.scene import Scene
from faults.wire import Trap

from core.errors import BadInput
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan

ROUND = 12
"""Images of a campaign that somebody is nervous about."""

UNUSABLE = {
    "empty": b"",
    "not text": bytes(range(256)) * 16,
    "cut off": b'campaign: a\nmodel: trouble\nprompt: "a {{ row.no',
    "a list": b"- campaign: a\n- model: trouble\n",
    "deep": b"a: " + b"[" * 5000 + b"]" * 5000,
    "bomb": b"a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b, *b, *b]\n",
    "huge": b"campaign: a\nmodel: trouble\nprompt: " + b"x" * (21 << 20),
    "too many": b"campaign: a\nmodel: trouble\nprompt: a\nseeds: 100000000\n",
    "unknown model": b"campaign: a\nmodel: nothing\nprompt: a\n",
}


def submit_twice(scene: Scene) -> int:
    """The same campaign by two people at the same moment."""
    plan = scene.plan(ROUND)

    def submit() -> None:
        campaigns.record(scene.database, scene.store, scene.plugins, plan, start=True)

    with scene.beside(submit, submit):
        pass
    scene.accept(plan)
    scene.tally["submitted twice at once"] += 1
    return 1


def cancel_running(scene: Scene) -> int:
    """Cancelled in the middle; what was asked for is later asked for again, or not."""
    plan = _begin(scene)
    scene.pause(0.3, 1.5)
    _cancel(scene, plan)
    scene.tally["cancelled while running"] += 1
    return 1


def cancel_at_the_finish(scene: Scene) -> int:
    """Cancelled at the moment at which a result is being committed."""
    plan = _begin(scene)
    threads: list[threading.Thread] = []

    def cancel(port: int) -> None:
        threads.append(threading.Thread(target=_cancel, args=(scene, plan), daemon=True))
        threads[0].start()
        time.sleep(0.15)

    when = scene.dice.choice(("before", "after"))
    trap = Trap(TRANSACTIONS["a result"], when, cancel, cuts=False)
    scene.stack.wires["database"].await_commit(trap)
    sprung = trap.sprung.wait(10)
    scene.stack.wires["database"].calm()
    if not sprung:
        return 0
    threads[0].join(60)
    assert not threads[0].is_alive()
    scene.tally[f"cancelled {when} a result's COMMIT"] += 1
    return 1


def hesitate(scene: Scene) -> int:
    """Paused, resumed, paused, resumed."""
    plan = _begin(scene)
    for _ in range(3):
        scene.pause(0.0, 0.4)
        campaigns.pause(scene.database, scene.plugins, plan.brief.campaign)
        scene.pause(0.0, 0.2)
        campaigns.resume(scene.database, scene.plugins, plan.brief.campaign)
        scene.tally["paused and resumed"] += 1
    return 3


def change(scene: Scene) -> int:
    """The brief asks for less while its images are made, and then for all of them again."""
    plan = _begin(scene)
    path = plan.brief.path
    whole = path.read_text()
    for text in ("\n".join(line for line in whole.splitlines() if "sku: p1" not in line), whole):
        scene.pause(0.1, 0.6)
        path.write_text(text)
        again = make_plan(read_brief(path, scene.settings, scene.plugins), scene.settings, scene.plugins)
        campaigns.record(scene.database, scene.store, scene.plugins, again, start=True)
    scene.tally["brief changed under way"] += 1
    return 1


def unusable(scene: Scene) -> int:
    """A campaign file that is no campaign is refused whole, with the reason."""
    name = scene.dice.choice(sorted(UNUSABLE))
    path = scene.folder / "unusable.yaml"
    path.write_bytes(UNUSABLE[name])
    with pytest.raises(BadInput):
        read_brief(path, scene.settings, scene.plugins)
    scene.tally[f"campaign file: {name}"] += 1
    return 1


def _begin(scene: Scene) -> Plan:
    plan = scene.plan(ROUND)
    campaigns.record(scene.database, scene.store, scene.plugins, plan, start=True)
    scene.accept(plan)
    return plan


def _cancel(scene: Scene, plan: Plan) -> None:
    campaigns.cancel(scene.database, scene.plugins, plan.brief.campaign)
    if scene.dice.random() < 0.5:
        campaigns.record(scene.database, scene.store, scene.plugins, plan, start=True)
