"""Whatever people, workers, pilots and stop rules do to a campaign, in whatever order, it keeps its promises."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns, stopping
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.records.database import Database
from orchestrator.records.states import Campaign, allowed
from orchestrator.records.storage import Storage
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Role
from orchestrator.reviewing.wishes import Wish
from orchestrator.tallies import find_reached
from orchestrator.working.rescue import end_campaigns

WATCH = """
create table campaign_move (before text, after text);
create function watch_campaign() returns trigger language plpgsql as $$ begin
    insert into campaign_move values (old.state, new.state); return new;
end $$;
create trigger watch_campaign after update on campaign for each row execute function watch_campaign();
"""

CAMPAIGN = """
campaign: drop
model: storyboard
rows: [{sku: a}, {sku: b}, {sku: c}]
prompt: "thing {{ row.sku }} {{ scene }} NOUN"
vary: {scene: [here, there]}
formats: [square, portrait]
stop: {images: LIMIT, rejected: "50% of the last 4", failed: 3}
"""

ADMIN = Actor("ana", Role.ADMIN)


class Steps(RuleBasedStateMachine):
    """One campaign of twelve images; `plans` are its briefs by what it makes and the limit of its images."""

    database: Database
    store: Storage
    registry: Registry
    plans: dict[tuple[str, int], Plan]

    def __init__(self) -> None:
        super().__init__()
        self.members: set[int] = set()
        self.looked = False
        with self.database.begin() as connection:
            connection.execute(
                text("truncate campaign, item, job, asset, decision, attempt, event, campaign_move cascade")
            )

    @rule(
        noun=st.sampled_from(["mug", "lamp"]),
        limit=st.sampled_from([6, 99]),
        pilot=st.sampled_from([0, 0, 4, 6]),
        anyway=st.booleans(),
    )
    def start(self, noun: str, limit: int, pilot: int, anyway: bool) -> None:
        plan = self.plans[noun, limit]
        self._try(
            lambda: campaigns.record(
                self.database, self.store, self.registry, plan, start=True, pilot=pilot, anyway=anyway
            )
        )

    @rule(noun=st.sampled_from(["mug", "lamp"]))
    def plan(self, noun: str) -> None:
        campaigns.record(self.database, self.store, self.registry, self.plans[noun, 6])
        self.looked = False

    @rule(verb=st.sampled_from(["pause", "resume", "cancel", "retry", "start"]))
    def steer(self, verb: str) -> None:
        self._try(lambda: getattr(campaigns, verb)(self.database, self.registry, "drop"))

    @rule()
    def resume_anyway(self) -> None:
        self._try(lambda: campaigns.resume(self.database, self.registry, "drop", anyway=True))

    @rule(count=st.integers(1, 5), dead=st.sampled_from([False, False, False, True]))
    def work(self, count: int, dead: bool) -> None:
        with self.database.begin() as connection:
            connection.execute(text(_WORK), {"count": count, "state": "dead" if dead else "done"})
        self.looked = False

    @rule(verdict=st.sampled_from(["approved", "rejected"]), again=st.booleans())
    def decide(self, verdict: Any, again: bool) -> None:
        with self.database.begin() as connection:
            row = connection.execute(text(_TO_REVIEW)).one_or_none()
        if row is not None:
            reasons = ("glossy",) if verdict == "rejected" else ()
            wish = Wish(
                id=uuid.uuid4(), item=row.id, version=row.version, seen=None, verdict=verdict, reasons=reasons,
                again=again,
            )  # fmt: skip
            assert decide(self.database, self.registry, ADMIN, "drop", [wish])[0].outcome == "recorded"

    @rule()
    def look(self) -> None:
        stopping.look(self.database, self.registry)
        with self.database.begin() as connection:
            end_campaigns(connection)
        self.looked = True

    def _try(self, verb: Callable[[], object]) -> None:
        """A verb that makes no sense now is refused and changes nothing."""
        before = self._row()
        try:
            verb()
        except BadInput:
            assert self._row() == before
        else:
            self.looked = False

    def _row(self) -> Any:
        with self.database.begin() as connection:
            return connection.execute(text("select * from campaign")).one_or_none()

    @invariant()
    def moves_are_allowed(self) -> None:
        with self.database.begin() as connection:
            for move in connection.execute(text("delete from campaign_move returning *")).all():
                before, after = Campaign(move.before), Campaign(move.after)
                assert before == after or allowed(before, after), f"{before} to {after}"

    @invariant()
    def workers_may_have_what_is_wanted_now_and_nothing_else(self) -> None:
        with self.database.begin() as connection:
            campaign = connection.execute(text("select state, pilot from campaign")).one_or_none()
            rows = connection.execute(text(_OPEN)).all()
        for row in rows:
            wanted = campaign.state == "running" and (not campaign.pilot or row.pilot)
            assert row.held != wanted, (campaign, row)

    @invariant()
    def a_pause_says_what_caused_it(self) -> None:
        row = self._row()
        event(f"{row.state} {row.paused_by}{' in a pilot' * bool(row.pilot)}" if row is not None else "none")
        if row is not None and row.state == "paused":
            words = {"person": "", "pilot": "the pilot of", "rule": "stop rule"}
            assert row.paused_by in words
            assert row.reason.startswith(words[row.paused_by])
            assert bool(row.reason) == (row.paused_by != "person")
        elif row is not None:
            assert (row.paused_by, row.reason) == ("", "")

    @invariant()
    def a_pilot_loses_no_item_that_is_asked_for(self) -> None:
        with self.database.begin() as connection:
            now = set(connection.execute(text("select id from item where pilot")).scalars())
        assert self.members <= now
        self.members = now

    @invariant()
    def whoever_has_looked_leaves_nothing_running_that_ought_to_stop(self) -> None:
        row = self._row() if self.looked else None
        if row is not None and row.state == "running":
            with self.database.begin() as connection:
                assert find_reached(connection, row.id) is None
                open_jobs = connection.execute(text(_OPEN)).all()
            assert [one for one in open_jobs if one.pilot or not row.pilot]


_WORK = """
with done as (
    update job set state = :state, changed_at = clock_timestamp() where id in (
        select id from job where state = 'queued' and not held order by id limit :count
    ) returning id, key, state
)
insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds, made_at)
select id, key, 1, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), 1, clock_timestamp() from done
where state = 'done' on conflict (job_id) do nothing
"""

_TO_REVIEW = """
select item.id, item.version from item join asset on asset.job_id = item.job_id
where item.verdict = 'open' and not item.obsolete order by item.id limit 1
"""

_OPEN = """
select job.id, job.held, bool_or(item.pilot) as pilot from job join item on item.job_id = job.id
where job.state in ('queued', 'failed', 'leased') and not item.obsolete group by job.id
"""


@pytest.fixture
def machine(
    tmp_path: Path, settings: Settings, database: Database, store: Storage, registry: Registry
) -> type[Steps]:
    with database.begin() as connection:
        connection.connection.cursor().execute(WATCH)
    plans = {}
    for noun in ("mug", "lamp"):
        for limit in (6, 99):
            path = tmp_path / f"{noun}-{limit}.yaml"
            path.write_text(CAMPAIGN.replace("NOUN", noun).replace("LIMIT", str(limit)))
            plans[noun, limit] = make_plan(read_brief(path, settings, registry), settings, registry)
    told = {"database": database, "store": store, "registry": registry, "plans": plans}
    return type("DropSteps", (Steps,), told)


def test_no_order_of_events_leaves_a_campaign_in_doubt(machine: type[Steps]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
