"""The dashboard in a real Chromium, against a real server and Postgres: keys, faults, other people, comments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from sqlalchemy import text

from benchmarks.seeding import Seeded, seed
from core.registry import Registry
from core.settings import Settings
from dashboard import access
from dashboard.office import Office
from orchestrator.previews import Previews
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage
from orchestrator.reviewing.decisions import decide
from orchestrator.reviewing.people import Actor, Role, set_member
from orchestrator.reviewing.wishes import Wish

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

if CHROMIUM is None and os.environ.get("CI"):
    pytest.fail("there is no Chromium in CI: install it in the workflow", pytrace=False)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here"),
    pytest.mark.timeout(120),
]


@dataclass
class Server:
    """`dreamline dashboard` as a process of its own, at one port through all its lives."""

    settings: Settings
    member: str = ""
    port: int = 0
    process: subprocess.Popen[str] | None = None
    url: str = field(default="", init=False)

    def start(self) -> Server:
        command = [sys.executable, "-m", "orchestrator.cli", "dashboard", "--no-open", "--port", str(self.port)]
        command += ["--as", self.member] if self.member else []
        environment = {
            **os.environ,
            "DREAMLINE_HOME": str(self.settings.home),
            "DREAMLINE_DATABASE_URL": self.settings.database_url or "",
            "DREAMLINE_LOG": "ERROR",
        }
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/"
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Dashboard: "):
                self.url = line.split()[1]
                self.port = int(self.url.rsplit(":", 1)[1])
                return self
        raise AssertionError("the dashboard ended before it was ready")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def ask(self, path: str, *, token: str = "", body: Any = None) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body is not None else None)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    one = Server(settings).start()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    one = chromium.new_context(viewport={"width": 1440, "height": 900})
    yield one
    one.close()


@pytest.fixture
def seeded(database: Database, store: Storage, settings: Settings) -> Any:
    def write(name: str, items: int, **more: Any) -> Seeded:
        with database.begin() as connection:
            previews = Previews(settings, store)
            return seed(connection, store, name, items, previews=previews, pictures=6, side=96, **more)

    return write


def review(context: Any, server: Server, **query: str) -> Any:
    """The review page with its first cards."""
    page = context.new_page()
    page.goto(f"{server.url}/review?" + "&".join(f"{name}={value}" for name, value in query.items()))
    page.wait_for_selector(".card", timeout=30_000)
    page.wait_for_timeout(300)
    return page


def rows(database: Database, statement: str, **values: Any) -> list[Any]:
    with database.begin() as connection:
        return list(connection.execute(text(statement), values).all())


def decisions(database: Database) -> list[Any]:
    return rows(database, "select item_id, verdict, actor, comment, reasons, number from decision order by number")


def saved(page: Any) -> None:
    """Waits until everything that was decided is on the server."""
    page.wait_for_selector('.saving[data-unsent="0"]', timeout=20_000)


def eventually(question: Any, seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def test_fifty_approvals_60_ms_apart_are_fifty_events(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 60)
    page = review(context, server, campaign="drop")
    for _ in range(50):
        page.keyboard.press("p")
        page.wait_for_timeout(60)
    saved(page)
    found = decisions(database)
    assert [row.item_id for row in found] == drop.items[:50]
    assert {row.verdict for row in found} == {"approved"}
    assert "50 of 60 decided" in page.locator(".counts").inner_text()


def test_opening_3000_items_asks_for_at_most_80_pictures(server: Server, context: Any, seeded: Any) -> None:
    seeded("drop", 3000)
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url) if "/img/" in request.url else None)
    page.goto(f"{server.url}/review?campaign=drop")
    page.wait_for_selector(".card", timeout=30_000)
    page.wait_for_load_state("networkidle")
    assert 0 < len(asked) <= 80
    cards = page.locator(".card").count()
    assert cards <= 80
    assert "0 of 3,000 decided" in page.locator(".counts").inner_text()


def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 40)
    page = review(context, server, campaign="drop")
    for count in range(20):
        page.keyboard.press("p")
        page.wait_for_timeout(40)
        if count == 9:
            server.kill()
    page.wait_for_selector('.saving[data-state="offline"]', timeout=15_000)
    assert 10 <= int(page.locator(".saving").get_attribute("data-unsent")) <= 20
    server.start()
    saved(page)
    assert [row.item_id for row in decisions(database)] == drop.items[:20]


def test_a_tab_closed_with_unsent_decisions_sends_them_when_it_is_opened_again(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 20)
    page = review(context, server, campaign="drop")
    server.kill()
    for _ in range(5):
        page.keyboard.press("x")
    page.wait_for_selector('.saving[data-unsent="5"]')
    page.close()
    server.start()
    again = review(context, server, campaign="drop")
    saved(again)
    found = [(row.item_id, row.verdict) for row in decisions(database)]
    assert found == [(one, "rejected") for one in drop.items[:5]]


def test_a_second_browser_sees_the_conflict(
    database: Database, settings: Settings, chromium: Any, context: Any, seeded: Any
) -> None:
    seeded("drop", 12)
    with database.begin() as connection:
        set_member(connection, "ana", "reviewer")
        set_member(connection, "ben", "reviewer")
    ana, ben = Server(settings, "ana").start(), Server(settings, "ben").start()
    elsewhere = chromium.new_context(viewport={"width": 1440, "height": 900})
    try:
        first, second = review(context, ana, campaign="drop"), review(elsewhere, ben, campaign="drop")
        first.keyboard.press("p")
        saved(first)
        second.keyboard.press("x")
        saved(second)
        card = second.locator(".card").first
        assert eventually(lambda: "Conflict" in card.inner_text())
        assert "ana approved this first" in second.locator(".said").inner_text()
        assert [(row.actor, row.verdict) for row in decisions(database)] == [("ana", "approved")]
        second.keyboard.press("ArrowLeft")
        second.keyboard.press("x")
        saved(second)
        assert eventually(lambda: len(decisions(database)) == 2), "having seen it, ben may overrule"
    finally:
        elsewhere.close()
        ana.kill()
        ben.kill()


def test_what_is_approved_is_the_picture_on_the_screen(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 8)
    page = review(context, server, campaign="drop")
    item = drop.items[0]
    show_another(database, item, drop.items[1])
    page.keyboard.press("p")
    saved(page)
    assert "The image changed meanwhile" in page.locator(".said").inner_text()
    assert not decisions(database)
    assert drop.pictures[1] in page.locator(".card img").first.get_attribute("src")
    page.keyboard.press("Home")
    page.keyboard.press("p")
    saved(page)
    (row,) = rows(database, "select verdict, version, asset_sha256 from decision")
    assert row == ("approved", 2, drop.pictures[1])


def test_a_picture_that_others_decided_on_is_drawn_before_it_can_be_decided(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 8)
    page = review(context, server, campaign="drop")
    item = drop.items[0]
    show_another(database, item, drop.items[1])
    decide_first(database, registry, item, version=2)
    first = page.locator(".card").first
    assert eventually(lambda: "Approved" in first.inner_text())
    assert drop.pictures[1] in first.locator("img").first.get_attribute("src")
    page.keyboard.press("x")
    saved(page)
    last = rows(database, "select verdict, version, asset_sha256 from decision order by number")[-1]
    assert last == ("rejected", 2, drop.pictures[1])


def show_another(database: Database, item: int, other: int) -> None:
    """What planning again does to an item whose brief changed: another job, which is done already."""
    with database.begin() as connection:
        connection.execute(
            text("""
            update item set job_id = (select job_id from item where id = :other), version = version + 1,
                verdict = 'open', decision_id = null where id = :item
            """),
            {"item": item, "other": other},
        )


def test_an_undo_leaves_what_somebody_else_decided(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 6)
    page = review(context, server, campaign="drop")
    overruled = decide_first(database, registry, drop.items[1])
    page.keyboard.press("Control+a")
    page.keyboard.press("x")
    saved(page)
    page.keyboard.press("z")
    saved(page)
    assert "1 image left as others decided" in page.locator(".said").inner_text()
    stands = [row.verdict for row in rows(database, "select verdict from item order by id")]
    assert stands == ["open", "approved", "open", "open", "open", "open"]
    (last,) = rows(database, "select decision_id from item where id = :i", i=drop.items[1])
    assert last.decision_id == overruled


def decide_first(
    database: Database, registry: Registry, item: int, version: int = 1, seen: uuid.UUID | None = None
) -> uuid.UUID:
    """Somebody else approves an item, not by way of the page."""
    wish = Wish(id=uuid.uuid4(), item=item, version=version, seen=seen, verdict="approved")
    (answer,) = decide(database, registry, Actor("ben", Role.REVIEWER), "drop", [wish])
    assert answer.outcome == "recorded"
    return wish.id


def test_others_see_who_is_looking_at_what(
    database: Database, settings: Settings, context: Any, seeded: Any, server: Server
) -> None:
    drop = seeded("drop", 12)
    with database.begin() as connection:
        connection.execute(
            text("insert into review_lease values (:item, 'ben', now() + interval '60 seconds')"),
            {"item": drop.items[1]},
        )
    page = review(context, server, campaign="drop")
    assert eventually(lambda: "ben" in page.locator(".card").nth(1).inner_text())
    page.keyboard.press("p")
    saved(page)
    page.keyboard.press("p")
    saved(page)
    assert [row.item_id for row in decisions(database)] == [drop.items[0], drop.items[2]], "ben's is passed over"


def test_writing_p_x_r_c_in_a_comment_decides_nothing(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    seeded("drop", 8)
    page = review(context, server, campaign="drop")
    page.keyboard.press("e")
    page.keyboard.press("t")
    page.keyboard.type("p x r c z 1 u ?")
    page.wait_for_timeout(800)
    assert page.locator("textarea").input_value() == "p x r c z 1 u ?"
    assert not decisions(database)
    page.keyboard.press("Control+Enter")
    saved(page)
    (row,) = decisions(database)
    assert (row.verdict, row.comment, row.reasons) == ("rejected", "p x r c z 1 u ?", [])
    page.get_by_label("Search").click()
    page.keyboard.type("p x")
    page.wait_for_timeout(500)
    assert len(decisions(database)) == 1


def test_marks_on_the_picture_go_along_with_a_request_for_change(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    seeded("drop", 4)
    page = review(context, server, campaign="drop")
    page.keyboard.press("Space")
    page.wait_for_timeout(600)
    box = page.locator(".pane.ours img").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.locator(".pin").count() == 1
    for letters in ("e", "1", "Control+Enter"):
        page.keyboard.press(letters)
    saved(page)
    (row,) = rows(database, "select pins from decision")
    (pin,) = row.pins
    assert abs(pin["x"] - 0.5) < 0.02
    assert abs(pin["y"] - 0.5) < 0.02


def test_tokens_that_are_not_valid_any_more_are_renewed_without_losing_a_decision(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 8)
    page = review(context, server, campaign="drop")
    server.kill()
    with database.begin() as connection:
        connection.execute(text("delete from signing_key"))
    server.start()
    page.keyboard.press("p")
    page.keyboard.press("p")
    saved(page)
    assert [row.item_id for row in decisions(database)] == drop.items[:2]


def test_undo_after_many_at_once_restores_all(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 70)
    page = review(context, server, campaign="drop")
    page.keyboard.press("x")
    page.keyboard.press("Control+a")
    page.keyboard.press("p")
    assert "70 images at once?" in page.locator(".panel").inner_text(), "more than 50 are asked about first"
    page.keyboard.press("Enter")
    saved(page)
    stands = "select verdict from item order by id"
    assert {row.verdict for row in rows(database, stands)} == {"approved"}
    page.keyboard.press("z")
    saved(page)
    assert [row.verdict for row in rows(database, stands)] == ["rejected"] + ["open"] * 69
    page.keyboard.press("z")
    saved(page)
    assert {row.verdict for row in rows(database, stands)} == {"open"}
    page.keyboard.press("Shift+Z")
    saved(page)
    assert [row.verdict for row in rows(database, stands)] == ["rejected"] + ["open"] * 69
    assert len(decisions(database)) == 1 + 70 + 70 + 1 + 1
    assert len(drop.items) == 70


def test_a_comment_on_many_at_once_is_sent_though_it_makes_a_large_request(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 120)
    page = review(context, server, campaign="drop")
    page.keyboard.press("Control+a")
    page.keyboard.press("e")
    page.get_by_text("Yes, all 120").click()
    page.locator("textarea[aria-label=Comment]").fill("the strap is twisted " * 35)
    page.keyboard.press("Control+Enter")
    saved(page)
    assert [row.item_id for row in decisions(database)] == drop.items


def test_a_closing_page_sends_what_has_room_and_the_next_visit_sends_the_rest(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 60)
    page = review(context, server, campaign="drop")
    page.keyboard.press("Control+a")
    page.keyboard.press("e")
    page.get_by_text("Yes, all 60").click()
    page.locator("textarea[aria-label=Comment]").fill("the strap is twisted " * 120)
    # Ordinary requests never leave: only what outlives the page does.
    page.evaluate(
        """() => {
            const send = window.fetch;
            window.fetch = (path, given) => given?.method === "POST" && !given.keepalive
                ? Promise.reject(new TypeError("held")) : send(path, given);
        }"""
    )
    page.keyboard.press("Control+Enter")
    page.wait_for_selector('.saving[data-state="offline"]', timeout=15_000)
    page.goto("about:blank")
    assert eventually(lambda: decisions(database)), "sent while the page closed"
    assert len(decisions(database)) < 60
    saved(review(context, server, campaign="drop"))
    assert [row.item_id for row in decisions(database)] == drop.items


def test_one_decision_that_can_not_be_kept_costs_none_of_the_others(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 24)
    page = review(context, server, campaign="drop")
    context.set_offline(True)
    for _ in range(10):
        page.keyboard.press("p")
    page.keyboard.press("e")
    page.keyboard.press("1")
    comment = page.locator("textarea[aria-label=Comment]")
    assert comment.get_attribute("maxlength") == "4000"
    comment.evaluate("area => { area.removeAttribute('maxlength'); area.value = 'x'.repeat(4001); }")
    page.keyboard.press("Control+Enter")
    for _ in range(5):
        page.keyboard.press("p")
    page.wait_for_selector('.saving[data-unsent="16"]')
    context.set_offline(False)
    saved(page)
    assert "comment can't be kept" in page.locator(".said").inner_text()
    assert [row.item_id for row in decisions(database)] == drop.items[:10] + drop.items[11:16]


def test_glossy_comes_back_beside_the_first_with_lower_guidance(
    database: Database, store: Storage, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 6)
    page = review(context, server, campaign="drop")
    page.keyboard.press("e")
    page.keyboard.press("3")
    page.keyboard.press("Control+Enter")
    saved(page)
    assert eventually(lambda: "Being made" in page.locator(".card").first.inner_text())
    of_first = "select job.id, job.request from item join job on job.id = job_id where item.id = :i"
    (job,) = rows(database, of_first, i=drop.items[0])
    assert job.request["guidance"] == 3.6
    _finish(database, job.id, drop.pictures[3])
    assert eventually(lambda: "Next attempt" in page.locator(".card").first.inner_text())
    page.reload()
    page.wait_for_selector(".card")
    page.wait_for_timeout(300)
    page.keyboard.press("Space")
    page.wait_for_selector(".stage.beside")
    sources = [page.locator(".pane img").nth(k).get_attribute("src") for k in (0, 1)]
    assert drop.pictures[0] in sources[0]
    assert drop.pictures[3] in sources[1]
    side = page.locator(".side").inner_text()
    assert "Attempt 2" in side
    assert "4.5 → 3.6" in side
    page.keyboard.press("p")
    saved(page)
    assert rows(database, "select verdict, version from item where id = :i", i=drop.items[0])[0] == ("approved", 2)


def _finish(database: Database, job: int, sha256: str) -> None:
    """What a worker does at the end."""
    with database.begin() as connection:
        connection.execute(text("update job set state = 'done' where id = :job"), {"job": job})
        connection.execute(
            text("""
            insert into asset (job_id, sha256, size, width, height, media_type, facts, fence, worker, seconds)
            values (:job, :sha256, 1, 96, 96, 'image/png', '{}', 1, :worker, 1)
            """),
            {"job": job, "sha256": sha256, "worker": uuid.uuid4()},
        )


def write(page: Any, words: str) -> None:
    """Opens the panel for a change and writes a comment, without sending it."""
    page.keyboard.press("e")
    page.keyboard.press("3")
    page.locator("textarea[aria-label=Comment]").fill(words)


def test_what_is_written_while_somebody_else_decides_overrules_nobody_and_is_kept(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 6)
    page = review(context, server, campaign="drop")
    write(page, "too shiny")
    bens = decide_first(database, registry, drop.items[0])
    first = page.locator(".card").first
    assert eventually(lambda: "Approved" in first.inner_text())
    page.keyboard.press("Control+Enter")
    saved(page)
    assert "ben approved this first" in page.locator(".said").inner_text()
    (last,) = rows(database, "select id from decision")
    assert last.id == bens
    page.keyboard.press("Home")
    page.keyboard.press("e")
    assert page.locator("textarea[aria-label=Comment]").input_value() == "too shiny"
    page.keyboard.press("Control+Enter")
    saved(page)
    assert [row.comment for row in decisions(database)] == ["", "too shiny"], "having seen it, one may overrule"


def test_what_is_written_about_a_picture_is_not_recorded_of_another(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 6)
    page = review(context, server, campaign="drop")
    write(page, "too shiny")
    show_another(database, drop.items[0], drop.items[1])
    decide_first(database, registry, drop.items[0], version=2)
    assert eventually(lambda: drop.pictures[1] in page.locator(".card img").first.get_attribute("src"))
    page.keyboard.press("Control+Enter")
    saved(page)
    assert [row.verdict for row in decisions(database)] == ["approved"]


def test_what_is_written_about_an_image_that_is_being_made_again_meanwhile_is_kept(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 6)
    page = review(context, server, campaign="drop")
    write(page, "too shiny")
    bens = ask_again(database, registry, drop.items[0])
    first = page.locator(".card").first
    assert eventually(lambda: "Being made" in first.inner_text())
    page.keyboard.press("Control+Enter")
    assert "Nothing sent about 1 image being made again" in page.locator(".said").inner_text()
    assert [row.actor for row in decisions(database)] == ["ben"]
    _finish(database, bens, drop.pictures[3])
    assert eventually(lambda: "Next attempt" in first.inner_text())
    page.keyboard.press("e")
    assert page.locator("textarea[aria-label=Comment]").input_value() == "too shiny"


def ask_again(database: Database, registry: Registry, item: int) -> int:
    """Somebody else asks for another attempt, not by way of the page; returns its job."""
    wish = Wish(
        id=uuid.uuid4(), item=item, version=1, seen=None, verdict="rejected", reasons=("glossy",), again=True
    )
    (answer,) = decide(database, registry, Actor("ben", Role.REVIEWER), "drop", [wish])
    assert answer.attempt
    return int(rows(database, "select job_id from item where id = :i", i=item)[0].job_id)


def test_an_attempt_that_comes_back_is_drawn_in_the_single_view_too(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 6)
    page = review(context, server, campaign="drop")
    page.keyboard.press("Space")
    _finish(database, ask_again(database, registry, drop.items[0]), drop.pictures[3])
    page.wait_for_selector(".stage.beside", timeout=15_000)
    assert eventually(lambda: "Attempt 2" in page.locator(".side").inner_text(), 3)
    assert "rejected" in page.locator(".side .refs").inner_text()
    assert drop.pictures[3] in page.locator(".pane.ours img").get_attribute("src")


def test_a_decision_over_which_the_server_fails_holds_up_no_other(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 12)
    page = review(context, server, campaign="drop")

    def fail(route: Any) -> None:
        about = [one["item"] for one in json.loads(route.request.post_data)["decisions"]]
        if drop.items[2] in about:
            route.fulfill(status=503, body='{"error": "a plugin failed"}', content_type="application/json")
        else:
            route.continue_()

    page.route("**/api/decisions", fail)
    for _ in range(10):
        page.keyboard.press("p")
    page.wait_for_selector('.saving[data-unsent="1"]', timeout=30_000)
    assert len(decisions(database)) == 9
    page.unroute("**/api/decisions")
    saved(page)
    assert sorted(row.item_id for row in decisions(database)) == drop.items[:10]


def test_a_redo_leaves_what_somebody_else_decided(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 6)
    page = review(context, server, campaign="drop")
    page.keyboard.press("x")
    page.keyboard.press("z")
    saved(page)
    (undo,) = rows(database, "select decision_id from item where id = :i", i=drop.items[0])
    decide_first(database, registry, drop.items[0], seen=undo.decision_id)
    assert eventually(lambda: "Approved" in page.locator(".card").first.inner_text())
    page.keyboard.press("Shift+Z")
    assert "Nothing redone. 1 image left as others decided" in page.locator(".said").inner_text()
    saved(page)
    assert [row.actor for row in decisions(database)][-1] == "ben"


def test_each_of_several_undone_steps_can_be_redone(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    seeded("drop", 6)
    page = review(context, server, campaign="drop")
    for key in ("x", "Home", "p", "z", "z", "Shift+Z", "Shift+Z"):
        page.keyboard.press(key)
    saved(page)
    stands = "select verdict from item order by id limit 1"
    assert [row.verdict for row in rows(database, stands)] == ["approved"]
    for _ in range(2):
        page.keyboard.press("z")
    saved(page)
    assert [row.verdict for row in rows(database, stands)] == ["open"]


def test_an_attempt_whose_answer_was_lost_can_be_withdrawn(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    seeded("drop", 6)
    page = review(context, server, campaign="drop")
    lost: list[Any] = []

    def lose(route: Any) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch())
            route.abort()

    page.route("**/api/decisions", lose)
    write(page, "too shiny")
    page.keyboard.press("Control+Enter")
    saved(page)
    assert lost
    assert rows(database, "select 1 from attempt")
    page.wait_for_timeout(5000)  # others' decisions are looked at once
    page.keyboard.press("z")
    saved(page)
    assert not rows(database, "select 1 from attempt")


def test_an_image_that_is_being_made_is_not_the_best_of_its_stack(
    database: Database, server: Server, context: Any, seeded: Any, registry: Registry
) -> None:
    drop = seeded("drop", 8)
    ask_again(database, registry, drop.items[0])
    page = review(context, server, campaign="drop", verdict="all")
    assert "Being made" in page.locator(".card").first.inner_text()
    page.keyboard.press("s")
    assert "This image is being made again" in page.locator(".said").inner_text()
    page.wait_for_timeout(800)
    assert len(decisions(database)) == 1


def test_best_of_a_stack_approves_one_and_rejects_the_others(
    database: Database, server: Server, context: Any, seeded: Any
) -> None:
    drop = seeded("drop", 8)
    page = review(context, server, campaign="drop")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    saved(page)
    first = [(row.item_id, row.verdict) for row in decisions(database)]
    assert first == [(drop.items[1], "approved"), (drop.items[0], "rejected")]
    page.keyboard.press("z")
    saved(page)
    assert {row.verdict for row in rows(database, "select verdict from item")} == {"open"}


def test_an_address_carries_the_filters(database: Database, server: Server, context: Any, seeded: Any) -> None:
    drop = seeded("drop", 24)
    with database.begin() as connection:
        connection.execute(text("update item set verdict = 'approved' where id = :i"), {"i": drop.items[0]})
    page = review(context, server, campaign="drop", verdict="approved")
    assert page.locator(".card").count() == 1
    page = review(context, server, campaign="drop", format="portrait")
    assert "0 of 7 decided" in page.locator(".counts").inner_text()


def office(settings: Settings, database: Database, store: Storage, registry: Any) -> Office:
    return Office(settings, database, store, registry, Previews(settings, store), "root")


def test_routes_ask_who_is_there_and_what_they_may(
    settings: Settings, database: Database, store: Storage, registry: Any, seeded: Any
) -> None:
    drop, other = seeded("drop", 4), seeded("other", 4)
    with database.begin() as connection:
        set_member(connection, "vic", "viewer", ["drop"])
    server = Server(settings, "vic").start()
    here = office(settings, database, store, registry)
    try:
        act, see = access.mint(here, "vic", "act"), access.mint(here, "vic", "see")
        one = {"id": str(uuid.uuid4()), "item": drop.items[0], "version": 1, "seen": None, "verdict": "approved"}
        body = {"campaign": "drop", "decisions": [one]}
        assert server.ask("/api/decisions", token=act, body=body)[0] == 403
        assert server.ask("/api/leases", token=act, body={"campaign": "drop", "items": []})[0] == 403
        assert server.ask("/api/decisions", body=body)[0] == 401
        assert server.ask("/api/decisions", token=act[:-4] + "AAAA", body=body)[0] == 401
        assert server.ask("/api/decisions", token=see, body=body)[0] == 401, "a picture's token decides nothing"
        old = access.mint(here, "vic", "act", now=time.time() - 3 * access.LIFETIME)
        assert server.ask("/api/decisions", token=old, body=body)[0] == 401
        assert server.ask("/api/items?campaign=drop", token=old)[0] == 401
        assert not decisions(database)

        sha = drop.pictures[0]
        assert server.ask(f"/img/thumb/{sha}?c=drop&t={see}")[0] == 200
        assert server.ask(f"/img/full/{sha}?c=drop&t={see}")[1].startswith(b"\x89PNG")
        assert server.ask(f"/img/thumb/{sha}?c=drop&t={see}x")[0] == 401
        assert server.ask(f"/img/thumb/{sha}?c=drop")[0] == 401
        assert server.ask(f"/img/thumb/{other.pictures[0]}?c=other&t={see}")[0] == 403
        assert server.ask("/api/items?campaign=other", token=act)[0] == 403
        assert server.ask(f"/api/item?id={other.items[0]}", token=act)[0] == 403
        assert server.ask(f"/img/thumb/{'0' * 64}?c=drop&t={see}")[0] == 404
        assert server.ask(f"/img/huge/{sha}?c=drop&t={see}")[0] == 404
        for outside in ("..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "....//etc/passwd", sha.upper()):
            assert server.ask(f"/img/full/{outside}?c=drop&t={see}")[0] == 404

        with database.begin() as connection:
            set_member(connection, "vic", "reviewer", ["drop"])
        assert server.ask("/api/decisions", token=act, body=body)[0] == 200, "rights are read at each call"
        with database.begin() as connection:
            connection.execute(text("delete from member"))
        assert server.ask("/api/decisions", token=act, body=body)[0] == 401
        assert server.ask("/healthz")[0] == 200
        assert server.ask("/api/decisions", token=act, body={"x": "y" * 3_000_000})[0] == 413
    finally:
        server.kill()


def test_a_picture_of_one_campaign_is_not_given_out_for_another(
    settings: Settings, database: Database, store: Storage, registry: Any, seeded: Any, server: Server
) -> None:
    drop = seeded("drop", 4)
    with database.begin() as connection:
        connection.execute(
            text("insert into campaign (name, model, source, text) values ('empty', 'fake', '', '')")
        )
    see = access.mint(office(settings, database, store, registry), _user(), "see")
    assert server.ask(f"/img/thumb/{drop.pictures[0]}?c=empty&t={see}")[0] == 403


def _user() -> str:
    import getpass

    return getpass.getuser()


def test_every_answer_bears_a_policy(server: Server) -> None:
    with urllib.request.urlopen(server.url) as answer:
        assert "object-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


AT_REST = """() => {
    const app = document.querySelector('[data-testid="stApp"]');
    return app?.dataset.testScriptState === "notRunning" && !document.querySelector('[data-stale="true"]')
        && document.getAnimations().every(one => one.effect.getComputedTiming().endTime === Infinity);
}"""
"""Whether the page has nothing more to do: until then Streamlit pales what a run has yet to confirm."""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 820)])
def test_every_page_fits_and_axe_finds_no_serious_violation(
    server: Server, chromium: Any, seeded: Any, scheme: str, width: int
) -> None:
    item = seeded("drop", 12).items[0]
    context = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme, bypass_csp=True)
    page = review(context, server, campaign="drop")
    found = []
    for step in ("", "p", "Space", "d", "e", "Escape", "?"):
        if step:
            page.keyboard.press(step)
            page.wait_for_timeout(150)
        found += _violations(page, f"review, {step}")
    for path in ("", "?campaign=drop", "compare?campaign=drop", "new", f"asset?item={item}"):
        page.goto(f"{server.url}/{path}")
        page.wait_for_selector("h1")
        page.wait_for_function(AT_REST)
        found += _violations(page, path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    context.close()
    assert not found


def _violations(page: Any, where: str) -> list[Any]:
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=str(Path(axe_playwright_python.__file__).parent / "axe.min.js"))
    result = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})")
    return [
        (where, one["id"], [node["target"] for node in one["nodes"]][:3])
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def test_what_is_approved_is_downloaded_as_an_archive(
    context: Any, server: Server, database: Database, registry: Registry, seeded: Any, tmp_path: Path
) -> None:
    drop = seeded("drop", 6)
    page = context.new_page()
    page.goto(f"{server.url}/?campaign=drop")
    page.wait_for_selector("text=Compare with other tools")
    assert not page.get_by_text("Deliver").count(), "nothing is approved yet"
    wishes = [Wish(id=uuid.uuid4(), item=one, version=1, seen=None, verdict="approved") for one in drop.items[:2]]
    decide(database, registry, Actor("ana", Role.APPROVER), "drop", wishes)
    page.reload()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Deliver 2 approved").click()
        page.get_by_role("button", name="Download 2 files").click()
    assert coming.value.suggested_filename == "drop.zip"
    coming.value.save_as(tmp_path / "drop.zip")
    with zipfile.ZipFile(tmp_path / "drop.zip") as archive:
        told = json.loads(archive.read("manifest.json"))
        assert archive.namelist() == [*(line["file"] for line in told["files"]), "manifest.csv", "manifest.json"]
    assert [line["approved_by"] for line in told["files"]] == ["ana", "ana"]
    page.get_by_role("combobox", name="To").click()
    page.get_by_role("option", name="instagram-story").click()
    page.wait_for_selector("text=2 images of the format portrait would lose more than 40%")
    assert page.get_by_role("button", name="Download 0 files").is_disabled()
    page.get_by_role("combobox", name="To").click()
    page.get_by_role("option", name="instagram-portrait").click()
    page.wait_for_selector("text=Download 2 files")
    page.keyboard.press("Tab")
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download 2 files").click()
    coming.value.save_as(tmp_path / "channel.zip")
    with zipfile.ZipFile(tmp_path / "channel.zip") as archive:
        assert all(name.startswith(("instagram-portrait/", "left-out", "manifest")) for name in archive.namelist())
        assert "instagram-story: 2 images" in archive.read("left-out.txt").decode()
    found = rows(database, "select facts from event where kind = 'campaign.delivered' order by id")
    assert [(facts["files"], facts["output"]) for (facts,) in found] == [(2, "a download")] * 2


def test_who_may_see_a_campaign_no_more_is_shown_no_more_of_it_on_a_page_that_stays_open(
    context: Any, settings: Settings, database: Database, seeded: Any
) -> None:
    seeded("drop", 6)
    seeded("other", 4)
    with database.begin() as connection:
        set_member(connection, "vic", "producer", ["drop"])
    server = Server(settings, member="vic").start()
    try:
        page = context.new_page()
        page.goto(f"{server.url}/?campaign=drop")
        page.wait_for_selector("text=Last pictures")
        with database.begin() as connection:
            set_member(connection, "vic", "producer", ["other"])
        page.wait_for_selector("text=You may not see this campaign any more", timeout=20_000)
        page.wait_for_selector("text=Last pictures", state="detached", timeout=20_000)
    finally:
        server.kill()
