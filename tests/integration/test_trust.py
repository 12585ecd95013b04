"""What must hold though people err or mean harm: the record finds a swap, uploads stay in bounds."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image
from sqlalchemy import text

from benchmarks.seeding import Seeded, seed
from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from dashboard.lineage import read_detail
from orchestrator import campaigns
from orchestrator.cli import cli
from orchestrator.planning.expand import read_brief
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing import chain
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Role
from orchestrator.reviewing.wishes import Wish
from orchestrator.uploads import Uploaded, bounds, unpack

ANA = Actor("ana", Role.REVIEWER)


@pytest.fixture
def drop(database: Database, store: Storage) -> Seeded:
    with database.begin() as connection:
        return seed(connection, store, "drop", 6, pictures=6, side=64)


def say(database: Database, registry: Registry, item: int, verdict: Any, **more: Any) -> str:
    asked = Wish(id=uuid.uuid4(), item=item, version=more.pop("version", 1), seen=None, verdict=verdict, **more)
    return decide(database, registry, ANA, "drop", [asked])[0].outcome


def test_verify_finds_an_approved_item_that_shows_another_image(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    assert say(database, registry, drop.items[0], "approved") == "recorded"
    with database.begin() as connection:
        assert chain.verify(connection, drop.campaign, "drop")[1] == []
        other = text("update item set job_id = (select job_id from item where id = :other) where id = :item")
        connection.execute(other, {"other": drop.items[1], "item": drop.items[0]})
        problems = chain.verify(connection, drop.campaign, "drop")[1]
    assert ["shows another image than was decided on" in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize("x", [-0.0, 1e-7, 0.123456789, 1])
def test_marks_on_pictures_keep_the_chain_whole(
    database: Database, registry: Registry, drop: Seeded, x: float
) -> None:
    pins = ({"x": x, "y": 0.5, "text": "here"},)
    assert say(database, registry, drop.items[0], "rejected", pins=pins) == "recorded"
    with database.begin() as connection:
        assert chain.verify(connection, drop.campaign, "drop")[1] == []


def test_a_head_is_asked_of_all_chains_together(
    database: Database, registry: Registry, store: Storage, drop: Seeded, settings: Settings
) -> None:
    with database.begin() as connection:
        seed(connection, store, "other", 2, pictures=2, side=64)
    say(database, registry, drop.items[0], "approved")
    with database.begin() as connection:
        head = chain.head(connection, drop.campaign)[1]
    environment = {"DREAMLINE_HOME": str(settings.home), "DREAMLINE_DATABASE_URL": settings.database_url or ""}

    def verify(*words: str) -> int:
        return CliRunner().invoke(cli, ["audit", "verify", *words], env=environment).exit_code

    assert verify("--head", head) == 0
    assert verify("other", "--head", head) == 1
    assert verify("--head", "0" * 64) == 1


def test_an_attempt_that_comes_to_nothing_gives_back_the_image_from_before(
    database: Database, registry: Registry, drop: Seeded
) -> None:
    item = drop.items[0]
    say(database, registry, item, "rejected", reasons=("glossy",), again=True)
    campaigns.cancel(database, registry, "drop")
    with database.begin() as connection:
        query = "select item.version, job.state from item join job on job.id = item.job_id where item.id = :id"
        row = connection.execute(text(query), {"id": item}).one()
    assert (row.version, row.state) == (3, "done")
    assert say(database, registry, item, "approved", version=3) == "recorded"


def test_campaigns_that_one_may_not_see_are_not_named(database: Database, store: Storage, drop: Seeded) -> None:
    with database.begin() as connection:
        secret = seed(connection, store, "secret", 2, pictures=2, side=64)
        same = text("update item set job_id = (select job_id from item where id = :one) where id = :other")
        connection.execute(same, {"one": drop.items[0], "other": secret.items[0]})
        limited = replace(ANA, campaigns=frozenset({"drop"}))
        seen = [read_detail(connection, actor, drop.items[0]) for actor in (ANA, limited)]
    assert [bool(one and one["elsewhere"]) for one in seen] == [True, False]


@pytest.mark.parametrize("outside", ["absolute", "parent"])
def test_an_uploaded_campaign_reads_nothing_outside_of_what_was_uploaded(
    tmp_path: Path, settings: Settings, registry: Registry, outside: str
) -> None:
    Image.new("RGB", (200, 200), "red").save(tmp_path / "passport.png")
    (tmp_path / "customers.csv").write_text("sku,image\nA,passport.png\n")
    way = str(tmp_path) if outside == "absolute" else "../../../.."
    for told in (
        {"rows": f"{way}/customers.csv", "references": {}},
        {"references": {"it": {"kind": "subject", "image": f"{way}/passport.png"}}},
        {"references": {"it": {"kind": "subject", "image": f"{way}/nothing.png"}}},
    ):
        campaign = {
            "campaign": "x",
            "model": "storyboard",
            "prompt": "a [it]" * ("it" in str(told)) or "a",
            **told,
        }
        file = unpack(settings, [Uploaded("campaign.json", json.dumps(campaign).encode())])
        with pytest.raises(BadInput, match="leads out of what was uploaded") as caught:
            read_brief(file, settings, registry, within=bounds(settings, file))
        assert "Did you mean" not in str(caught.value)
        assert "holds" not in str(caught.value)
    assert bounds(settings, tmp_path / "customers.csv") is None
