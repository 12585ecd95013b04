"""Readers of the drawn world: what they are asked to see, that they learn, and that what they learnt is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import BadInput
from core.training.world.cuts import SIZES, column, columns, softened, swayed
from core.training.world.lessons import draw_lessons, train_readers
from core.training.world.readers import FACTS, Reader, Readers, load_readers, new_readers, save_readers
from core.training.world.reading import (
    PERSON,
    PRODUCT,
    SCENE,
    settled,
    told_of,
    told_of_scene,
    truth_of,
    truth_of_scene,
    values_of,
)
from core.training.world.samples import Canvas, draw_sample
from core.training.world.truth import FULL, SMALL, Face, Garment, Look, Person, Placed, Product, Scene, World

PLAIN_LOOK = Look("red", "blue", "plain", "none")
MUG = Product("mug", PLAIN_LOOK, 0.5)
FACE = Face("tan", "bald", "black", "brown", glasses=True, beard=False, freckles=False)
SOMEBODY = Person(FACE, Garment("hoodie", Look("red", "blue", "dots", "none")), "waving", "whole")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pupils(tmp_path_factory: pytest.TempPathFactory) -> tuple[Readers, Path]:
    """Readers of a few lessons, and their folder."""
    folder = tmp_path_factory.mktemp("readers")
    rounds = {SCENE: 6, PRODUCT: 1, PERSON: 1}
    return train_readers(SMALL, folder, pictures=160, rounds=rounds, unseen=80), folder


def test_a_few_lessons_teach_day_and_night(pupils: tuple[Readers, Path]) -> None:
    time = pupils[0].accuracies[SCENE]["time"]
    assert time.plain > 0.7
    assert time.count > 50


def test_readers_are_small(pupils: tuple[Readers, Path]) -> None:
    assert sum(path.stat().st_size for path in pupils[1].iterdir()) < 4_000_000


def test_saved_readers_read_as_those_that_were_trained(pupils: tuple[Readers, Path]) -> None:
    readers, folder = pupils
    again = load_readers(folder)
    pictures = [lesson.picture for lesson in draw_lessons(SMALL, "new", 500, 8)]
    assert again.accuracies == readers.accuracies
    assert again.scenes(pictures) == readers.scenes(pictures)
    assert again.things(pictures, PRODUCT, 2) == readers.things(pictures, PRODUCT, 2)
    assert again.things(pictures, PERSON, 1) == readers.things(pictures, PERSON, 1)


def test_one_picture_is_read_as_in_a_batch(pupils: tuple[Readers, Path]) -> None:
    readers = pupils[0]
    pictures = [lesson.picture for lesson in draw_lessons(SMALL, "new", 600, 3)]
    assert [readers.scene(picture) for picture in pictures] == readers.scenes(pictures)
    assert [readers.products(picture, 3) for picture in pictures] == readers.things(pictures, PRODUCT, 3)
    assert [readers.people(picture, 2) for picture in pictures] == readers.things(pictures, PERSON, 2)


def test_readers_of_another_world_are_refused(tmp_path: Path) -> None:
    save_readers(new_readers(SMALL), tmp_path)
    facts = json.loads((tmp_path / FACTS).read_text())
    facts["values"][PRODUCT]["colour"].pop()
    (tmp_path / FACTS).write_text(json.dumps(facts))
    with pytest.raises(BadInput, match="another world"):
        load_readers(tmp_path)


def test_a_folder_without_readers_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no readers"):
        load_readers(tmp_path / "nothing")


def test_more_things_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(BadInput, match="4 things"):
        new_readers(SMALL).products(Image.new("RGB", (128, 128)), 4)


def test_no_things_need_no_reading() -> None:
    assert new_readers(SMALL).people(Image.new("RGB", (128, 128)), 0) == []


@pytest.mark.parametrize("subject", [PRODUCT, PERSON])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_columns_cover_the_width_and_stay_inside(subject: str, count: int) -> None:
    boxes = [column(subject, index, count) for index in range(count)]
    assert boxes[0][0] == 0
    assert boxes[-1][2] == 1
    assert all(left[2] >= right[0] for left, right in pairwise(boxes))
    chance = Random(0)
    for box in (swayed(box, chance) for box in boxes * 20):
        assert 0 <= box[0] < box[2] <= 1 + 1e-9
        assert 0 <= box[1] < box[3] <= 1 + 1e-9


def test_columns_come_picture_by_picture_from_the_left() -> None:
    picture = Image.new("RGB", (160, 128), "white")
    picture.paste("black", (80, 0, 160, 128))
    cuts = columns([picture, picture], PRODUCT, 2)
    assert tuple(cuts.shape) == (4, 3, *reversed(SIZES[PRODUCT][1]))
    means = [float(cut.mean()) for cut in cuts]
    assert means[0] > 0.4 > -0.4 > means[1]
    assert means[2:] == means[:2]


def test_softening_keeps_shape_and_range_and_changes_something() -> None:
    sharp = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (4, 3, 96, 80)).astype(np.float32))
    soft = softened(sharp, Random(1))
    assert soft.shape == sharp.shape
    assert float(soft.abs().max()) <= 1
    assert float(soft[:2].diff(dim=3).abs().mean()) < 0.8 * float(sharp[:2].diff(dim=3).abs().mean())


@pytest.mark.parametrize("world", [SMALL, FULL], ids=lambda world: world.name)
def test_every_truth_has_values_that_readers_know(world: World) -> None:
    for task in ("subject", "two-people", "tryon", "text"):
        for seed in range(6):
            scene = draw_sample(world, task, seed, Canvas(64, 64), Canvas(32, 32), "new").scene
            things = [placed.thing for placed in scene.things]
            cases = [(PRODUCT if isinstance(thing, Product) else PERSON, truth_of(thing)) for thing in things]
            for subject, truth in (*cases, (SCENE, truth_of_scene(scene))):
                known = values_of(world, subject)
                assert set(truth) == set(known)
                assert all(value is None or value in known[name] for name, value in truth.items())


def test_each_net_has_a_score_for_every_value() -> None:
    net = Reader(values_of(FULL, PERSON))
    assert [scores.shape[1] for scores in net(torch.zeros(2, 3, 128, 80))] == [
        len(values) for values in net.values.values()
    ]


def test_what_cannot_show_is_not_true() -> None:
    assert truth_of(MUG)["second"] is None
    assert truth_of(replace(MUG, look=replace(PLAIN_LOOK, emblem="star")))["second"] == "blue"
    assert truth_of(SOMEBODY)["hair_colour"] is None
    assert truth_of(SOMEBODY)["garment_second"] == "blue"


def test_readings_forget_what_cannot_show() -> None:
    reading = {"pattern": "plain", "emblem": "none", "second": "red", "hair": "bald", "hair_colour": "black"}
    assert settled(reading) | {"x": None} == {**reading, "second": None, "hair_colour": None, "x": None}
    assert settled({"pattern": "dots", "emblem": "none", "second": "red"})["second"] == "red"


def test_a_side_is_only_true_of_a_single_thing_off_the_middle() -> None:
    scene = Scene("beach", "day", "plain", (Placed(MUG, 0.3, 0.9, 0.5),), 0)
    assert truth_of_scene(scene)["side"] == "left"
    assert truth_of_scene(replace(scene, things=(Placed(MUG, 0.4, 0.9, 0.5),)))["side"] is None
    assert truth_of_scene(replace(scene, things=scene.things * 2))["side"] is None


def test_what_a_caption_tells() -> None:
    starry = replace(MUG, look=Look("red", "white", "stripes", "star"))
    said = "a red mug with white stripes and a white star on the beach at night"
    assert set(told_of(starry, said)) == {"kind", "colour", "second", "pattern", "emblem"}
    assert told_of(starry, "a mug from [ref#1] on the beach") == ["kind"]
    assert set(told_of(MUG, "a plain red mug on the beach")) == {"kind", "colour", "pattern", "emblem"}
    bald = "a bald person with glasses, tan skin, wearing a hoodie from [ref#1], waving, on the beach"
    assert set(told_of(SOMEBODY, bald)) == {"skin", "hair", "glasses", "beard", "garment", "pose"}
    scene = Scene("beach", "night", "pixel", (Placed(MUG, 0.3, 0.9, 0.5),), 0)
    assert set(told_of_scene(scene, said)) == {"place", "count", "time"}
    assert "style" in told_of_scene(scene, f"{said}, as pixel art")
