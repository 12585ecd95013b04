"""Masks from files, worn garments, the quality of faces: what comes out right, what is refused with a mend."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from core.cards import load_card
from core.conditions import ConditionType
from core.errors import BadInput
from core.images import read_file
from core.preparation import garments, masks, matting
from core.preparation.faces import SHARP
from core.preparation.ground import in_lab
from core.preparing import prepare_reference
from core.requests import Method, Preparation, Reference
from core.settings import Settings
from plugins import identity, style, subject, tryon

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
SIDE, LARGER = 320, 4
RED = (200, 40, 40)
GROUNDS = {"white": (255, 255, 255), "green": (60, 160, 70), "navy": (20, 30, 80), "sand": (230, 205, 160)}


def shape() -> Image.Image:
    """The exact mask of a drawn shirt, four times too large."""
    full = SIDE * LARGER
    mask = Image.new("L", (full, full))
    outline = [(0.3, 0.2), (0.42, 0.2), (0.5, 0.27), (0.58, 0.2), (0.7, 0.2), (0.9, 0.4), (0.8, 0.5), (0.7, 0.42)]
    rest = [(0.7, 0.85), (0.3, 0.85), (0.3, 0.42), (0.2, 0.5), (0.1, 0.4)]
    ImageDraw.Draw(mask).polygon([(x * full, y * full) for x, y in outline + rest], fill=255)
    return mask


def on(ground: Image.Image | tuple[int, int, int]) -> tuple[Image.Image, Image.Image]:
    """The shirt on a ground with soft edges, and its true mask."""
    full = SIDE * LARGER
    large = (
        ground.resize((full, full)) if isinstance(ground, Image.Image) else Image.new("RGB", (full, full), ground)
    )
    large.paste(RED, mask=shape())
    return (large.resize((SIDE, SIDE), Image.Resampling.BOX), shape().resize((SIDE, SIDE), Image.Resampling.BOX))


def overlap(one: Image.Image, other: Image.Image) -> float:
    first, second = (np.asarray(mask) >= 128 for mask in (one, other))
    return float((first & second).sum() / (first | second).sum())


def halo(cut: Image.Image) -> float:
    """Mean Lab distance along the edge from the product drawn on white."""
    ideal, mask = on((255, 255, 255))
    distance = np.linalg.norm(in_lab(np.asarray(cut)) - in_lab(np.asarray(ideal)), axis=2)
    edge = cv2.dilate(np.asarray(mask), np.ones((7, 7))) != cv2.erode(np.asarray(mask), np.ones((7, 7)))
    return float(distance[edge].mean())


def prepared(
    condition: ConditionType[Any],
    picture: Image.Image,
    mask: Image.Image | None = None,
    method: Method | None = None,
    area: int = 256 * 256,
    **options: Any,
) -> Preparation:
    settings, files = Settings(home=Path("nowhere")), []
    for one in (picture, mask):
        stream = io.BytesIO()
        if one is not None:
            one.save(stream, "PNG")
        files.append(stream.getvalue())
    sha256 = hashlib.sha256(files[0]).hexdigest()
    pinned = method or (condition.methods(settings)[0] if mask is None else condition.by_mask)
    assert pinned is not None
    reference = Reference("thing", condition.name, sha256, "thing.png", options, method=pinned)
    card = replace(load_card("dreamo-mini", settings), reference_area=area)
    return prepare_reference(files[0], reference, condition, card, settings, files[1] if mask else None)


(SUBJECT,), (IDENTITY,), (TRYON,), (STYLE,) = (
    plugin.condition_types() for plugin in (subject, identity, tryon, style)
)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("grown", [-2, 0, 2])
def test_a_mask_cuts_out_exactly_even_when_it_is_a_little_off(ground: str, grown: int) -> None:
    picture, truth = on(GROUNDS[ground])
    size = 2 * abs(grown) + 1
    given = truth.filter(ImageFilter.MaxFilter(size) if grown > 0 else ImageFilter.MinFilter(size))
    cut = masks.cut_by_mask(picture, given, "x")
    assert overlap(cut.mask, truth) >= 0.95
    assert not cut.warnings


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("way", ["grabcut", "alpha", "mask"])
def test_no_way_of_cutting_out_leaves_a_halo(ground: str, way: str) -> None:
    picture, truth = on(GROUNDS[ground])
    if way == "mask":
        cut = masks.cut_by_mask(picture, truth, "x")
    elif way == "grabcut":
        cut = matting.cut_by_ground(picture, "x", 1)
    else:
        freed = Image.new("RGB", picture.size, RED)
        freed.putalpha(truth)
        cut = matting.cut_by_alpha(freed, "x")
    assert halo(cut.picture) < 2.3


@pytest.mark.parametrize("photo", ["coffee", "mountain", "chelsea"])
def test_a_mask_cuts_out_of_grounds_that_are_too_busy_for_colours(photo: str) -> None:
    picture, truth = on(read_file(PHOTOS / f"{photo}.jpg"))
    cut = masks.cut_by_mask(picture, truth, "x")
    assert overlap(cut.mask, truth) >= 0.95
    assert halo(cut.picture) < 4


def test_kinds_that_cut_out_take_a_mask_and_the_others_say_so() -> None:
    picture, truth = on(read_file(PHOTOS / "coffee.jpg"))
    for kind in (SUBJECT, TRYON):
        made = prepared(kind, picture, truth)
        assert made.facts["cut_by"] == "mask"
        assert made.mask is not None
    with pytest.raises(BadInput, match="busy background"):
        prepared(SUBJECT, picture)
    assert IDENTITY.by_mask is not None
    assert STYLE.by_mask is None


@pytest.mark.parametrize(
    ("box", "said"), [((0, 0, 320, 300), "along"), ((10, 10, 14, 14), "next to nothing")], ids=["inverted", "dust"]
)
def test_a_mask_that_keeps_all_or_nothing_is_refused(box: tuple[int, int, int, int], said: str) -> None:
    picture, _ = on(GROUNDS["sand"])
    mask = Image.new("L", picture.size)
    mask.paste(255, box)
    with pytest.raises(BadInput, match=said) as caught:
        prepared(SUBJECT, picture, mask)
    assert caught.value.problems[0].where == "the mask of thing.png"
    assert "Paint" in caught.value.problems[0].mend


def test_the_method_mask_without_a_mask_is_refused() -> None:
    with pytest.raises(BadInput, match="no mask"):
        prepared(SUBJECT, on(GROUNDS["white"])[0], method=masks.MASK)


def astronaut() -> Image.Image:
    return read_file(PHOTOS / "astronaut.jpg")


def test_a_worn_garment_is_refused_with_the_mend_and_taken_with_a_mask() -> None:
    with pytest.raises(BadInput, match="somebody wears") as caught:
        prepared(TRYON, astronaut(), garment="suit")
    assert "dreamline models fetch clothes" in caught.value.problems[0].mend
    mask = Image.new("L", astronaut().size)
    ImageDraw.Draw(mask).polygon(
        [(120, 260), (200, 190), (270, 190), (350, 260), (340, 490), (130, 490)], fill=255
    )
    assert prepared(TRYON, astronaut(), mask, garment="suit").facts["cut_by"] == "mask"


def test_a_printed_face_is_no_wearer_when_that_is_said() -> None:
    flat = Image.new("RGB", (640, 640), (240, 240, 240))
    ImageDraw.Draw(flat).rectangle([120, 80, 520, 580], fill=(40, 60, 130))
    flat.paste(astronaut().crop((130, 20, 320, 210)).resize((240, 240)), (200, 200))
    with pytest.raises(BadInput, match="set `flat: true`"):
        prepared(TRYON, flat)
    assert prepared(TRYON, flat, flat=True).facts["cut_by"] == "grabcut"


@pytest.mark.parametrize("name", ["dress", "toy"])
def test_flat_photos_stay_right_as_garments(name: str) -> None:
    made = prepared(TRYON, read_file(PHOTOS / f"{name}.jpg"), area=128 * 128, garment="dress")
    assert made.facts["garment"] == "dress"
    assert not made.warnings


def test_a_garment_s_words_are_understood_or_asked_about() -> None:
    assert garments.parts_of("a red shirt dress") == ("dress",)
    assert garments.parts_of("Jeans") == ("trousers",)
    assert garments.parts_of("kaftan") is garments.parts_of(None) is None
    made = prepared(TRYON, read_file(PHOTOS / "dress.jpg"), area=128 * 128, garment="dres")
    assert "did you mean dress?" in made.warnings[0]


def two_faces() -> Image.Image:
    scene = Image.new("RGB", (900, 500), (200, 205, 210))
    part = astronaut().crop((110, 0, 340, 230))
    scene.paste(part.resize((340, 340)), (20, 80))
    scene.paste(part, (560, 130))
    return scene


def test_faces_are_counted_from_the_left() -> None:
    for number, (left, right) in ((1, (20, 360)), (2, (560, 790))):
        facts = prepared(IDENTITY, two_faces(), face=number).facts
        assert facts["faces"] == 2
        assert left < facts["eyes"][0][0] < facts["eyes"][1][0] < right
    for number in (0, 3, -1):
        with pytest.raises(BadInput, match="2 faces were found") as caught:
            prepared(IDENTITY, two_faces(), face=number)
        assert "option face" in caught.value.problems[0].where


def test_a_mask_says_whose_head_is_meant_and_what_of_it_is_kept() -> None:
    mask = Image.new("L", (900, 500))
    ImageDraw.Draw(mask).ellipse([600, 130, 750, 320], fill=255)
    made = prepared(IDENTITY, two_faces(), mask)
    assert made.facts["eyes"][0][0] > 560
    assert made.mask is not None
    assert made.picture.getpixel((3, 3)) == (255, 255, 255)
    assert any("under the mask" in warning for warning in made.warnings)
    elsewhere = Image.new("L", (900, 500))
    elsewhere.paste(255, (400, 20, 500, 60))
    with pytest.raises(BadInput, match="lies over no face"):
        prepared(IDENTITY, two_faces(), elsewhere)


def test_a_drawn_face_with_a_mask_is_kept_as_it_is_without_its_ground() -> None:
    drawn = Image.new("RGB", (300, 300), (90, 140, 200))
    ImageDraw.Draw(drawn).ellipse([60, 40, 240, 270], fill=(230, 190, 160))
    mask = Image.new("L", drawn.size)
    ImageDraw.Draw(mask).ellipse([60, 40, 240, 270], fill=255)
    made = prepared(IDENTITY, drawn, mask, aligned=True)
    assert made.picture.getpixel((4, 4)) == (255, 255, 255)
    assert made.picture.getpixel((128, 128)) == (230, 190, 160)


def test_a_blurred_face_is_warned_of_and_a_sharp_one_is_not() -> None:
    sharp = prepared(IDENTITY, astronaut())
    blurred = prepared(IDENTITY, astronaut().filter(ImageFilter.GaussianBlur(4)))
    assert sharp.facts["sharpness"] > 1.5 * SHARP
    assert not any("blurred" in warning for warning in sharp.warnings)
    assert any("blurred" in warning for warning in blurred.warnings)


def test_a_product_under_128_pixels_is_refused_for_models_that_look_at_512() -> None:
    small = on(GROUNDS["green"])[0].resize((150, 150))
    with pytest.raises(BadInput, match="at least 128 pixels"):
        prepared(SUBJECT, small, area=512 * 512)
    assert prepared(SUBJECT, small, area=128 * 128).facts["cut_by"] == "grabcut"
