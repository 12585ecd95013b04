"""Gates on a real database: who is judged when, what becomes of what misses them, what people see of it."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from benchmarks.seeding import Seeded, seed
from core.errors import PluginError
from core.hookspecs import hookimpl
from core.registry import Registry, load
from core.settings import Settings
from dashboard.listing import read_items
from dashboard.questions import Question, read_counts
from orchestrator import campaigns, gating
from orchestrator.cli import cli
from orchestrator.delivering.export import list_exports
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import make_plan
from orchestrator.progress import read_progress
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing import attempts
from orchestrator.working.rescue import end_campaigns


@pytest.fixture
def drop(database: Database, store: Storage) -> Seeded:
    """Twelve made images; the k-th has a sharpness of k / 10."""
    with database.begin() as connection:
        seeded = seed(connection, store, "drop", 12, pictures=4, side=64)
        for k, item in enumerate(seeded.items):
            connection.execute(
                text("""
                insert into score (job_id, plugin, name, value, compared, higher_is_better)
                select job_id, 'measures', 'sharpness', :value, 'the image with nothing', true
                from item where id = :item
                """),
                {"item": item, "value": k / 10},
            )
    return seeded


def guard(database: Database, drop: Seeded, **gates: str) -> None:
    with database.begin() as connection:
        connection.execute(
            text("update campaign set gates = cast(:gates as jsonb) where id = :id"),
            {"gates": json.dumps(gates), "id": drop.campaign},
        )
        gating.mark(connection, drop.campaign, again=True)


def stands(database: Database) -> Counter[str]:
    with database.begin() as connection:
        return Counter(connection.execute(text("select gate from item")).scalars())


def one(database: Database, statement: str, **values: Any) -> Any:
    with database.begin() as connection:
        return connection.execute(text(statement), values).one()


def make(database: Database, item: int, sharpness: float) -> None:
    """Stands for a worker: the item's job is done, with an asset and a score."""
    with database.begin() as connection:
        job = connection.execute(
            text("update job set state = 'done' where id = (select job_id from item where id = :id) returning id"),
            {"id": item},
        ).scalar_one()
        connection.execute(
            text("""
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            select id, key, 1, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), 1 from job where id = :job
            """),
            {"job": job},
        )
        connection.execute(
            text("insert into score values (:job, 'measures', 'sharpness', :value, 'it', true)"),
            {"job": job, "value": sharpness},
        )
        gating.mark_made(connection, [job])


def miss_twice_more(database: Database, registry: Registry, drop: Seeded) -> int:
    """The first item misses its gate, and so do both further images that are asked for; returns its id."""
    for _ in range(2):
        gating.judge(database, registry)
        make(database, drop.items[0], 0.01)
    return drop.items[0]


def test_without_gates_nothing_is_judged(database: Database, registry: Registry, drop: Seeded) -> None:
    guard(database, drop)
    assert not gating.judge(database, registry)
    assert stands(database) == {"none": 12}


def test_what_misses_a_gate_is_held_back_with_the_reason(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.25")
    judged = gating.judge(database, registry)
    assert (judged.passed, judged.held) == (9, 3)
    told = one(database, "select gate, gate_reasons from item where id = :id", id=drop.items[2])
    assert (told.gate, told.gate_reasons) == ("held", ["sharpness 0.2 is not > 0.25"])
    assert not gating.judge(database, registry), "each image is judged once"


def test_what_is_held_back_is_not_among_what_is_to_be_reviewed_nor_written(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.25")
    gating.judge(database, registry)
    with database.begin() as connection:
        shown = read_items(connection, Question(campaign="drop")).items
        held = read_items(connection, Question(campaign="drop", verdict="held")).items
        counts = read_counts(connection, Question(campaign="drop")).verdicts
        written = list_exports(connection, "drop")
        (progress,) = read_progress(connection, "drop")
    assert sorted(item["id"] for item in held) == drop.items[:3]
    assert held[0]["missed"] == ["sharpness 0 is not > 0.25"]
    assert {item["id"] for item in shown} == set(drop.items[3:])
    assert (counts["open"], counts["held"], counts["all"]) == (9, 3, 12)
    assert len(written) == 9
    assert progress.gates == {"passed": 9, "held": 3}


def test_a_person_may_approve_what_is_held_back_and_then_it_is_written(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.25")
    gating.judge(database, registry)
    with database.begin() as connection:
        connection.execute(text("update item set verdict = 'approved' where id = :id"), {"id": drop.items[0]})
        assert len(list_exports(connection, "drop")) == 10


def test_what_is_shown_last_comes_after_the_others(database: Database, registry: Registry, drop: Seeded) -> None:
    guard(database, drop, sharpness=">0.25 else last")
    gating.judge(database, registry)
    with database.begin() as connection:
        shown = [item["id"] for item in read_items(connection, Question(campaign="drop")).items]
    assert set(shown[-3:]) == set(drop.items[:3])
    assert len(shown) == 12


def test_what_is_to_be_tried_again_is_made_with_another_seed_twice_and_then_held_back(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.05 else retry")
    item = drop.items[0]
    seeds = set()
    for attempt in (1, 2):
        assert gating.judge(database, registry).retried == 1
        told = one(
            database,
            "select item.version, item.gate, job.state, job.request->>'seed' as seed, campaign.state as campaign "
            "from item join job on job.id = item.job_id join campaign on campaign.id = item.campaign_id "
            "where item.id = :id",
            id=item,
        )
        assert (told.version, told.gate, told.state, told.campaign) == (attempt + 1, "due", "queued", "running")
        seeds.add(told.seed)
        make(database, item, 0.01)
    judged = gating.judge(database, registry)
    assert (judged.retried, judged.held) == (0, 1)
    assert len(seeds) == 2
    told = one(database, "select gate, gate_reasons from item where id = :id", id=item)
    assert told.gate == "held"
    assert told.gate_reasons[-1] == "3 images were tried"


def test_a_plugin_whose_kinds_are_at_fault_keeps_nobody_from_another_image(
    database: Database, settings: Settings, drop: Seeded
) -> None:
    class Faulty:
        @hookimpl
        def condition_types(self) -> Any:
            raise RuntimeError("half installed")

    spoilt = load(settings)
    spoilt.manager.register(Faulty(), "faulty")
    guard(database, drop, sharpness=">0.05 else retry")
    assert gating.judge(database, spoilt).retried == 1


def test_one_item_that_cannot_be_judged_holds_up_no_other(
    database: Database, registry: Registry, drop: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = attempts.ask

    def failing(connection: Any, registry: Registry, campaign: int, item: int, *told: Any) -> Any:
        if item == drop.items[0]:
            raise PluginError("taste", "it broke")
        return ask(connection, registry, campaign, item, *told)

    monkeypatch.setattr(attempts, "ask", failing)
    guard(database, drop, sharpness=">0.15 else retry")
    assert gating.judge(database, registry).retried == 1
    assert one(database, "select gate from item where id = :id", id=drop.items[0]).gate == "ready"
    monkeypatch.setattr(attempts, "ask", ask)
    assert gating.judge(database, registry).retried == 1


def test_a_second_image_that_passes_is_shown(database: Database, registry: Registry, drop: Seeded) -> None:
    guard(database, drop, sharpness=">0.05 else retry")
    gating.judge(database, registry)
    make(database, drop.items[0], 0.9)
    assert gating.judge(database, registry).passed == 1
    assert stands(database) == {"passed": 12}
    actor = one(database, "select actor from attempt where item_id = :id", id=drop.items[0]).actor
    assert actor == "gate: sharpness 0 is not > 0.05"


def test_a_campaign_ends_only_when_all_of_it_is_judged(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.05")
    with database.begin() as connection:
        connection.execute(text("update campaign set state = 'running'"))
        assert end_campaigns(connection) == []
    gating.judge(database, registry)
    with database.begin() as connection:
        assert end_campaigns(connection) == ["drop"]


def test_other_gates_judge_anew(database: Database, registry: Registry, drop: Seeded) -> None:
    guard(database, drop, sharpness=">0.25")
    gating.judge(database, registry)
    guard(database, drop, sharpness=">0.85")
    gating.judge(database, registry)
    assert stands(database) == {"passed": 3, "held": 9}
    guard(database, drop)
    assert stands(database) == {"none": 12}


def test_what_a_plugin_holds_back_is_held_without_any_gate(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    with database.begin() as connection:
        job = connection.execute(
            text("""
            update asset set facts = '{"held_back": {"safety": "shows a weapon"}}'
            where job_id = (select job_id from item where id = :id) returning job_id
            """),
            {"id": drop.items[5]},
        ).scalar_one()
        gating.mark_made(connection, [job])
    told = one(database, "select gate, gate_reasons from item where id = :id", id=drop.items[5])
    assert (told.gate, told.gate_reasons) == ("held", ["safety: shows a weapon"])


def test_what_people_decided_stands_whatever_gates_say(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    with database.begin() as connection:
        connection.execute(text("update item set verdict = 'approved' where id = :id"), {"id": drop.items[0]})
    guard(database, drop, sharpness=">0.05 else retry")
    assert not gating.judge(database, registry).retried


def test_the_command_says_what_was_held_back_and_what_decisions_suggest(
    database: Database, registry: Registry, drop: Seeded, settings: Settings
) -> None:
    guard(database, drop, sharpness=">0.15")
    gating.judge(database, registry)
    told = CliRunner().invoke(cli, ["campaign", "gates", "drop"], env=_environment(settings), obj=settings)
    assert told.exit_code == 0, told.output
    assert "gate   sharpness: >0.15" in told.output
    assert "10 passed" in told.output
    assert "sharpness 0.1 is not > 0.15" in told.output
    assert "none   sharpness: nothing to suggest yet (0 approved, 0 rejected)" not in told.output
    shown = CliRunner().invoke(cli, ["campaign", "gates", "drop", "--json"], env=_environment(settings))
    found = json.loads(shown.output)
    assert found["items"] == {"passed": 10, "held": 2}
    assert len(found["missed"]) == 2


def _environment(settings: Settings) -> dict[str, str]:
    return {"DREAMLINE_HOME": str(settings.home), "DREAMLINE_DATABASE_URL": str(settings.database_url)}


def wait_until_somebody_waits_for_a_lock(database: Database) -> None:
    query = """
    select count(*) as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
    """
    deadline = time.monotonic() + 20
    while not one(database, query).n:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def in_thread(work: Callable[[], Any]) -> Future[Any]:
    """Runs `work` beside the test, which goes on at once."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def test_what_a_person_decides_while_gates_are_at_work_stands(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.05 else retry")
    with database.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": VERBS_LOCK})
        judging = in_thread(lambda: gating.judge(database, registry))
        deadline = time.monotonic() + 20
        while stands(database)["passed"] < 11 and time.monotonic() < deadline:
            time.sleep(0.1)
        with database.begin() as other:
            other.execute(text("update item set verdict = 'approved' where id = :id"), {"id": drop.items[0]})
    assert judging.result(timeout=20).retried == 0
    told = one(database, "select version, verdict, gate from item where id = :id", id=drop.items[0])
    assert tuple(told) == (1, "approved", "passed")


def test_an_image_that_is_finished_while_its_campaign_is_planned_is_judged(
    database: Database, registry: Registry, store: Storage, settings: Settings, tmp_path: Path
) -> None:
    def planned(gates: str) -> Any:
        path = tmp_path / "beside.yaml"
        path.write_text(f"campaign: beside\nmodel: storyboard\nprompt: a mug\nformats: [square]\n{gates}")
        plan = make_plan(read_brief(path, settings, registry), settings, registry)
        return campaigns.record(database, store, registry, plan, start=True)

    planned("")
    job = one(database, "select id from job").id
    with database.begin() as worker:
        worker.execute(text("update job set state = 'done' where id = :id"), {"id": job})
        planning = in_thread(lambda: planned("gates: {sharpness: '>0.5'}\n"))
        wait_until_somebody_waits_for_a_lock(database)
        worker.execute(
            text("""
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            select id, key, 1, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), 1 from job
            """)
        )
        gating.mark_made(worker, [job])
    planning.result(timeout=20)
    assert stands(database) == {"ready": 1}
    assert gating.judge(database, registry).held == 1


def test_what_nobody_could_mark_is_found_by_a_thorough_look(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.25")
    with database.begin() as connection:
        connection.execute(text("update item set gate = 'due'"))
        connection.execute(text("update campaign set state = 'running'"))
    assert not gating.judge(database, registry)
    assert gating.judge(database, registry, thorough=True).held == 3


def test_an_image_of_another_brief_has_tries_of_its_own(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.05 else retry")
    item = miss_twice_more(database, registry, drop)
    assert gating.judge(database, registry).held == 1
    with database.begin() as connection:
        connection.execute(
            text("""
            update item set job_id = brief_job_id, brief_job_id = null, version = version + 1, gate = 'none'
            where id = :id
            """),
            {"id": item},
        )
        gating.mark(connection, drop.campaign, again=False)
    assert gating.judge(database, registry).retried == 1


def test_gates_leave_a_reviewers_attempts_to_the_reviewer(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    guard(database, drop, sharpness=">0.05 else retry")
    item = miss_twice_more(database, registry, drop)
    for attempt in range(3):
        with database.begin() as connection:
            made = attempts.ask(connection, registry, drop.campaign, item, uuid.uuid4(), (), "ana")
        assert made.version, f"attempt {attempt + 1} of a person"
        make(database, item, 0.01)
