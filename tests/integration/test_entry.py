"""The references' files that a campaign brings along: stored before anybody waits, kept from a sweep, refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns, entry
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.records.database import VERBS_LOCK, Database
from orchestrator.records.storage import Storage

MUGS = 5


@pytest.fixture
def plan(tmp_path: Path, settings: Settings, registry: Registry) -> Plan:
    """Of a campaign that brings five pictures along."""
    path, files = tmp_path / "words.yaml", {}
    path.write_text('campaign: words\nmodel: storyboard\nrows:\n  - {sku: ball}\nprompt: "a {{ row.sku }}"\n')
    planned = make_plan(read_brief(path, settings, registry), settings, registry)
    for number in range(MUGS):
        picture = tmp_path / f"mug-{number}.png"
        picture.write_bytes(b"mug %d" % number)
        files[hashlib.sha256(picture.read_bytes()).hexdigest()] = picture
    return replace(planned, brief=replace(planned.brief, files=files))


@pytest.fixture
def record(database: Database, store: Storage, registry: Registry) -> Callable[[Plan], Any]:
    return lambda plan: campaigns.record(database, store, registry, plan)


def is_written(database: Database) -> bool:
    with database.begin() as connection:
        return bool(connection.execute(text("select count(*) from campaign")).scalar_one())


def test_other_verbs_wait_for_one_question_about_all_files_and_for_no_file(
    database: Database, store: Storage, record: Any, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    put, exists = store.put, store.exists

    def ask(names: Sequence[str]) -> list[str]:
        asked.append(f"about {len(names)}")
        return [one for one in names if not exists(one)]

    def write(data: bytes, label: str) -> str:
        asked.append("put")
        return put(data, label)

    def note(*given: Any) -> None:
        if given[3].get("lock") == VERBS_LOCK:
            asked.append("locked")

    monkeypatch.setattr(store, "put", write)
    monkeypatch.setattr(store, "lacking", ask)
    monkeypatch.setattr(store, "exists", lambda sha256: pytest.fail("one by one"))
    event.listen(database.engine(), "before_cursor_execute", note)
    record(plan)
    event.remove(database.engine(), "before_cursor_execute", note)
    assert asked == [*["put"] * MUGS, "locked", f"about {MUGS}"]
    assert all(exists(sha256) for sha256 in plan.brief.files)


def test_a_reference_file_that_disappears_before_it_is_stored_is_bad_input(
    database: Database, record: Any, plan: Plan
) -> None:
    gone = list(plan.brief.files.values())[2]
    gone.unlink()
    with pytest.raises(BadInput, match=r"mug-2.png.*is no longer there.*Plan again"):
        record(plan)
    assert not is_written(database)


@pytest.mark.parametrize(("content", "why"), [(None, "is no longer there"), (b"other", "was changed")])
def test_what_a_sweep_took_is_stored_again_if_its_file_is_as_it_was(
    database: Database,
    store: Storage,
    record: Any,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    why: str,
) -> None:
    (sha256, picture), whole = next(iter(plan.brief.files.items())), entry.store_references

    def store_then_lose(*given: Any) -> dict[str, int]:
        sizes = whole(*given)
        store.delete(sha256)
        return sizes

    monkeypatch.setattr(entry, "store_references", store_then_lose)
    record(plan)
    assert store.exists(sha256)
    change = picture.unlink if content is None else (lambda: picture.write_bytes(content))
    monkeypatch.setattr(entry, "store_references", lambda *given: (store_then_lose(*given), change())[0])
    with pytest.raises(BadInput, match=why):
        record(plan)


def test_a_reference_file_that_can_not_be_read_is_bad_input(record: Any, plan: Plan) -> None:
    folder = next(iter(plan.brief.files.values()))
    folder.unlink()
    folder.mkdir()
    with pytest.raises(BadInput, match="can't be read any more"):
        record(plan)
