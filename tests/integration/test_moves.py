"""Whatever workers, rescuers and people do in whatever order, every move is one that `states` allows."""

from __future__ import annotations

import uuid

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from orchestrator.records.database import Database
from orchestrator.records.states import WORK_MOVES, Work, allowed
from orchestrator.working import claims
from orchestrator.working.claims import Claim
from orchestrator.working.rescue import rescue

WATCH = """
create table move (before text, after text, fence_before bigint, fence_after bigint);
create function watch() returns trigger language plpgsql as $$ begin
    insert into move values (old.state, new.state, old.fence, new.fence); return new;
end $$;
create trigger watch after update on job for each row execute function watch();
"""

JOBS, MOST = 6, 3


class Moves(RuleBasedStateMachine):
    """Six jobs and a handful of workers that do what they like, late and twice; `held` are their claims."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Claim] = []
        self.finished: set[int] = set()
        with self.database.begin() as connection:
            connection.execute(text("truncate job, event, move restart identity cascade"))
            connection.execute(
                text("""
                insert into job (key, pin, batch, model, request, pinned, held)
                select n::text, 'pin', 'batch', 'model', '{}', '{}', false from generate_series(1, :jobs) n
                """),
                {"jobs": JOBS},
            )

    @rule(limit=st.integers(1, 4), lease=st.sampled_from([0.0, 60.0]))
    def claim(self, limit: int, lease: float) -> None:
        with self.database.begin() as connection:
            self.held += claims.claim(connection, "job", uuid.uuid4(), ["pin"], limit, lease)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        for one in self._some(data):
            with self.database.begin() as connection:
                outcome = claims.finish(connection, "job", one)
            if outcome == "done":
                assert one.id not in self.finished
                self.finished.add(one.id)

    @rule(data=st.data(), retry=st.sampled_from([None, 0.0, 60.0]))
    def fail(self, data: st.DataObject, retry: float | None) -> None:
        for one in self._some(data):
            with self.database.begin() as connection:
                claims.fail(connection, "job", one, {"class": "unknown", "message": "x"}, retry_in=retry)

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        with self.database.begin() as connection:
            claims.give_back(connection, "job", self._some(data))

    @rule()
    def rescue(self) -> None:
        with self.database.begin() as connection:
            rescue(connection, MOST)

    @invariant()
    def every_move_is_allowed_and_fences_only_grow(self) -> None:
        with self.database.begin() as connection:
            moves = connection.execute(text("delete from move returning *")).all()
            done = set(connection.execute(text("select id from job where state = 'done'")).scalars())
        for move in moves:
            before, after = Work(move.before), Work(move.after)
            assert before == after or allowed(before, after), f"{before} to {after}"
            assert move.fence_after - move.fence_before == (1 if after == Work.LEASED != before else 0)
        assert done == self.finished

    def _some(self, data: st.DataObject) -> list[Claim]:
        if not self.held:
            return []
        return data.draw(st.lists(st.sampled_from(self.held), max_size=3, unique=True), "claims")


@pytest.fixture
def watched(database: Database) -> Database:
    with database.begin() as connection:
        connection.connection.cursor().execute(WATCH)
    return database


def test_no_order_of_events_leaves_the_allowed_moves(watched: Database) -> None:
    machine = type("WatchedMoves", (Moves,), {"database": watched})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_state_can_be_reached_and_ended_work_only_comes_back_on_purpose() -> None:
    reached = {Work.QUEUED}
    while more := {after for state in reached for after in WORK_MOVES[state]} - reached:
        reached |= more
    assert reached == set(Work)
    assert {WORK_MOVES[state] for state in (Work.DONE, Work.DEAD, Work.CANCELLED)} == {frozenset({Work.QUEUED})}
