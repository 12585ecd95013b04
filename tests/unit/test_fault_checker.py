"""The checker of the fault suite sees what it is there to see, and its lines understand Postgres' protocol."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from faults.history import History, Outcome, damaged
from faults.scenarios import SCENARIOS
from faults.table import COLUMNS, as_markdown
from faults.wire import Statements
from hypothesis import given

GOOD = History(
    jobs={1: ("done", 2), 2: ("cancelled", 1), 3: ("dead", 0)},
    assets={1: (2, "aa")},
    events=[
        (1, "job.claimed", 1, 1),
        (2, "job.claimed", 2, 1),
        (3, "campaign.cancelled", None, None),
        (4, "job.claimed", 1, 2),
        (5, "job.done", 1, 2),
    ],
    files=frozenset({"aa"}),
)


def test_a_history_in_which_every_job_ends_once_is_sound() -> None:
    assert list(GOOD.violations()) == []
    assert (GOOD.executions, GOOD.lost, GOOD.doubled()) == (3, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(GOOD, jobs={**GOOD.jobs, 4: ("queued", 0)}), "came to no end"),
        (replace(GOOD, jobs={**GOOD.jobs, 4: ("leased", 0)}), "came to no end"),
        (replace(GOOD, jobs={**GOOD.jobs, 2: ("cancelled", 2)}), "its claims bear [1]"),
        (replace(GOOD, events=[*GOOD.events, (6, "job.claimed", 1, 2)]), "its claims bear [1, 2, 2]"),
        (replace(GOOD, events=[*GOOD.events, (6, "job.done", 1, 2)]), "its finishes bear [2, 2]"),
        (replace(GOOD, events=[*GOOD.events[:4], (5, "job.done", 1, 1)]), "its finishes bear [1]"),
        (replace(GOOD, events=GOOD.events[:4]), "its finishes bear []"),
        (replace(GOOD, events=[*GOOD.events, (6, "job.done", 2, 1)]), "yet it was finished"),
        (
            replace(GOOD, events=[*GOOD.events, (6, "job.done", 2, 1)]),
            "claimed before a cancel and finished after",
        ),
        (replace(GOOD, assets={1: (1, "aa")}), "its asset is (1, 'aa')"),
        (replace(GOOD, assets={}), "its asset is None"),
        (replace(GOOD, assets={**GOOD.assets, 3: (1, "bb")}), "has an asset and is dead"),
    ],
)
def test_each_way_of_being_wrong_is_told(wrong: History, words: str) -> None:
    assert any(words in one for one in wrong.violations()), list(wrong.violations())


def test_lost_and_doubled_jobs_are_counted() -> None:
    assert replace(GOOD, jobs={**GOOD.jobs, 4: ("failed", 0)}).lost == 1
    assert replace(GOOD, assets={}).lost == 1
    assert replace(GOOD, events=[*GOOD.events, (6, "job.done", 1, 2), (7, "job.done", 1, 2)]).doubled() == 2


def test_a_job_that_was_made_again_on_purpose_may_have_two_finishes_in_a_row() -> None:
    again = [*GOOD.events, (6, "job.claimed", 1, 3), (7, "job.done", 1, 3)]
    history = replace(GOOD, jobs={**GOOD.jobs, 1: ("done", 3)}, assets={1: (3, "aa")}, events=again)
    assert list(history.violations())
    assert list(history.violations(again=[1])) == []
    assert (history.doubled(), history.doubled(again=[1])) == (1, 0)


def test_files_that_are_gone_or_changed_are_told() -> None:
    whole = hashlib.sha256(b"a picture").hexdigest()
    files = {whole: b"a picture", "00": b"another"}
    assert [one.split(" holds")[0] for one in damaged(files, files.__getitem__)] == ["file 00"]
    assert "can't be read" in next(iter(damaged(["11"], files.__getitem__)))


def test_the_table_sums_up_what_was_tried() -> None:
    rows = [
        Outcome("redis", "kills", {"a": 2, "b": 1}, 10, 12, 10, refused=1),
        Outcome("embedded", "kills", {"c": 1}, 1, 1, 1),
        Outcome("embedded", "cuts", {"c": 4}, 5, 5, 5),
    ]
    assert as_markdown(rows).splitlines()[2:] == [
        "| kills | 4 | 11 | 13 | 11 | 0 | 0 | 1 |",
        "| cuts | 4 | 5 | 5 | 5 | 0 | 0 | 0 |",
        "| **redis** | 3 | 10 | 12 | 10 | 0 | 0 | 1 |",
        "| **embedded** | 5 | 6 | 6 | 6 | 0 | 0 | 0 |",
        "| **all** | 8 | 16 | 18 | 16 | 0 | 0 | 1 |",
    ]


def test_the_documented_table_tells_of_many_faults_with_nothing_lost_and_nothing_doubled() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    header = f"| scenario | {' | '.join(COLUMNS)} |"
    lines = page[page.index(header) :].split("\n\n")[0].splitlines()[2:]
    rows = {}
    for line in lines:
        name, *figures = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = [int(figure.replace(",", "")) for figure in figures]
    total = rows.pop("**all**")
    stacks = [rows.pop(f"**{name}**") for name in ("embedded", "redis", "rabbitmq")]
    assert [sum(column) for column in zip(*stacks, strict=True)] == total
    assert [sum(column) for column in zip(*rows.values(), strict=True)] == total
    assert total[0] >= 500
    assert total[4:6] == [0, 0]
    assert {scenario.name for scenario in SCENARIOS} <= rows.keys()


def _frame(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _query(text: str) -> bytes:
    return _frame(b"Q", text.encode() + b"\0")


def _prepare(name: bytes, text: str) -> bytes:
    return _frame(b"P", name + b"\0" + text.encode() + b"\0" + struct.pack("!h", 0))


def _bind(name: bytes) -> bytes:
    return _frame(b"B", b"\0" + name + b"\0" + struct.pack("!hhh", 0, 0, 0)) + _frame(b"E", b"\0" * 5)


CONVERSATION = b"".join(
    (
        _frame(b"", struct.pack("!i", 3 << 16) + b"user\0dreamline\0\0"),
        _frame(b"p", b"a password\0"),
        _query("BEGIN"),
        _prepare(b"", "select 1"),
        _bind(b""),
        _query("ROLLBACK"),
        _query("BEGIN"),
        _prepare(b"s0", "update job set state = 'done'"),
        _bind(b"s0"),
        _query("COMMIT"),
        _query("BEGIN"),
        _bind(b"s0"),
        _bind(b"s0"),
        _query("COMMIT"),
    )
)


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=12))
def test_however_a_conversation_is_cut_into_pieces_its_commits_are_seen(cuts: list[int]) -> None:
    reader, seen, start = Statements(), [], 0
    for end in [*sorted(cuts), len(CONVERSATION)]:
        committed = reader.commits(CONVERSATION[start:end])
        if committed is not None:
            seen.append(committed)
        start = end
    done = "update job set state = 'done'"
    assert seen in ([[done], [done, done]], [[done, done]])
