"""Pictures in a folder for the addresses of a shop's table: of namesakes the right one, or none and a word."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning.findings import Findings
from orchestrator.planning.rows import Table
from orchestrator.planning.sources.photos import closest

if TYPE_CHECKING:
    from conftest import Read

FETCHED = "Take it out, and both are fetched"

TRIED = settings(deadline=None, max_examples=100)


def feed(read: Read, folder: Path, addresses: Sequence[str], files: Sequence[str]) -> tuple[Table, Findings]:
    """Rows of a feed with a picture each, and a folder `photos` beside it."""
    lines = [f"SKU{n}\tMug\t{address}\t1 EUR" for n, address in enumerate(addresses, start=1)]
    (folder / "feed.tsv").write_text("\n".join(("id\ttitle\timage_link\tprice", *lines)))
    (folder / "photos").mkdir()
    for name in files:
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).touch()
    return read(folder, read.of("merchant", "feed.tsv", pictures="photos"))


def test_of_namesakes_the_file_is_taken_whose_folders_are_the_addresss_own(read: Read, tmp_path: Path) -> None:
    addresses = [f"https://x.test/{sku}/main.jpg?v=3" for sku in ("SKU1", "sku2", "SKU%203", "SKU4")]
    files = ["SKU1/main.jpg", "more/SKU2/MAIN.jpg", "SKU 3/main.jpg"]
    table, findings = feed(read, tmp_path, addresses, files)
    assert not findings, read.told(findings)
    assert [row.data["image"] for row in table.rows] == [*(f"photos/{name}" for name in files), addresses[3]]


def test_namesakes_that_fit_an_address_alike_are_told(read: Read, tmp_path: Path) -> None:
    files = ["2025/main.jpg", "2026/main.jpg"]
    table, findings = feed(read, tmp_path, ["https://x.test/SKU1/main.jpg"], files)
    (problem,) = findings.problems
    assert problem.where == f"{tmp_path}/feed.tsv, row 2, column image (image_link)"
    assert problem.what == (
        f"2025/main.jpg and 2026/main.jpg in {tmp_path}/photos fit https://x.test/SKU1/main.jpg"
    )
    assert problem.mend.endswith("the right one into the folders of its address: x.test/SKU1/main.jpg")
    assert table.rows[0].data["image"] == "https://x.test/SKU1/main.jpg"


@pytest.mark.parametrize(
    ("addresses", "mend"),
    [
        (
            ["https://x.test/SKU1/main.jpg", "https://x.test/SKU2/main.jpg"],
            f"{FETCHED}, or lay each into the folders of its address: x.test/SKU1/main.jpg, x.test/SKU2/main.jpg",
        ),
        (["https://x.test/main.jpg?sku=1", "https://x.test/main.jpg?sku=2"], FETCHED),
    ],
)
def test_a_file_that_different_addresses_would_take_is_told(
    read: Read, tmp_path: Path, addresses: list[str], mend: str
) -> None:
    _, findings = feed(read, tmp_path, addresses, ["main.jpg"])
    (problem,) = findings.problems
    one, two = (address.partition("?")[0] for address in addresses)
    where = f"{tmp_path}/feed.tsv, row {{}}, column image (image_link)"
    assert problem.where == where.format(3)
    assert problem.what == f"{tmp_path}/photos/main.jpg would be {two} and {one} ({where.format(2)})"
    assert problem.mend == mend


def test_sizes_and_versions_of_one_picture_share_its_file(read: Read, tmp_path: Path) -> None:
    addresses = ["https://x.test/mug.jpg?v=1&width=200", "http://x.test/mug.jpg?v=2", "//x.test/mug.jpg"]
    table, findings = feed(read, tmp_path, addresses, ["more/mug.jpg"])
    assert not findings, read.told(findings)
    assert {row.data["image"] for row in table.rows} == {"photos/more/mug.jpg"}


def test_letters_case_tells_namesakes_apart_where_nothing_else_does() -> None:
    files = ["aB3.jpg", "Ab3.jpg"]
    addresses = ["https://x.test/aB3.jpg", "https://x.test/Ab3.jpg", "https://x.test/AB3.jpg"]
    assert [list(found) for found in closest(addresses, files).values()] == [["aB3.jpg"], ["Ab3.jpg"], files]


def test_accents_are_the_same_in_either_form() -> None:
    composed, apart = "caf\u00e9.jpg", "cafe\u0301.jpg"
    assert closest([f"https://x.test/{composed}"], [apart]) == {f"https://x.test/{composed}": [apart]}
    both = closest([f"https://x.test/{composed}", f"https://x.test/{apart}"], [apart, composed])
    assert [list(found) for found in both.values()] == [[composed], [apart]]


def test_a_photo_whose_name_can_not_be_kept_is_told(read: Read, tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    _, findings = feed(read, tmp_path, ["https://x.test/a.jpg"], [os.fsdecode(b"caf\xe9/a.jpg")])
    assert r"photos: a picture has a name that can't be kept" in read.told(findings)
    assert r"caf\xe9/a.jpg. Rename it" in read.told(findings)


part = st.sampled_from(["a", "b", "c"])
paths = st.lists(part, min_size=0, max_size=3).map(lambda folders: "/".join((*folders, "main.jpg")))


@TRIED
@given(skus=st.lists(paths, min_size=1, max_size=8, unique=True), here=st.sets(st.integers(0, 7)))
def test_a_mirror_of_the_addresses_gives_each_its_own_file_or_none(skus: list[str], here: set[int]) -> None:
    files = [f"x.test/{path}" for n, path in enumerate(skus) if n in here]
    for n, found in enumerate(closest([f"https://x.test/{path}" for path in skus], files).values()):
        if n in here:
            assert list(found) == [f"x.test/{skus[n]}"]


@TRIED
@given(
    addresses=st.lists(paths.map("https://x.test/".__add__), unique=True, max_size=6),
    files=st.lists(paths, unique=True, max_size=6),
)
def test_a_file_that_is_taken_fits_better_than_every_other(addresses: list[str], files: list[str]) -> None:
    def shared(address: str, name: str) -> int:
        pairs = zip(reversed(address.split("/")), reversed(name.split("/")), strict=False)
        return next((n for n, (one, other) in enumerate(pairs) if one != other), name.count("/") + 1)

    for address, found in closest(addresses, files).items():
        if len(found) == 1:
            assert all(shared(address, found[0]) > shared(address, name) for name in files if name != found[0])
        elif len(found) > 1:
            assert len({shared(address, name) for name in found}) == 1
