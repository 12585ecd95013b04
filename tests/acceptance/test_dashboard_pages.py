"""Each page of the dashboard by itself, against a real Postgres: what it shows, to whom, and at what cost."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from streamlit.testing.v1 import AppTest

from benchmarks.seeding import Seeded, seed
from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from dashboard import office as offices
from dashboard.changes import read_changes
from dashboard.lineage import read_detail
from dashboard.listing import read_items
from dashboard.office import Office
from dashboard.queries import read_overviews, read_recent
from dashboard.questions import Question, read_counts
from dashboard.serving import free_port, require_login, script
from orchestrator.previews import Previews
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing import rivals
from orchestrator.reviewing.people import Actor, Role, set_member
from orchestrator.stopping import look

BOSS = Actor("boss", Role.ADMIN)


@pytest.fixture
def here(
    settings: Settings, database: Database, store: Storage, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Office:
    """The office that pages find, on this test's database."""
    office = Office(settings, database, store, registry, Previews(settings, store), "boss")
    monkeypatch.setattr(offices, "_office", office)
    return office


@pytest.fixture
def drop(database: Database, store: Storage) -> Seeded:
    with database.begin() as connection:
        return seed(connection, store, "drop", 12, pictures=4, side=64)


PAGES = ("campaigns", "review", "compare", "new", "asset")


def open_page(name: str, **query: str) -> AppTest:
    program = f"from dashboard import {name}_page, visit\nvisit.arrive()\n{name}_page.draw()"
    page = AppTest.from_string(program, default_timeout=30)
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, page.exception
    return page


def words(page: AppTest) -> str:
    kinds = ("title", "subheader", "markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(page, kind))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_stands_on_an_empty_database(here: Office, name: str) -> None:
    open_page(name)


def test_the_whole_script_runs(here: Office, drop: Seeded) -> None:
    page = AppTest.from_file(str(script()), default_timeout=30).run()
    assert not page.exception
    assert "Campaigns" in words(page)


def test_the_list_shows_progress_and_approval(here: Office, database: Database, drop: Seeded) -> None:
    with database.begin() as connection:
        connection.execute(text("update item set verdict = 'approved' where id = :i"), {"i": drop.items[0]})
        (one,) = read_overviews(connection)
    assert (one.items, one.images, one.decided, one.approval) == (12, 12, 1, 1.0)
    assert "drop" in words(open_page("campaigns"))


def test_a_campaign_shows_why_images_failed_and_offers_a_retry(
    here: Office, database: Database, store: Storage
) -> None:
    with database.begin() as connection:
        seed(connection, store, "broken", 4, pictures=2, side=64, made=False, state="finished")
        connection.execute(
            text('update job set state = \'dead\', error = \'{"message": "no face found", "class": "input"}\'')
        )
    page = open_page("campaigns", campaign="broken")
    assert "no face found" in str(page.dataframe[0].value)
    (again,) = [one for one in page.button if one.label == "Retry what failed"]
    again.click().run()
    with database.begin() as connection:
        states = set(connection.execute(text("select state from job")).scalars())
        assert connection.execute(text("select state from campaign")).scalar() == "running"
    assert states == {"queued"}


def test_pause_resume_and_cancel_are_there_when_they_can_be_done(
    here: Office, database: Database, store: Storage
) -> None:
    with database.begin() as connection:
        seed(connection, store, "live", 4, pictures=2, side=64, made=False, state="running")
    page = open_page("campaigns", campaign="live")
    assert {"Pause", "Cancel"} <= {one.label for one in page.button}
    next(one for one in page.button if one.label == "Pause").click().run()
    with database.begin() as connection:
        assert connection.execute(text("select state from campaign")).scalar() == "paused"
    assert "Resume" in {one.label for one in open_page("campaigns", campaign="live").button}


def test_a_pilot_that_is_made_is_reviewed_as_any_other_and_the_rest_waits_without_failing(
    here: Office, database: Database, store: Storage
) -> None:
    with database.begin() as connection:
        made = seed(connection, store, "drop", 12, pictures=2, side=64, state="running")
        connection.execute(
            text("update item set pilot = id = any(:pilot) where campaign_id = :id"),
            {"pilot": made.items[:4], "id": made.campaign},
        )
        connection.execute(text("update campaign set pilot = 4"))
        rest = "select job_id from item where not pilot"
        connection.execute(text(f"delete from score where job_id in ({rest})"))
        connection.execute(text(f"delete from asset where job_id in ({rest})"))
        connection.execute(text(f"update job set state = 'queued', held = true where id in ({rest})"))
    look(database, here.registry)
    with database.begin() as connection:
        (one,) = read_overviews(connection, "drop")
        listed = read_items(connection, Question(campaign="drop"))
    assert (one.images, one.failed, one.verdicts["open"], one.paused_by) == (4, 0, 4, "pilot")
    assert [item["id"] for item in listed.items] == made.items[:4]
    page = open_page("campaigns", campaign="drop")
    assert "the pilot of 4 is made" in words(page)
    assert "pilot of 4: 4 made; nobody has decided" in words(page).replace("\\", "")
    next(one for one in page.button if one.label == "Make the rest").click().run()
    with database.begin() as connection:
        assert connection.execute(text("select count(*) from job where not held")).scalar() == 12


def test_a_campaign_that_a_rule_stopped_says_so_and_can_be_resumed_anyway(
    here: Office, database: Database, store: Storage
) -> None:
    with database.begin() as connection:
        seed(connection, store, "live", 4, pictures=2, side=64, made=False, state="running")
        connection.execute(text("""update campaign set stop = '{"failed": 1}'"""))
        connection.execute(text("update job set state = 'dead' where id = (select min(id) from job)"))
    look(database, here.registry)
    page = open_page("campaigns", campaign="live")
    assert "stop rule failed\\: 1 failed, the limit is 1" in words(page)
    next(one for one in page.button if one.label == "Resume").click().run()
    assert any("would be stopped at once" in frame.value.to_string(max_colwidth=None) for frame in page.dataframe)
    next(one for one in page.button if one.label == "Resume anyway").click().run()
    with database.begin() as connection:
        assert connection.execute(text("select state from campaign")).scalar() == "running"


@pytest.fixture
def spent(database: Database, store: Storage) -> Seeded:
    """A paused campaign that has made the six images it may: three failed, another three wait."""
    with database.begin() as connection:
        made = seed(connection, store, "spent", 12, pictures=2, side=64, state="paused")
        missing = "select job_id from item where id = any(:items)"
        values = {"items": made.items[6:]}
        connection.execute(text(f"delete from score where job_id in ({missing})"), values)
        connection.execute(text(f"delete from asset where job_id in ({missing})"), values)
        for state, items in (("dead", made.items[6:9]), ("queued", made.items[9:])):
            connection.execute(
                text(f"update job set state = '{state}', held = true where id in ({missing})"), {"items": items}
            )
        connection.execute(text("""update campaign set stop = '{"images": 6}', paused_by = 'rule'"""))
    return made


def press(page: AppTest, label: str) -> None:
    next(one for one in page.button if one.label == label).click().run()
    assert not page.exception, page.exception


def labels(page: AppTest) -> set[str]:
    return {one.label for one in page.button}


def states(database: Database, campaign: int) -> tuple[str, dict[str, int]]:
    """A campaign's, and how many of its images are in each."""
    query = (
        "select state, count(*) from job where id in (select job_id from item where campaign_id = :id) group by 1"
    )
    with database.begin() as connection:
        state = connection.execute(
            text("select state from campaign where id = :id"), {"id": campaign}
        ).scalar_one()
        return state, {row[0]: row[1] for row in connection.execute(text(query), {"id": campaign})}


def test_a_retry_that_stop_rules_refuse_can_be_done_anyway_and_says_what_that_takes(
    here: Office, database: Database, spent: Seeded
) -> None:
    page = open_page("campaigns", campaign="spent")
    assert "Retry anyway" not in labels(page)
    press(page, "Retry what failed")
    assert states(database, spent.campaign) == ("paused", {"done": 6, "dead": 3, "queued": 3})
    told = words(page).replace("\\", "")
    assert "Nothing was retried: campaign 'spent' would be stopped at once by its stop rule images: 6" in told
    assert "It tries 3 images again, and goes on with the 3 not made yet" in told
    press(page, "Retry anyway")
    assert states(database, spent.campaign) == ("running", {"done": 6, "queued": 6})
    with database.begin() as connection:
        assert connection.execute(text("select count(*) from job where held")).scalar() == 0
        retried = "select count(*) from event where kind = 'campaign.retried'"
        assert connection.execute(text(retried)).scalar() == 1, "nothing is asked twice"
    assert not look(database, here.registry), "the rule counts anew"
    assert not {"Retry anyway", "Retry what failed"} & labels(page)


def test_the_offer_to_retry_anyway_stays_while_the_page_renews_itself_and_goes_when_the_campaign_changes(
    here: Office, database: Database, spent: Seeded
) -> None:
    page = open_page("campaigns", campaign="spent")
    press(page, "Retry what failed")
    page.run()
    assert "Retry anyway" in labels(page)
    with database.begin() as connection:
        connection.execute(text("""update campaign set stop = '{"images": 60}', changed_at = now()"""))
    page.run()
    assert "Retry anyway" not in labels(page)
    press(page, "Retry what failed")
    assert states(database, spent.campaign) == ("running", {"done": 6, "queued": 6})


def test_a_retry_that_is_refused_for_another_reason_is_not_offered_anyway(
    here: Office, database: Database, spent: Seeded
) -> None:
    with database.begin() as connection:
        connection.execute(text("update campaign set state = 'draft'"))
    page = open_page("campaigns", campaign="spent")
    press(page, "Retry what failed")
    assert "is draft and can't be retried" in page.dataframe[-1].value.to_string(max_colwidth=None)
    assert "Retry anyway" not in labels(page)


def test_who_may_steer_no_more_can_not_retry_anyway_either(
    here: Office, database: Database, spent: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        set_member(connection, "vic", "producer")
    monkeypatch.setattr(offices, "_office", replace(here, local="vic", member=True))
    page = open_page("campaigns", campaign="spent")
    press(page, "Retry what failed")
    assert "Retry anyway" in labels(page)
    with database.begin() as connection:
        set_member(connection, "vic", "reviewer")
    press(page, "Retry anyway")
    assert not page.button
    assert states(database, spent.campaign) == ("paused", {"done": 6, "dead": 3, "queued": 3})


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_who_may_not_steer_gets_no_buttons_and_no_new_campaign(
    here: Office, database: Database, drop: Seeded, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        set_member(connection, "vic", role)
    monkeypatch.setattr(offices, "_office", replace(here, local="vic", member=True))
    assert not open_page("campaigns", campaign="drop").button
    assert "A producer or an admin makes campaigns" in words(open_page("new"))


def test_a_campaign_that_one_may_not_see_is_nowhere(
    here: Office, database: Database, store: Storage, drop: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        other = seed(connection, store, "secret", 4, pictures=2, side=64)
        set_member(connection, "vic", "reviewer", ["drop"])
    monkeypatch.setattr(offices, "_office", replace(here, local="vic", member=True))
    for page in (
        open_page("campaigns"),
        open_page("campaigns", campaign="secret"),
        open_page("review", campaign="secret"),
        open_page("asset", item=str(other.items[0])),
    ):
        shown = words(page)
        assert "SKU" not in shown or "drop" in shown
        assert "may" in shown or "secret" not in shown


def test_a_stranger_sees_nothing(here: Office, drop: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offices, "_office", replace(here, local="eve", member=True))
    page = open_page("campaigns")
    assert "eve is no member here" in words(page).replace("\\", "")
    assert "drop" not in words(page)


def test_filters_come_from_the_address_and_show_counts(here: Office, database: Database, drop: Seeded) -> None:
    with database.begin() as connection:
        connection.execute(text("update item set verdict = 'rejected' where id = :i"), {"i": drop.items[0]})
    page = open_page("review", campaign="drop", verdict="rejected", order="worst")
    chosen = {one.label: one for one in page.selectbox}
    assert chosen["Status"].value == "rejected"
    assert chosen["Order"].value == "worst"
    assert "Rejected (1)" in chosen["Status"].options
    assert "To review (11)" in chosen["Status"].options
    chosen["Status"].select("open").run()
    assert "verdict" not in page.query_params


def test_an_address_with_nonsense_shows_the_usual(here: Office, drop: Seeded) -> None:
    page = open_page("review", campaign="drop", verdict="'; drop table item", order="x", reason="y")
    assert {one.label: one.value for one in page.selectbox}["Status"] == "open"


def test_an_image_tells_how_it_came_to_be(here: Office, drop: Seeded) -> None:
    page = open_page("asset", item=str(drop.items[0]))
    assert "in a studio" in str(page.code[0].value) or "mug" in str(page.code[0].value)
    table = str(page.dataframe[0].value)
    assert "fake/1" in table
    assert "guidance" in table


def test_vary_asks_for_another_seed(here: Office, database: Database, drop: Seeded) -> None:
    page = open_page("asset", item=str(drop.items[0]))
    next(one for one in page.button if one.label == "Vary").click().run()
    with database.begin() as connection:
        (row,) = connection.execute(text("select changes, reasons from attempt")).all()
    assert row.reasons == []
    assert [change["what"] for change in row.changes] == ["seed"]


def _example(registry: Registry) -> bytes:
    """The example campaign as somebody would pack it."""
    from orchestrator.cli.demo import DEMO, example

    folder, file = example(DEMO), BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in folder.rglob("*"):
            if path.is_file():
                archive.write(path, str(Path(DEMO) / path.relative_to(folder)))
    return file.getvalue()


def test_an_uploaded_campaign_shows_its_plan_and_starts(
    here: Office, database: Database, registry: Registry
) -> None:
    page = open_page("new")
    page.file_uploader[0].upload("summer-drop.zip", _example(registry), "application/zip").run()
    assert not page.exception
    told = {one.label: one.value for one in page.metric}
    assert told["New images"] == "48"
    next(one for one in page.button if one.label == "Make 48 images").click().run()
    with database.begin() as connection:
        (row,) = connection.execute(text("select name, state from campaign")).all()
    assert tuple(row) == ("summer-drop", "running")


def test_mistakes_in_an_uploaded_campaign_are_shown_in_place(here: Office, database: Database) -> None:
    page = open_page("new")
    broken = b"campaign: x\nmodel: nothing\nrows: gone.csv\nprompt: a\nreferences: {}\nformats: [huge]\n"
    page.file_uploader[0].upload("campaign.yaml", broken, "text/yaml").run()
    assert not page.exception
    shown = words(page) + page.dataframe[0].value.to_string()
    assert "problem" in shown
    assert "gone.csv" in shown
    assert "/uploads/" not in shown, "places are told as they were uploaded"
    with database.begin() as connection:
        assert not connection.execute(text("select 1 from campaign")).all()


def test_pictures_of_another_tool_are_judged_blind_and_counted(
    here: Office, database: Database, store: Storage, drop: Seeded
) -> None:
    picture = store.get(drop.pictures[0])
    files = {"SKU-1000.png": picture, "SKU-1001-2.png": picture}
    assert rivals.bring_in(database, store, BOSS, "drop", "other tool", files) == 2
    assert rivals.bring_in(database, store, BOSS, "drop", "other tool", files) == 0
    page = open_page("compare", campaign="drop")
    assert "other tool" not in words(page)
    for _ in range(2):
        next(one for one in page.button if one.label == "Left").click().run()
        assert not page.exception
    with database.begin() as connection:
        (rate,) = rivals.read_win_rates(connection, "drop")
    assert rate.judged == 2
    assert "judged every pair" in words(page)


def test_who_may_decide_no_more_judges_no_pair_that_is_still_on_the_page(
    here: Office, database: Database, store: Storage, drop: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    rivals.bring_in(database, store, BOSS, "drop", "other tool", {"SKU-1000.png": store.get(drop.pictures[0])})
    with database.begin() as connection:
        set_member(connection, "vic", "reviewer")
    monkeypatch.setattr(offices, "_office", replace(here, local="vic", member=True))
    page = open_page("compare", campaign="drop")
    with database.begin() as connection:
        set_member(connection, "vic", "viewer")
    press(page, "Left")
    with database.begin() as connection:
        assert not connection.execute(text("select 1 from comparison")).all()
    assert "vic is viewer and may not decide" in words(page).replace("\\", "")


def test_files_that_belong_to_no_row_are_named(database: Database, store: Storage, drop: Seeded) -> None:
    picture = store.get(drop.pictures[0])
    with pytest.raises(BadInput) as refused:
        rivals.bring_in(database, store, BOSS, "drop", "tool", {"what.png": picture, "SKU-1000.png": b"<svg/>"})
    assert "what.png: belongs to no row" in str(refused.value)
    assert "SKU-1000.png: is no picture" in str(refused.value)


@pytest.fixture
def count_queries(database: Database) -> Iterator[Callable[[Callable[[], Any]], int]]:
    counted = [0]

    def one_more(*_: Any) -> None:
        counted[0] += 1

    event.listen(database.engine(), "before_cursor_execute", one_more)

    def count(work: Callable[[], Any]) -> int:
        before = counted[0]
        work()
        return counted[0] - before

    yield count
    event.remove(database.engine(), "before_cursor_execute", one_more)


def test_the_number_of_queries_does_not_grow_with_the_number_of_items(
    database: Database, store: Storage, count_queries: Callable[[Callable[[], Any]], int], here: Office
) -> None:
    with database.begin() as connection:
        few = seed(connection, store, "few", 4, pictures=2, side=64)
        many = seed(connection, store, "many", 1200, pictures=2, side=64)
    open_page("campaigns")  # reads the key of the tokens, once a process
    counts: dict[str, list[int]] = {}
    boss = Actor("boss", Role.ADMIN)
    for name, item in (("few", few.items[0]), ("many", many.items[0])):
        with database.begin() as connection:
            reads = {
                "items": lambda c=connection, n=name: read_items(c, Question(campaign=n)),
                "worst": lambda c=connection, n=name: read_items(c, Question(campaign=n, order="worst")),
                "counts": lambda c=connection, n=name: read_counts(c, Question(campaign=n)),
                "changes": lambda c=connection, n=name: read_changes(c, n, 0),
                "recent": lambda c=connection, n=name: read_recent(c, n),
                "overview": lambda c=connection, n=name: read_overviews(c, n),
                "detail": lambda c=connection, i=item: read_detail(c, boss, i),
            }
            for what, read in reads.items():
                counts.setdefault(what, []).append(count_queries(read))
        for page in ("campaigns", "review", "compare"):
            counts.setdefault(f"{page} page", []).append(
                count_queries(lambda p=page, n=name: open_page(p, campaign=n))
            )
    assert {what: few for what, (few, _) in counts.items()} == {what: many for what, (_, many) in counts.items()}
    assert max(few for few, _ in counts.values()) <= 12


def test_other_machines_get_in_only_with_a_login() -> None:
    with pytest.raises(BadInput, match="everybody there would have all rights"):
        require_login("0.0.0.0", login=False)
    require_login("0.0.0.0", login=True)
    require_login("127.0.0.1", login=False)


def test_a_taken_port_is_refused_by_name() -> None:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        with pytest.raises(BadInput, match="Try --port 0"):
            free_port("127.0.0.1", one.getsockname()[1])


def test_a_plan_tells_nothing_of_a_campaign_that_one_may_not_steer(
    here: Office, database: Database, drop: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        set_member(connection, "vic", "producer", ["drop"])
    monkeypatch.setattr(offices, "_office", replace(here, local="vic", member=True))
    page = open_page("new")
    press(page, "summer-drop")
    assert "summer-drop" in words(page).replace("\\", "")
    assert "Plan of" not in words(page)
    assert not page.metric
