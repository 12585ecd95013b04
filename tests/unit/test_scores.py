"""What pixels tell of an image: each score moves the right way, is the same every time, and takes odd images."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFilter
from PIL.Image import Image as Picture

from core.cards import load_card
from core.images import read_picture
from core.preparation.matting import crop_to_product, cut_out, fit_cut_out
from core.requests import Image, Preparation, Reference, Request, Score
from core.scoring import worlds
from core.scoring.colours import ciede2000, main_colours
from core.scoring.hashes import likeness, look
from core.scoring.whole import lab_of
from core.settings import Settings
from plugins import measures

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
WITHOUT_WEIGHTS = Settings(models=Path("there", "are", "none"))
NAMES = ("astronaut", "chelsea", "coffee", "dress", "mountain", "toy")


@cache
def photo(name: str) -> Picture:
    return read_picture((PHOTOS / f"{name}.jpg").read_bytes(), name).convert("RGB")


@cache
def product(name: str) -> Preparation:
    cut = crop_to_product(cut_out(photo(name), "grabcut", name, 0), 0.06)
    cut = fit_cut_out(cut, 512 * 512, 16, name)
    return Preparation(cut.picture, cut.mask)


def found(
    picture: Picture,
    prepared: Preparation | None = None,
    *,
    kind: str = "subject",
    model: str = "storyboard",
    prompt: str = "a picture",
) -> dict[str, Score]:
    references = () if prepared is None else (Reference("it", kind, "0" * 64),)
    request = Request(model, prompt, references, *picture.size, seed=0, steps=1, guidance=1.0)
    image = Image(picture, request)
    scores = measures.score_image(image, request, [] if prepared is None else [prepared], WITHOUT_WEIGHTS)
    assert len({one.name for one in scores}) == len(scores)
    return {one.name: one for one in scores}


def values(picture: Picture, prepared: Preparation | None = None) -> dict[str, float]:
    return {name: one.value for name, one in found(picture, prepared).items()}


def pasted(thing: Preparation, side: int, ground: Picture) -> tuple[Picture, tuple[float, ...]]:
    """A product on a ground, and its box as shares of the sides."""
    assert thing.mask is not None
    whole = ground.copy()
    size = side, round(side * thing.picture.height / thing.picture.width)
    left, top = whole.width - size[0] - 20, whole.height - size[1] - 20
    whole.paste(thing.picture.resize(size), (left, top), thing.mask.resize(size))
    edges = (left / whole.width, top / whole.height, (left + side) / whole.width, (top + size[1]) / whole.height)
    return whole, edges


def covered(crop: tuple[float, ...], box: tuple[float, ...]) -> float:
    """The share of a crop that lies in a box."""
    across = max(0.0, min(crop[2], box[2]) - max(crop[0], box[0]))
    down = max(0.0, min(crop[3], box[3]) - max(crop[1], box[1]))
    return across * down / ((crop[2] - crop[0]) * (crop[3] - crop[1]))


@pytest.mark.parametrize("name", NAMES)
def test_the_more_blurred_the_less_sharp(name: str) -> None:
    sharp = [
        values(photo(name).filter(ImageFilter.GaussianBlur(radius)))["sharpness"] for radius in (0, 0.7, 1.5, 3, 6)
    ]
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[0] > 0.3 > 0.05 > sharp[-1]


def test_sharpness_hardly_knows_an_images_size() -> None:
    large = photo("astronaut").resize((2048, 2048), Pillow.Resampling.NEAREST)
    assert values(large)["sharpness"] == pytest.approx(values(photo("astronaut"))["sharpness"], abs=0.01)
    small = values(photo("astronaut").resize((256, 256)))["sharpness"]
    assert small == pytest.approx(values(photo("astronaut"))["sharpness"], abs=0.1)


def test_grain_is_not_taken_for_sharpness() -> None:
    grain = np.random.default_rng(0).integers(-2, 3, (256, 256, 1))
    assert values(Pillow.fromarray(np.uint8(128 + grain.repeat(3, 2))))["sharpness"] == 0


def test_blank_images_are_blank_whatever_their_colour() -> None:
    for colour in ("black", "#808080", "#e4002b"):
        blank = values(Pillow.new("RGB", (300, 200), colour))
        assert (blank["blankness"], blank["contrast"], blank["sharpness"]) == (1, 0, 0)
    half = Pillow.new("RGB", (200, 200), "white")
    half.paste(photo("coffee").resize((200, 100)), (0, 0))
    assert values(half)["blankness"] == pytest.approx(0.5, abs=0.05)
    assert values(photo("coffee"))["blankness"] < 0.15 < 0.7 < values(photo("toy"))["blankness"]


def test_washed_out_images_have_less_contrast() -> None:
    grey = Pillow.new("RGB", photo("coffee").size, "#808080")
    contrast = [values(Pillow.blend(photo("coffee"), grey, share))["contrast"] for share in (0, 0.4, 0.8)]
    assert contrast[0] > contrast[1] + 0.2 > contrast[2] + 0.3


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_distances_of_colours_are_the_published_ones(
    one: tuple[float, float, float], other: tuple[float, float, float], apart: float
) -> None:
    """From table 1 of Sharma, Wu and Dalal (2005)."""
    assert float(ciede2000(np.array(one), other)) == pytest.approx(apart, abs=2e-4)


def test_main_colours_are_found_with_their_shares() -> None:
    drawn = Pillow.new("RGB", (100, 100), "#e4002b")
    drawn.paste("#0033a0", (0, 0, 100, 30))
    drawn.paste("#ffffff", (0, 0, 100, 1))
    colours = main_colours(lab_of(drawn).reshape(-1, 3))
    assert [round(one.share, 2) for one in colours] == [0.71, 0.29]
    assert float(ciede2000(np.array(colours[0].lab), tuple(lab_of(drawn)[-1, 0].tolist()))) < 0.5


@pytest.mark.parametrize("name", ["toy", "dress"])
def test_a_products_colours_are_found_where_it_stands(name: str) -> None:
    there, box = pasted(product(name), 130, photo("mountain").resize((512, 512)))
    score = found(there, product(name))["colour:it"]
    missing = found(photo("mountain"), product(name))["colour:it"]
    assert score.value < 3 < missing.value - 2
    assert not score.higher_is_better
    assert score.crop is not None
    assert covered(score.crop, box) > 0.6
    assert "the main colours of it (#" in score.compared


def test_another_colour_is_further_away_the_more_it_differs() -> None:
    hue, saturation, value = product("toy").picture.convert("HSV").split()
    distances = []
    for turn in (0, 10, 30, 100):
        turned = hue.point(lambda level, turn=turn: (level + turn) % 256)
        picture = Pillow.merge("HSV", (turned, saturation, value)).convert("RGB")
        there, _ = pasted(Preparation(picture, product("toy").mask), 200, photo("mountain").resize((512, 512)))
        distances.append(values(there, product("toy"))["colour:it"])
    assert distances == sorted(distances)
    assert distances[0] < 3 < 10 < distances[-1]


def test_a_pasted_reference_is_a_copy_and_a_scene_with_it_is_none() -> None:
    reference = product("toy")
    assert values(reference.picture, reference)["copy:it"] == 1
    smaller = Pillow.new("RGB", (900, 600), "white")
    smaller.paste(reference.picture.resize((300, 300 * reference.picture.height // reference.picture.width)))
    assert values(smaller, reference)["copy:it"] > 0.8
    there, _ = pasted(reference, 200, photo("mountain").resize((512, 512)))
    others = [values(photo(name), reference)["copy:it"] for name in NAMES if name != "toy"]
    assert max(values(there, reference)["copy:it"], *others) < 0.6


def test_likeness_counts_bits_that_differ_whatever_their_sign() -> None:
    one, other = look(photo("toy")), look(photo("coffee"))
    assert likeness(one, one) == likeness(-1, -1) == 1
    assert likeness(0, -1) == 0
    assert likeness(one, other) == likeness(other, one) < 0.5
    assert likeness(1, 3) == pytest.approx(31 / 32)


def test_scores_do_not_change_from_one_time_to_the_next() -> None:
    for name in NAMES:
        first = found(photo(name), product("dress"))
        np.random.default_rng().random(5)
        assert found(photo(name).copy(), product("dress")) == first


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (17, 300), (3000, 20)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("look_of", ["blank", "noise"])
def test_odd_images_are_scored_too(size: tuple[int, int], mode: str, look_of: str) -> None:
    picture = Pillow.new(mode, size)
    if look_of == "noise":
        picture = Pillow.effect_noise(size, 80).convert(mode)
    scores = found(picture, product("toy"))
    assert set(scores) == {"sharpness", "blankness", "contrast", "colour:it", "copy:it"}
    assert all(0 <= scores[name].value <= 1 for name in ("sharpness", "blankness", "contrast", "copy:it"))
    json.dumps([[one.value, one.crop] for one in scores.values()])


def test_a_reference_without_anything_cut_out_has_no_colour_score() -> None:
    picture = photo("mountain")
    assert "colour:it" not in found(picture, Preparation(picture), kind="style")
    empty = Preparation(picture, Pillow.new("L", picture.size, 0))
    assert set(found(picture, empty)) == {"sharpness", "blankness", "contrast", "copy:it"}


def test_faces_are_counted_where_an_identity_is_asked_for() -> None:
    face = Preparation(photo("astronaut").crop((150, 50, 310, 210)))
    assert found(photo("astronaut"), face, kind="identity")["faces"].value == 1
    assert found(photo("toy"), face, kind="identity")["faces"].value == 0
    assert "faces" not in found(photo("astronaut"))


def test_a_score_that_breaks_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: object) -> list[Score]:
        raise OSError("damaged file")

    monkeypatch.setattr(measures, "by_clip", broken)
    assert "sharpness" in found(photo("toy"))
    assert "plugin 'measures': no scores by CLIP: OSError('damaged file')" in caplog.text


def test_a_cards_world_decides_no_pixels() -> None:
    from dataclasses import replace

    card = load_card("dreamo-mini", Settings())
    assert card.world == "small"
    assert replace(card, world="").digest({"a": "b"}) == card.digest({"a": "b"})
    assert worlds.world_of("storyboard", Settings()) == worlds.world_of("gone", Settings()) == ""


@pytest.mark.skipif(find_spec("torch") is None, reason="readers are networks")
@pytest.mark.parametrize("task", ["subject", "two-subjects", "identity", "tryon", "style", "identity-tryon"])
def test_readers_tell_drawings_of_the_reference_from_drawings_of_others(task: str) -> None:
    from core.training.world.samples import Canvas, draw_sample
    from core.training.world.truth import SMALL

    samples = [draw_sample(SMALL, task, seed, Canvas(128, 128), Canvas(96, 96), "new") for seed in range(13)]
    own, others, places = [], [], []
    for sample, other in pairwise(samples):
        references = tuple(Reference(f"it{k}", drawn.kind, "0" * 64) for k, drawn in enumerate(sample.references))
        request = Request("dreamo-mini", sample.caption, references, 128, 128, seed=0, steps=1, guidance=0.0)
        prepared = [Preparation(drawn.picture) for drawn in sample.references]
        mine, not_mine = (
            {
                one.name: one
                for one in measures.score_image(Image(picture, request), request, prepared, WITHOUT_WEIGHTS)
            }
            for picture in (sample.target, other.target)
        )
        assert {f"kept:it{k}" for k in range(len(references))} <= set(mine)
        assert "faces" not in mine
        own += [one.value for name, one in mine.items() if name.startswith("kept:")]
        others += [one.value for name, one in not_mine.items() if name.startswith("kept:")]
        places.append(mine["place"].value)
        assert all(
            "what readers read off the image" in one.compared for name, one in mine.items() if "kept" in name
        )
    assert np.mean(own) > 0.65
    assert np.mean(own) - np.mean(others) > 0.3
    assert np.mean(places) > 0.9


def test_the_page_about_scores_lists_every_one_and_its_example_works() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scores.md").read_text()
    face = Preparation(photo("astronaut"), Pillow.new("L", photo("astronaut").size, 255))
    names = [name.replace(":it", ":NAME") for name in found(photo("astronaut"), face, kind="identity")]
    assert len(names) == 6
    assert [name for name in names if f"| `{name}` |" not in page] == []
    there: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], there)
    picture = Pillow.new("RGB", (100, 100), "white")
    picture.paste("navy", (0, 0, 100, 30))
    request = Request("storyboard", "a picture", (), 100, 100, seed=0, steps=1, guidance=1.0)
    (score,) = there["score_image"](Image(picture, request))
    assert score.value == pytest.approx(0.3, abs=0.01)


@pytest.mark.skipif(find_spec("torch") is None, reason="readers are networks")
def test_a_mixture_of_products_and_people_has_no_kept_score() -> None:
    references = (Reference("mug", "subject", "0" * 64), Reference("anna", "identity", "0" * 64))
    request = Request("dreamo-mini", "a mug", references, 128, 128, seed=0, steps=1, guidance=0.0)
    image = Image(photo("toy").resize((128, 128)), request)
    names = {
        one.name
        for one in measures.score_image(
            image, request, [product("toy"), Preparation(photo("toy"))], WITHOUT_WEIGHTS
        )
    }
    assert {"copy:mug", "copy:anna", "colour:mug"} <= names
    assert not {name for name in names if name.startswith(("kept", "place"))}
