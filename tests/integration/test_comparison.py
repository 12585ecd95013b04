"""A plan held against a real database: what is new, changed, the same and gone. Looking writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from core.errors import Problem
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.prospect import Prospect, look_ahead
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage

Write = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path, settings: Settings, registry: Registry) -> Write:
    """Plans a campaign of things with pictures; `nouns` are its rows by name, `more` ends its file."""
    for name, colour in (("red", "red"), ("blue", "blue")):
        Image.new("RGB", (160, 160), colour).save(tmp_path / f"{name}.png")

    def make(name: str = "drop", more: str = "", image: str = "red", price: float = 0.0, **nouns: str) -> Plan:
        rows = ["sku,noun,image", *(f"{sku},{noun},{image}.png" for sku, noun in nouns.items())]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"campaign: {name}\nmodel: storyboard\nrows: {name}.csv\n"
            'references: {it: {kind: style, image: "{{ row.image }}"}}\n'
            f'prompt: "a {{{{ row.noun }}}} like [it]"\n{more}'
        )
        priced = Settings(home=settings.home, database_url=settings.database_url, gpu_hour_cost=price)
        return make_plan(read_brief(path, priced, registry), priced, registry)

    return make


@pytest.fixture
def record(database: Database, store: Storage, registry: Registry) -> Callable[[Plan], None]:
    return lambda plan: campaigns.record(database, store, registry, plan, start=True) and None


@pytest.fixture
def look(database: Database, settings: Settings) -> Callable[..., Prospect]:
    """Looks ahead in a transaction that may not write."""

    def ahead(plan: Plan, **told: Any) -> Prospect:
        with database.begin() as connection:
            connection.execute(text("set transaction read only"))
            return look_ahead(connection, plan, settings, **told)

    return ahead


def finish(database: Database, seconds: float = 1.5) -> None:
    """Stands for workers: everything that may be made is made."""
    with database.begin() as connection:
        connection.execute(text("update preparation set state = 'done'"))
        connection.execute(
            text("""
            with made as (update job set state = 'done', waiting = 0 where state = 'queued' returning id, key)
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            select id, key, 1, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), :seconds from made
            """),
            {"seconds": seconds},
        )


def sorts(prospect: Prospect) -> dict[str, int]:
    told = prospect.as_dict()["compared"]
    return {what: count for what, count in told.items() if count}


def test_one_changed_row_of_five_hundred_is_made_again_alone(
    database: Database, plan: Write, record: Any, look: Any
) -> None:
    nouns = {f"s{number:03}": f"thing {number}" for number in range(500)}
    record(plan(more="seeds: 2\n", **nouns))
    finish(database)
    changed = plan(more="seeds: 2\n", **{**nouns, "s123": "another"})
    prospect = look(changed)
    assert sorts(prospect) == {"changed": 2, "same": 998}
    assert (prospect.outlook.new, prospect.outlook.reused, prospect.estimate.images) == (2, 998, 2)
    touched = [row for row in prospect.list_rows() if row.get("changed") or row.get("new")]
    assert touched == [
        {"row": "s123", "number": 125, "changed": 2, "why": ["prompt: … a thing 123 like … → … a another like …"]}
    ]
    record(changed)
    with database.begin() as connection:
        waiting = connection.execute(
            text("select item.row_key, count(*) from item join job on job.id = item.job_id "
                 "where job.state = 'queued' group by 1")
        ).all()  # fmt: skip
    assert [tuple(row) for row in waiting] == [("s123", 2)]


def test_a_first_plan_is_all_new_with_and_without_a_database(plan: Write, look: Any, settings: Settings) -> None:
    planned = plan(mug="mug", lamp="lamp")
    assert sorts(look(planned)) == sorts(look_ahead(None, planned, settings)) == {"new": 2}


def test_rows_come_and_go_and_come_back(database: Database, plan: Write, record: Any, look: Any) -> None:
    record(plan(mug="mug", lamp="lamp"))
    finish(database)
    later = plan(mug="mug", hat="hat")
    prospect = look(later)
    assert sorts(prospect) == {"new": 1, "same": 1, "obsolete": 1}
    assert {row["row"]: row["number"] for row in prospect.list_rows()} == {"mug": 2, "hat": 3, "lamp": None}
    record(later)
    back = look(plan(mug="mug", lamp="lamp"))
    assert sorts(back) == {"new": 1, "same": 1, "obsolete": 1}
    assert (back.outlook.new, back.outlook.reused) == (0, 2)


def test_each_cause_is_told_with_what_it_was_and_is(
    database: Database, plan: Write, record: Any, look: Any
) -> None:
    record(plan(mug="mug", lamp="lamp"))
    prospect = look(plan(more="steps: 3\n", image="blue", mug="cup", lamp="lamp"))
    changes = {one["what"]: one for one in prospect.as_dict()["changes"]}
    assert {what: (one["items"], one["rows"]) for what, one in changes.items()} == {
        "picture of [it]": (2, 2),
        "steps": (2, 2),
        "prompt": (1, 1),
    }
    assert changes["picture of [it]"]["examples"][0] == {"row": "mug", "before": "red.png", "after": "blue.png"}
    assert changes["prompt"]["examples"] == [{"row": "mug", "before": "… a mug like …", "after": "… a cup like …"}]


def test_images_of_other_campaigns_are_reused_and_said_to_be_theirs(
    database: Database, plan: Write, record: Any, look: Any
) -> None:
    record(plan("spring", mug="mug", lamp="lamp"))
    finish(database)
    prospect = look(plan("summer", mug="mug", hat="hat"))
    assert dict(prospect.comparison.sources) == {"spring": 1}
    assert (prospect.outlook.new, prospect.outlook.reused) == (1, 1)


def test_approved_images_that_would_be_lost_are_counted(
    database: Database, plan: Write, record: Any, look: Any
) -> None:
    record(plan(mug="mug", lamp="lamp", hat="hat"))
    finish(database)
    with database.begin() as connection:
        connection.execute(text("update item set verdict = 'approved'"))
    assert look(plan(mug="cup", lamp="lamp")).comparison.lost() == 2


def test_an_image_that_a_reviewer_had_made_again_is_the_same_to_the_brief(
    database: Database, plan: Write, record: Any, look: Any
) -> None:
    record(plan(mug="mug", lamp="lamp"))
    with database.begin() as connection:
        connection.execute(text("update item set brief_job_id = job_id, job_id = (select max(id) from job)"))
    assert sorts(look(plan(mug="mug", lamp="lamp"))) == {"same": 2}


def test_time_and_money_come_from_the_seconds_on_record(
    database: Database, plan: Write, record: Any, look: Any
) -> None:
    nouns = {f"s{number}": f"thing {number}" for number in range(80)}
    record(plan("before", **nouns))
    finish(database, seconds=9.0)
    new = plan(price=4.0, **{f"n{number}": f"new {number}" for number in range(100)})
    told = look(new, workers=3).estimate
    assert told.seconds == (900, 900)
    assert told.wait == (300, 300)
    assert told.cost == pytest.approx((1.0, 1.0))
    assert look(new, pilot=10).sample.images == 10


def test_a_plan_over_its_budget_is_refused_and_one_that_may_be_is_warned_of(
    database: Database, plan: Write, record: Any, look: Any
) -> None:
    record(plan("before", **{f"s{number}": f"thing {number}" for number in range(10)}))
    finish(database, seconds=36.0)
    nouns = {f"n{number}": f"new {number}" for number in range(100)}
    refused = look(plan(price=1.0, more="stop: {budget: 0.5 EUR}\n", **nouns)).refusals
    assert [type(one) for one in refused] == [Problem]
    assert "key stop.budget: the plan takes 0.70 EUR to 1.50 EUR, and the budget is 0.50 EUR" in str(refused[0])
    warned = look(plan(more="stop: {budget: 1 h}\n", **nouns))
    assert warned.refusals == ()
    (warning,) = warned.warnings
    assert warning.startswith("the plan may take 42.0 min to 90.0 min, and the budget is 60.0 min")
    assert look(plan(price=1.0, more="stop: {budget: 0.5 EUR}\n", **nouns), pilot=20).refusals == ()


def test_weights_that_nobody_has_are_a_refusal_with_the_way_out(
    tmp_path: Path, database: Database, settings: Settings, registry: Registry
) -> None:
    path = tmp_path / "large.yaml"
    path.write_text('campaign: large\nmodel: dreamo-v1.1\nprompt: "a mug"\n')
    planned = make_plan(read_brief(path, settings, registry), settings, registry, {"a.safetensors": "0" * 64})
    with database.begin() as connection:
        (refusal,) = look_ahead(connection, planned, settings).refusals
        assert "dreamline models fetch dreamo-v1.1" in refusal.mend
        connection.execute(
            text("""
            insert into worker (id, host, process, queue, pins)
            values (gen_random_uuid(), 'gpu-1', 1, 'gpu', jsonb_build_array(cast(:pin as text)))
            """),
            {"pin": planned.model.name},
        )
        assert look_ahead(connection, planned, settings).refusals == ()


def test_looking_at_many_items_asks_no_more_often_than_at_few(
    database: Database, plan: Write, record: Any, settings: Settings
) -> None:
    from sqlalchemy import event

    counts = []
    for rows in (2, 60):
        nouns = {f"s{number}": f"thing {number}" for number in range(rows)}
        record(plan(f"drop-{rows}", **nouns))
        again = plan(f"drop-{rows}", **{key: f"new {noun}" for key, noun in nouns.items()})
        asked: list[str] = []
        with database.begin() as connection:
            event.listen(connection, "before_cursor_execute", lambda *told, asked=asked: asked.append(told[2]))
            look_ahead(connection, again, settings)
        counts.append(len(asked))
    assert counts[0] == counts[1] < 15
