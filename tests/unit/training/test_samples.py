"""Samples of the drawn world: what is shown, said and masked agrees, and what is held out stays out."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import BadInput
from core.training.world import choices, samples, scenes
from core.training.world.palette import COLOURS
from core.training.world.people import Figure
from core.training.world.samples import HELD_OUT_TASKS, REFERENCES, TASKS, Canvas, Sample, draw_sample
from core.training.world.scenes import draw_scene
from core.training.world.truth import FULL, SMALL, Garment, Person, Product, World

SQUARE, SMALLER = Canvas(128, 128), Canvas(96, 96)
WORLDS = pytest.mark.parametrize("world", [SMALL, FULL], ids=lambda world: world.name)


def numbers(picture: Image.Image) -> Any:
    return np.asarray(picture, dtype=np.float32)


def sample(task: str, seed: int, world: World = SMALL, split: str = "train") -> Sample:
    return draw_sample(world, task, seed, SQUARE, SMALLER, split)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Product | Garment]:
    """Everything that is drawn, in targets and references; the drawings are quick discs."""
    found: list[Product | Garment] = []

    def thing(what: Any, height: int, rng: Random, **_: float) -> Image.Image:
        if isinstance(what, Product | Garment):
            found.append(what)
        return Image.new("RGBA", (height, height), "grey")

    def person(who: Person, height: int, rng: Random) -> Figure:
        found.append(who.garment)
        return Figure(*(Image.new(mode, (height, height)) for mode in ("RGBA", "L", "L")))

    monkeypatch.setattr(samples, "draw_garment", thing)
    monkeypatch.setattr(samples, "draw_face", thing)
    for module in (samples, scenes):
        monkeypatch.setattr(module, "draw_product", thing)
    monkeypatch.setattr(scenes, "draw_person", person)
    monkeypatch.setattr(scenes, "draw_place", lambda *_: Image.new("RGB", (32, 32)))
    monkeypatch.setattr(scenes, "draw_in", lambda _, picture: picture)
    return found


def draw_many(world: World, split: str, count: int) -> None:
    for task in TASKS:
        for seed in range(count):
            draw_sample(world, task, seed, Canvas(32, 32), Canvas(32, 32), split)


@WORLDS
@pytest.mark.parametrize("split", ["train", "new"])
def test_training_never_shows_what_is_held_out(world: World, split: str, shown: list[Any]) -> None:
    draw_many(world, split, 60)
    assert len(shown) > 800
    assert not [thing for thing in shown if choices.unseen(world, thing)]


@WORLDS
def test_of_the_held_out_split_everything_is_held_out(world: World, shown: list[Any]) -> None:
    draw_many(world, "held-out", 25)
    assert all(choices.unseen(world, thing) for thing in shown)
    assert {choices.unseen(world, thing) for thing in shown} == {1, 2}


@WORLDS
def test_every_single_value_occurs_in_training(world: World) -> None:
    rng = Random(3)
    products = [choices.choose_product(world, "train", rng) for _ in range(1500)]
    garments = [choices.choose_garment(world, "train", rng) for _ in range(800)]
    for things, kinds in ((products, world.products), (garments, world.garments)):
        assert {thing.kind for thing in things} == set(kinds)
        for attribute, values in (
            ("colour", world.colours),
            ("pattern", world.patterns),
            ("emblem", world.emblems),
        ):
            assert {getattr(thing.look, attribute) for thing in things} == set(values)
        assert all(thing.look.colour != thing.look.second for thing in things)


@WORLDS
def test_about_an_eighth_of_the_cells_is_held_out(world: World) -> None:
    for kinds in (world.products, world.garments):
        cells = [choices.withheld_colour(world, kind, colour) for kind in kinds for colour in world.colours]
        assert 0.1 <= sum(cells) / len(cells) <= 0.14
    for kind in world.products:
        assert sum(choices.withheld_pattern(world, kind, pattern) for pattern in world.patterns) == 1
        assert not choices.withheld_pattern(world, kind, "plain")


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_is_a_function_of_its_arguments(task: str) -> None:
    first, second, other = sample(task, 4), sample(task, 4), sample(task, 5)
    assert first == second
    assert first.target.tobytes() != other.target.tobytes()
    assert sample(task, 4, split="new").scene != first.scene


@WORLDS
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("canvas", "reference"),
    [
        (Canvas(128, 128), Canvas(96, 96)),
        (Canvas(160, 128), Canvas(80, 112)),
        (Canvas(128, 160), Canvas(112, 80)),
    ],
    ids=["square", "wide", "tall"],
)
def test_every_task_is_drawn_on_every_canvas(world: World, task: str, canvas: Canvas, reference: Canvas) -> None:
    for seed in range(3):
        drawn = draw_sample(world, task, seed, canvas, reference)
        wide = 2 if task == "panels" else 1
        assert drawn.target.mode == "RGB"
        assert drawn.target.size == (wide * canvas.width, canvas.height)
        assert tuple(shown.kind for shown in drawn.references) == REFERENCES[task]
        assert all(shown.picture.size == reference.size for shown in drawn.references)
        assert all(mask.size == drawn.target.size and mask.mode == "L" for mask in drawn.masks)
        assert len(drawn.masks) == len(drawn.references)
        for shown in drawn.references:
            assert (shown.owner == -1) == (shown.kind == "style")
            assert shown.owner < len(drawn.scene.things)
        assert "[ref" not in drawn.spoken


@pytest.mark.parametrize("task", [task for task, kinds in REFERENCES.items() if kinds])
def test_masks_show_something_and_do_not_overlap(task: str) -> None:
    for seed in range(8):
        drawn = sample(task, seed)
        masks = [numbers(mask) / 255 for mask in drawn.masks]
        assert all(mask.mean() > 0.004 for mask in masks)
        own = [mask for mask, shown in zip(masks, drawn.references, strict=True) if shown.kind != "style"]
        assert sum(own, np.zeros((128, 128))).max() < 1.3
        assert all(mask.min() == 1 for mask, s in zip(masks, drawn.references, strict=True) if s.kind == "style")


def test_the_masks_of_face_and_garment_lie_where_those_are() -> None:
    for seed in range(6):
        drawn = sample("identity-tryon", seed)
        face_rows, garment_rows = (np.nonzero(numbers(mask).any(axis=1))[0] for mask in drawn.masks)
        assert face_rows.mean() + 20 < garment_rows.mean()


def share_in_look(picture: Any, weight: Any, product: Product) -> float:
    """The share of the weighted pixels that are nearest to a colour of the product's look."""
    names = list(SMALL.colours)
    palette = np.array([COLOURS[name] for name in names], dtype=np.float32)
    nearest = np.linalg.norm(picture[:, :, None] - palette, axis=-1).argmin(axis=-1)
    own = np.isin(nearest, [names.index(product.look.colour), names.index(product.look.second)])
    return float((own * weight).sum() / weight.sum())


def test_under_a_subjects_mask_are_the_colours_of_its_look() -> None:
    inside, outside = [], []
    for seed in range(24):
        drawn = sample("subject", seed)
        product = drawn.scene.things[0].thing
        assert isinstance(product, Product)
        mask = numbers(drawn.masks[0]) / 255
        inside.append(share_in_look(numbers(drawn.target), mask, product))
        outside.append(share_in_look(numbers(drawn.target), 1 - mask, product))
    assert np.mean(inside) > 0.55
    assert np.mean(inside) > np.mean(outside) + 0.25


def test_masks_leave_out_what_is_covered() -> None:
    scene = sample("two-subjects", 2).scene
    behind, front = scene.things
    near = replace(front, x=behind.x, bottom=0.97, height=0.5)
    far = replace(behind, bottom=0.9, height=0.5)
    both = draw_scene(replace(scene, things=(far, near)), SQUARE)
    alone = draw_scene(replace(scene, things=(far,)), SQUARE)
    covered, whole = (numbers(drawing.visible[0].whole).sum() for drawing in (both, alone))
    assert 0 < covered < 0.7 * whole
    over = numbers(both.visible[0].whole) + numbers(both.visible[1].whole)
    assert over.max() < 1.3 * 255


@pytest.mark.parametrize("task", ["subject", "tryon", "identity"])
def test_references_are_drawn_anew_and_not_cut_out(task: str) -> None:
    kept = 0
    for seed in range(12):
        drawn = sample(task, seed)
        box = drawn.masks[0].point(lambda value: 255 * (value > 128)).getbbox()
        picture = drawn.references[0].picture
        inked = picture.convert("L").point(lambda value: 255 * (value < 250)).getbbox()
        assert box is not None
        assert inked is not None
        cut = numbers(drawn.target.crop(box).resize((48, 48)))
        shown = numbers(picture.crop(inked).resize((48, 48)))
        kept += np.abs(cut - shown).mean() < 6
    assert kept <= 1


@pytest.mark.parametrize("kind", ["subject", "tryon", "identity"])
@pytest.mark.parametrize("size", [(96, 96), (80, 112), (112, 80)])
def test_references_fill_their_white_canvas_up_to_a_margin(kind: str, size: tuple[int, int]) -> None:
    for seed in range(6):
        drawn = draw_sample(SMALL, kind, seed, SQUARE, Canvas(*size))
        ink = numbers(drawn.references[0].picture.convert("L")) < 235
        rows, columns = np.nonzero(ink.any(axis=1))[0], np.nonzero(ink.any(axis=0))[0]
        filled = max((np.ptp(rows) + 1) / size[1], (np.ptp(columns) + 1) / size[0])
        assert 0.7 < filled < 0.93
        assert not ink[0].any()
        assert not ink[:, 0].any()


def test_a_scene_drawn_again_is_the_same() -> None:
    for task, seed in (("subject", 42), ("two-subjects", 0), ("two-subjects", 1), ("two-people", 7)):
        drawn = sample(task, seed)
        again = draw_scene(drawn.scene, SQUARE)
        assert again.scene.things == drawn.scene.things
        assert again.picture.tobytes() == drawn.target.tobytes()


def test_half_of_the_captions_have_placeholders_and_those_of_one_kind_all() -> None:
    said = [sample("subject", seed).caption for seed in range(60)]
    assert 15 < sum("[ref#1]" in caption for caption in said) < 45
    for seed in range(20):
        assert "[ref#1]" in (caption := sample("two-people", seed).caption)
        assert "[ref#2]" in caption


def test_the_first_reference_is_not_always_the_left_thing() -> None:
    assert {sample("two-subjects", seed).references[0].owner for seed in range(12)} == {0, 1}


def test_panels_show_the_thing_on_white_beside_the_scene() -> None:
    drawn = sample("panels", 3)
    left = numbers(drawn.target)[:, :128]
    assert (left[0] == 255).all()
    assert (left < 200).any()
    assert drawn.spoken == drawn.caption
    assert drawn.spoken.startswith("two panels. left: ")


def test_style_tasks_have_a_style_and_others_are_plain() -> None:
    for task in TASKS:
        styles = {sample(task, seed).scene.style for seed in range(5)}
        if task in ("style", "style-subject", "stylised-identity"):
            assert "plain" not in styles
        elif task != "text":
            assert styles == {"plain"}
    assert set(HELD_OUT_TASKS) <= set(TASKS)


@pytest.mark.parametrize(
    ("task", "split", "canvas", "named"),
    [
        ("subjects", "train", SQUARE, "subjects"),
        ("subject", "test", SQUARE, "test"),
        ("subject", "train", Canvas(100, 128), "100 x 128"),
    ],
)
def test_bad_input_is_named(task: str, split: str, canvas: Canvas, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        draw_sample(SMALL, task, 0, canvas, SMALLER, split)
