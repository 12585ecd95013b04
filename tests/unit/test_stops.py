"""Stop rules: what a campaign file may say, and when they are reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from core.registry import Registry
from core.settings import Settings
from orchestrator.planning.expand import read_brief
from orchestrator.planning.stops import Rule, in_time, read_rule, read_rules


@pytest.mark.parametrize(
    ("name", "told", "meant"),
    [
        ("budget", "40 EUR", Rule("budget", 40, "EUR")),
        ("budget", "12.50eur", Rule("budget", 12.5, "EUR")),
        ("budget", "40 €", Rule("budget", 40, "EUR")),
        ("budget", "2 h", Rule("budget", 7200, "s")),
        ("budget", "90 min", Rule("budget", 5400, "s")),
        ("images", 500, Rule("images", 500)),
        ("failed", "20%", Rule("failed", 20, "%")),
        ("failed", 12, Rule("failed", 12)),
        ("failed", "12", Rule("failed", 12)),
        ("rejected", "40% of the last 50", Rule("rejected", 40, "%", 50)),
        ("rejected", " 2.5 %  OF last 10 ", Rule("rejected", 2.5, "%", 10)),
    ],
)
def test_a_rule_says_an_amount_a_share_or_a_number(name: str, told: Any, meant: Rule) -> None:
    assert read_rule(name, told, "EUR") == meant


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("budget", 40),
        ("budget", "40"),
        ("budget", "0 EUR"),
        ("budget", "40 USD"),
        ("budget", "EUR 40"),
        ("images", 0),
        ("images", "many"),
        ("failed", "0%"),
        ("failed", "101%"),
        ("failed", "20% of the last 0"),
        ("failed", "twenty"),
        ("rejected", -3),
        ("rejected", "40% of 50"),
    ],
)
def test_what_is_no_rule_is_said_to_be_none(name: str, told: Any) -> None:
    assert isinstance(wrong := read_rule(name, told, "EUR"), str)
    assert repr(told) in wrong


@given(
    st.sampled_from(["budget", "images", "failed", "rejected"]), st.one_of(st.text(), st.integers(), st.floats())
)
def test_whatever_is_said_is_a_rule_or_a_message(name: str, told: Any) -> None:
    found = read_rule(name, told, "EUR")
    assert isinstance(found, str) or found.limit > 0


@given(st.integers(1, 100), st.integers(1, 60), st.lists(st.booleans(), max_size=120))
def test_a_share_of_the_last_is_reached_only_when_whatever_follows_reaches_it_too(
    share: int, last: int, bad: list[bool]
) -> None:
    rule = Rule("rejected", share, "%", last)
    window = bad[-last:]
    if rule.reached(sum(window), len(window)):
        full = [*window, *([False] * (last - len(window)))]
        assert sum(full) * 100 >= share * last
    elif len(window) == last:
        assert sum(window) * 100 < share * last


@given(st.integers(1, 100), st.integers(0, 200), st.integers(0, 200))
def test_a_share_of_all_waits_for_twenty(share: int, bad: int, good: int) -> None:
    reached = Rule("failed", share, "%").reached(bad, bad + good)
    assert bool(reached) == (bad + good >= 20 and bad > 0 and bad * 100 >= share * (bad + good))


@pytest.mark.parametrize(
    ("rule", "count", "of", "why"),
    [
        (Rule("budget", 40, "EUR"), 40.004, 0, "40.00 EUR spent, the limit is 40.00 EUR"),
        (Rule("budget", 7200, "s"), 7300, 0, "2.0 h spent, the limit is 2.0 h"),
        (Rule("images", 1500), 1502, 0, "1,502 images made, the limit is 1,500"),
        (Rule("failed", 20, "%"), 5, 21, "5 of 21 failed, the limit is 20%"),
        (Rule("rejected", 12), 12, 0, "12 rejected, the limit is 12"),
    ],
)
def test_a_reached_rule_says_by_how_much(rule: Rule, count: float, of: int, why: str) -> None:
    assert rule.reached(count, of) == why
    assert rule.reached(0, of) == ""


def test_times_are_told_in_the_unit_that_suits_them() -> None:
    assert [in_time(seconds) for seconds in (5, 119, 120, 5400, 9000)] == [
        "5 s",
        "119 s",
        "2.0 min",
        "90.0 min",
        "2.5 h",
    ]


def test_recorded_rules_are_read_back_and_what_is_none_any_more_is_left_out() -> None:
    told = {"budget": "40 EUR", "images": 500, "failed": "nonsense", "mood": "bad"}
    assert read_rules(told, "EUR") == [Rule("budget", 40, "EUR"), Rule("images", 500)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "budget: 40",
            "line 4, key stop.budget: 40 is no amount with its unit. Say an amount of money or of time",
        ),
        ("budget: 40 EUR", "nobody knows what an hour costs, so 40 EUR can't be watched. Set the variable"),
        ("images: 0", "line 4, key stop.images: 0 is less than 1. Say a whole number"),
        ("failed: [1]", "line 4, key stop.failed: "),
        ("faild: 20%", "line 4, key stop.faild: there is no such key. Did you mean 'failed'?"),
        ("rejected: most", "line 4, key stop.rejected: 'most' is neither a share nor a number. Say a share"),
    ],
)
def test_mistakes_in_rules_come_with_their_place_and_mend(
    tmp_path: Path, registry: Registry, line: str, problem: str
) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(f'campaign: drop\nmodel: storyboard\nprompt: "a mug"\nstop: {{{line}}}\n')
    with pytest.raises(BadInput) as caught:
        read_brief(path, Settings(home=tmp_path), registry)
    assert len(caught.value.problems) == 1
    assert problem in str(caught.value.problems[0])
