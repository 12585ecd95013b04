"""A campaign's verbs on a real database: what is written, shared, held, brought back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from sqlalchemy import text

from core.errors import BadInput
from core.hookspecs import Event, hookimpl
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.writing import Outlook, count_outlook
from orchestrator.progress import read_progress
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage

Planner = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path, settings: Settings, registry: Registry) -> Planner:
    """Plans a campaign of drawn balls; the colours are its rows."""
    for colour in ("red", "green", "blue"):
        picture = Image.new("RGB", (192, 192), (240, 240, 238))
        ImageDraw.Draw(picture).ellipse((50, 40, 150, 150), fill=colour)
        picture.save(tmp_path / f"{colour}.png")

    def make(
        name: str = "balls", colours: str = "red green", seeds: int = 2, options: str = "", more: str = ""
    ) -> Plan:
        rows = "".join(f"\n  - {{sku: {colour}, image: {colour}.png}}" for colour in colours.split())
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"campaign: {name}\nmodel: storyboard\nrows:{rows}\n"
            f'references: {{ball: {{kind: subject, image: "{{{{ row.image }}}}"{options}}}}}\n'
            f'prompt: "a {{{{ row.sku }}}} ball from [ball]"\nseeds: {seeds}\n{more}'
        )
        return make_plan(read_brief(path, settings, registry), settings, registry)

    return make


@pytest.fixture
def record(database: Database, store: Storage, registry: Registry) -> Callable[[Plan], Outlook]:
    return lambda plan: campaigns.record(database, store, registry, plan)


def counts(database: Database, column: str = "state", table: str = "job", where: str = "true") -> Counter[Any]:
    with database.begin() as connection:
        rows = connection.execute(text(f"select {column}, count(*) from {table} where {where} group by 1")).all()
    return Counter(dict(map(tuple, rows)))


def finish_all(database: Database) -> None:
    """Stands for workers: every job and preparation done, each with an asset."""
    with database.begin() as connection:
        connection.execute(text("update preparation set state = 'done'"))
        connection.execute(text("update job set state = 'done', waiting = 0"))
        connection.execute(
            text("""
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            select id, key, 1, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), 1 from job
            """)
        )


def test_planning_the_same_twice_writes_it_once(database: Database, plan: Planner, record: Any) -> None:
    assert record(plan()).new == 4
    before = counts(database), counts(database, "obsolete", "item"), counts(database, "state", "preparation")
    again = record(plan())
    assert (again.items, again.new, again.reused) == (4, 4, 0)
    assert before == (
        counts(database),
        counts(database, "obsolete", "item"),
        counts(database, "state", "preparation"),
    )
    assert before == ({"queued": 4}, {False: 4}, {"queued": 2})


def test_looking_ahead_writes_nothing(database: Database, plan: Planner) -> None:
    with database.begin() as connection:
        outlook = count_outlook(connection, plan())
    assert (outlook.new, outlook.reused, outlook.failed, outlook.preparations) == (4, 0, 0, 2)
    assert counts(database) == counts(database, "name", "campaign") == {}


def test_images_are_shared_between_campaigns(database: Database, plan: Planner, record: Any) -> None:
    record(plan())
    finish_all(database)
    other = record(plan("spring", "green blue"))
    assert (other.items, other.reused, other.new, other.preparations) == (4, 2, 2, 1)
    assert sum(counts(database).values()) == 6


def test_one_changed_row_is_made_again_alone(database: Database, plan: Planner, record: Any) -> None:
    record(plan("balls", "red green"))
    finish_all(database)
    outlook = record(plan("balls", "red blue"))
    assert (outlook.reused, outlook.new) == (2, 2)
    assert counts(database, "row_key || ' ' || obsolete", "item") == {
        "red false": 2,
        "green true": 2,
        "blue false": 2,
    }


def test_an_item_whose_image_changes_gets_a_new_version(database: Database, plan: Planner, record: Any) -> None:
    record(plan())
    outlook = record(plan(more="guidance: 5.5\n"))
    assert outlook.new == 4
    assert counts(database, "version", "item") == {2: 4}
    assert counts(database, "kind", "event", "kind = 'job.replaced'") == {"job.replaced": 4}


def test_jobs_that_only_obsolete_items_want_are_cancelled(database: Database, plan: Planner, record: Any) -> None:
    record(plan("balls", "red green"))
    record(plan("balls", "red"))
    assert counts(database) == {"queued": 2, "cancelled": 2}
    record(plan("balls", "red green"))
    assert counts(database, "obsolete", "item") == {False: 4}


def test_workers_may_have_jobs_only_while_a_campaign_runs(
    database: Database, registry: Registry, plan: Planner, record: Any
) -> None:
    record(plan())
    assert counts(database, "held") == {True: 4}
    campaigns.start(database, registry, "balls")
    campaigns.start(database, registry, "balls")
    assert counts(database, "held") == counts(database, "held", "job") == {False: 4}
    campaigns.pause(database, registry, "balls")
    assert counts(database, "held") == {True: 4}
    assert counts(database, "held", "preparation") == {True: 2}
    campaigns.resume(database, registry, "balls")
    assert counts(database, "held") == {False: 4}


def test_pausing_leaves_what_another_campaign_wants(
    database: Database, registry: Registry, plan: Planner, record: Any
) -> None:
    for name, colours in (("one", "red green"), ("two", "green blue")):
        record(plan(name, colours))
        campaigns.start(database, registry, name)
    campaigns.pause(database, registry, "one")
    assert counts(database, "held") == {True: 2, False: 4}
    assert counts(database, "held", "preparation") == {True: 1, False: 2}


def test_cancelling_leaves_what_another_campaign_wants_and_starting_brings_it_back(
    database: Database, registry: Registry, plan: Planner, record: Any
) -> None:
    for name, colours in (("one", "red green"), ("two", "green blue")):
        record(plan(name, colours))
        campaigns.start(database, registry, name)
    campaigns.cancel(database, registry, "one")
    assert counts(database) == {"cancelled": 2, "queued": 4}
    record(plan("one", "red green"))
    campaigns.start(database, registry, "one")
    assert counts(database, "state || held") == {"queuedfalse": 6}


def test_retrying_gives_dead_images_and_their_references_another_round(
    database: Database, registry: Registry, plan: Planner, record: Any
) -> None:
    record(plan())
    campaigns.start(database, registry, "balls")
    with database.begin() as connection:
        connection.execute(text("update preparation set state = 'dead', attempts = 6"))
        connection.execute(text("update job set state = 'dead', attempts = 6"))
    assert record(plan()).failed == 4
    assert campaigns.retry(database, registry, "balls") == 4
    assert counts(database, "state || attempts || held") == {"queued0false": 4}
    assert counts(database, "state || attempts", "preparation", "attempts = 0") == {"queued0": 2}


def test_a_new_job_with_a_dead_reference_is_dead_with_its_cause(
    database: Database, plan: Planner, record: Any
) -> None:
    record(plan("one", "red"))
    with database.begin() as connection:
        connection.execute(text("""update preparation set state = 'dead', error = '{"message": "no ball"}'"""))
    record(plan("two", "red", more="steps: 3\n"))
    assert counts(database, "error->>'message'", "job", "state = 'dead'") == {"no ball": 2}


@pytest.mark.parametrize("verb", [campaigns.pause, campaigns.resume, campaigns.cancel])
def test_a_verb_that_makes_no_sense_now_is_refused_with_what_would(
    database: Database, registry: Registry, plan: Planner, record: Any, verb: Any
) -> None:
    record(plan())
    campaigns.start(database, registry, "balls")
    finish_all(database)
    with database.begin() as connection:
        connection.execute(text("update campaign set state = 'finished'"))
    with pytest.raises(BadInput, match="balls"):
        verb(database, registry, "balls")
    assert counts(database, "state", "campaign") == {"finished": 1}


def test_an_unknown_campaign_is_refused_with_those_there_are(
    database: Database, registry: Registry, plan: Planner, record: Any
) -> None:
    record(plan())
    with pytest.raises(BadInput, match=r"none called 'ball'.*There are: balls"):
        campaigns.cancel(database, registry, "ball")


def test_progress_counts_images_by_state(database: Database, plan: Planner, record: Any) -> None:
    record(plan())
    with database.begin() as connection:
        connection.execute(text("update job set state = 'done' where id % 2 = 0"))
        (progress,) = read_progress(connection, "balls")
    assert (progress.total, progress.ended, progress.items) == (4, 2, 4)
    assert progress.as_dict()["jobs"] == {
        "queued": 2,
        "leased": 0,
        "done": 2,
        "failed": 0,
        "dead": 0,
        "cancelled": 0,
    }


def test_a_file_that_changes_while_it_is_planned_is_refused_and_nothing_is_written(
    tmp_path: Path, database: Database, plan: Planner, record: Any
) -> None:
    planned = plan()
    (tmp_path / "red.png").write_bytes(b"something else")
    with pytest.raises(BadInput, match=r"red\.png.*was changed"):
        record(planned)
    assert counts(database, "name", "campaign") == {}


def test_observers_hear_of_changes_and_a_failing_one_changes_nothing(
    database: Database, store: Storage, registry: Registry, plan: Planner, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []

    class Listens:
        @hookimpl
        def campaign_changed(self, event: Event) -> None:
            heard.append(event)

    class Fails:
        @hookimpl
        def campaign_changed(self, event: Event) -> None:
            raise ValueError("I am broken")

    plugins = [registry.manager.register(Listens(), "listens"), registry.manager.register(Fails(), "fails")]
    try:
        campaigns.record(database, store, registry, plan())
        campaigns.start(database, registry, "balls")
    finally:
        for name in plugins:
            registry.manager.unregister(name=name)
    assert [event.kind for event in heard] == ["planned", "started"]
    assert "plugin 'fails'" in caplog.text


def test_the_model_of_a_plan_is_pinned_in_each_job(database: Database, plan: Planner, record: Any) -> None:
    planned = plan()
    record(planned)
    assert counts(database, "pinned->>'digest'") == {planned.model.digest: 4}
    assert replace(planned.model, digest="0" * 64).name != planned.model.name
