"""Deciding against a real Postgres: appended once, chained, in conflict, undone, tried again, and by whom."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from benchmarks.seeding import Seeded, seed
from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator.cli import cli
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing import chain, leases
from orchestrator.reviewing.decisions import decide, set_two_step
from orchestrator.reviewing.people import Actor, Forbidden, Role, find_member, remove_member, set_member
from orchestrator.reviewing.wishes import Answer, Wish

ANA, BEN = Actor("ana", Role.REVIEWER), Actor("ben", Role.REVIEWER)
ADA, ABE = Actor("ada", Role.APPROVER), Actor("abe", Role.APPROVER)
BOSS = Actor("boss", Role.ADMIN)

Decide = Callable[..., list[Answer]]


@pytest.fixture
def drop(database: Database, store: Storage) -> Seeded:
    with database.begin() as connection:
        return seed(connection, store, "drop", 12, pictures=4, side=64)


@pytest.fixture
def say(database: Database, registry: Registry, drop: Seeded) -> Decide:
    def say(actor: Actor, *wishes: Wish, campaign: str = "drop") -> list[Answer]:
        return decide(database, registry, actor, campaign, wishes)

    return say


def wish(item: int, verdict: Any = "approved", seen: uuid.UUID | None = None, **more: Any) -> Wish:
    return Wish(**{"id": uuid.uuid4(), "item": item, "version": 1, "seen": seen, "verdict": verdict, **more})


def rows(database: Database, statement: str, **values: Any) -> list[Any]:
    with database.begin() as connection:
        return list(connection.execute(text(statement), values).all())


def verdict(database: Database, item: int) -> str:
    return str(rows(database, "select verdict from item where id = :item", item=item)[0].verdict)


def whole(database: Database, seeded: Seeded) -> bool:
    with database.begin() as connection:
        return not chain.verify(connection, seeded.campaign, "drop")[1]


def test_a_decision_is_appended_and_the_item_follows(database: Database, drop: Seeded, say: Decide) -> None:
    first, second = drop.items[:2]
    (answer, other) = say(ANA, wish(first, milliseconds=900), wish(second, "rejected", reasons=("glossy",)))
    assert (answer.outcome, answer.verdict, answer.number) == ("recorded", "approved", 1)
    assert other.number == 2
    (row,) = rows(database, "select * from decision where number = 1")
    assert (row.actor, row.milliseconds, row.asset_sha256) == ("ana", 900, drop.pictures[0])
    assert verdict(database, first) == "approved"
    assert verdict(database, second) == "rejected"


def test_the_same_decision_sent_twice_is_recorded_once(database: Database, drop: Seeded, say: Decide) -> None:
    one = wish(drop.items[0])
    assert say(ANA, one)[0].outcome == "recorded"
    again = say(ANA, one, one)
    assert [answer.outcome for answer in again] == ["already", "already"]
    assert len(rows(database, "select 1 from decision")) == 1


def test_a_decision_id_says_nothing_about_another_item_or_person(drop: Seeded, say: Decide) -> None:
    one = wish(drop.items[0])
    say(ANA, one)
    assert say(ANA, replace(one, item=drop.items[1]))[0].outcome == "conflict"
    assert say(BEN, one)[0].outcome == "conflict"


def test_whoever_did_not_see_the_last_decision_is_told_of_it(
    database: Database, drop: Seeded, say: Decide
) -> None:
    item = drop.items[0]
    ours = wish(item)
    say(ANA, ours)
    (answer,) = say(BEN, wish(item, "rejected"))
    assert (answer.outcome, answer.verdict, answer.actor, answer.decision) == (
        "conflict",
        "approved",
        "ana",
        ours.id,
    )
    assert len(rows(database, "select 1 from decision")) == 1
    assert say(BEN, wish(item, "rejected", seen=ours.id))[0].outcome == "recorded"
    assert verdict(database, item) == "rejected"


def test_a_person_may_change_their_mind_in_one_batch(database: Database, drop: Seeded, say: Decide) -> None:
    item = drop.items[0]
    first = wish(item)
    second = wish(item, "rejected", seen=first.id)
    answers = say(ANA, first, second, wish(item, "cleared", seen=second.id))
    assert [answer.outcome for answer in answers] == ["recorded"] * 3
    assert verdict(database, item) == "open"
    assert whole(database, drop)


def test_a_decision_about_an_older_image_is_a_conflict(database: Database, drop: Seeded, say: Decide) -> None:
    item = drop.items[0]
    with database.begin() as connection:
        connection.execute(text("update item set version = 2 where id = :item"), {"item": item})
    assert say(ANA, wish(item))[0].outcome == "conflict"


def test_a_decision_about_another_picture_is_a_conflict_that_tells_of_the_present_one(
    database: Database, drop: Seeded, say: Decide
) -> None:
    item, now, other = drop.items[0], drop.pictures[0], drop.pictures[1]
    (answer,) = say(ANA, wish(item, sha=other))
    assert (answer.outcome, answer.verdict) == ("conflict", "open")
    told = answer.as_dict()
    assert (told["sha"], told["w"], told["h"]) == (now, 64, 64)
    assert not rows(database, "select 1 from decision")
    assert say(ANA, wish(item, sha=now))[0].outcome == "recorded"
    asked = ask(drop.items[1], "glossy", sha=other)
    (answer,) = say(ANA, asked)
    assert (answer.version, answer.as_dict()["sha"]) == (2, None), "being made: there is no picture"
    (answer,) = say(ANA, wish(drop.items[1], "cleared", seen=asked.id, undoes=asked.id, sha=other))
    assert (answer.outcome, answer.sha, answer.width) == ("recorded", other, 64)


def test_nothing_can_be_decided_about_an_item_of_another_campaign(
    database: Database, store: Storage, drop: Seeded, say: Decide
) -> None:
    with database.begin() as connection:
        other = seed(connection, store, "other", 4, pictures=2, side=64)
    assert say(ANA, wish(other.items[0]))[0].outcome == "unknown"
    assert verdict(database, other.items[0]) == "open"


def test_an_approval_does_not_show_in_another_campaign_that_shares_the_image(
    database: Database, drop: Seeded, say: Decide
) -> None:
    (twin,) = rows(
        database,
        """
        with c as (insert into campaign (name, model, source, text) values ('twin', 'fake', '', '') returning id)
        insert into item (campaign_id, row_key, variant_key, variant, seed, format, job_id)
        select c.id, 'a', '', '{}', 1, 'square', item.job_id from c, item where item.id = :item returning id
        """,
        item=drop.items[0],
    )
    say(ANA, wish(drop.items[0]))
    assert verdict(database, drop.items[0]) == "approved"
    assert verdict(database, twin.id) == "open"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PRODUCER])
def test_a_role_without_the_right_decides_nothing(
    database: Database, drop: Seeded, say: Decide, role: Role
) -> None:
    with pytest.raises(Forbidden, match=f"is {role} and may not decide"):
        say(Actor("vic", role), wish(drop.items[0]))
    assert not rows(database, "select 1 from decision")


def test_a_campaign_that_one_may_not_see_can_not_be_decided(drop: Seeded, say: Decide) -> None:
    with pytest.raises(Forbidden, match="may not see the campaign 'drop'"):
        say(replace(ANA, campaigns=frozenset({"other"})), wish(drop.items[0]))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"verdict": "maybe"}, "'maybe' is no verdict"),
        ({"verdict": "rejected", "reasons": ("ugly",)}, "there is no reason 'ugly'"),
        ({"comment": "a" * 5000}, "comment can't be kept"),
        ({"comment": "a\0b"}, "comment can't be kept"),
        ({"pins": ({"x": 2, "y": 0},)}, "x and y lie from 0 to 1"),
        ({"pins": ({"x": 0.5},)}, "x and y lie from 0 to 1"),
    ],
)
def test_what_can_not_be_kept_is_refused_and_nothing_is_written(
    database: Database, drop: Seeded, say: Decide, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        say(ANA, wish(drop.items[0]), wish(drop.items[1], **more))
    assert not rows(database, "select 1 from decision")


def test_two_steps_need_two_people(database: Database, drop: Seeded, say: Decide) -> None:
    set_two_step(database, BOSS, "drop", True)
    item = drop.items[0]
    first = wish(item)
    assert say(ADA, first)[0].verdict == "proposed"
    second = wish(item, seen=first.id)
    assert say(ADA, second)[0].verdict == "proposed", "an approver does not confirm their own proposal"
    third = wish(item, seen=second.id)
    assert say(ANA, third)[0].verdict == "proposed", "a reviewer confirms nothing"
    assert say(ABE, wish(item, seen=third.id))[0].verdict == "approved"


def test_in_two_steps_what_is_approved_stays_so_when_it_is_approved_again(
    database: Database, drop: Seeded, say: Decide
) -> None:
    set_two_step(database, BOSS, "drop", True)
    item = drop.items[0]
    last = confirmed(say, item)
    count = len(rows(database, "select 1 from decision"))
    for actor in (ABE, ANA, ADA):
        (answer,) = say(actor, wish(item, seen=last))
        assert (answer.outcome, answer.verdict, answer.decision) == ("already", "approved", last)
    assert len(rows(database, "select 1 from decision")) == count, "it stays on the word of the two who said so"
    assert whole(database, drop)


def test_an_undo_brings_back_the_verdict_before_it_in_two_steps_too(
    database: Database, drop: Seeded, say: Decide
) -> None:
    set_two_step(database, BOSS, "drop", True)
    item = drop.items[0]
    first, second = wish(item), wish(item, "rejected")
    say(ADA, first)
    confirming = wish(item, seen=first.id)
    assert say(ABE, confirming)[0].verdict == "approved"
    back = wish(item, seen=confirming.id, undoes=confirming.id)
    assert say(ABE, back)[0].verdict == "proposed", "what abe confirmed is a proposal again"
    confirming = wish(item, seen=back.id)
    say(ABE, confirming)
    second = replace(second, seen=confirming.id)
    (answer,) = say(ANA, second, replace(wish(item, seen=second.id), undoes=second.id))[1:]
    assert answer.verdict == "approved"
    asked = ask(item, "glossy", seen=answer.decision)
    say(ANA, asked)
    (answer,) = say(ANA, wish(item, version=2, undoes=asked.id))
    assert (answer.version, answer.verdict) == (3, "approved"), "a withdrawn attempt too"
    assert whole(database, drop)


def test_an_undo_of_somebody_elses_rejection_approves_nothing_in_two_steps(
    database: Database, drop: Seeded, say: Decide
) -> None:
    set_two_step(database, BOSS, "drop", True)
    item = drop.items[0]
    abes = wish(item, "rejected", seen=confirmed(say, item))
    say(ABE, abes)
    assert say(ANA, wish(item, seen=abes.id, undoes=abes.id))[0].verdict == "proposed"


def test_a_proposal_stays_whose_it_was_though_others_reject_it_and_undo_that(
    database: Database, drop: Seeded, say: Decide
) -> None:
    set_two_step(database, BOSS, "drop", True)
    item = drop.items[0]
    adas = wish(item)
    say(ADA, adas)
    last = adas.id
    for _ in range(2):
        abes = wish(item, "rejected", seen=last)
        back = wish(item, seen=abes.id, undoes=abes.id)
        assert [answer.verdict for answer in say(ABE, abes, back)] == ["rejected", "proposed"]
        last = back.id
    mine = wish(item, seen=last)
    assert say(ADA, mine)[0].verdict == "proposed", "nobody else has said yes"
    assert say(ABE, wish(item, seen=mine.id))[0].verdict == "approved"


def test_undoing_step_by_step_leads_back_to_where_a_person_began(
    database: Database, drop: Seeded, say: Decide
) -> None:
    set_two_step(database, BOSS, "drop", True)
    item = drop.items[0]
    yes = wish(item)
    no = wish(item, "rejected", seen=yes.id)
    first = wish(item, seen=no.id, undoes=no.id)
    second = wish(item, "cleared", seen=first.id, undoes=first.id)
    verdicts = [answer.verdict for answer in say(ADA, yes, no, first, second)]
    assert verdicts == ["proposed", "rejected", "proposed", "open"]
    assert say(ABE, wish(item, seen=second.id))[0].verdict == "proposed", "what was taken back counts no more"


def confirmed(say: Decide, item: int) -> uuid.UUID:
    """Ada proposes and Abe confirms; returns the last decision."""
    first = wish(item)
    second = wish(item, seen=first.id)
    say(ADA, first)
    assert say(ABE, second)[0].verdict == "approved"
    return second.id


def test_only_an_admin_changes_the_number_of_steps(database: Database, drop: Seeded) -> None:
    with pytest.raises(Forbidden):
        set_two_step(database, ADA, "drop", True)


def test_many_writers_at_once_make_one_unbroken_chain(database: Database, drop: Seeded, say: Decide) -> None:
    def work(name: str) -> None:
        for item in drop.items:
            say(Actor(name, Role.REVIEWER), wish(item, "approved"))

    threads = [threading.Thread(target=work, args=(f"person {k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.begin() as connection:
        count, problems = chain.verify(connection, drop.campaign, "drop")
    assert (count, problems) == (12, [])


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        ("update decision set verdict = 'rejected' where number = 2", "not what was signed"),
        ("update decision set actor = 'somebody' where number = 2", "not what was signed"),
        ("update decision set at = at + interval '1 second' where number = 2", "not what was signed"),
        ("delete from decision where number = 2", "follows number 1"),
        ("delete from decision where number = 3", "nobody decided so"),
        ("update item set verdict = 'approved' where verdict = 'open'", "nobody decided so"),
    ],
)
def test_verify_finds_what_was_tampered_with(
    database: Database, drop: Seeded, say: Decide, tamper: str, said: str
) -> None:
    say(ANA, *(wish(item) for item in drop.items[:3]))
    assert whole(database, drop)
    with database.begin() as connection:
        connection.execute(text(tamper))
    with database.begin() as connection:
        problems = chain.verify(connection, drop.campaign, "drop")[1]
    assert any(said in str(problem) for problem in problems)


def test_a_resealed_decision_breaks_the_next_ones_link(database: Database, drop: Seeded, say: Decide) -> None:
    say(ANA, *(wish(item) for item in drop.items[:3]))
    with database.begin() as connection:
        second = list(chain.read_chain(connection, drop.campaign))[1]
        forged = replace(second, actor="mallory").sealed()
        values = {"actor": forged.actor, "hash": forged.hash, "id": forged.id}
        connection.execute(text("update decision set actor = :actor, hash = :hash where id = :id"), values)
        problems = chain.verify(connection, drop.campaign, "drop")[1]
    assert [problem.what for problem in problems] == ["does not follow from the one before"]


def test_audit_verify_and_export_tell_people_and_scripts(
    settings: Settings, database: Database, drop: Seeded, say: Decide
) -> None:
    say(ANA, *(wish(item, "rejected", reasons=("limbs",), comment="=1+1") for item in drop.items[:2]))
    run = CliRunner()
    done = run.invoke(cli, ["audit", "verify", "--json"], env=_env(settings))
    assert (done.exit_code, json.loads(done.stdout)[0]["decisions"]) == (0, 2)
    head = json.loads(done.stdout)[0]["head"]
    lines = [
        json.loads(line)
        for line in run.invoke(cli, ["audit", "export", "drop"], env=_env(settings)).stdout.splitlines()
    ]
    assert [line["hash"] for line in lines][-1] == head
    assert lines[0]["reasons"] == ["limbs"]
    table = run.invoke(cli, ["audit", "export", "drop", "--format", "csv"], env=_env(settings)).stdout
    assert "'=1+1" in table, "no cell is a formula"
    with database.begin() as connection:
        connection.execute(text("update item set verdict = 'open', decision_id = null"))
        connection.execute(text("delete from decision"))
    assert run.invoke(cli, ["audit", "verify"], env=_env(settings)).exit_code == 0, "an empty chain is whole"
    gone = run.invoke(cli, ["audit", "verify", "--head", head], env=_env(settings))
    assert gone.exit_code == 1
    assert "Decisions were cut off" in gone.stderr


def _env(settings: Settings) -> dict[str, str]:
    return {"DREAMLINE_DATABASE_URL": settings.database_url or "", "DREAMLINE_HOME": str(settings.home)}


def ask(item: int, *names: str, **more: Any) -> Wish:
    return wish(item, "rejected", reasons=names, again=True, **more)


def test_glossy_makes_a_second_attempt_with_lower_guidance(database: Database, drop: Seeded, say: Decide) -> None:
    item = drop.items[0]
    (answer,) = say(ANA, ask(item, "glossy"))
    assert (answer.outcome, answer.version, answer.verdict) == ("recorded", 2, "open")
    assert "guidance 4.5 → 3.6" in answer.attempt
    (row,) = rows(
        database,
        """
        select job.request, job.state, job.held, job.waiting, job.id, attempt.parent_job_id, attempt.changes,
               item.brief_job_id, campaign.state as campaign
        from item join job on job.id = item.job_id join attempt on attempt.item_id = item.id
        join campaign on campaign.id = item.campaign_id where item.id = :item
        """,
        item=item,
    )
    assert row.request["guidance"] == 3.6
    assert (row.state, row.held, row.waiting, row.campaign) == ("queued", False, 0, "running")
    assert row.brief_job_id == row.parent_job_id != row.id
    assert {"what": "guidance", "before": "4.5", "after": "3.6"} in row.changes
    assert whole(database, drop)


def test_detail_lost_prepares_the_reference_larger(database: Database, drop: Seeded, say: Decide) -> None:
    say(ANA, ask(drop.items[0], "detail_lost"))
    (row,) = rows(
        database,
        """
        select p.spec, p.state, p.held, job.waiting from item join job on job.id = item.job_id
        join job_reference r on r.job_id = job.id join preparation p on p.id = r.preparation_id
        where item.id = :item
        """,
        item=drop.items[0],
    )
    assert (row.spec["area"], row.state, row.held, row.waiting) == (393216, "queued", False, 1)


def test_attempts_differ_from_each_other_and_end(database: Database, drop: Seeded, say: Decide) -> None:
    item = drop.items[0]
    for version in (1, 2, 3):
        _finish_jobs(database)
        (answer,) = say(ANA, ask(item, "detail_lost", version=version))
        assert answer.version == version + 1, answer
    _finish_jobs(database)
    (answer,) = say(ANA, ask(item, "detail_lost", version=4))
    assert (answer.version, answer.verdict) == (4, "rejected")
    assert "3 were made already" in answer.attempt
    keys = rows(database, "select distinct job_id from attempt union select parent_job_id from attempt")
    assert len(keys) == 4


def test_what_is_being_made_can_not_be_decided(drop: Seeded, say: Decide) -> None:
    say(ANA, ask(drop.items[0], "glossy"))
    assert say(ANA, wish(drop.items[0], version=2))[0].outcome == "conflict"


def test_undoing_a_request_for_change_withdraws_the_attempt(database: Database, drop: Seeded, say: Decide) -> None:
    item = drop.items[0]
    (before,) = rows(database, "select job_id from item where id = :item", item=item)
    asked = ask(item, "glossy")
    say(ANA, asked)
    (answer,) = say(ANA, wish(item, "cleared", seen=asked.id, undoes=asked.id))
    assert (answer.outcome, answer.verdict) == ("recorded", "open")
    (after,) = rows(database, "select job_id, brief_job_id from item where id = :item", item=item)
    assert (after.job_id, after.brief_job_id) == (before.job_id, None)
    assert [row.state for row in rows(database, "select state from job where state = 'cancelled'")] == [
        "cancelled"
    ]
    assert not rows(database, "select 1 from attempt")
    assert whole(database, drop)


def test_an_attempt_that_was_decided_is_not_withdrawn(database: Database, drop: Seeded, say: Decide) -> None:
    item = drop.items[0]
    asked = ask(item, "glossy")
    say(ANA, asked)
    _finish_jobs(database)
    say(BEN, wish(item, version=2))
    assert say(ANA, wish(item, "cleared", seen=asked.id, undoes=asked.id))[0].outcome == "conflict"
    assert verdict(database, item) == "approved"


def test_an_undo_takes_back_only_the_decision_it_names(database: Database, drop: Seeded, say: Decide) -> None:
    item = drop.items[0]
    bens, anas = wish(item), wish(item, "rejected")
    say(BEN, bens)
    assert say(ANA, anas)[0].outcome == "conflict"
    assert say(ANA, wish(item, "cleared", seen=bens.id, undoes=anas.id))[0].outcome == "conflict"
    assert verdict(database, item) == "approved"
    assert say(BEN, wish(item, "cleared", seen=bens.id, undoes=bens.id))[0].outcome == "recorded"
    assert verdict(database, item) == "open"


def test_a_paused_campaign_keeps_its_attempts_until_it_goes_on(
    database: Database, drop: Seeded, say: Decide
) -> None:
    with database.begin() as connection:
        connection.execute(text("update campaign set state = 'paused'"))
    say(ANA, ask(drop.items[0], "glossy"))
    (row,) = rows(
        database, "select job.held from item join job on job.id = item.job_id where item.id = :i", i=drop.items[0]
    )
    assert row.held


def _finish_jobs(database: Database) -> None:
    """What workers would do: every queued job is done, with a picture."""
    with database.begin() as connection:
        connection.execute(text("update preparation set state = 'done' where state = 'queued'"))
        connection.execute(
            text("""
            with done as (update job set state = 'done', waiting = 0 where state = 'queued' returning id)
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            select id, repeat('a', 64), 1, 64, 64, 'image/png', '{}', 1, :worker, 1 from done
            """),
            {"worker": uuid.uuid4()},
        )


def test_leases_keep_reviewers_apart_and_run_out(database: Database, drop: Seeded) -> None:
    first, second, third = drop.items[:3]
    with database.begin() as connection:
        assert leases.take(connection, "drop", [first, second], "ana") == {}
        assert leases.take(connection, "drop", [second, third], "ben") == {first: "ana", second: "ana"}
        assert leases.take(connection, "drop", [first], "ana") == {third: "ben"}
        assert leases.take(connection, "drop", [second], "ben") == {first: "ana"}, "what ana let go of is free"
        connection.execute(text("update review_lease set until = now() - interval '1 second' where actor = 'ana'"))
        assert leases.take(connection, "drop", [first], "ben") == {}


def test_members_are_set_found_and_removed(database: Database, drop: Seeded) -> None:
    with database.begin() as connection:
        set_member(connection, "Ana@example.com", "reviewer", ["drop"])
        found = find_member(connection, "ANA@example.com")
        assert found is not None
        assert (found.role, found.campaigns) == (Role.REVIEWER, frozenset({"drop"}))
        with pytest.raises(BadInput, match="there is none called 'king'"):
            set_member(connection, "ana", "king")
        with pytest.raises(BadInput, match="there is none called 'nowhere'"):
            set_member(connection, "ana", "viewer", ["nowhere"])
        remove_member(connection, "ana@example.com")
        assert find_member(connection, "ana@example.com") is None
        with pytest.raises(BadInput, match="nobody is called"):
            remove_member(connection, "ana@example.com")
