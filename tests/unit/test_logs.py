"""What processes say can be read by people and by programs, and names what it is about."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import logs


def line(formatter: logging.Formatter, message: str = "3 claimed", **extra: Any) -> str:
    record = logging.LogRecord("dreamline.worker", logging.INFO, "f.py", 1, message, (), None)
    record.__dict__.update(extra)
    return formatter.format(record)


def test_json_lines_bear_the_facts_of_the_block_that_they_come_from() -> None:
    with logs.about(worker="w1", **logs.on("job", [7, 8], {7: ["summer"], 8: ["summer", "winter"]})):
        told = json.loads(line(logs.JsonLines()))
    assert told.items() >= {"worker": "w1", "campaigns": ["summer", "winter"], "jobs": [7, 8]}.items()
    assert told["message"] == "3 claimed"
    assert told["level"] == "INFO"
    assert told["time"].endswith("Z")
    assert "worker" not in json.loads(line(logs.JsonLines()))


def test_text_lines_have_the_facts_in_brackets() -> None:
    with logs.about(**logs.on("preparation", [3], {3: ["summer"]})):
        assert line(logs.Lines()).endswith("3 claimed [campaigns summer, preparation 3]")
    assert line(logs.Lines()).endswith("3 claimed")


def test_inner_facts_hide_outer_ones_and_empty_ones_are_left_out() -> None:
    with logs.about(job=1, worker="w"), logs.about(job=2, worker=None, campaigns=[]):
        told = json.loads(line(logs.JsonLines(), about={"job": 3}))
        assert logs.known()["job"] == 2
    assert told["job"] == 3
    assert {"worker", "campaigns"} & told.keys() == set()


def test_a_thread_starts_without_the_facts_of_the_one_that_started_it() -> None:
    found: list[dict[str, Any]] = []
    with logs.about(job=1):
        thread = threading.Thread(target=lambda: found.append(dict(logs.known())))
        thread.start()
        thread.join()
    assert found == [{}]


@given(st.text(), st.dictionaries(st.sampled_from(["worker", "queue", "plugin"]), st.text(min_size=1)))
def test_whatever_is_said_is_one_line_of_json(message: str, facts: dict[str, str]) -> None:
    with logs.about(**facts):
        written = line(logs.JsonLines(), message)
    assert "\n" not in written
    told = json.loads(written)
    assert told["message"] == message
    assert {name: told[name] for name in facts} == facts


PROGRAM = """
import logging, threading, warnings
from core.settings import Settings
from orchestrator import logs
logs.set_up(Settings.from_env())
logging.getLogger("dreamline.x").info("hello")
logging.getLogger("alembic.runtime.migration").info("chatter")
warnings.warn("old", stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0, name="poll")
thread.start(); thread.join()
raise KeyError("gone")
"""


def said(form: str) -> list[str]:
    environ = {**os.environ, "DREAMLINE_LOG": "INFO", "DREAMLINE_LOG_FORMAT": form}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_json_is_all_that_a_process_says_even_when_it_ends_by_an_error() -> None:
    told = [json.loads(one) for one in said("json")]
    assert told[0]["message"] == "hello"
    assert "chatter" not in [one["message"] for one in told]
    assert any("old" in one["message"] for one in told)
    assert any("poll ended" in one["message"] and "ZeroDivisionError" in one["error"] for one in told)
    assert "KeyError" in told[-1]["error"]


def test_text_is_for_people() -> None:
    assert any("INFO dreamline.x: hello" in one for one in said("text"))


@pytest.mark.parametrize(
    ("variable", "value", "mend"), [("DREAMLINE_LOG_FORMAT", "xml", "json"), ("DREAMLINE_LOG", "LOUD", "DEBUG")]
)
def test_an_unknown_format_or_level_is_refused_by_name(variable: str, value: str, mend: str) -> None:
    command = [sys.executable, "-m", "orchestrator.cli", "schema"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, variable: value}, check=False
    )
    assert done.returncode == 2
    assert f"environment variable {variable}: '{value}'" in done.stderr
    assert mend in done.stderr
