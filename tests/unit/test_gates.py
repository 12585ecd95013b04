"""Gates: what a campaign file may say, which images miss them, and what decisions suggest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator.planning.expand import read_brief
from orchestrator.planning.gates import Gate, read_gate, read_gates, verdict
from orchestrator.reviewing.thresholds import suggest

SIGNS = st.sampled_from([">", ">=", "<", "<=", "="])
BOUNDS = st.floats(-1e6, 1e6).map(lambda value: round(value, 4))
OTHERWISE = st.sampled_from(["last", "hold", "retry"])


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (">0.2 else retry", Gate("sharpness", ">", 0.2, "retry")),
        (">= 3", Gate("sharpness", ">=", 3.0, "hold")),
        (" <-1.5e2  ELSE Last ", Gate("sharpness", "<", -150.0, "last")),
        ("=1", Gate("sharpness", "=", 1.0, "hold")),
    ],
)
def test_a_gate_is_a_sign_a_number_and_what_becomes_of_the_others(told: str, meant: Gate) -> None:
    assert read_gate("sharpness", told) == meant


@given(SIGNS, BOUNDS, OTHERWISE)
def test_whatever_is_written_out_is_read_back(sign: str, bound: float, otherwise: str) -> None:
    gate = read_gate("a", f"{sign}{bound!r} else {otherwise}")
    assert gate == Gate("a", sign, bound, otherwise)  # type: ignore[arg-type]


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_gate_or_a_reason_why_not(score: str, told: str) -> None:
    found = read_gate(score, told)
    assert isinstance(found, Gate) or found


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), BOUNDS)
def test_a_gate_and_its_opposite_never_both_let_an_image_through(values: list[float], bound: float) -> None:
    above, below = Gate("a", ">", bound), Gate("a", "<=", bound)
    assert above.misses({"a": values}) or below.misses({"a": values})


def test_a_gate_holds_for_every_reference_unless_it_names_one() -> None:
    scores = {"colour:shoe": [9.0], "colour:bag": [31.0], "colourful": [99.0]}
    assert Gate("colour", "<", 25).misses(scores) == "colour:bag 31 is not < 25"
    assert Gate("colour:shoe", "<", 25).misses(scores) == ""


def test_the_severest_miss_decides() -> None:
    gates = read_gates({"a": ">1 else last", "b": ">1 else retry", "c": ">1"})
    assert verdict(gates, {"a": [0], "b": [2], "c": [2]}) == ("last", ["a 0 is not > 1"])
    assert verdict(gates, {"a": [0], "b": [0], "c": [0]})[0] == "retry"
    assert verdict(gates, {"a": [0], "b": [2], "c": [0]})[0] == "hold"
    assert verdict(gates, {"a": [2], "b": [2], "c": [2]}) == (None, [])


def test_what_has_no_such_score_is_held_back_and_not_made_again_in_vain() -> None:
    assert verdict(read_gates({"b": ">1 else retry"}), {"a": [2]}) == ("hold", ["there is no score b"])


def test_mistakes_in_gates_name_the_line_and_the_mend(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "campaign: c\nmodel: storyboard\nprompt: a ball\ngates:\n  sharpness: 0.2\n  Sharp!: '>1'\n"
        "  colour: 'more than 3'\n  faces: '=1 else explode'\n"
    )
    with pytest.raises(BadInput) as caught:
        read_brief(path, Settings(home=tmp_path), registry)
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 4
    assert all(f"line {line}" in "".join(told) for line in (5, 6, 7, 8))
    assert "last, hold or retry" in told[-1]


def test_a_bound_is_suggested_that_loses_few_of_the_approved() -> None:
    approved = [0.5 + 0.01 * k for k in range(40)]
    told = suggest("sharpness", approved, [0.1 * k for k in range(12)], higher=True)
    assert told.gate == ">=0.52 else hold"
    assert told.lost <= 0.05
    assert told.caught == pytest.approx(6 / 12)
    lower = suggest("colour", [-value for value in approved], [-0.1 * k for k in range(12)], higher=False)
    assert lower.gate == "<=-0.52 else hold"


def test_nothing_is_suggested_from_few_decisions_or_from_a_score_that_tells_nothing() -> None:
    same = [0.01 * k for k in range(50)]
    assert not suggest("a", same[:19], same, higher=True).gate
    assert not suggest("a", same, same[:9], higher=True).gate
    assert not suggest("a", same, same, higher=True).gate
