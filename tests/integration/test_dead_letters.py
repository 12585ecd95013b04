"""Images that were given up, and another round for them, against a real Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.dead_letters import Changes, read_changes, read_dead, revive_with
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import make_plan
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import claims

BRIEF = """
campaign: words
model: storyboard
rows: [{sku: ball}, {sku: cube}, {sku: cone}]
prompt: "a {{ row.sku }}"
seeds: 1
formats: [square]
"""


@pytest.fixture
def record(
    tmp_path: Path, settings: Settings, database: Database, store: Storage, registry: Registry
) -> Callable[[], None]:
    """Plans and starts a campaign of three images."""
    path = tmp_path / "words.yaml"
    path.write_text(BRIEF)

    def plan_and_start() -> None:
        plan = make_plan(read_brief(path, settings, registry), settings, registry)
        campaigns.record(database, store, registry, plan, start=True)

    return plan_and_start


@pytest.fixture
def dead(database: Database, record: Any) -> list[int]:
    """The campaign's jobs after two of them died of a crash and one of bad input."""
    record()
    with database.begin() as connection:
        pins = list(connection.execute(text("select distinct pin from job")).scalars())
        found = claims.claim(connection, "job", uuid.uuid4(), pins, 8, 60)
        for one, kind in zip(found, ("crash", "crash", "bad input"), strict=True):
            error = {"class": kind, "message": f"a {kind}", "log": ["CUDA error", "Aborted"]}
            claims.fail(connection, "job", one, error, retry_in=None)
        connection.execute(text("update campaign set state = 'finished'"))
    return [one.id for one in found]


def rows(database: Database, query: str) -> list[Any]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_a_dead_letter_tells_its_cause_and_what_the_process_said_last(database: Database, dead: list[int]) -> None:
    with database.begin() as connection:
        letters = read_dead(connection, "words")
    assert {letter.job for letter in letters} == set(dead)
    crash = next(letter for letter in letters if letter.kind == "crash")
    assert (crash.message, crash.log, crash.attempts) == ("a crash", ("CUDA error", "Aborted"), 1)


def test_only_what_died_of_one_cause_is_tried_again_each_by_itself(
    database: Database, registry: Registry, dead: list[int]
) -> None:
    how = revive_with(read_changes(["batch=1"]), ["crash"])
    assert campaigns.retry(database, registry, "words", how) == 2
    assert rows(database, "select state, alone, attempts from job order by id") == [
        ("queued", True, 0),
        ("queued", True, 0),
        ("dead", False, 1),
    ]
    assert rows(database, "select state from campaign") == [("running",)]
    assert rows(database, "select count(*) from attempt") == [(0,)]


def test_a_change_of_pixels_asks_for_other_images_that_keep_their_lineage(
    database: Database, registry: Registry, record: Any, dead: list[int]
) -> None:
    how = revive_with(read_changes(["steps=3", "guidance=2.5"]), ["crash"])
    assert campaigns.retry(database, registry, "words", how) == 2
    changed = rows(
        database,
        """
        select request->'steps', request->'guidance', job.state, held, item.version, brief_job_id
        from item join job on job.id = item.job_id where brief_job_id is not null order by brief_job_id
        """,
    )
    assert changed == [(3, 2.5, "queued", False, 2, dead[0]), (3, 2.5, "queued", False, 2, dead[1])]
    assert rows(database, "select distinct actor, parent_job_id from attempt order by 2") == [
        ("retried with steps=3, guidance=2.5", dead[0]),
        ("retried with steps=3, guidance=2.5", dead[1]),
    ]
    assert len(set(rows(database, "select batch from job where state = 'queued'"))) == 1
    record()
    kept = rows(database, "select count(*) from item join job on job.id = job_id where request->>'steps' = '3'")
    assert kept == [(2,)]


def test_retrying_with_what_it_had_is_the_same_image(
    database: Database, registry: Registry, dead: list[int]
) -> None:
    ((steps,),) = rows(database, "select distinct request->'steps' from job")
    assert campaigns.retry(database, registry, "words", revive_with(read_changes([f"steps={steps}"]))) == 3
    assert rows(database, "select count(*), min(state) from job") == [(3, "queued")]


@pytest.mark.parametrize("state", ["paused", "cancelled", "finished"])
def test_where_nothing_died_of_a_cause_nothing_changes(
    database: Database, registry: Registry, dead: list[int], state: str
) -> None:
    rows(database, f"update campaign set state = '{state}' returning id")
    rows(database, "update job set state = 'cancelled', held = true where state <> 'dead' returning id")
    before = rows(database, "select id, state, held from job order by id")
    assert campaigns.retry(database, registry, "words", revive_with(Changes(), ["memory"])) == 0
    assert rows(database, "select state from campaign") == [(state,)]
    assert rows(database, "select id, state, held from job order by id") == before
    assert rows(database, "select count(*) from event where kind = 'campaign.retried'") == [(0,)]


def test_neither_a_retry_nor_a_start_goes_past_a_stop_rule(
    database: Database, registry: Registry, dead: list[int]
) -> None:
    rows(database, """update campaign set state = 'paused', stop = '{"failed": 1}' returning id""")
    with pytest.raises(campaigns.NoRoom, match=r"would be stopped at once.*campaign retry words --anyway"):
        campaigns.retry(database, registry, "words", revive_with(Changes(), ["bad input"]))
    rows(database, f"update job set state = 'queued', held = true where id = {dead[0]} returning id")
    with pytest.raises(BadInput, match="would be stopped at once"):
        campaigns.start(database, registry, "words")
    assert rows(database, "select state from campaign") == [("paused",)]
    assert campaigns.retry(database, registry, "words") == 2, "with none dead the rule leaves room"


def test_words_are_read_as_changes() -> None:
    assert read_changes(["steps=8", "true-cfg=2", "batch=1"]) == Changes({"steps": 8, "true_cfg": 2.0}, alone=True)
    assert read_changes([]) == Changes()


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("batch=2", "only a batch of one"),
        ("colour=red", "names nothing"),
        ("steps", "is no number"),
        ("steps=many", "is no number"),
        ("steps=0", "does not fit"),
        ("steps=2.5", "does not fit"),
        ("guidance=nan", "does not fit"),
        ("width=1000", "does not fit"),
    ],
)
def test_words_that_change_nothing_are_refused_with_what_there_is(word: str, what: str) -> None:
    with pytest.raises(BadInput, match=what) as error:
        read_changes([word])
    assert "batch=1, steps=1…1000" in str(error.value)
