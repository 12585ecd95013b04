"""Planning: the sample of a campaign that a pilot makes first: small, spread over everything, the same every time.

The strata are the values of each format, each seed, each part of a variant, the rows, and stretches of the table
(whoever sorts a table by collection has each collection in the sample). Items are taken one by one: first those
that touch most values that the sample has nothing of yet, of these the ones whose values lack most to their due
share, of these the ones whose combination is rarest in the sample.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.planning.plan import PlannedItem

Cell: TypeAlias = tuple[str, str, int, str]
"""What an item is known by in its campaign: row, variant, seed, format."""

_Values: TypeAlias = npt.NDArray[np.int64]


def cell_of(item: PlannedItem) -> Cell:
    """What the item is known by."""
    return item.row_key, item.variant_key, item.seed, item.format


@dataclass(frozen=True, slots=True)
class _Stratum:
    """The value that each item has, as a number; how many of each are due in the sample and are in it."""

    values: _Values
    due: npt.NDArray[np.float64]
    taken: npt.NDArray[np.float64]

    @classmethod
    def of(cls, told: Iterable[Any], size: int) -> _Stratum:
        known: dict[Any, int] = {}
        values = np.fromiter((known.setdefault(one, len(known)) for one in told), np.int64)
        counts = np.bincount(values, minlength=len(known))
        return cls(values, counts * size / len(values), np.zeros(len(known)))

    def can_be_whole(self, size: int) -> bool:
        """Whether the sample has room for each value."""
        return len(self.due) <= size


def draw_sample(items: Sequence[PlannedItem], size: int, before: Collection[Cell] = ()) -> list[int]:
    """Places of the sample's items among `items`, in their order.

    Args:
        items: all items of a plan.
        size: how many are wanted; there may be fewer items.
        before: those of an earlier sample, all of which stay: what is missing to `size` is added.
    """
    chosen = [place for place, item in enumerate(items) if cell_of(item) in before]
    size = min(size, len(items))
    if len(chosen) >= size:
        return chosen
    strata, combination = _stratify(items, size)
    free = np.ones(len(items), dtype=bool)
    for place in chosen:
        _take(place, free, strata, combination)
    while len(chosen) < size:
        place = _next(np.flatnonzero(free), strata, combination, size)
        _take(place, free, strata, combination)
        chosen.append(place)
    return sorted(chosen)


def _stratify(items: Sequence[PlannedItem], size: int) -> tuple[list[_Stratum], _Stratum]:
    variants: dict[str, dict[str, Any]] = {}
    for item in items:
        if item.variant not in variants:
            variants[item.variant] = json.loads(item.variant)
    rows = {key: place for place, key in enumerate(dict.fromkeys(item.row_key for item in items))}
    stretches = min(size, len(rows))
    strata = [
        _Stratum.of((item.format for item in items), size),
        *(
            _Stratum.of((_hashable(variants[item.variant].get(name)) for item in items), size)
            for name in dict.fromkeys(name for variant in variants.values() for name in variant)
        ),
        _Stratum.of((item.seed for item in items), size),
        _Stratum.of((rows[item.row_key] * stretches // len(rows) for item in items), size),
        _Stratum.of((item.row_key for item in items), size),
    ]
    combination = _Stratum.of(((item.format, item.variant_key, item.seed) for item in items), size)
    return strata, combination


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def _next(places: _Values, strata: Sequence[_Stratum], combination: _Stratum, size: int) -> int:
    """The item to take: each measure narrows what the one before left; what is equal then is scattered."""
    untouched, lacking = np.zeros(len(places)), np.zeros(len(places))
    for one in strata:
        if one.can_be_whole(size):
            untouched += one.taken[one.values[places]] == 0
        lacking += (one.due - one.taken)[one.values[places]]
    lacking = lacking[untouched == untouched.max()]
    places = _best(_best(places, untouched), np.round(lacking, 9))
    places = _best(places, -combination.taken[combination.values[places]])
    scattered = places * 2_654_435_761 % 4_294_967_296
    return int(places[np.argmin(scattered)])


def _best(places: _Values, measure: npt.NDArray[np.float64]) -> _Values:
    best: _Values = places[measure == measure.max()]
    return best


def _take(place: int, free: npt.NDArray[np.bool_], strata: Sequence[_Stratum], combination: _Stratum) -> None:
    free[place] = False
    for one in (*strata, combination):
        one.taken[one.values[place]] += 1
