"""Preparing reference after reference keeps the process at its size."""

from __future__ import annotations

import io

import psutil
import pytest

from benchmarks.preparing import prepare, product

MOST = 40 * 2**20
"""Bytes. Keeping one picture of 512 x 512 for each reference would take 63 MB."""


def files(first: int, last: int) -> list[bytes]:
    found = []
    for number in range(first, last):
        file = io.BytesIO()
        product(number, 512).save(file, "PNG")
        found.append(file.getvalue())
    return found


@pytest.mark.parametrize("kind", ["subject", "style"])
def test_eighty_references_more_leave_the_process_as_large_as_twenty_did(kind: str) -> None:
    early, late = files(0, 20), files(20, 100)
    assert prepare(kind, early) == (20, 0)
    before = psutil.Process().memory_info().rss
    assert prepare(kind, late) == (80, 0)
    assert psutil.Process().memory_info().rss - before < MOST
