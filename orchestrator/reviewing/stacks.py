"""Reviewing: stacks of near-duplicates: images of one cell of the brief that show the same thing again.

Two images of a row and format belong together when only their seed differs, or when their looks (64-bit
difference hashes) differ in few bits. One key then keeps the best and rejects the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

ALIKE = 6
"""Bits of 64 in which the looks of near-duplicates differ at most."""

MOST = 400
"""Images of one group whose looks are compared with each other; larger groups stand by variant alone."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """An image as stacks see it.

    Attributes:
        id: of the item.
        group: stacks never reach beyond it (row and format).
        variant: same group, same variant: one stack, whatever they look like.
        look: the difference hash, None when it is not known.
    """

    id: int
    group: Hashable
    variant: Hashable
    look: int | None


def stack(pictures: Iterable[Pictured]) -> dict[int, int]:
    """For each image that is not alone, the smallest id of its stack."""
    groups: dict[Hashable, list[Pictured]] = {}
    for one in pictures:
        groups.setdefault(one.group, []).append(one)
    stacked: dict[int, int] = {}
    for members in groups.values():
        if len(members) > 1:
            stacked.update(_stack_group(members))
    return stacked


def distance(a: int, b: int) -> int:
    """Bits in which two looks differ; they may be signed."""
    return ((a ^ b) & (2**64 - 1)).bit_count()


def _stack_group(members: list[Pictured]) -> dict[int, int]:
    head = {one.id: one.id for one in members}

    def find(one: int) -> int:
        while head[one] != one:
            one = head[one]
        return one

    def join(a: int, b: int) -> None:
        low, high = sorted((find(a), find(b)))
        head[high] = low

    first: dict[Hashable, int] = {}
    for one in members:
        join(one.id, first.setdefault(one.variant, one.id))
    seen = [one for one in members if one.look is not None] if len(members) <= MOST else []
    for place, one in enumerate(seen):
        for other in seen[:place]:
            if distance(one.look or 0, other.look or 0) <= ALIKE:
                join(one.id, other.id)
    found = {one.id: find(one.id) for one in members}
    sizes: dict[int, int] = {}
    for its in found.values():
        sizes[its] = sizes.get(its, 0) + 1
    return {one: its for one, its in found.items() if sizes[its] > 1}
