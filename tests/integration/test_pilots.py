"""Pilots and stop rules on a real database: what is made first, what pauses a campaign, what goes on after it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from core.errors import BadInput
from core.hookspecs import Event, hookimpl
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns, gating, pilots, stopping
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.stops import ENOUGH
from orchestrator.progress import read_progress
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Role
from orchestrator.reviewing.wishes import Wish
from orchestrator.tallies import MEANWHILE
from orchestrator.working.rescue import end_campaigns

Start = Callable[..., None]

ADMIN = Actor("ana", Role.ADMIN)


@pytest.fixture
def plan(tmp_path: Path, settings: Settings, registry: Registry) -> Callable[..., Plan]:
    """Plans a campaign of some rows without pictures, in two formats and three scenes."""

    def make(name: str = "drop", rows: int = 10, more: str = "", noun: str = "thing") -> Plan:
        path = tmp_path / f"{name}.yaml"
        listed = "".join(f"\n  - {{sku: s{number:03}}}" for number in range(rows))
        path.write_text(
            f"campaign: {name}\nmodel: storyboard\nrows:{listed}\n"
            f'prompt: "{noun} {{{{ row.sku }}}} {{{{ scene }}}}"\nvary: {{scene: [here, there, far]}}\n'
            f"formats: [square, portrait]\n{more}"
        )
        return make_plan(read_brief(path, settings, registry), settings, registry)

    return make


@pytest.fixture
def start(database: Database, store: Storage, registry: Registry, plan: Callable[..., Plan]) -> Start:
    """Records a campaign and starts it, as `dreamline run` does."""

    def begin(name: str = "drop", *, pilot: int = 0, anyway: bool = False, **told: Any) -> None:
        campaigns.record(database, store, registry, plan(name, **told), start=True, pilot=pilot, anyway=anyway)

    return begin


def make(database: Database, count: int | None = None, *, seconds: float = 1.0, dead: bool = False) -> int:
    """Stands for workers: ends up to `count` jobs that they may have, in the order in which they would."""
    with database.begin() as connection:
        ids = list(
            connection.execute(
                text("""
                update job set state = :state, changed_at = clock_timestamp() where id in (
                    select id from job where state = 'queued' and not held order by id limit :count
                ) returning id
                """),
                {"count": count, "state": "dead" if dead else "done"},
            ).scalars()
        )
        if not dead:
            connection.execute(
                text("""
                insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds,
                    made_at)
                select id, key, 1, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), :seconds, clock_timestamp()
                from job where id = any(:ids)
                """),
                {"ids": ids, "seconds": seconds},
            )
        return len(ids)


def judge(database: Database, registry: Registry, verdict: str, count: int, *, again: bool = False) -> None:
    """A person decides about that many images, each by itself."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            select item.id, item.version from item join asset on asset.job_id = item.job_id
            where item.verdict = 'open' and not item.obsolete order by item.id limit :count
            """),
            {"count": count},
        ).all()
    assert len(rows) == count
    for row in rows:
        reasons = ("glossy",) if verdict == "rejected" else ()
        wish = Wish(
            id=uuid.uuid4(),
            item=row.id,
            version=row.version,
            seen=None,
            verdict=verdict,
            reasons=reasons,
            again=again,
        )
        assert decide(database, registry, ADMIN, "drop", [wish])[0].outcome == "recorded"


def counts(database: Database, query: str) -> Counter[Any]:
    with database.begin() as connection:
        return Counter(dict(map(tuple, connection.execute(text(query)).all())))


def state_of(database: Database, name: str = "drop") -> tuple[str, str, str]:
    with database.begin() as connection:
        (one,) = read_progress(connection, name)
    return one.state, one.paused_by, one.reason


RELEASED = "select item.pilot, count(*) from item join job on job.id = item.job_id where not job.held group by 1"


def test_a_pilot_releases_its_sample_alone_and_touches_everything(database: Database, start: Start) -> None:
    start(pilot=12)
    assert counts(database, RELEASED) == {True: 12}
    assert counts(database, "select format, count(*) from item where pilot group by 1") == {
        "square": 6,
        "portrait": 6,
    }
    assert counts(database, "select variant->>'scene', count(*) from item where pilot group by 1") == {
        "here": 4,
        "there": 4,
        "far": 4,
    }
    rows = counts(database, "select row_key, count(*) from item where pilot group by 1")
    assert (len(rows), max(rows.values())) == (10, 2)


def test_a_pilot_that_is_made_pauses_the_campaign_and_starting_again_makes_the_rest(
    database: Database, registry: Registry, start: Start
) -> None:
    start(pilot=12)
    assert not stopping.look(database, registry)
    assert make(database) == 12
    with database.begin() as connection:
        assert end_campaigns(connection) == []
    assert stopping.look(database, registry)
    state, by, reason = state_of(database)
    assert (state, by) == ("paused", "pilot")
    assert "pilot of 12 is made" in reason
    start()
    assert state_of(database) == ("running", "", "")
    assert make(database) == 48
    with database.begin() as connection:
        assert end_campaigns(connection) == ["drop"]


def test_resuming_after_the_pilot_goes_on_with_the_rest_and_within_it_does_not(
    database: Database, registry: Registry, start: Start
) -> None:
    start(pilot=12)
    make(database, 5)
    campaigns.pause(database, registry, "drop")
    campaigns.resume(database, registry, "drop")
    assert make(database) == 7
    stopping.look(database, registry)
    campaigns.pause(database, registry, "drop")
    campaigns.resume(database, registry, "drop")
    assert make(database) == 48


def test_a_second_pilot_samples_nothing_anew_and_a_larger_one_adds_to_it(database: Database, start: Start) -> None:
    members = "select id, count(*) from item where pilot group by 1"
    start(pilot=12)
    first = set(counts(database, members))
    make(database)
    start(pilot=12)
    assert set(counts(database, members)) == first
    start(pilot=20)
    assert first < set(counts(database, members))
    assert make(database) == 8


def test_a_pilot_keeps_its_rows_when_others_come_and_go(database: Database, start: Start) -> None:
    start(pilot=12)
    kept = set(counts(database, "select row_key || format || variant, count(*) from item where pilot group by 1"))
    start(pilot=12, rows=14)
    members = "select row_key || format || variant, count(*) from item where pilot and not obsolete group by 1"
    assert set(counts(database, members)) == kept
    start(pilot=12, rows=5)
    assert sum(counts(database, members).values()) == 12


def test_a_pilot_of_everything_is_the_campaign(database: Database, registry: Registry, start: Start) -> None:
    start(pilot=500, rows=2)
    assert make(database) == 12
    assert not stopping.look(database, registry)
    with database.begin() as connection:
        assert end_campaigns(connection) == ["drop"]


def test_what_another_campaign_wants_now_is_made_during_a_pilot_and_what_its_pilot_leaves_out_is_not(
    database: Database, registry: Registry, start: Start
) -> None:
    start("one", pilot=6, rows=1)
    start("two", pilot=1, rows=1)
    campaigns.pause(database, registry, "one")
    assert sum(counts(database, RELEASED).values()) == 2  # one image that two items of two campaigns show
    start("two", rows=1)
    assert make(database) == 6


def test_a_rejection_in_a_pilot_that_is_made_brings_its_next_attempt_at_once(
    database: Database, registry: Registry, start: Start
) -> None:
    start(pilot=12)
    make(database)
    stopping.look(database, registry)
    judge(database, registry, "rejected", 1, again=True)
    assert state_of(database)[0] == "running"
    assert make(database) == 1
    stopping.look(database, registry)
    assert state_of(database)[:2] == ("paused", "pilot")


def test_a_pilot_waits_for_its_gates(database: Database, registry: Registry, start: Start) -> None:
    start(pilot=4, more='gates: {sharpness: ">0.5 else retry"}\n')
    make(database)
    assert not stopping.look(database, registry)  # nobody has held the images against the gates yet
    assert gating.judge(database, registry, thorough=True).held == 4  # without a score nothing is let through
    assert stopping.look(database, registry)
    with database.begin() as connection:
        pilot = pilots.read_pilot(connection, campaigns.find(connection, "drop").id)
    assert pilot is not None
    assert (pilot.held, pilot.open, pilot.rate) == (4, 0, None)


def test_what_people_say_of_a_pilot_forecasts_the_rest(
    database: Database, registry: Registry, start: Start
) -> None:
    start(pilot=12)
    make(database, 11)
    make(database, dead=True)
    stopping.look(database, registry)
    judge(database, registry, "approved", 6)
    judge(database, registry, "rejected", 2)
    with database.begin() as connection:
        campaign = campaigns.find(connection, "drop").id
        pilot = pilots.read_pilot(connection, campaign)
    assert pilot is not None
    assert (pilot.size, pilot.made, pilot.failed, pilot.open) == (12, 11, 1, 3)
    assert pilot.rate is not None
    assert (pilot.rate.count, pilot.rate.of) == (6, 8)
    told = pilot.forecast
    assert told is not None
    assert told.rest == 48
    seen = 48 * 11 / 12
    assert told.approved == pytest.approx((seen * pilot.rate.low, seen * pilot.rate.high))
    assert told.rejected == pytest.approx((seen - told.approved[1], seen - told.approved[0]))
    assert told.approved[1] < told.approved_at_last[1] <= seen < told.attempts[0] < told.attempts[1]


def test_only_the_first_image_of_an_item_says_how_many_are_right_at_first_sight(
    database: Database, registry: Registry, start: Start
) -> None:
    start(pilot=12)
    make(database)
    judge(database, registry, "rejected", 4, again=True)
    make(database)
    judge(database, registry, "approved", 12)
    with database.begin() as connection:
        pilot = pilots.read_pilot(connection, campaigns.find(connection, "drop").id)
    assert pilot is not None
    assert pilot.rate is not None
    assert (pilot.rate.count, pilot.rate.of) == (8, 12)


@pytest.mark.parametrize(
    ("rule", "made", "why"),
    [
        ("images: 7", 7, "7 images made, the limit is 7"),
        ("budget: 60 min", 6, "60.0 min spent, the limit is 60.0 min"),
        ("budget: 5 EUR", 12, "5.00 EUR spent, the limit is 5.00 EUR"),
    ],
)
def test_a_campaign_is_stopped_when_it_has_spent_what_it_may(
    settings: Settings, database: Database, registry: Registry, store: Storage, tmp_path: Path, start: Start,
    plan: Callable[..., Plan], rule: str, made: int, why: str,
) -> None:  # fmt: skip
    priced = Settings(home=settings.home, database_url=settings.database_url, gpu_hour_cost=2.5)
    plan_file = tmp_path / "drop.yaml"
    plan(more="")
    plan_file.write_text(plan_file.read_text() + f"stop: {{{rule}}}\n")
    planned = make_plan(read_brief(plan_file, priced, registry), priced, registry)
    campaigns.record(database, store, registry, planned, start=True)
    assert make(database, made - 1, seconds=600) == made - 1
    assert not stopping.look(database, registry)
    make(database, 1, seconds=600)
    assert stopping.look(database, registry)
    state, by, reason = state_of(database)
    assert (state, by) == ("paused", "rule")
    assert reason.endswith(why)
    assert make(database) == 0


def test_what_was_made_for_others_before_costs_nothing(
    database: Database, registry: Registry, start: Start
) -> None:
    start("one", rows=4)
    make(database)
    start("two", rows=8, more="stop: {images: 10}\n")
    make(database, 9)
    assert not stopping.look(database, registry)
    make(database, 1)
    assert stopping.look(database, registry)


def test_too_many_failures_stop_a_campaign_and_retrying_lets_it_go_on(
    database: Database, registry: Registry, start: Start
) -> None:
    start(more='stop: {failed: "20%"}\n')
    make(database, 15)
    make(database, 4, dead=True)
    assert not stopping.look(database, registry)  # 4 of 19: a share counts from 20 on
    make(database, 1)
    assert stopping.look(database, registry)
    assert state_of(database)[2] == "stop rule failed: 4 of 20 failed, the limit is 20%"
    assert campaigns.retry(database, registry, "drop") == 4
    assert not stopping.look(database, registry)


def test_a_share_of_the_last_images_counts_as_soon_as_nothing_can_turn_it(
    database: Database, registry: Registry, start: Start
) -> None:
    start(more='stop: {rejected: "40% of the last 10"}\n')
    make(database, 30)
    judge(database, registry, "rejected", 3)
    assert state_of(database)[0] == "running"
    judge(database, registry, "rejected", 1)
    assert state_of(database) == (
        "paused",
        "rule",
        "stop rule rejected: 4 of the last 4 rejected, the limit is 40% of the last 10",
    )


def test_a_decision_stops_a_campaign_with_nobody_else_looking_and_many_later_approvals_let_it_go_on(
    database: Database, registry: Registry, start: Start
) -> None:
    start(more='stop: {rejected: "40% of the last 10"}\n')
    make(database, 40)
    judge(database, registry, "rejected", 4, again=True)
    assert state_of(database)[0] == "paused"
    with pytest.raises(BadInput, match=r"stop rule rejected: 4 of the last 4.*--anyway"):
        campaigns.resume(database, registry, "drop")
    assert state_of(database)[0] == "paused"
    judge(database, registry, "approved", 9)
    campaigns.resume(database, registry, "drop")
    assert state_of(database)[0] == "running"


def test_an_approval_stops_a_campaign_where_its_share_counts_from_now_on(
    database: Database, registry: Registry, start: Start
) -> None:
    start(more='stop: {rejected: "40%"}\n')
    make(database, 40)
    judge(database, registry, "rejected", 10)
    judge(database, registry, "approved", 9)
    assert state_of(database)[0] == "running"
    judge(database, registry, "approved", 1)
    assert state_of(database)[2] == "stop rule rejected: 10 of 20 rejected, the limit is 40%"


def test_taking_back_an_approval_stops_a_campaign_whose_share_it_raises(
    database: Database, registry: Registry, start: Start
) -> None:
    start(more='stop: {rejected: "34%"}\n')
    make(database, 40)
    judge(database, registry, "approved", 14)
    judge(database, registry, "rejected", 7)
    assert state_of(database)[0] == "running"  # 7 of 21
    with database.begin() as connection:
        last = connection.execute(text("select id, item_id, version from decision where number = 14")).first()
    assert last is not None
    undo = Wish(id=uuid.uuid4(), item=last[1], version=last[2], seen=last[0], verdict="cleared", undoes=last[0])
    assert decide(database, registry, ADMIN, "drop", [undo])[0].outcome == "recorded"
    assert state_of(database)[2] == "stop rule rejected: 7 of 20 rejected, the limit is 34%"


def test_a_decision_counts_only_what_it_can_change(database: Database, registry: Registry, start: Start) -> None:
    start(more='stop: {images: 41, failed: "50%", rejected: "40%"}\n')
    make(database, 40)
    judge(database, registry, "approved", 30)
    counted: list[tuple[str, Any]] = []

    def note(*given: Any) -> None:
        if "since" in (given[3] or {}):
            counted.append(("rejected" if "decision" in given[2] else "another", given[3].get("last")))

    event.listen(database.engine(), "before_cursor_execute", note)
    judge(database, registry, "approved", 1)
    judge(database, registry, "rejected", 1)
    event.remove(database.engine(), "before_cursor_execute", note)
    assert counted == [("rejected", ENOUGH + 1 + MEANWHILE), ("rejected", None)]


def test_a_stopped_campaign_starts_again_with_another_rule_or_anyway_and_then_counts_anew(
    database: Database, registry: Registry, start: Start
) -> None:
    rule = "stop: {images: 10}\n"
    start(more=rule)
    make(database, 10)
    stopping.look(database, registry)
    with pytest.raises(BadInput, match=r"would be stopped at once.*10 images made"):
        start(more=rule)
    assert state_of(database)[1] == "rule"
    start(more=rule, anyway=True)
    make(database, 9)
    assert not stopping.look(database, registry)
    make(database, 1)
    assert stopping.look(database, registry)
    start(more="stop: {images: 21}\n")
    make(database, 11)
    assert stopping.look(database, registry)


def test_decisions_about_what_the_brief_has_changed_since_count_no_more(
    database: Database, registry: Registry, start: Start
) -> None:
    rule = "stop: {rejected: 3}\n"
    start(more=rule)
    make(database, 12)
    judge(database, registry, "rejected", 3)
    assert state_of(database)[1] == "rule"
    start(more=rule, noun="another thing")
    assert state_of(database)[0] == "running"


def test_a_campaign_that_has_made_all_is_finished_whatever_its_rules_say(
    database: Database, registry: Registry, start: Start
) -> None:
    start(rows=2, more="stop: {images: 12}\n")
    make(database)
    assert not stopping.look(database, registry)
    with database.begin() as connection:
        assert end_campaigns(connection) == ["drop"]
    start(rows=2, more="stop: {images: 12}\n")


def test_observers_hear_why_a_campaign_was_paused(database: Database, registry: Registry, start: Start) -> None:
    heard: list[Event] = []

    class Listens:
        @hookimpl
        def campaign_changed(self, event: Event) -> None:
            heard.append(event)

    registry.manager.register(Listens(), "listens")
    try:
        start(pilot=12, more="stop: {images: 20}\n")
        make(database)
        stopping.look(database, registry)
        start(more="stop: {images: 20}\n")
        make(database, 8)
        stopping.look(database, registry)
    finally:
        registry.manager.unregister(name="listens")
    kinds = [event.kind for event in heard]
    assert kinds == ["planned", "started", "piloted", "planned", "started", "stopped"]
    assert heard[-1].facts == {"rule": "images", "why": "stop rule images: 20 images made, the limit is 20"}


def test_a_priority_reaches_what_waits_already(database: Database, start: Start) -> None:
    start(rows=2)
    make(database, 2)
    assert campaigns.set_priority(database, "drop", 7) == 10
    assert counts(database, "select priority, count(*) from job where state = 'queued' group by 1") == {7: 10}
    with pytest.raises(BadInput, match="1001 is out of range"):
        campaigns.set_priority(database, "drop", 1001)


def test_a_campaign_is_whose_file_says_so_else_whose_ran_it_first(
    database: Database, store: Storage, registry: Registry, plan: Callable[..., Plan]
) -> None:
    owner = "select owner, count(*) from campaign group by 1"
    campaigns.record(database, store, registry, plan(), owner="ben")
    campaigns.record(database, store, registry, plan(), owner="ana")
    assert set(counts(database, owner)) == {"ben"}
    campaigns.record(database, store, registry, plan(more="owner: eva\n"), owner="ana")
    assert set(counts(database, owner)) == {"eva"}
