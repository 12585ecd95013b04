"""Fair shares of the workers, from campaign files to claims: between owners, and between an owner's campaigns."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from core.registry import Registry
from core.settings import Settings
from orchestrator import campaigns
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import make_plan
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.working import claims

Start = Callable[..., None]
WORKER = uuid.uuid4()


@pytest.fixture
def start(tmp_path: Path, settings: Settings, database: Database, store: Storage, registry: Registry) -> Start:
    """Plans a campaign of `images` for an owner and starts it."""

    def plan_and_start(name: str, images: int, owner: str, priority: int = 0) -> None:
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"campaign: {name}\nmodel: storyboard\nprompt: a mug for {name}\nseeds: {images}\nformats: [square]\n"
            f"priority: {priority}\n"
        )
        campaigns.record(
            database, store, registry, make_plan(read_brief(path, settings, registry), settings, registry)
        )
        with database.begin() as connection:
            connection.execute(
                text("update campaign set owner = :owner where name = :name"), {"owner": owner, "name": name}
            )
        campaigns.start(database, registry, name)

    return plan_and_start


def claim(database: Database, limit: int = 4) -> Counter[str]:
    """One claim; how many images of each campaign it took."""
    with database.begin() as connection:
        pins = list(connection.execute(text("select distinct pin from job")).scalars())
        found = claims.claim(connection, "job", WORKER, pins, limit, 60)
        names = connection.execute(
            text("""
            select campaign.name from item join campaign on campaign.id = item.campaign_id
            where item.job_id = any(:ids)
            """),
            {"ids": [one.id for one in found]},
        )
        return Counter(names.scalars())


def claim_often(database: Database, times: int) -> Counter[str]:
    return sum((claim(database) for _ in range(times)), Counter())


def test_a_small_campaign_is_served_beside_a_large_one_that_began_before(database: Database, start: Start) -> None:
    start("large", 1000, "ada")
    assert claim_often(database, 5) == {"large": 20}
    start("small", 10, "ada")
    found = claim_often(database, 6)
    assert found["small"] == 10
    assert found["large"] == 14


def test_an_owner_of_ten_campaigns_does_not_starve_another_with_one(database: Database, start: Start) -> None:
    for number in range(10):
        start(f"of-ada-{number}", 20, "ada")
    start("of-bob", 20, "bob")
    found = claim_often(database, 10)
    assert found["of-bob"] == 20
    assert sum(found.values()) == 40
    assert {found[f"of-ada-{number}"] for number in range(10)} == {2}


def test_a_campaign_that_is_resumed_takes_its_place_among_the_others(
    database: Database, registry: Registry, start: Start
) -> None:
    start("paused", 20, "ada")
    campaigns.pause(database, registry, "paused")
    start("other", 40, "ada")
    claim_often(database, 5)
    campaigns.resume(database, registry, "paused")
    found = claim_often(database, 4)
    assert 7 <= found["paused"] <= 10
    assert found["other"] == 16 - found["paused"]


def test_priority_goes_before_every_share(database: Database, start: Start) -> None:
    start("usual", 20, "ada")
    start("urgent", 12, "bob", priority=5)
    assert claim_often(database, 3) == {"urgent": 12}


OWNERS, MOST = ("ada", "bob", "eve"), 4


class Shares(RuleBasedStateMachine):
    """Owners ask for work and a worker claims it; nobody who waits gets much less than another who waits."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Counter[str] = Counter()
        self.lead: Counter[tuple[str, str]] = Counter()
        with self.database.begin() as connection:
            connection.execute(text("truncate job, share, event restart identity cascade"))

    @rule(owner=st.sampled_from(OWNERS), count=st.integers(1, 12))
    def ask(self, owner: str, count: int) -> None:
        with self.database.begin() as connection:
            connection.execute(
                text("""
                insert into job (key, pin, batch, model, request, pinned, held, owner)
                select gen_random_uuid()::text, 'pin', 'batch', 'model', '{}', '{}', false, :owner
                from generate_series(1, :count)
                """),
                {"owner": owner, "count": count},
            )
        self.waiting[owner] += count

    @rule(limit=st.integers(1, MOST))
    def claim(self, limit: int) -> None:
        with self.database.begin() as connection:
            found = claims.claim(connection, "job", WORKER, ["pin"], limit, 60)
            owners = connection.execute(
                text("select owner from job where id = any(:ids)"), {"ids": [one.id for one in found]}
            )
            served = Counter(owners.scalars())
        assert bool(served) == bool(+self.waiting), "there is work and nobody gets it"
        for one, other in itertools.permutations(OWNERS, 2):
            both = self.waiting[one] and self.waiting[other]
            self.lead[one, other] = self.lead[one, other] + served[one] - served[other] if both else 0
        self.waiting -= served

    @invariant()
    def nobody_who_waits_is_far_behind(self) -> None:
        assert max(self.lead.values(), default=0) <= 2 * MOST


def test_in_no_order_of_questions_and_claims_does_an_owner_fall_behind(database: Database) -> None:
    machine = type("RealShares", (Shares,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=examples(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
