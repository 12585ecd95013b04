"""Strangers' plugins that sleep for ever, leave, eat memory or raise: each is named, and nothing else is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image

from orchestrator.records import embedded

DEEDS = """
import os, time

def do(word):
    hoard = []
    while word == "sleeps":
        time.sleep(1)
    while word == "eats":
        hoard.append(bytearray(20 * 2**20))
    if word == "leaves":
        os._exit(7)
    if word == "raises":
        raise ValueError("nobody expected this")
"""

KIND = """
from dataclasses import dataclass, field
from dreamline import ConditionType, Preparation, hookimpl
from deeds import do

@dataclass(frozen=True)
class Options:
    deed: str = field(default="", metadata={"help": "what it does to its process"})

def prepare(picture, options, bench):
    do(options.deed)
    return Preparation(picture.convert("RGB").resize((64, 64)))

@hookimpl
def condition_types():
    return [ConditionType(name="odd", title="Odd", prepare=prepare, options=Options)]
"""

SCORER = """
from dreamline import Score, hookimpl
from deeds import do

@hookimpl
def score_image(image, request):
    if request.prompt.split()[0] == __name__.removeprefix("that_"):
        do(request.prompt.split()[0])
    return [Score("liking", 1.0, "taste")]
"""

GUARD = """
from dreamline import hookimpl
from deeds import do

@hookimpl
def hold_back(request):
    word = request.prompt.split()[0]
    do(word)
    return "shows a weapon" if word == "armed" else None
"""

WORDS = ("eats", "leaves", "raises", "sleeps")

REFERENCES = """
campaign: references
model: storyboard
references:
  thing: {kind: odd, image: thing.png, options: {deed: "{{ deed }}"}}
prompt: "[thing] that {{ deed }}"
vary: {deed: [fine, well, good, eats, leaves, raises, sleeps]}
seeds: 2
formats: [square]
"""

SCORES = """
campaign: scores
model: storyboard
prompt: "{{ word }} it"
vary: {word: [fine, eats, leaves, raises, sleeps]}
seeds: 2
formats: [square]
"""

GUARDED = """
campaign: guarded
model: storyboard
prompt: "{{ word }} it"
vary: {word: [fine, armed, raises, leaves]}
formats: [square]
"""

GONE = """
campaign: gone
model: storyboard
references:
  thing: {kind: odd, image: thing.png}
prompt: "[thing] and {{ word }}"
vary: {word: [more, less]}
formats: [square]
"""


class Place:
    """A folder with plugins that are installed as far as Python can tell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        (self.site / "deeds.py").write_text(DEEDS)
        Image.new("RGB", (80, 60), "teal").save(folder / "thing.png")

    def install(self, name: str, source: str) -> None:
        information = self.site / f"{name}-1.dist-info"
        information.mkdir(parents=True)
        (self.site / f"that_{name}.py").write_text(source)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (information / "entry_points.txt").write_text(f"[dreamline]\n{name} = that_{name}\n")

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.site),
            "DREAMLINE_HOME": str(self.folder / "home"),
            "DREAMLINE_LEASE_SECONDS": "5",
            "DREAMLINE_POLL_SECONDS": "0.3",
            "DREAMLINE_RETRY_SECONDS": "0.1",
            "DREAMLINE_MAX_ATTEMPTS": "2",
            "DREAMLINE_PLUGIN_SECONDS": "5",
            "DREAMLINE_CHILD_MEMORY_GB": "0.4",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", *words],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dreamline(self, *words: str, expect: int = 0) -> str:
        process = self.start(*words)
        out, errors = process.communicate(timeout=150)
        assert process.returncode == expect, out + errors
        return out if "--json" in words else out + errors

    def ask(self, query: str) -> list[Any]:
        with psycopg.connect(embedded.ensure_running(self.folder / "home")) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)
    embedded.stop(tmp_path / "home")


@pytest.mark.timeout(200)
def test_references_whose_plugin_misbehaves_end_by_its_name_and_all_others_are_made(place: Place) -> None:
    place.install("odd", KIND)
    (place.folder / "campaign.yaml").write_text(REFERENCES)
    report = json.loads(place.dreamline("run", "campaign.yaml", "--json", expect=3))
    assert (report["state"], report["made"], report["failed"]) == ("finished", 6, 8)
    shown = json.loads(place.dreamline("campaign", "show", "references", "--json"))
    causes = {failure["class"]: (failure["images"], failure["message"]) for failure in shown["failures"]}
    at_work = "while plugin 'odd' prepared thing.png"
    assert causes == {
        "out of memory": (2, f"its process took more than 0.4 GB (DREAMLINE_CHILD_MEMORY_GB) {at_work}"),
        "crash": (2, f"its process ended by itself (exit code 7) {at_work}"),
        "plugin": (2, "plugin 'odd': preparing thing.png raised ValueError('nobody expected this')"),
        "time limit": (2, f"not done after 5 s (DREAMLINE_PLUGIN_SECONDS) {at_work}"),
    }
    well = "spec->'options'->>'deed' in ('fine', 'well', 'good')"
    assert place.ask(f"select state, attempts from preparation where {well}") == [("done", 1)] * 3


@pytest.mark.timeout(200)
def test_images_are_kept_without_the_scores_of_plugins_that_misbehave(place: Place) -> None:
    for word in WORDS:
        place.install(word, SCORER)
    (place.folder / "campaign.yaml").write_text(SCORES)
    report = json.loads(place.dreamline("run", "campaign.yaml", "--json"))
    assert (report["state"], report["made"], report["failed"]) == ("finished", 10, 0)
    unscored: dict[str, list[dict[str, str]]] = {}
    for word, facts in place.ask(
        "select split_part(request->>'prompt', ' ', 1), facts from asset join job on job.id = job_id"
    ):
        unscored.setdefault(word, []).append(facts.get("unscored", {}))
    endings = {
        "eats": "its process took more than 0.4 GB (DREAMLINE_CHILD_MEMORY_GB)",
        "leaves": "its process ended by itself (exit code 7)",
        "sleeps": "not done after 5 s (DREAMLINE_PLUGIN_SECONDS)",
    }
    for word, ending in endings.items():
        assert [found[word] for found in unscored[word]] == [
            f"{ending} while plugin '{word}' scored the image"
        ] * 2
    assert [one["raises"] for one in unscored["raises"]] == [
        "plugin 'raises': score_image raised ValueError: nobody expected this"
    ] * 2
    asked_no_more = {reason for found in unscored["fine"] for reason in found.values()}
    assert all(reason.startswith("not asked: it took 2 processes along") for reason in asked_no_more)
    lost = sum(plugin in WORDS for found in unscored.values() for one in found for plugin in one)
    assert place.ask("select count(*) from score where name = 'liking'") == [(10 * len(WORDS) - lost,)]


@pytest.mark.timeout(200)
def test_what_a_guard_speaks_against_or_fails_at_is_not_shown(place: Place) -> None:
    place.install("guard", GUARD)
    (place.folder / "campaign.yaml").write_text(GUARDED)
    report = json.loads(place.dreamline("run", "campaign.yaml", "-o", "out", "--json", expect=3))
    assert (report["state"], report["failed"], report["held"], report["files"]) == ("finished", 1, 2, 1)
    (written,) = (place.folder / "out").iterdir()
    assert written.name.startswith("1-fine-")
    told = json.loads(place.dreamline("campaign", "gates", "guarded", "--json"))
    assert [miss["reasons"] for miss in told["missed"]] == [
        ["guard: shows a weapon"],
        ["guard: hold_back raised ValueError: nobody expected this"],
    ]
    told = place.dreamline("campaign", "show", "guarded")
    assert "while plugin 'guard' looked whether to hold the image back" in " ".join(told.split())


@pytest.mark.timeout(200)
def test_a_campaign_whose_plugin_is_gone_says_so_and_is_finished_when_it_is_back(place: Place) -> None:
    place.install("odd", KIND)
    (place.folder / "gone.yaml").write_text(GONE)
    (place.folder / "other.yaml").write_text(SCORES.replace("seeds: 2", "seeds: 1"))
    planning = place.start("run", "gone.yaml", "--workers", "0")
    assert planning.stdout is not None
    for line in planning.stdout:
        if "references to prepare" in line:
            break
    deadline = time.monotonic() + 60
    while not place.ask("select 1 from campaign where name = 'gone'"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    planning.send_signal(signal.SIGINT)
    planning.communicate(timeout=60)

    away = place.folder / "away"
    away.mkdir()
    shutil.move(place.site / "odd-1.dist-info", away)
    told = place.dreamline("campaign", "show", "gone")
    why = "1 reference and 2 images wait: plugin 'odd' (planned with odd 1) is not installed here."
    assert why in told
    assert "Install it again" in told
    refused = place.dreamline("run", "gone.yaml", expect=2)
    assert "there is no kind 'odd'" in refused
    told = place.dreamline("plugins", "impact", "odd")
    assert "odd: not installed" in told
    assert "2 open items wait for what is not here" in told
    assert json.loads(place.dreamline("run", "other.yaml", "--json"))["made"] == 5
    assert place.ask("select distinct state, attempts from preparation") == [("queued", 0)]

    shutil.move(away / "odd-1.dist-info", place.site)
    report = json.loads(place.dreamline("run", "gone.yaml", "--json"))
    assert (report["state"], report["made"], report["failed"]) == ("finished", 2, 0)
    assert "wait" not in place.dreamline("campaign", "show", "gone")
