"""What an upgrade of a plugin would change, and what a campaign waits for, asked of a real Postgres."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pluggy
import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, event, text

from benchmarks.seeding import seed
from core import hookspecs
from core.hookspecs import PROJECT, hookimpl
from core.registry import Registry
from core.settings import Settings
from dreamline import ConditionType, Method
from orchestrator import running
from orchestrator.cli import cli
from orchestrator.impact import AGAIN, KEPT, STUCK, UNKNOWN, Impact, Part, read_impact, summary
from orchestrator.planning.keys import method_pin
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.unserved import read_lacking

Write = Callable[..., None]


@dataclass(frozen=True)
class Options:
    method: str = "auto"


def registry_with(version: str | None, *methods: Method, kind: str = "logo", scores: bool = False) -> Registry:
    """A registry with the plugin `logo` of this version, or with none."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    if version is not None:
        plugin: Any = ModuleType("logo")
        plugin.__version__ = version
        offered = ConditionType(
            name=kind,
            title="Logo",
            prepare=lambda picture, options, bench: None,  # type: ignore[arg-type, return-value]
            options=Options,
            methods=lambda settings: methods or (Method("cut"),),
            by_mask=Method("mask"),
        )
        plugin.condition_types = hookimpl(lambda: [offered])
        manager.register(plugin, "logo")
    return Registry(manager)


@pytest.fixture
def write(database: Database) -> Write:
    """Writes a campaign with `items`, each a job of its own that uses the preparations of these specs."""

    def write(
        name: str,
        items: int,
        *specs: dict[str, Any],
        state: str = "queued",
        verdict: str = "open",
        changed_by: dict[str, str] | None = None,
        prepared: str = "queued",
    ) -> None:
        with database.begin() as connection:
            campaign = connection.execute(
                text("""
                insert into campaign (name, state, model, source, text) values (:name, 'running', 'm', 'f', '')
                on conflict (name) do update set state = 'running' returning id
                """),
                {"name": name},
            ).scalar_one()
            preparations = [_preparation(connection, name, spec, prepared) for spec in specs]
            for _ in range(items):
                _item(connection, campaign, preparations, state, verdict, changed_by or {})

    return write


def _preparation(connection: Connection, salt: str, spec: dict[str, Any], state: str) -> int:
    told = {"plugin": "logo 1", "kind": "logo", "method": Method("cut").as_dict(), "options": {}, **spec}
    pin = method_pin(told["kind"], told["plugin"], Method.from_dict(told["method"]))
    values = {"key": f"{salt} {json.dumps(told)}", "pin": pin, "spec": json.dumps(told), "state": state}
    connection.execute(
        text("insert into reference (sha256, source, size) values (:key, 'a.png', 1) on conflict do nothing"),
        values,
    )
    return int(
        connection.execute(
            text("""
            insert into preparation (key, pin, batch, reference_sha256, model, spec, held, state)
            values (:key, :pin, :pin, :key, 'm', cast(:spec as jsonb), false, :state)
            on conflict (key) do update set state = excluded.state returning id
            """),
            values,
        ).scalar_one()
    )


def _item(
    connection: Connection,
    campaign: int,
    preparations: Sequence[int],
    state: str,
    verdict: str,
    changed_by: dict[str, str],
) -> None:
    job = connection.execute(
        text("""
        insert into job (key, pin, batch, model, request, pinned, held, waiting, state)
        values (gen_random_uuid()::text, 'm', 'm', 'm', '{}', cast(:pinned as jsonb), false, :waiting, :state)
        returning id
        """),
        {"pinned": json.dumps({"changed_by": changed_by}), "waiting": len(preparations), "state": state},
    ).scalar_one()
    for position, preparation in enumerate(preparations, start=1):
        connection.execute(
            text("insert into job_reference (job_id, position, preparation_id) values (:job, :position, :one)"),
            {"job": job, "position": position, "one": preparation},
        )
    connection.execute(
        text("""
        insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id, verdict)
        values (:campaign, gen_random_uuid()::text, '', '{}', 1, 'square', :job, :verdict)
        """),
        {"campaign": campaign, "job": job, "verdict": verdict},
    )


@pytest.fixture
def impact(database: Database, settings: Settings) -> Callable[..., Impact]:
    def impact(plugins: Registry, version: str | None = None) -> Impact:
        with database.begin() as connection:
            return read_impact(connection, "logo", plugins, settings, version)

    return impact


def counts(part: Part) -> tuple[int, int, int, int, int]:
    return part.items, part.made, part.open, part.failed, part.approved


def test_items_planned_with_another_version_would_be_made_again(
    write: Write, impact: Callable[..., Impact]
) -> None:
    write("caps", 3, {}, state="done", verdict="approved")
    write("caps", 2, {}, state="done")
    write("caps", 1, {})
    write("caps", 1, {}, state="dead")
    write("caps", 4, {"plugin": "logo 2"}, state="done")
    write("bags", 5, {"plugin": "logotype 1"}, state="done")
    told = impact(registry_with("2"))
    assert told.installed == "2"
    assert [(part.campaign, part.planned, part.verdict) for part in told.parts] == [
        ("caps", "logo 1", AGAIN),
        ("caps", "logo 2", KEPT),
    ]
    assert counts(told.parts[0]) == (7, 5, 1, 1, 3)
    assert counts(told.parts[1]) == (4, 4, 0, 0, 0)
    assert (told.again, told.approved, told.stuck) == (7, 3, 0)
    assert "7 items anew; 3 of them are approved" in " ".join(summary(told))
    assert {part.verdict for part in impact(registry_with("2"), version="1").parts} == {KEPT, AGAIN}


@pytest.mark.parametrize(
    ("spec", "methods", "verdict"),
    [
        ({}, (Method("cut"),), KEPT),
        ({}, (Method("cut", "2"),), AGAIN),
        ({}, (Method("learned"), Method("cut")), AGAIN),
        ({"options": {"method": "cut"}}, (Method("learned"), Method("cut")), KEPT),
        ({}, (Method("cut", weights={"a": "b"}),), AGAIN),
        ({"options": {"method": "cut"}}, (Method("learned"),), STUCK),
        ({"mask": "0" * 64, "method": Method("mask").as_dict()}, (Method("cut"),), KEPT),
        ({"kind": "sticker"}, (Method("cut"),), STUCK),
    ],
)
def test_the_method_that_would_be_chosen_here_decides(
    write: Write, impact: Callable[..., Impact], spec: dict[str, Any], methods: Sequence[Method], verdict: str
) -> None:
    write("caps", 2, spec)
    (part,) = impact(registry_with("1", *methods)).parts
    assert part.verdict == verdict


def test_an_item_with_two_references_of_the_plugin_counts_once(
    write: Write, impact: Callable[..., Impact]
) -> None:
    write("caps", 3, {}, {"method": Method("cut", "0").as_dict()}, {"options": {"method": "cut"}})
    told = impact(registry_with("2"))
    assert [part.items for part in told.parts] == [3, 3, 3]
    assert told.again == 3


def test_without_the_plugin_open_items_are_stuck_and_made_ones_stay(
    write: Write, impact: Callable[..., Impact]
) -> None:
    write("caps", 3, {})
    write("caps", 2, {}, state="done")
    told = impact(registry_with(None))
    assert told.installed is None
    assert [(part.verdict, counts(part)) for part in told.parts] == [(STUCK, (5, 2, 3, 0, 0))]
    assert told.stuck == 3
    assert "3 open items wait" in " ".join(summary(told))


def test_changed_requests_and_scores_are_told_apart_from_preparations(
    write: Write, impact: Callable[..., Impact], database: Database, store: Storage
) -> None:
    write("caps", 2, changed_by={"prompt": "logo", "steps": "logo", "seed": "other"}, state="done")
    write("bags", 2, changed_by={"prompt": "other"})
    with database.begin() as connection:
        seeded = seed(connection, store, "drop", 4, pictures=1, side=64)
        connection.execute(
            text("""
            insert into score (job_id, plugin, name, value, compared, higher_is_better)
            select job_id, 'logo', 'colour', 1, 'all', true from item where campaign_id = :campaign
            """),
            {"campaign": seeded.campaign},
        )
    told = impact(registry_with("2"))
    assert [(part.campaign, part.planned, part.items, part.verdict) for part in told.parts] == [
        ("caps", "changed prompt, steps", 2, UNKNOWN)
    ]
    assert told.scores == {"drop": 4}
    assert impact(registry_with(None)).parts[0].verdict == STUCK


def test_the_command_names_what_nothing_uses_and_what_nobody_knows(settings: Settings, database: Database) -> None:
    assert settings.database_url is not None
    environment = {"DREAMLINE_DATABASE_URL": settings.database_url, "DREAMLINE_HOME": str(settings.home)}
    run = CliRunner(env=environment)
    told = run.invoke(cli, ["plugins", "impact", "subject"])
    assert told.exit_code == 0, told.output
    assert "No campaign was planned with plugin 'subject'" in told.output
    unknown = run.invoke(cli, ["plugins", "impact", "sbject"])
    assert unknown.exit_code != 0
    assert "no plugin is called 'sbject'" in str(unknown.exception)
    told = run.invoke(cli, ["plugins", "impact", "subject", "--json"])
    assert json.loads(told.output)["parts"] == []


def test_as_many_queries_for_many_campaigns_as_for_one(
    write: Write, impact: Callable[..., Impact], database: Database
) -> None:
    def queries() -> int:
        seen: list[str] = []

        def note(*arguments: Any) -> None:
            seen.append(arguments[2])

        event.listen(database.engine(), "before_cursor_execute", note)
        impact(registry_with("2"))
        event.remove(database.engine(), "before_cursor_execute", note)
        return len(seen)

    write("one", 1, {})
    before = queries()
    for number in range(20):
        write(f"campaign {number}", 2, {"plugin": f"logo {number}"}, changed_by={"prompt": "logo"})
    assert queries() == before


def test_a_campaign_says_which_plugin_it_waits_for(write: Write, database: Database, settings: Settings) -> None:
    def lacking(plugins: Registry) -> list[str]:
        with database.begin() as connection:
            return [str(one) for one in read_lacking(connection, "caps", plugins, settings)]

    write("caps", 3, {})
    (told,) = lacking(registry_with(None))
    assert told.startswith(
        "1 reference and 3 images wait: plugin 'logo' (planned with logo 1) is not installed here"
    )
    assert "Install it again" in told
    (told,) = lacking(registry_with("2"))
    assert "planned with logo 1, here is logo 2" in told
    (told,) = lacking(registry_with("1", Method("other")))
    assert "plugin 'logo' offers no method cut for logo here" in told
    (told,) = lacking(registry_with("1"))
    assert "no worker that runs has logo 1 logo cut/1" in told
    with database.begin() as connection:
        connection.execute(
            text("""
            insert into worker (id, host, process, queue, pins)
            values (gen_random_uuid(), 'h', 1, 'cpu', '["logo 1 logo cut/1"]')
            """)
        )
    assert lacking(registry_with(None)) == []


def test_run_stops_waiting_where_its_own_workers_lack_what_is_left(
    write: Write, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nobody(running.LocalWorkers):
        def keep_alive(self) -> None:
            """Workers that run and can do nothing of this."""

    monkeypatch.setattr(running, "PATIENCE", 0.5)
    write("caps", 2, {})
    warned: list[str] = []
    began = time.monotonic()
    end = running.wait_for(
        database,
        "caps",
        lambda progress: None,
        warned.append,
        lambda connection: read_lacking(connection, "caps", registry_with(None), settings),
        Nobody(settings),
    )
    assert end.state == "running"
    assert time.monotonic() - began > 2 * running.PATIENCE
    assert len(warned) == 1
    assert "plugin 'logo' (planned with logo 1) is not installed here" in warned[0]
