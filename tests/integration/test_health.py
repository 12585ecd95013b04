"""`/healthz` says whether a process lives, `/readyz` whether what it needs is in reach."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry

from core.errors import BadInput
from core.settings import Settings
from orchestrator.operating.health import Health
from orchestrator.operating.meter import SILENT, Meter
from orchestrator.operating.serving import Answers, serve_worker
from orchestrator.records.database import Database


@contextmanager
def serving(health: Health, silences: Mapping[str, float] | None = None) -> Iterator[str]:
    answers = Answers("127.0.0.1", 0, CollectorRegistry(), health, lambda: silences or {})
    answers.start()
    try:
        yield f"http://127.0.0.1:{answers.port}"
    finally:
        answers.shutdown()
        answers.server_close()


def ask(url: str, method: str = "GET") -> tuple[int, Any]:
    try:
        with urlopen(Request(url, method=method), timeout=15) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def parts(told: Any) -> dict[str, bool]:
    return {one["part"]: one["ok"] for one in told["parts"]}


def test_all_in_reach(settings: Settings, database: Database) -> None:
    with serving(Health(settings, database)) as where:
        status, told = ask(f"{where}/readyz")
        assert (status, told["status"]) == (200, "ok")
        assert parts(told) == {"database": True, "broker": True, "storage": True}
        assert ask(f"{where}/healthz")[0] == 200
        assert ask(f"{where}/healthz", "HEAD") == (200, None)
        assert ask(f"{where}/elsewhere")[0] == 404


def test_each_part_that_is_away_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    away = replace(
        settings,
        database_url="postgresql://nobody@127.0.0.1:1/nowhere",
        broker_url="redis://127.0.0.1:1/0",
        storage_url=str(tmp_path / "file" / "store"),
    )
    with closing(Database(away)) as nowhere, serving(Health(away, nowhere)) as where:
        status, told = ask(f"{where}/readyz")
        assert status == 503
        assert parts(told) == {"database": False, "broker": False, "storage": False}
        assert all(one["message"] for one in told["parts"])
        assert ask(f"{where}/healthz")[0] == 200


def test_a_database_without_tables_is_not_ready(settings: Settings, cluster: str) -> None:
    empty = replace(settings, database_url=cluster.replace("/dreamline?", "/postgres?"))
    with closing(Database(empty)) as base:
        (found,) = [one for one in Health(empty, base).ready() if one.part == "database"]
    assert not found.ok
    assert "dreamline db upgrade" in found.message


def test_a_thread_that_fell_silent_makes_the_process_unhealthy(settings: Settings, database: Database) -> None:
    with serving(Health(settings, database), {"gpu": SILENT + 1, "cpu": 0.2}) as where:
        status, told = ask(f"{where}/healthz")
    assert (status, told["status"]) == (503, "stuck")
    assert told["silent_seconds"]["gpu"] > SILENT


def test_answers_stand_for_a_moment_so_that_asking_costs_little(settings: Settings, database: Database) -> None:
    health = Health(settings, database)
    assert health.ready() is health.ready()


def test_a_port_that_is_taken_is_refused_by_name_and_keeps_no_worker_from_working(
    settings: Settings, database: Database
) -> None:
    answers = Answers("127.0.0.1", 0, CollectorRegistry(), Health(settings, database), dict)
    try:
        with pytest.raises(BadInput, match=str(answers.port)):
            Answers("127.0.0.1", answers.port, CollectorRegistry(), Health(settings, database), dict)
        assert serve_worker(replace(settings, metrics_port=answers.port), database, Meter()) is None
    finally:
        answers.server_close()
    assert serve_worker(settings, database, Meter()) is None
