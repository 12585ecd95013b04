"""Images that break what makes them: each ends with its cause, and every other one is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.records import embedded

PLUGIN = '''
"""A generator that does to itself what the prompt says."""
import os, time
from dreamline import BadInput, Image, OutOfMemory, hookimpl

class Trouble:
    id = "trouble/1"

    def generate(self, requests, references, on_step=None):
        from PIL import Image as Pillow
        for request in requests:
            word = request.prompt.split()[0]
            if word == "crash":
                os._exit(7)
            if word == "hang":
                time.sleep(1000)
            if word == "memory" and len(requests) > 1:
                raise OutOfMemory("a batch this large does not fit")
            if word == "raise":
                raise ValueError("nobody expected this")
            if word == "bad":
                raise BadInput.at("prompt", "says bad", "Say something else")
            picture = Pillow.new("RGB", (request.width, request.height), (request.seed % 256, 0, 0))
            yield Image(picture, request)

@hookimpl
def make_generator(card):
    return Trouble() if card.generator == "trouble" else None
'''

CARD = 'name = "trouble"\ntitle = "Trouble"\ngenerator = "trouble"\nsteps = 1\narea = 4096\nsides = [64, 64]\n'

CAMPAIGN = """
campaign: poison
model: trouble
prompt: "{{ word }} it"
vary: {word: [fine, crash, hang, memory, raise, bad]}
seeds: 3
formats: [square]
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    information = tmp_path / "site" / "trouble-1.dist-info"
    information.mkdir(parents=True)
    (tmp_path / "site" / "trouble.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[dreamline]\ntrouble = trouble\n")
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "trouble.toml").write_text(CARD)
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    yield tmp_path
    embedded.stop(tmp_path / "home")


def dreamline(place: Path, *words: str, expect: int = 0) -> Any:
    environment = {
        **os.environ,
        "PYTHONPATH": str(place / "site"),
        "DREAMLINE_HOME": str(place / "home"),
        "DREAMLINE_CARDS": str(place / "cards"),
        "DREAMLINE_LEASE_SECONDS": "3",
        "DREAMLINE_POLL_SECONDS": "0.3",
        "DREAMLINE_RETRY_SECONDS": "0.1",
        "DREAMLINE_MAX_ATTEMPTS": "2",
        "DREAMLINE_BATCH_SECONDS": "4",
    }
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *words, "--json"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == expect, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.timeout(200)
def test_what_breaks_its_process_ends_with_its_cause_and_the_rest_is_made(place: Path) -> None:
    report = dreamline(place, "run", "campaign.yaml", expect=3)
    assert (report["made"], report["failed"]) == (6, 12)
    shown = dreamline(place, "campaign", "show", "poison")
    assert shown["state"] == "finished"
    causes: Counter[str] = Counter()
    for failure in shown["failures"]:
        causes[failure["class"]] += failure["images"]
    assert causes == {"crash": 3, "time limit": 3, "unknown": 3, "bad input": 3}
    messages = " | ".join(failure["message"] for failure in shown["failures"])
    at_work = "while generator trouble/1 made it with trouble"
    assert f"exit code 7) {at_work}" in messages
    assert f"not done after 4 s (DREAMLINE_BATCH_SECONDS) {at_work}" in messages
    assert "ValueError: nobody expected this" in messages
    assert "Say something else" in messages
    again = dreamline(place, "run", "campaign.yaml", expect=3)
    assert (again["made"], again["reused"], again["failed"]) == (0, 6, 12)
