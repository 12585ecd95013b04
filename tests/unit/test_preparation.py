"""Cut-outs and faces: measured against drawings whose masks are known, and against one real face."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from core.errors import BadInput
from core.images import read_file
from core.preparation import alignment, faces, heads, matting
from core.preparation.ground import in_lab
from dreamline import preparation

PHOTOS = Path(__file__).parents[1] / "data" / "photos"

Colour = tuple[int, int, int]
GROUNDS: dict[str, Colour] = {
    "white": (255, 255, 255),
    "light grey": (235, 235, 235),
    "pastel": (250, 228, 220),
    "dark": (40, 44, 52),
}
RED, NAVY, CREAM = (200, 40, 40), (30, 40, 90), (238, 222, 180)
LARGER = 4
"""Drawings are made larger and reduced, which gives them soft edges and exact masks."""


def mug(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse([side * 0.56, side * 0.36, side * 0.88, side * 0.7], fill=255)
    draw.ellipse([side * 0.62, side * 0.42, side * 0.82, side * 0.64], fill=0)
    draw.rounded_rectangle([side * 0.22, side * 0.25, side * 0.68, side * 0.8], side * 0.05, fill=255)


def shirt(draw: ImageDraw.ImageDraw, side: int) -> None:
    left = [(0.3, 0.2), (0.42, 0.2), (0.5, 0.27)]
    right = [(0.58, 0.2), (0.7, 0.2), (0.9, 0.4), (0.8, 0.5), (0.7, 0.42), (0.7, 0.85)]
    rest = [(0.3, 0.85), (0.3, 0.42), (0.2, 0.5), (0.1, 0.4)]
    draw.polygon([(x * side, y * side) for x, y in left + right + rest], fill=255)


def shoes(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse([side * 0.1, side * 0.45, side * 0.46, side * 0.75], fill=255)
    draw.ellipse([side * 0.54, side * 0.45, side * 0.9, side * 0.75], fill=255)


Shape = Callable[[ImageDraw.ImageDraw, int], None]


def drawn(
    shape: Shape, colour: Colour, ground: Colour, side: int, *, dotted: bool = False
) -> tuple[Image.Image, Image.Image]:
    """A product on a plain ground, and its true mask."""
    full = side * LARGER
    mask = Image.new("L", (full, full))
    shape(ImageDraw.Draw(mask), full)
    product = Image.new("RGB", (full, full), colour)
    if dotted:
        draw = ImageDraw.Draw(product)
        for x in range(0, full, full // 10):
            for y in range(0, full, full // 10):
                draw.ellipse([x, y, x + full // 24, y + full // 24], fill=(110, 60, 160))
    picture = Image.new("RGB", (full, full), ground)
    picture.paste(product, mask=mask)
    size = (side, side)
    return picture.resize(size, Image.Resampling.BOX), mask.resize(size, Image.Resampling.BOX)


def overlap(one: Image.Image, other: Image.Image) -> float:
    """Intersection over union of two masks."""
    first, second = (np.asarray(mask) >= 128 for mask in (one, other))
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("shape", [mug, shirt, shoes])
@pytest.mark.parametrize("side", [128, 320])
def test_drawn_products_are_cut_out_of_plain_grounds(shape: Shape, ground: str, side: int) -> None:
    for colour, dotted in ((RED, False), (NAVY, True), (CREAM, False), (CREAM, True))[:: 1 if side == 128 else 3]:
        picture, mask = drawn(shape, colour, GROUNDS[ground], side, dotted=dotted)
        cut = matting.cut_by_ground(picture, "x", 1)
        assert overlap(cut.mask, mask) >= 0.95, (colour, dotted)


def jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return Image.open(stream).convert("RGB")


def noisy(picture: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 4, (*picture.size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def blurred(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(picture.width / 200))


def unevenly_lit(picture: Image.Image) -> Image.Image:
    y, x = np.mgrid[-1 : 1 : picture.height * 1j, -1 : 1 : picture.width * 1j]
    light = 14 * (x**2 + y**2) + 10 * x
    return Image.fromarray(np.clip(np.asarray(picture) - light[..., None], 0, 255).astype(np.uint8))


@pytest.mark.parametrize("spoil", [jpeg, noisy, blurred, unevenly_lit])
@pytest.mark.parametrize("shape", [mug, shirt, shoes])
def test_camera_and_compression_cost_little(shape: Shape, spoil: Callable[[Image.Image], Image.Image]) -> None:
    for colour, ground in ((RED, "white"), (NAVY, "pastel"), (CREAM, "dark")):
        picture, mask = drawn(shape, colour, GROUNDS[ground], 320)
        assert overlap(matting.cut_by_ground(spoil(picture), "x", 1).mask, mask) >= 0.95, colour


@pytest.mark.parametrize("shape", [shirt, shoes])
def test_a_soft_shadow_is_no_part_of_the_product(shape: Shape) -> None:
    picture, mask = drawn(shape, RED, GROUNDS["light grey"], 320)
    shadow = Image.new("L", picture.size)
    shadow.paste(mask, (12, 10))
    dimmed = np.asarray(shadow.filter(ImageFilter.GaussianBlur(10)), float)[..., None] / 255 * 0.25
    ground = Image.fromarray((np.full((320, 320, 3), 235.0) * (1 - dimmed)).astype(np.uint8))
    ground.paste(picture, mask=mask)
    assert overlap(matting.cut_by_ground(ground, "x", 1).mask, mask) >= 0.95


@pytest.mark.parametrize("ground", ["light grey", "pastel", "dark"])
def test_no_halo_of_the_ground_is_left_on_white(ground: str) -> None:
    """Along the edge the cut-out differs from the product drawn on white by less than is easily seen."""
    picture, mask = drawn(shirt, RED, GROUNDS[ground], 320)
    ideal, _ = drawn(shirt, RED, (255, 255, 255), 320)
    cut = matting.cut_by_ground(picture, "x", 1)
    distance = np.linalg.norm(in_lab(np.asarray(cut.picture)) - in_lab(np.asarray(ideal)), axis=2)
    edge = cv2.dilate(np.asarray(mask), np.ones((7, 7))) != cv2.erode(np.asarray(mask), np.ones((7, 7)))
    assert distance[edge].mean() < 2.3


def test_the_handle_of_a_mug_is_open_and_a_dot_of_the_ground_s_colour_is_not() -> None:
    picture, _ = drawn(mug, RED, GROUNDS["light grey"], 320)
    ImageDraw.Draw(picture).ellipse([130, 150, 145, 165], fill=GROUNDS["light grey"])
    mask = matting.cut_by_ground(picture, "x", 1).mask
    assert mask.getpixel((240, 170)) == 0
    assert mask.getpixel((137, 157)) == 255


def test_transparency_is_taken_as_it_is() -> None:
    picture, mask = drawn(mug, RED, GROUNDS["dark"], 128)
    picture.putalpha(mask)
    cut = matting.cut_out(picture, "alpha-or-grabcut", "x", 1)
    assert cut.facts["cut_by"] == "alpha"
    assert cut.mask.tobytes() == mask.tobytes()
    assert cut.picture.getpixel((2, 2)) == (255, 255, 255)


def test_grabcut_is_used_where_there_is_no_real_transparency() -> None:
    picture, _ = drawn(mug, RED, GROUNDS["white"], 128)
    picture.putalpha(255)
    assert matting.cut_out(picture, "alpha-or-grabcut", "x", 1).facts["cut_by"] == "grabcut"
    with pytest.raises(BadInput, match="no transparent ground"):
        matting.cut_out(picture, "alpha", "x", 1)


def test_what_cant_be_cut_out_is_refused_with_a_mend() -> None:
    cases = {
        "busy background": read_file(PHOTOS / "coffee.jpg"),
        "nothing that stands out": Image.new("RGB", (200, 200), (240, 240, 240)),
        "transparent everywhere": Image.new("RGBA", (200, 200), (0, 0, 0, 0)),
    }
    for said, picture in cases.items():
        with pytest.raises(BadInput, match=said) as caught:
            matting.cut_out(picture, "alpha-or-grabcut", "mugs/7.jpg", 1)
        assert caught.value.problems[0].where == "mugs/7.jpg"
        assert caught.value.problems[0].mend


def test_a_product_at_the_frame_is_warned_of_and_one_cut_by_it_refused() -> None:
    picture, _ = drawn(shirt, RED, GROUNDS["white"], 200)
    touching = picture.crop((0, 0, 200, 165))
    assert "touches the frame" in matting.cut_by_ground(touching, "x", 1).warnings[0]
    assert not matting.cut_by_ground(picture, "x", 1).warnings
    with pytest.raises(BadInput, match="frame cuts off"):
        matting.cut_by_ground(picture.crop((10, 60, 190, 165)), "x", 1)


def test_a_product_too_small_for_the_reference_is_refused() -> None:
    picture, _ = drawn(shoes, RED, GROUNDS["white"], 128)
    cut = matting.crop_to_product(matting.cut_by_ground(picture, "x", 1), 0.05)
    assert matting.fit_cut_out(cut, 128 * 128, 16, "x").warnings == ()
    assert "look soft" in matting.fit_cut_out(cut, 256 * 256, 16, "x").warnings[0]
    with pytest.raises(BadInput, match="at least 128 pixels"):
        matting.fit_cut_out(cut, 512 * 512, 16, "x")


def test_cropping_leaves_the_margin_and_adds_white_where_the_picture_ends() -> None:
    picture, _ = drawn(shirt, RED, GROUNDS["white"], 200)
    cut = matting.crop_to_product(matting.cut_by_ground(picture, "x", 1), 0.25)
    left, top, right, bottom = cut.box
    assert cut.picture.size == cut.mask.size
    assert abs(left - 40) <= 2
    assert abs(cut.picture.width - right - 40) <= 2
    assert abs(top - 40) <= 2
    assert abs(cut.picture.height - bottom - 40) <= 2
    assert cut.picture.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("name", ["toy", "dress"])
def test_photographed_products_are_cut_out(name: str) -> None:
    cut = matting.cut_by_ground(read_file(PHOTOS / f"{name}.jpg"), name, 1)
    photo = np.asarray(read_file(PHOTOS / f"{name}.jpg"), int)
    truth = Image.fromarray(((255 - photo.min(axis=2)) > 20).astype(np.uint8) * 255)
    assert overlap(cut.mask, truth) > 0.95
    assert not cut.warnings


@cache
def astronaut() -> Image.Image:
    return read_file(PHOTOS / "astronaut.jpg")


PUPILS = ((203.1, 101.0), (246.5, 103.1))
"""Of `astronaut`, read off an enlargement; the face, brow to chin, spans about 180-268 by 75-178."""
TILT = 2.77
FACE = (178, 72, 270, 178)


def box_overlap(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (one, other)]
    return max(0, across) * max(0, down) / (sum(areas) - max(0, across) * max(0, down))


def test_a_face_and_its_eye_line_are_found() -> None:
    (face,) = faces.find_faces(astronaut())
    assert face.eyes_found
    assert box_overlap(face.box, FACE) >= 0.6
    assert abs(face.tilt - TILT) < 3
    for found, true in zip(face.eyes, PUPILS, strict=True):
        assert np.hypot(found[0] - true[0], found[1] - true[1]) < 3


@pytest.mark.parametrize("turned", [-40, -15, 15, 40])
def test_tilted_faces_are_found_and_set_upright(turned: int) -> None:
    picture = astronaut().rotate(turned, Image.Resampling.BICUBIC, fillcolor=(130, 140, 150))
    (face,) = faces.find_faces(picture)
    assert abs(face.tilt - (TILT - turned)) < 3
    aligned = alignment.align_face(picture, face, 512)
    (upright,) = faces.find_faces(aligned)
    assert abs(upright.tilt) < 3
    assert abs(upright.middle[0] / 512 - 0.5) < 0.02
    assert abs(upright.middle[1] / 512 - alignment.EYES_DOWN) < 0.02


@pytest.mark.parametrize("place", [(30, 20), (330, 180)])
def test_a_face_in_a_drawing_is_found_where_it_was_put(place: tuple[int, int]) -> None:
    scene = Image.new("RGB", (640, 480), (150, 200, 230))
    draw = ImageDraw.Draw(scene)
    draw.rectangle([0, 330, 640, 480], fill=(90, 160, 80))
    draw.ellipse([480, 30, 560, 110], fill=(250, 220, 60))
    scene.paste(astronaut().crop((110, 0, 340, 230)), place)
    (face,) = faces.find_faces(scene)
    moved = (FACE[0] - 110, FACE[1], FACE[2] - 110, FACE[3])
    assert box_overlap(face.box, tuple(side + place[k % 2] for k, side in enumerate(moved))) >= 0.6
    assert abs(face.tilt - TILT) < 3


def test_the_largest_face_or_the_one_in_the_centre_is_chosen() -> None:
    scene = Image.new("RGB", (900, 500), (200, 205, 210))
    part = astronaut().crop((110, 0, 340, 230))
    scene.paste(part.resize((340, 340)), (20, 80))
    scene.paste(part, (450, 130))
    largest, count = faces.choose_face(scene, "largest", "x")
    central, _ = faces.choose_face(scene, "centre", "x")
    assert count == 2
    assert largest.middle[0] < 400 < central.middle[0]


@pytest.mark.parametrize("name", ["chelsea", "coffee", "toy", "dress", "mountain"])
def test_a_picture_without_a_face_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadInput, match="shows no face") as caught:
        faces.choose_face(read_file(PHOTOS / f"{name}.jpg"), "largest", f"{name}.jpg")
    assert caught.value.problems[0].where == f"{name}.jpg"


def test_all_but_face_and_hair_turns_white() -> None:
    (face,) = faces.find_faces(astronaut())
    kept, mask = heads.keep_face_and_hair(alignment.align_face(astronaut(), face, 512), 1)
    white, share = (255, 255, 255), np.asarray(mask).mean() / 255
    for place in ((10, 10), (500, 10), (10, 500), (500, 500), (256, 500), (120, 480), (30, 256)):
        assert kept.getpixel(place) == white
    for place in ((256, 300), (193, 240), (319, 240), (256, 60), (420, 200), (256, 420)):
        assert mask.getpixel(place) == 255
    assert 0.3 < share < 0.6


def work() -> list[bytes]:
    picture, _ = drawn(mug, CREAM, GROUNDS["pastel"], 320, dotted=True)
    cut = matting.cut_by_ground(jpeg(picture), "x", 7)
    (face,) = faces.find_faces(astronaut())
    kept, mask = heads.keep_face_and_hair(alignment.align_face(astronaut(), face, 256), 7)
    return [part.tobytes() for part in (cut.picture, cut.mask, kept, mask)]


def test_the_same_bytes_come_out_whatever_ran_before() -> None:
    first, random_state = work(), random.getstate()
    cv2.setRNGSeed(12345)
    cv2.randu(np.zeros((50, 50), np.uint8), 0, 255)
    numpy_state = np.random.get_state()[1].copy()
    threads = cv2.getNumThreads()
    assert work() == first
    assert random.getstate() == random_state
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    cv2.setNumThreads(1)
    try:
        assert work() == first
    finally:
        cv2.setNumThreads(threads)
    assert cv2.getNumThreads() == threads


def test_pictures_that_are_given_are_not_changed() -> None:
    picture, _ = drawn(mug, RED, GROUNDS["white"], 128)
    before = picture.tobytes()
    matting.fit_cut_out(matting.crop_to_product(matting.cut_by_ground(picture, "x", 1), 0.1), 128 * 128, 16, "x")
    assert picture.tobytes() == before


def test_the_face_for_plugins_offers_what_it_names_and_loads_nothing_heavy() -> None:
    assert all(hasattr(preparation, name) for name in preparation.__all__)
    program = (
        "import sys, dreamline.preparation, plugins.subject, plugins.identity, plugins.style, plugins.tryon\n"
        "print(*{'cv2', 'numpy', 'PIL', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.split() == []
