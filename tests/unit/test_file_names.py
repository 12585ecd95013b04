"""What the files of a campaign are called where nobody says so: by the brief alone, whichever images are there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from orchestrator.delivering.file_names import file_names, recorded_naming
from orchestrator.delivering.items import Item
from orchestrator.planning.names import MAX_BYTES

WORDS = st.text(st.sampled_from("aZ9 -_/.äж靴\u200b"), max_size=60)


def item(row: str, *, seed: int = 0, shape: str = "square", sha256: str = "", **variant: Any) -> Item:
    return Item(row, {"sku": row}, variant, seed, shape, sha256, 1, 1, 1, "open", "none", "fake", "", (), None)


def test_a_name_says_row_variant_format_and_seed() -> None:
    cells = [item("SKU 1", scene="on the beach"), item("SKU 1", scene="on the beach", seed=7, shape="story")]
    assert file_names("drop", cells, None) == [
        "sku-1-on-the-beach-square-s0.png",
        "sku-1-on-the-beach-story-s7.png",
    ]
    assert file_names("drop", cells[:1], None, ".jpg") == ["sku-1-on-the-beach-square-s0.jpg"]


def test_names_that_would_be_alike_all_bear_a_mark_and_keep_it_whichever_image_comes_first() -> None:
    one, other, third = item("A/1"), item("A-1", sha256="ab"), item("B")
    names = dict(zip("123", file_names("drop", [one, other, third], None), strict=True))
    assert len(set(names.values())) == 3
    assert all(name.startswith("a-1-square-s0-") for name in (names["1"], names["2"]))
    assert names["3"] == "b-square-s0.png"
    assert file_names("drop", [third, other, one], None) == [names[k] for k in "321"]


@given(st.lists(st.tuples(WORDS, WORDS, st.integers(0, 2)), min_size=1, max_size=8, unique=True))
def test_names_are_never_alike_and_never_too_long(cells: list[tuple[str, str, int]]) -> None:
    names = file_names("drop", [item(row, seed=seed, scene=scene) for row, scene, seed in cells], None)
    assert len({name.casefold() for name in names}) == len(cells)
    assert all(len(name.encode()) <= MAX_BYTES + len(".png") for name in names)
    assert not any("/" in name or name.startswith((".", "-")) for name in names)


def test_long_texts_of_a_variant_are_cut_and_told_apart() -> None:
    texts: dict[str, Any] = {f"part{k}": "Ж" * 39 + str(k) for k in range(6)}
    cells = [item("r", **texts), item("r", **{**texts, "part5": "Ж" * 39 + "x"})]
    names = file_names("drop", cells, None)
    assert len(set(names)) == 2
    assert all("-square-s0-" in name for name in names)


def test_the_recorded_campaign_file_names_its_files() -> None:
    text = 'campaign: drop\nmarket: de\nname: "{{ row.sku }}/{{ market }}-{{ format }}.jpg"\n'
    naming = recorded_naming(text, "brief/campaign.yaml")
    assert naming is not None
    assert file_names("drop", [item("A")], naming) == ["A/de-square.jpg"]
    with pytest.raises(BadInput, match="is the name of another image too"):
        file_names("drop", [item("A"), item("A", seed=1)], naming)
    assert recorded_naming("campaign: drop\n", "campaign.yaml") is None
    assert recorded_naming("", "campaign.yaml") is None
