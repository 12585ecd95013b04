"""Ranges: what seconds on record say of images to come, and what a share of a few says of many."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pilots import forecast, measure
from orchestrator.planning import estimate as estimates
from orchestrator.planning.estimate import Shape, Speed, estimate
from orchestrator.planning.plan import Price
from orchestrator.telling import clock_range, count_range, money_range

SQUARE, WIDE = Shape(512, 512, 12), Shape(1024, 512, 12)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (20, 20, 0.8388748, 1.0),
        (1, 2, 0.0945312, 0.9054688),
    ],
)
def test_wilsons_interval_is_what_tables_say(count: int, of: int, low: float, high: float) -> None:
    rate = measure(count, of)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=1e-6)


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_true_share_lies_within_and_more_images_narrow_it(good: int, bad: int) -> None:
    rate = measure(good, good + bad)
    assert 0 <= rate.low <= rate.share <= rate.high <= 1 or not rate.of
    larger = measure(4 * good, 4 * (good + bad))
    assert larger.high - larger.low <= rate.high - rate.low


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance, inside = random.Random(7), 0
    for _ in range(2000):
        rate = measure(sum(chance.random() < 0.7 for _ in range(24)), 24)
        inside += rate.low <= 0.7 <= rate.high
    assert 0.92 < inside / 2000 < 0.98


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 10_000))
def test_a_forecast_adds_up(good: int, bad: int, rest: int) -> None:
    rate = measure(good, good + bad)
    told = forecast(rate, rest)
    assert told.approved[0] + told.rejected[1] == pytest.approx(rest)
    assert told.approved[0] <= told.approved_at_last[0] <= rest + 1e-6
    assert rest <= told.attempts[0] + 1e-6 <= told.attempts[1] + 2e-6
    # Each approved image takes one image, each other item all that may be asked for.
    assert told.approved_at_last[1] <= told.attempts[0] * rate.high + 1e-6


def test_seconds_of_batches_are_not_taken_for_those_of_images() -> None:
    batches = [8.0, 0, 0, 0, 0, 0, 0, 0] * 50
    speed = estimates.measure(batches)
    assert 0.8 <= speed.low <= 1 <= speed.high <= 1.25


def test_a_few_images_say_less_than_many() -> None:
    few, many = estimates.measure([1.0] * 10), estimates.measure([1.0] * 200)
    assert few.low < many.low == 1.0 == many.high < few.high


def test_an_estimate_is_images_times_seconds_at_the_price_over_the_workers() -> None:
    told = estimate([SQUARE] * 100, {SQUARE: Speed(2.0, 3.0, 400)}, Price(3.6, "EUR"), 4, "mini")
    assert told.seconds == (200, 300)
    assert told.wait == (50, 75)
    assert told.cost == pytest.approx((0.2, 0.3))
    assert told.basis == "from 400 images of mini on record"


def test_another_size_stands_in_by_its_pixels_with_a_wider_range() -> None:
    told = estimate([WIDE] * 10, {SQUARE: Speed(2.0, 2.0, 400)}, Price(0, "EUR"), 1, "mini")
    assert told.seconds == pytest.approx((28, 60))
    assert told.cost is None
    assert told.basis == "1024x512 by other sizes of mini"


def test_nothing_on_record_is_said_to_be_that() -> None:
    told = estimate([SQUARE], {}, Price(2.5, "EUR"), 1, "mini")
    assert (told.seconds, told.wait, told.cost) == (None, None, None)
    assert "nothing is recorded of mini yet" in told.basis


def test_more_workers_than_images_help_nobody() -> None:
    told = estimate([SQUARE] * 2, {SQUARE: Speed(2.0, 3.0, 400)}, Price(0, "EUR"), 50, "mini")
    assert told.wait == (2.0, 3.0)


def test_ranges_are_written_in_one_unit() -> None:
    assert clock_range((0.2, 0.4)) == "under a second"
    assert clock_range((3, 61)) == "3-61 s"
    assert clock_range((90, 300)) == "2-5 min"
    assert clock_range((3000, 9000)) == "0.8-2.5 h"
    assert money_range((1.2, 2.4), "EUR") == "1.20-2.40 EUR"
    assert money_range((0.0, 0.001), "EUR") == "under 0.01 EUR"
    assert count_range((11.6, 12.2)) == "12"
