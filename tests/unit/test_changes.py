"""Why an image changes: each thing that decides its pixels has a name, and nothing else has."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.requests import Method, Reference, Request
from orchestrator.planning.changes import apart, list_changes

METHOD = Method("net", "1", {"n": "b"})
REFERENCE = Reference("product", "subject", "a" * 64, "shop/mug.png", {"margin": 0.1}, "subject 0.1.0", METHOD)
REQUEST = Request("mini", "a mug from [ref#1] here", (REFERENCE,), 512, 512, 1, 12, 4.5).as_dict()
A, E = "a" * 12, "e" * 12
PINNED = {"card": "mini", "generator": "dreamo/1", "digest": "c" * 64, "changed_by": {}}


def changed(place: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Request and pinned model with another value at a place (`references.0.method.name`)."""
    told = copy.deepcopy({"request": REQUEST, "pinned": PINNED})
    spot: Any = told
    *parents, last = place.split(".")
    for part in parents:
        spot = spot[int(part) if part.isdigit() else part]
    spot[last] = value
    return told["request"], told["pinned"]


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("pinned.card", "large", "model: mini → large"),
        ("pinned.digest", "d" * 64, "files or card of model mini: cccccccccccc → dddddddddddd"),
        ("pinned.generator", "dreamo/2", "generator: dreamo/1 → dreamo/2"),
        ("request.prompt", "a cup from [ref#1] here", "prompt: a mug from … → a cup from …"),
        ("request.negative_prompt", "blur", "negative prompt: none → blur"),
        ("request.width", 640, "size: 512x512 → 640x512"),
        ("request.seed", 2, "seed: 1 → 2"),
        ("request.steps", 8, "steps: 12 → 8"),
        ("request.guidance", 3.5, "guidance: 4.5 → 3.5"),
        ("request.first_step_guidance", 2.0, "first step guidance: none → 2"),
        ("request.true_cfg_end", 4, "true cfg end: none → 4"),
        ("request.references.0.sha256", "e" * 64, f"picture of [product]: mug.png ({A}) → mug.png ({E})"),
        ("request.references.0.mask", "f" * 64, "mask of [product]: none → ffffffffffff"),
        ("request.references.0.kind", "style", "kind of [product]: subject → style"),
        ("request.references.0.plugin", "subject 0.2.0", "plugin of [product]: subject 0.1.0 → subject 0.2.0"),
        ("request.references.0.method.version", "2", "method of [product]: net/1 → net/2"),
        ("request.references.0.method.weights", {"n": "g" * 64}, "weights n of [product]: b → gggggggggggg"),
        ("request.references.0.options", {"margin": 0.2}, "option margin of [product]: 0.1 → 0.2"),
        ("request.references.0.options", {}, "option margin of [product]: 0.1 → none"),
        ("request.references", [], "references: product → none"),
    ],
)  # fmt: skip
def test_each_thing_that_decides_pixels_is_named_with_what_it_was_and_is(
    place: str, value: Any, told: str
) -> None:
    request, pinned = changed(place, value)
    assert [str(one) for one in list_changes(REQUEST, PINNED, request, pinned)] == [told]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("request.references.0.source", "elsewhere/mug.png"),
        ("request.references.0.name", "thing"),
        ("pinned.changed_by", {"steps": "plugin"}),
    ],
)
def test_what_decides_no_pixel_is_no_change(place: str, value: Any) -> None:
    assert list_changes(REQUEST, PINNED, *changed(place, value)) == []


def test_references_that_change_places_are_told_as_that() -> None:
    other = {**REFERENCE.as_dict(), "name": "look"}
    before = {**REQUEST, "references": [REFERENCE.as_dict(), other]}
    after = {**REQUEST, "references": [other, REFERENCE.as_dict()]}
    changes = list_changes(before, PINNED, after, PINNED)
    assert [str(one) for one in changes] == ["order of references: product, look → look, product"]


WORDS = st.lists(st.sampled_from(["a", "red", "mug", "on", "the", "beach"]), max_size=12).map(" ".join)


@given(WORDS, WORDS)
def test_what_is_shown_of_two_texts_tells_them_apart(before: str, after: str) -> None:
    if before != after:
        left, right = apart(before, after)
        assert left != right
        assert len(left) < 70
        assert left.strip("… ") in before
        assert right.strip("… ") in after
