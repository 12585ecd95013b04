"""Recipes come back from JSON as they were, and changes by name are held against the recipe's own types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadInput
from core.training.recipe_files import changed, named_recipe, plain_recipe, read_recipe, recipe_from
from core.training.recipes import Recipe
from core.training.shipped_recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_comes_back_from_json(name: str) -> None:
    recipe = RECIPES[name]()
    assert recipe_from(json.loads(json.dumps(plain_recipe(recipe)))) == recipe


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(RECIPES)), st.data())
def test_a_damaged_recipe_is_refused_and_never_misread(name: str, data: st.DataObject) -> None:
    told = plain_recipe(RECIPES[name]())
    key = data.draw(st.sampled_from(sorted(told)))
    told[key] = data.draw(
        st.one_of(st.booleans(), st.text(max_size=3), st.integers(-5, 5), st.lists(st.integers()))
    )
    try:
        read = plain_recipe(recipe_from(told))
    except BadInput:
        return
    assert read[key] == told[key]


@pytest.mark.parametrize(
    ("change", "look"),
    [
        ("batch=8", lambda recipe: recipe.batch == 8),
        ("stages.full.rate=0.5", lambda recipe: [stage.rate == 0.5 for stage in recipe.stages].count(True) == 1),
        ("stages.*.warm_up=7", lambda recipe: {stage.warm_up for stage in recipe.stages} == {7}),
        ("base.transformer.heads=3", lambda recipe: recipe.base.transformer.heads == 3),
        ("precision=bfloat16", lambda recipe: recipe.precision == "bfloat16"),
        ("stages.full.routing=null", lambda recipe: recipe.stage("full").routing is None),
        ("canvases=[[[64,96],1]]", lambda recipe: recipe.canvases == (((64, 96), 1),)),
    ],
)
def test_a_value_is_changed_by_its_path(change: str, look: Any) -> None:
    assert look(changed(RECIPES["mini"](), [change]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("batch", "key=value"),
        ("batsch=8", "no 'batsch'"),
        ("batch=eight", "a whole number"),
        ("batch=true", "a whole number"),
        ("batch=0", "more than 0"),
        ("clip=NaN", "a number"),
        ("precision=float8", "float32, bfloat16"),
        ("stages.ful.rate=1", "warm-up, full, joint, quality"),
        ("stages.full=1", "leads nowhere"),
        ("batch.size=1", "no further values"),
        ("world=flat", "small"),
        ("steps=4", "minutes or in steps"),
        ("canvases=[[[100,96],1]]", "multiples of 16"),
    ],
)
def test_a_change_that_no_recipe_can_have_is_named(change: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"option --set") as caught:
        changed(RECIPES["mini"](), [change])
    assert said in str(caught.value)
    assert change.partition("=")[0] in str(caught.value)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"recipe\.json: can't be read"):
        read_recipe(tmp_path)
    (tmp_path / "recipe.json").write_text('{"name": "x"')
    with pytest.raises(BadInput, match="is not JSON"):
        read_recipe(tmp_path)
    (tmp_path / "recipe.json").write_text('{"name": "x", "stage": []}')
    with pytest.raises(BadInput) as caught:
        read_recipe(tmp_path)
    assert {"key stage", "key base", "key stages"} <= {
        problem.where.split(", ")[-1] for problem in caught.value.problems
    }


def test_an_unknown_name_lists_the_recipes() -> None:
    with pytest.raises(BadInput, match="nano, mini"):
        named_recipe("maxi")
    assert isinstance(named_recipe("nano"), Recipe)


@pytest.mark.parametrize(
    ("recipe", "change", "told"),
    [
        ("flux-dev", "stages.full.trains=everything", "write over a base that was given"),
        ("nano", "stages.full.alone=0.2", "stages.full.alone"),
        ("nano", "stages.joint.alone=1.0", "stages.joint.alone"),
    ],
)
def test_stages_that_teach_nothing_or_write_over_a_given_base_are_refused(
    recipe: str, change: str, told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        changed(RECIPES[recipe](), [change])
