"""Figures for Prometheus say what the database says, and cost a large database little."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from core.settings import Settings
from orchestrator.cli.metrics import command
from orchestrator.operating.figures import Figures
from orchestrator.operating.health import Health
from orchestrator.operating.meter import Meter
from orchestrator.operating.readings import Growing
from orchestrator.operating.serving import Answers
from orchestrator.records.database import Database
from orchestrator.working.claims import claim, fail

ROOT = Path(__file__).parents[2]


class Told:
    """What a collector tells, each time anew."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.figures = Figures(settings, database, Health(settings, database))
        self.registry.register(self.figures)

    def __call__(self, name: str, **labels: str) -> float | None:
        # What a reading cost says when it is due again: here at once.
        for reading in self.figures._readings:
            reading.taken = None
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def told(settings: Settings, database: Database) -> Told:
    return Told(settings, database)


def run(database: Database, statement: str, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(text(statement), values)


def sign_on(database: Database, queue: str, pins: list[str], silent: float = 0.0) -> uuid.UUID:
    worker = uuid.uuid4()
    run(
        database,
        """
        insert into worker (id, host, process, queue, pins, seen_at)
        values (:id, 'here', 1, :queue, to_jsonb(cast(:pins as text[])), now() - make_interval(secs => :silent))
        """,
        id=worker,
        queue=queue,
        pins=pins,
        silent=silent,
    )
    return worker


def test_open_work_by_queue_and_state(
    told: Told, database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    seed_jobs(3)
    seed_jobs(2, needs=seed_preparations(1))
    (held,) = seed_jobs(1)
    run(database, "update job set held = true where id = :id", id=held)
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 1, 60)
    states = {state: told("dreamline_work", queue="gpu", model="model", state=state) for state in STATES}
    assert states == {"held": 1, "waiting": 2, "ready": 2, "leased": 1, "failed": None}
    assert told("dreamline_work", queue="cpu", model="model", state="ready") == 1


STATES = ("held", "waiting", "ready", "leased", "failed")


def test_the_oldest_ready_work_is_timed_and_what_waits_or_is_held_is_not(
    told: Told, database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    assert told("dreamline_oldest_ready_seconds", queue="gpu") == 0
    (old,) = seed_jobs(1, needs=seed_preparations(1))
    seed_jobs(1)
    age = "update job set changed_at = now() - interval '500 s' where id = :id"
    run(database, age, id=old)
    assert (told("dreamline_oldest_ready_seconds", queue="gpu") or 0) < 100
    run(database, "update job set waiting = 0 where id = :id", id=old)
    assert 500 <= (told("dreamline_oldest_ready_seconds", queue="gpu") or 0) < 600


def test_work_is_unserved_until_a_live_worker_has_what_it_asks_for(
    told: Told, database: Database, seed_jobs: Any
) -> None:
    seed_jobs(4)
    sign_on(database, "gpu", ["another"])
    sign_on(database, "gpu", ["model"], silent=3600)
    assert told("dreamline_unserved_work", queue="gpu", model="model") == 4
    sign_on(database, "gpu", ["model"])
    assert told("dreamline_unserved_work", queue="gpu", model="model") == 0


def test_a_worker_is_alive_while_it_signs_on_or_holds_a_lease(
    told: Told, database: Database, seed_jobs: Any
) -> None:
    seed_jobs(1)
    sign_on(database, "cpu", [])
    busy = sign_on(database, "gpu", ["model"], silent=800)
    assert told("dreamline_workers", queue="gpu", state="gone") == 1
    with database.begin() as connection:
        claim(connection, "job", busy, ["model"], 1, 60)
    assert told("dreamline_workers", queue="gpu", state="alive") == 1
    assert told("dreamline_workers", queue="gpu", state="gone") == 0
    assert told("dreamline_workers", queue="cpu", state="alive") == 1
    run(database, "update worker set stopped_at = now()")
    assert told("dreamline_workers", queue="gpu", state="alive") == 0


def test_how_busy_generators_were_is_a_sum_over_all_workers_that_never_falls(
    told: Told, database: Database
) -> None:
    for busy in (30.0, 12.0):
        worker = sign_on(database, "gpu", [])
        run(database, "update worker set busy = :busy, idle = 1 where id = :id", busy=busy, id=worker)
    assert told("dreamline_generator_seconds_total", state="busy") == 42
    assert told("dreamline_generator_seconds_total", state="idle") == 2
    run(database, "delete from worker where busy = 12")
    assert told("dreamline_generator_seconds_total", state="busy") == 42


def test_leases_that_ran_out_are_told_with_how_long_ago(told: Told, database: Database, seed_jobs: Any) -> None:
    seed_jobs(2)
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 2, 60)
    assert told("dreamline_leases_not_renewed", queue="gpu") == 0
    run(database, "update job set lease_until = now() - interval '200 s'")
    assert told("dreamline_leases_not_renewed", queue="gpu") == 2
    assert 200 <= (told("dreamline_longest_lease_overdue_seconds", queue="gpu") or 0) < 300


def test_dead_work_by_class(told: Told, database: Database, seed_jobs: Any) -> None:
    seed_jobs(1)
    with database.begin() as connection:
        (held,) = claim(connection, "job", uuid.uuid4(), ["model"], 1, 60)
        fail(connection, "job", held, {"class": "out of memory", "message": "x"}, retry_in=None)
    labels = {"queue": "gpu", "model": "model", "class": "out of memory"}
    assert told("dreamline_dead_work", **labels) == 1


def keep(database: Database, job: int, seconds: float, size: int) -> None:
    run(
        database,
        """
        insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
        values (:job, :sha256, :size, 1, 1, 'image/png', '{}', 1, :worker, :seconds)
        """,
        job=job,
        sha256=uuid.uuid4().hex * 2,
        size=size,
        worker=uuid.uuid4(),
        seconds=seconds,
    )


def test_images_as_a_histogram_that_never_falls(told: Told, database: Database, seed_jobs: Any) -> None:
    for job, seconds in zip(seed_jobs(4), (0.05, 3.0, 3.0, 9000.0), strict=True):
        keep(database, job, seconds, 1000)

    def buckets() -> list[float | None]:
        return [
            told("dreamline_image_seconds_bucket", model="model", le=le) for le in ("0.1", "2.5", "5.0", "+Inf")
        ]

    assert buckets() == [1, 1, 3, 4]
    assert told("dreamline_image_seconds_sum", model="model") == pytest.approx(9006.05)
    assert told("dreamline_asset_bytes", model="model") == 4000
    assert (told("dreamline_last_image_seconds") or 1000) < 100
    run(database, "delete from asset where seconds = 3.0")
    assert buckets() == [1, 1, 3, 4]
    assert told("dreamline_asset_bytes", model="model") == 2000


@given(st.lists(st.integers(0, 100), min_size=1))
def test_a_growing_sum_counts_every_rise_and_no_fall(values: list[int]) -> None:
    growing = Growing()
    shown = [growing.take("key", value) for value in values]
    rises = sum(max(0, after - before) for before, after in zip([0, *values], values, strict=False))
    assert shown == sorted(shown)
    assert shown[-1] == rises
    assert shown[0] == values[0]


def test_progress_of_campaigns_under_way(told: Told, database: Database, seed_jobs: Any) -> None:
    jobs = seed_jobs(3)
    for name, state in (("summer", "running"), ("winter", "finished")):
        run(
            database,
            "insert into campaign (name, state, model, source, text) values (:name, :state, 'm', 'f', '')",
            name=name,
            state=state,
        )
        for number, job in enumerate(jobs):
            run(
                database,
                """
                insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id)
                select id, :row, '', '{}', 1, 'square', :job from campaign where name = :name
                """,
                name=name,
                row=str(number),
                job=job,
            )
    run(database, "update job set state = 'done' where id = :id", id=jobs[0])
    images = {
        state: told("dreamline_campaign_images", campaign="summer", state=state)
        for state in ("done", "queued", "dead")
    }
    assert images == {"done": 1, "queued": 2, "dead": 0}
    assert told("dreamline_campaign_images", campaign="winter", state="done") is None
    assert told("dreamline_campaigns", state="running") == 1
    assert told("dreamline_campaigns", state="finished") == 1


def test_a_reading_that_cost_much_is_not_taken_again_soon(told: Told, database: Database, seed_jobs: Any) -> None:
    assert told("dreamline_oldest_ready_seconds", queue="gpu") == 0
    seed_jobs(1)
    labels = {"queue": "gpu", "model": "model", "state": "ready"}
    for reading in told.figures._readings:
        reading.cost = 60.0
    assert told.registry.get_sample_value("dreamline_work", labels) is None
    for reading in told.figures._readings:
        reading.cost = 0.0
    assert told.registry.get_sample_value("dreamline_work", labels) == 1


def test_without_a_database_that_alone_is_told(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/nowhere")
    with closing(Database(settings)) as database:
        told = Told(settings, database)
        assert told("dreamline_reachable", part="database") == 0
        assert told("dreamline_reachable", part="storage") == 1
        assert [metric.name for metric in told.registry.collect()] == ["dreamline_reachable"]


def names(told: Told) -> set[str]:
    """Names of series as Prometheus has them."""
    found = {
        metric.name: metric.type for registry in (told.registry, Meter().registry) for metric in registry.collect()
    }
    more = {
        f"{name}_{part}"
        for name, kind in found.items()
        for part in {"histogram": ("bucket", "count", "sum"), "counter": ("total",)}.get(kind, ())
    }
    return {*found, *more, "up"}


def expressions() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load((ROOT / "docker" / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]


def test_every_figure_that_an_alarm_asks_for_is_told(told: Told, database: Database, seed_jobs: Any) -> None:
    keep(database, seed_jobs(1)[0], 1.0, 1)
    known = names(told) | {name for name, _ in expressions()}
    for name, expression in expressions():
        asked = set(re.findall(r"\b(?:dreamline[\w:]*|up)\b", re.sub(r'"[^"]*"', "", expression)))
        assert asked, name
        assert asked <= known, name


def test_the_documentation_has_every_figure_and_no_other(told: Told, database: Database, seed_jobs: Any) -> None:
    keep(database, seed_jobs(1)[0], 1.0, 1)
    page = (ROOT / "docs" / "operations.md").read_text().split("<!-- metrics", 1)[1].split("## Alarms")[0]
    documented = set(re.findall(r"`(dreamline_\w+?)(?:_total)?[{`]", page))
    registries = (told.registry, Meter().registry)
    told_of = {metric.name for registry in registries for metric in registry.collect()}
    assert documented == {name for name in told_of if name.startswith("dreamline_")}


def test_what_is_served_can_be_parsed_and_says_whether_all_is_in_reach(
    settings: Settings, database: Database, seed_jobs: Any
) -> None:
    seed_jobs(2)
    told = Told(settings, database)
    answers = Answers("127.0.0.1", 0, told.registry, Health(settings, database), dict)
    answers.start()
    try:
        where = f"http://127.0.0.1:{answers.port}"
        with urlopen(f"{where}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            families = {one.name: one for one in text_string_to_metric_families(answer.read().decode())}
        ready = [one for one in families["dreamline_work"].samples if one.labels["state"] == "ready"]
        assert [one.value for one in ready] == [2]
    finally:
        answers.shutdown()
        answers.server_close()


def test_the_command_prints_them_once_for_programs_and_for_prometheus(settings: Settings, seed_jobs: Any) -> None:
    seed_jobs(2)
    done = CliRunner().invoke(command, ["--json"], obj=settings, catch_exceptions=False)
    samples = {(one["name"], *sorted(one["labels"].values())): one["value"] for one in json.loads(done.stdout)}
    assert samples["dreamline_work", "gpu", "model", "ready"] == 2
    done = CliRunner().invoke(command, [], obj=settings, catch_exceptions=False)
    families = {one.name for one in text_string_to_metric_families(done.stdout)}
    assert {"dreamline_work", "dreamline_reachable"} <= families


def test_the_command_can_not_print_and_serve(settings: Settings) -> None:
    done = CliRunner().invoke(command, ["--json", "--port", "0"], obj=settings)
    assert done.exit_code == 2
    assert "give one of them" in done.output
