"""Two campaigns that share images, workers, rescuers and people, in any order: the database follows a model.

The model is plain Python: a dictionary of jobs, two campaigns, and the rules of docs/reliability.md. After each
step every job's state, fence, attempts and whether it is held have to be the model's.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import claims
from orchestrator.working.claims import Claim
from orchestrator.working.rescue import end_campaigns, rescue

MOST = 2

BRIEFS = {"one": ("abc", "ab", "bc"), "two": ("cd", "d", "acd")}
"""The rows that each campaign may ask for; where both ask for a row it is the same image."""

OPEN = ("queued", "leased", "failed")

ASKING = ("planned", "running", "paused")


@dataclass
class Job:
    """What the model knows of an image. `out` says that its lease ran out, `due` that it may be tried again."""

    state: str = "queued"
    held: bool = True
    fence: int = 0
    attempts: int = 0
    worker: uuid.UUID | None = None
    out: bool = False
    due: bool = False


@dataclass
class Model:
    """The rules, without a database."""

    jobs: dict[str, Job] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    rows: dict[str, set[str]] = field(default_factory=dict)

    def wanted(self, row: str, states: tuple[str, ...], beside: str = "") -> bool:
        """Whether a campaign in one of these states asks for a row."""
        return any(
            row in self.rows[name] for name, state in self.states.items() if state in states and name != beside
        )

    def record(self, name: str, rows: str, *, start: bool) -> None:
        former = self.rows.get(name, set())
        before = self.states.get(name, "")
        self.states[name] = "running" if start else before if before in ("running", "paused") else "planned"
        self.rows[name] = set(rows)
        for row in rows:
            self.jobs.setdefault(row, Job(held=self.states[name] != "running"))
        for row in former:
            if self.jobs[row].state in OPEN and not self.wanted(row, ASKING):
                self.jobs[row].state = "cancelled"
        if self.states[name] == "running":
            self.release(name)

    def release(self, name: str) -> None:
        for job in (self.jobs[row] for row in self.rows[name]):
            if job.state == "cancelled":
                job.state, job.attempts, job.held = "queued", 0, False
            elif job.state in OPEN:
                job.held = False

    def hold(self, name: str) -> None:
        for row in self.rows[name]:
            if self.jobs[row].state in OPEN and not self.wanted(row, ("running",), beside=name):
                self.jobs[row].held = True

    def cancel(self, name: str) -> None:
        for row in self.rows[name]:
            if self.jobs[row].state in OPEN and not self.wanted(row, ASKING, beside=name):
                self.jobs[row].state = "cancelled"
        self.hold(name)

    def revive(self, name: str) -> int:
        dead = [self.jobs[row] for row in self.rows[name] if self.jobs[row].state == "dead"]
        for job in dead:
            job.state, job.attempts = "queued", 0
        self.release(name)
        return len(dead)

    def end(self) -> set[str]:
        ended = {
            name
            for name, state in self.states.items()
            if state == "running" and not any(self.jobs[row].state in OPEN for row in self.rows[name])
        }
        self.states.update(dict.fromkeys(ended, "finished"))
        return ended

    def rescue(self) -> None:
        for job in self.jobs.values():
            if job.state == "leased" and job.out:
                job.state = "dead" if job.attempts >= MOST else "queued"
            elif job.state == "failed" and job.due:
                job.state = "queued"

    def claimable(self) -> set[str]:
        return {row for row, job in self.jobs.items() if job.state == "queued" and not job.held}


VERBS = {
    "start": ("running", {"planned", "running", "paused", "finished", "cancelled"}),
    "resume": ("running", {"paused", "running"}),
    "pause": ("paused", {"running", "paused"}),
    "cancel": ("cancelled", set(ASKING)),
}
"""Where each verb leads, and from where it may be used."""


class World(RuleBasedStateMachine):
    """The database and its model, side by side. `held` are claims that workers believe to have, some old."""

    database: Database
    store: Storage
    registry: Registry
    plans: dict[tuple[str, str], Plan]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.held: list[tuple[uuid.UUID, Claim]] = []
        self.names: dict[int, str] = {}
        with self.database.begin() as connection:
            connection.execute(text("truncate job, event, campaign restart identity cascade"))

    @initialize()
    def begin(self) -> None:
        self.record("one", 0, start=True)

    @rule(name=st.sampled_from(sorted(BRIEFS)), choice=st.integers(0, 2), start=st.booleans())
    def record(self, name: str, choice: int, start: bool) -> None:
        rows = BRIEFS[name][choice]
        campaigns.record(self.database, self.store, self.registry, self.plans[name, rows], start=start)
        self.model.record(name, rows, start=start)
        with self.database.begin() as connection:
            found = connection.execute(text("select row_key, job_id from item"))
            self.names = {row.job_id: row.row_key for row in found}

    @rule(name=st.sampled_from(sorted(BRIEFS)), verb=st.sampled_from(sorted(VERBS)))
    def use(self, name: str, verb: str) -> None:
        after, before = VERBS[verb]
        change = getattr(campaigns, verb)
        if self.model.states.get(name) not in before:
            with pytest.raises(BadInput):
                change(self.database, self.registry, name)
            return
        change(self.database, self.registry, name)
        self.model.states[name] = after
        {"running": self.model.release, "paused": self.model.hold, "cancelled": self.model.cancel}[after](name)

    @rule(name=st.sampled_from(sorted(BRIEFS)))
    def retry(self, name: str) -> None:
        dead = [row for row in self.model.rows.get(name, ()) if self.model.jobs[row].state == "dead"]
        if name not in self.model.states or (dead and self.model.states[name] == "draft"):
            return
        assert campaigns.retry(self.database, self.registry, name) == len(dead)
        if dead:
            self.model.states[name] = "running"
            self.model.revive(name)

    @rule(limit=st.integers(1, 4), lease=st.sampled_from([0.0, 60.0]))
    def claim(self, limit: int, lease: float) -> None:
        self._claim(limit, lease)

    @rule(times=st.integers(1, 4))
    def lose(self, times: int) -> None:
        """Workers that are killed as soon as they have claimed, one after the other."""
        for _ in range(times):
            self._claim(4, 0.0)
            self.rescue()

    def _claim(self, limit: int, lease: float) -> None:
        worker, pin = uuid.uuid4(), next(iter(self.plans.values())).model.name
        with self.database.begin() as connection:
            found = claims.claim(connection, "job", worker, [pin], limit, lease)
        ready = self.model.claimable()
        taken = {self.names[one.id] for one in found}
        assert taken <= ready
        assert len(found) == len(taken) <= limit
        assert bool(taken) == bool(ready)
        for one in found:
            job = self.model.jobs[self.names[one.id]]
            job.state, job.fence, job.attempts = "leased", job.fence + 1, job.attempts + 1
            job.worker, job.out = worker, lease == 0
            assert (one.fence, one.attempt) == (job.fence, job.attempts)
        self.held += [(worker, one) for one in found]

    @rule(data=st.data(), lease=st.sampled_from([0.0, 60.0]))
    def renew(self, data: st.DataObject, lease: float) -> None:
        for worker, one in self._some(data):
            with self.database.begin() as connection:
                kept = claims.renew(connection, "job", worker, [one], lease)
            assert kept == ({one.id} if self._ours(one) else set())
            if kept:
                self._job(one).out = lease == 0

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        for _, one in self._some(data):
            with self.database.begin() as connection:
                outcome = claims.finish(connection, "job", one)
            job, ours = self._job(one), self._ours(one)
            again = job.state == "done" and job.fence == one.fence
            assert outcome == ("done" if ours else "already" if again else "lost")
            if ours:
                job.state = "done"

    @rule(data=st.data(), retry=st.sampled_from([None, 0.0, 60.0]))
    def fail(self, data: st.DataObject, retry: float | None) -> None:
        for _, one in self._some(data):
            error = {"class": "unknown", "message": "x"}
            with self.database.begin() as connection:
                changed = claims.fail(connection, "job", one, error, retry_in=retry)
            assert changed == self._ours(one)
            if changed:
                job = self._job(one)
                job.state, job.due = "dead" if retry is None else "failed", retry == 0

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        chosen = [one for _, one in self._some(data)]
        with self.database.begin() as connection:
            claims.give_back(connection, "job", chosen)
        for one in chosen:
            if self._ours(one):
                self._job(one).state = "queued"
                self._job(one).attempts -= 1

    @rule()
    def expire(self) -> None:
        with self.database.begin() as connection:
            connection.execute(text("update job set lease_until = clock_timestamp() where state = 'leased'"))
        for job in self.model.jobs.values():
            job.out = job.out or job.state == "leased"

    @rule()
    def rescue(self) -> None:
        with self.database.begin() as connection:
            rescue(connection, MOST)
        self.model.rescue()

    @rule()
    def end(self) -> None:
        with self.database.begin() as connection:
            assert set(end_campaigns(connection)) == self.model.end()

    @invariant()
    def the_database_does_what_the_model_does(self) -> None:
        with self.database.begin() as connection:
            jobs = connection.execute(text("select id, state, held, fence, attempts from job")).all()
            states = connection.execute(text("select name, state from campaign")).all()
        found = {self.names[job.id]: (job.state, job.held, job.fence, job.attempts) for job in jobs}
        expected = {row: (job.state, job.held, job.fence, job.attempts) for row, job in self.model.jobs.items()}
        assert found == expected
        assert {row.name: row.state for row in states} == self.model.states

    def _some(self, data: st.DataObject) -> list[tuple[uuid.UUID, Claim]]:
        if not self.held:
            return []
        return data.draw(st.lists(st.sampled_from(self.held), max_size=3, unique=True), "claims")

    def _job(self, claim: Claim) -> Job:
        return self.model.jobs[self.names[claim.id]]

    def _ours(self, claim: Claim) -> bool:
        """Whether a claim still holds, by the model."""
        return self._job(claim).state == "leased" and self._job(claim).fence == claim.fence


@pytest.fixture
def plans(tmp_path: Path, settings: Settings, registry: Registry) -> dict[tuple[str, str], Plan]:
    """Every brief that the campaigns may have, planned; `settings` are the program's, not hypothesis's."""
    made: dict[tuple[str, str], Any] = {}
    for name, choices in BRIEFS.items():
        for rows in choices:
            path = tmp_path / f"{name}-{rows}.yaml"
            listed = "".join(f"\n  - {{sku: {row}}}" for row in rows)
            path.write_text(
                f'campaign: {name}\nmodel: storyboard\nrows:{listed}\nprompt: "a {{{{ row.sku }}}}"\nseeds: 1\n'
            )
            made[name, rows] = make_plan(read_brief(path, settings, registry), settings, registry)
    return made


@pytest.mark.timeout(600)
def test_every_order_of_events_ends_as_the_model_says(
    database: Database, store: Storage, registry: Registry, plans: dict[tuple[str, str], Plan]
) -> None:
    given = {"database": database, "store": store, "registry": registry, "plans": plans}
    run_state_machine_as_test(
        type("World", (World,), given),
        settings=settings(
            max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
