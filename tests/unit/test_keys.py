"""Same key, same image: what changes a key, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cards import load_card
from core.requests import Method, Reference, Request
from core.settings import Settings
from orchestrator.planning.keys import ModelPin, canonical, job_key, model_pin, preparation_key, variant_key

MODEL = ModelPin("storyboard", "fake/1", "0" * 64)
REFERENCE = Reference(
    "product", "subject", "a" * 64, "mug.png", {"margin": 0.1}, "subject 1", Method("grabcut", "1", {"w": "1"})
)
REQUEST = Request("storyboard", "a mug from [ref#1]", (REFERENCE,), 512, 512, 0, 8, 3.5)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "b" * 64},
        {"kind": "tryon"},
        {"plugin": "subject 2"},
        {"options": {"margin": 0.2}},
        {"method": Method("alpha", "1", {"w": "1"})},
        {"method": Method("grabcut", "2", {"w": "1"})},
        {"method": Method("grabcut", "1", {"w": "2"})},
    ],
    ids=str,
)
def test_whatever_decides_a_preparation_changes_its_key(change: dict[str, Any]) -> None:
    assert preparation_key(replace(REFERENCE, **change), 256, 16) != preparation_key(REFERENCE, 256, 16)


@pytest.mark.parametrize("change", [{"name": "other"}, {"source": "elsewhere/mug.png"}], ids=str)
def test_names_and_paths_do_not_change_the_key_of_a_preparation(change: dict[str, Any]) -> None:
    assert preparation_key(replace(REFERENCE, **change), 256, 16) == preparation_key(REFERENCE, 256, 16)


def test_the_reference_area_and_the_grid_change_the_key_of_a_preparation() -> None:
    keys = {preparation_key(REFERENCE, area, grid) for area in (256, 512) for grid in (16, 32)}
    assert len(keys) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a cup from [ref#1]"},
        {"negative_prompt": "blurry"},
        {"width": 528},
        {"height": 528},
        {"seed": 1},
        {"steps": 9},
        {"guidance": 3.6},
        {"first_step_guidance": 1.0},
        {"true_cfg": 2.0},
    ],
    ids=str,
)
def test_every_field_of_a_request_changes_the_key(change: dict[str, Any]) -> None:
    assert job_key(replace(REQUEST, **change), MODEL, ["p"]) != job_key(REQUEST, MODEL, ["p"])


def test_generator_model_and_the_order_of_references_change_the_key() -> None:
    keys = {
        job_key(REQUEST, MODEL, ["p", "q"]),
        job_key(REQUEST, MODEL, ["q", "p"]),
        job_key(REQUEST, replace(MODEL, generator="fake/2"), ["p", "q"]),
        job_key(REQUEST, replace(MODEL, digest="1" * 64), ["p", "q"]),
    }
    assert len(keys) == 4


def test_a_weights_file_or_a_setting_of_the_card_changes_the_pin_and_its_words_do_not() -> None:
    card = load_card("storyboard", Settings())
    pin = model_pin(card, "fake/1", {"a.safetensors": "1"})
    assert model_pin(card, "fake/1", {"a.safetensors": "2"}) != pin
    assert model_pin(replace(card, base="elsewhere"), "fake/1", {"a.safetensors": "1"}) != pin
    assert model_pin(replace(card, title="another title", notice=""), "fake/1", {"a.safetensors": "1"}) == pin


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_the_order_of_a_mapping_changes_no_key(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical(value) == canonical(turned)
    assert variant_key(value) == variant_key(turned)


@given(st.text(), st.text())
def test_different_texts_have_different_canonical_forms(one: str, other: str) -> None:
    assert (canonical({"a": one}) == canonical({"a": other})) == (one == other)
