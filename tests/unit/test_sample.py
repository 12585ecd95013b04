"""The sample that a pilot makes: nothing is left out for which there is room, and all is there in proportion."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning.plan import PlannedItem
from orchestrator.planning.sample import cell_of, draw_sample

NAMES = st.lists(st.sampled_from("abc"), max_size=2, unique=True)


def grid(rows: int, formats: int, vary: Mapping[str, int], seeds: int) -> list[PlannedItem]:
    """All items of a campaign."""
    values = [list(range(count)) for count in vary.values()]
    variants = [dict(zip(vary, one, strict=True)) for one in itertools.product(*values)]
    return [
        PlannedItem(
            f"r{row}", str(number), json.dumps(variant), seed, f"f{shape}", f"{row} {shape} {number} {seed}"
        )
        for row in range(rows)
        for shape in range(formats)
        for number, variant in enumerate(variants)
        for seed in range(seeds)
    ]


@st.composite
def campaigns(draw: st.DrawFn) -> list[PlannedItem]:
    vary = {name: draw(st.integers(1, 4)) for name in draw(NAMES)}
    return grid(draw(st.integers(1, 30)), draw(st.integers(1, 4)), vary, draw(st.integers(1, 3)))


def strata(items: list[PlannedItem]) -> list[Callable[[PlannedItem], object]]:
    names = json.loads(items[0].variant)
    parts = [lambda item, name=name: json.loads(item.variant)[name] for name in names]
    return [lambda item: item.format, lambda item: item.seed, lambda item: item.row_key, *parts]


@given(campaigns(), st.integers(1, 60))
@settings(max_examples=150, deadline=None)
def test_each_value_is_touched_while_the_number_allows_and_none_is_off_its_share_by_more_than_one(
    items: list[PlannedItem], size: int
) -> None:
    places = draw_sample(items, size)
    assert len(set(places)) == len(places) == min(size, len(items))
    for value_of in strata(items):
        everywhere, here = Counter(map(value_of, items)), Counter(value_of(items[place]) for place in places)
        if len(everywhere) <= len(places):
            assert here.keys() == everywhere.keys()
        for value, count in everywhere.items():
            assert abs(here[value] - count * len(places) / len(items)) <= 1


@given(campaigns(), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_a_sample_is_the_same_each_time_and_a_larger_one_keeps_it(
    items: list[PlannedItem], size: int, more: int
) -> None:
    first = draw_sample(items, size)
    assert draw_sample(items, size) == first
    cells = {cell_of(items[place]) for place in first}
    assert draw_sample(items, size, cells) == first
    assert set(first) <= set(draw_sample(items, size + more, cells))
    assert draw_sample(items, 1, cells) == first


def test_rows_come_from_the_whole_table() -> None:
    items = grid(500, 2, {"a": 5}, 2)
    rows = [int(items[place].row_key[1:]) for place in draw_sample(items, 24)]
    assert all(after - before < 60 for before, after in itertools.pairwise([0, *rows, 499]))


def test_combinations_are_mixed() -> None:
    items = grid(200, 2, {"a": 2, "b": 2}, 2)
    chosen = [items[place] for place in draw_sample(items, 16)]
    assert len({(one.format, one.variant_key, one.seed) for one in chosen}) == 16
