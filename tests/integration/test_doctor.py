"""The doctor finds what is wrong, mends exactly that, and leaves the rest alone."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from core.cards import read_card
from core.generation.files import card_files
from core.settings import Settings
from orchestrator.cli.doctor import command as doctor_command
from orchestrator.doctor import Finding, examine
from orchestrator.examining import connections, contents
from orchestrator.operating import clock
from orchestrator.operating.backlog import read_ready
from orchestrator.records.database import Database
from orchestrator.records.models import hash_files, record
from orchestrator.records.storage import Storage, open_storage
from orchestrator.working.claims import claim


@pytest.fixture
def made(database: Database, store: Storage, seed_jobs: Any) -> tuple[int, str]:
    """A finished job with its file."""
    (job,) = seed_jobs(1)
    sha256 = store.put(b"an image", "job")
    with database.begin() as connection:
        connection.execute(text("update job set state = 'done' where id = :id"), {"id": job})
        connection.execute(
            text("""
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            values (:job, :sha256, 8, 1, 1, 'image/png', '{}', 1, :worker, 1)
            """),
            {"job": job, "sha256": sha256, "worker": uuid.uuid4()},
        )
    return job, sha256


@pytest.fixture
def three(database: Database, store: Storage, seed_jobs: Any) -> list[str]:
    """Files of three finished jobs."""
    files = [store.put(b"image %d" % number, "job") for number in range(3)]
    with database.begin() as connection:
        for job, sha256 in zip(seed_jobs(3), files, strict=True):
            connection.execute(text("update job set state = 'done' where id = :id"), {"id": job})
            connection.execute(
                text("""
                insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
                values (:job, :sha256, 7, 1, 1, 'image/png', '{}', 1, gen_random_uuid(), 1)
                """),
                {"job": job, "sha256": sha256},
            )
    return files


def wrong(settings: Settings, *, fix: bool = False, accept_loss: bool = False) -> dict[str, Finding]:
    found = examine(settings, fix=fix, accept_loss=accept_loss)
    return {one.check: one for one in found if one.level != "ok"}


def states(database: Database) -> dict[str, int]:
    with database.begin() as connection:
        rows = connection.execute(text("select state, count(*) as jobs from job group by state"))
        return {row.state: row.jobs for row in rows}


def state(database: Database, job: int) -> str:
    with database.begin() as connection:
        return str(connection.execute(text("select state from job where id = :id"), {"id": job}).scalar_one())


def test_a_healthy_installation_has_nothing_to_mend(settings: Settings, made: tuple[int, str]) -> None:
    assert wrong(settings) == {}
    assert {one.check for one in examine(settings)} >= {"database", "broker", "leases", "files", "store", "queue"}


def test_a_file_without_a_row_is_deleted_only_when_asked(
    settings: Settings, store: Storage, made: tuple[int, str]
) -> None:
    orphan = store.put(b"nobody's", "job")
    assert "1 files" in wrong(settings)["store"].message
    assert store.exists(orphan)
    assert wrong(settings, fix=True)["store"].mended == "deleted"
    assert not store.exists(orphan)
    assert store.exists(made[1])
    assert wrong(settings) == {}


def test_an_image_whose_file_is_gone_is_queued_again(
    settings: Settings, database: Database, store: Storage, made: tuple[int, str]
) -> None:
    job, sha256 = made
    store.delete(sha256)
    assert state(database, job) == "done"
    assert "files" in wrong(settings)
    assert state(database, job) == "done"
    assert wrong(settings, fix=True)["files"].mended == "queued again"
    assert state(database, job) == "queued"
    assert wrong(settings) == {}


@pytest.mark.parametrize("empty", [True, False])
def test_a_store_in_which_most_files_are_missing_is_taken_for_another_and_nothing_is_forgotten(
    settings: Settings, database: Database, tmp_path: Path, three: list[str], empty: bool
) -> None:
    other = replace(settings, storage_url=str(tmp_path / "other"))
    if not empty:
        another = open_storage(other.store_url)
        shared, theirs = another.put(b"image 0", "x"), another.put(b"theirs", "x")
    for fix in (False, True):
        found = wrong(other, fix=fix)
        assert (found["files"].level, found["files"].mended) == ("error", "")
        assert f"{3 if empty else 2} of 3 recorded files" in found["files"].message
        assert "DREAMLINE_STORAGE_URL" in found["files"].mend
        assert "--accept-loss" in found["files"].mend
        assert states(database) == {"done": 3}
    assert empty or (another.exists(shared) and another.exists(theirs)), "nor is anything deleted there"
    assert wrong(settings) == {}


def test_a_store_that_is_truly_lost_is_made_again_when_a_person_says_so(
    settings: Settings, database: Database, store: Storage, three: list[str]
) -> None:
    for sha256 in three:
        store.delete(sha256)
    assert wrong(settings, fix=True, accept_loss=True)["files"].mended == "queued again"
    assert states(database) == {"queued": 3}
    assert CliRunner().invoke(doctor_command, ["--accept-loss"], obj=settings).exit_code == 2


def test_one_file_of_few_that_is_lost_is_made_again_without_asking(
    settings: Settings, database: Database, store: Storage, three: list[str]
) -> None:
    store.delete(three[0])
    assert wrong(settings, fix=True)["files"].mended == "queued again"
    assert states(database) == {"done": 2, "queued": 1}


@pytest.mark.parametrize("table", ["decision", "comparison"])
def test_a_file_that_only_a_decision_or_a_comparison_names_is_not_unknown(
    settings: Settings, database: Database, store: Storage, three: list[str], table: str
) -> None:
    decided = store.put(b"an earlier image", "job")
    with database.begin() as connection:
        # What decisions and comparisons belong to is of no matter here.
        connection.execute(text("set local session_replication_role = replica"))
        connection.execute(
            text(
                """
                insert into decision
                    (id, campaign_id, number, item_id, version, asset_sha256, verdict, actor, previous, hash)
                values (gen_random_uuid(), 1, 1, 1, 1, :sha256, 'approved', 'ada', '', '')
                """
                if table == "decision"
                else """
                insert into comparison (id, rival_id, item_id, asset_sha256, winner, actor)
                values (gen_random_uuid(), 1, 1, :sha256, 'ours', 'ada')
                """
            ),
            {"sha256": decided},
        )
    assert "store" not in wrong(settings, fix=True)
    assert store.exists(decided)


def test_a_file_that_is_recorded_after_the_doctor_looked_is_kept(
    settings: Settings, database: Database, store: Storage, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late, orphan = store.put(b"late", "job"), store.put(b"nobody's", "job")
    whole = contents.sweep

    def record_then_sweep(*given: Any) -> set[str]:
        with database.begin() as connection:
            connection.execute(
                text("insert into reference (sha256, source, size) values (:late, 'a.png', 4)"), {"late": late}
            )
        return whole(*given)

    monkeypatch.setattr(contents, "sweep", record_then_sweep)
    assert "1 files" in wrong(settings, fix=True)["store"].message
    assert (store.exists(late), store.exists(orphan)) == (True, False)


def test_a_prepared_reference_whose_file_is_gone_is_prepared_again_before_its_jobs(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any, seed_preparations: Any
) -> None:
    (preparation,) = seed_preparations(1)
    (job,) = seed_jobs(1, needs=[preparation])
    given = store.put(b"a picture", "x")
    with database.begin() as connection:
        connection.execute(
            text("insert into reference (sha256, source, size) values (:given, 'b.png', 9)"), {"given": given}
        )
        connection.execute(
            text("update preparation set state = 'done', reference_sha256 = :given, result = :gone"),
            {"given": given, "gone": given[::-1]},
        )
        connection.execute(text("delete from reference where sha256 <> :given"), {"given": given})
        connection.execute(text("update job set waiting = 0"))
    assert wrong(settings, fix=True)["files"].mended == "queued again"
    with database.begin() as connection:
        waiting = connection.execute(text("select waiting from job where id = :id"), {"id": job}).scalar_one()
        again = connection.execute(text("select state from preparation")).scalar_one()
    assert (waiting, again) == (1, "queued")


def test_a_lease_that_ran_out_is_freed(settings: Settings, database: Database, seed_jobs: Any) -> None:
    (job,) = seed_jobs(1)
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 1, 0)
    assert "leases" in wrong(settings)
    assert wrong(settings, fix=True)["leases"].mended == "freed"
    assert state(database, job) == "queued"


def test_a_lease_that_is_alive_is_left_alone(settings: Settings, database: Database, seed_jobs: Any) -> None:
    (job,) = seed_jobs(1)
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 1, 60)
    assert wrong(settings, fix=True) == {}
    assert state(database, job) == "leased"


def test_a_job_that_waits_for_the_wrong_number_is_counted_again(
    settings: Settings, database: Database, seed_jobs: Any, seed_preparations: Any, store: Storage
) -> None:
    (job,) = seed_jobs(1, needs=seed_preparations(1))
    with database.begin() as connection:
        connection.execute(text("update job set waiting = 3"))
    assert "queue" in wrong(settings)
    assert wrong(settings, fix=True)["queue"].mended == "mended"
    with database.begin() as connection:
        assert connection.execute(text("select waiting from job where id = :id"), {"id": job}).scalar_one() == 1


def test_a_database_without_tables_is_an_error_with_its_mend(cluster: str, settings: Settings) -> None:
    nowhere = Settings(home=settings.home, database_url=cluster.replace("/dreamline?", "/postgres?"))
    assert "dreamline db upgrade" in wrong(nowhere)["database"].mend


def test_a_broker_that_is_away_is_a_warning(settings: Settings) -> None:
    away = Settings(home=settings.home, database_url=settings.database_url, broker_url="redis://127.0.0.1:1/0")
    found = wrong(away)["broker"]
    assert found.level == "warning"
    assert "polling" in found.message


def test_whatever_is_not_well_comes_with_what_to_do(
    settings: Settings, database: Database, store: Storage, seed_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMLINE_DATBASE_URL", "x")
    seed_jobs(2)
    store.put(b"nobody's", "job")
    with database.begin() as connection:
        claim(connection, "job", uuid.uuid4(), ["model"], 1, 0)
    away = replace(settings, broker_url="redis://127.0.0.1:1/0")
    found = [one for one in examine(away) if one.level != "ok"]
    assert {one.check for one in found} == {"environment", "broker", "leases", "workers", "store"}
    assert [one for one in found if not one.mend] == []


def test_a_clock_that_is_wrong_is_named_with_its_side(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: time.time() + 3600))
    (found,) = [one for one in connections.database(database) if one.check == "clock"]
    assert found.level == "warning"
    assert "3600 s ahead of" in found.message


def test_a_store_that_can_not_be_written_is_an_error_and_files_are_not_judged(
    settings: Settings, tmp_path: Path, made: tuple[int, str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    found = wrong(replace(settings, storage_url=str(tmp_path / "file")))
    assert found["storage"].level == "error"
    assert "DREAMLINE_STORAGE_URL" in found["storage"].mend
    assert "files" not in found


def test_the_storage_is_left_as_it_was(settings: Settings, store: Storage, made: tuple[int, str]) -> None:
    before = set(store.all())
    list(examine(settings))
    assert set(store.all()) == before


def test_a_worker_that_went_is_named_and_one_that_signed_off_is_not(
    settings: Settings, database: Database, made: tuple[int, str]
) -> None:
    statement = """
        insert into worker (id, host, process, queue, pins, seen_at, stopped_at)
        values (:id, :host, 7, 'gpu', '[]', now() - interval '1 hour', :stopped)
    """
    with database.begin() as connection:
        for host, stopped in (("lost", None), ("left", "now")):
            connection.execute(text(statement), {"id": uuid.uuid4(), "host": host, "stopped": stopped})
    (found,) = [one for one in examine(settings) if one.check == "workers"]
    assert "on lost (process 7)" in found.message
    assert "dreamline worker -q gpu" in found.mend


CARD = """
name = "mine"
title = "Mine"
generator = "dreamo"
base = "somebody/base"
"""


@pytest.fixture
def card(settings: Settings, tmp_path: Path) -> Settings:
    """A card of one's own whose files are all here, and recorded as they are."""
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "mine.toml").write_text(CARD)
    config = replace(settings, cards=(str(tmp_path / "cards"),))
    files = card_files(read_card(tmp_path / "cards" / "mine.toml"), config)
    for one in files:
        path = one.path.with_name(one.path.name.replace("*", "model"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.name.encode())
    return config


def weights(config: Settings, database: Database, recorded: dict[str, str]) -> dict[str, Finding]:
    with database.begin() as connection:
        record(connection, "mine", {name: (sha256, 1) for name, sha256 in recorded.items()})
    return {one.level: one for one in examine(config) if one.check == "weights"}


def test_weights_are_held_against_what_was_recorded(card: Settings, database: Database) -> None:
    mine = read_card(Path(card.cards[0]) / "mine.toml")
    recorded = hash_files(mine, card)
    assert weights(card, database, recorded).keys() == {"ok"}
    first = card_files(mine, card)[0].path
    first.write_bytes(b"something else")
    changed = weights(card, database, recorded)["error"]
    assert "not what was recorded" in changed.message
    assert "dreamline models check mine" in changed.mend
    first.unlink()
    missing = weights(card, database, recorded)["warning"]
    assert "missing here" in missing.message
    assert "dreamline models fetch mine" in missing.mend


def test_a_model_that_nobody_fetched_is_no_fault(settings: Settings) -> None:
    (found,) = [one for one in examine(settings) if one.check == "weights"]
    assert found.level == "ok"
    assert "not here: " in found.message


def test_ready_work_is_told_by_pin_whatever_models_ask_for_it(
    database: Database, seed_jobs: Any, seed_preparations: Any
) -> None:
    first, *_ = seed_preparations(3)
    seed_jobs(2, pin="model", needs=[first])
    seed_jobs(1, pin="model")
    with database.begin() as connection:
        connection.execute(
            text("update preparation set model = 'another', changed_at = now() - interval '1 hour'")
        )
        connection.execute(text("update preparation set model = 'model' where id = :id"), {"id": first})
        ready = read_ready(connection)
    assert [(one.queue, one.pin, one.number, round(one.oldest / 3600)) for one in ready] == [
        ("cpu", "method", 3, 1),
        ("gpu", "model", 1, 0),
    ]
