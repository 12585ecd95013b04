"""Products of the drawn world: every kind and look can be drawn, and can be told from the others."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.errors import BadInput
from core.training.world.palette import COLOURS, EYES, HAIR_COLOURS, RGB, SKINS, darker, lighter, shade
from core.training.world.patterns import fabric
from core.training.world.products import draw_product
from core.training.world.truth import FULL, Look, Product

Pixels = NDArray[np.int16]

PLAIN = Look("red", "white", "plain", "none")
TABLES: list[tuple[Mapping[str, RGB], tuple[str, ...]]] = [
    (COLOURS, FULL.colours),
    (SKINS, FULL.skins),
    (HAIR_COLOURS, FULL.hair_colours),
    (EYES, FULL.eyes),
]


def drawn(kind: str = "mug", look: Look = PLAIN, proportion: float = 0.5, height: int = 64) -> Image.Image:
    return draw_product(Product(kind, look, proportion), height, random.Random(7))


def tile(look: Look, size: int = 120) -> Pixels:
    """A square filled with the look, as RGB; the same shades each time."""
    shape = Image.new("L", (size, size), 255)
    return np.asarray(fabric(shape, look, random.Random(7), scale=0.3), dtype=np.int16)


def near(pixels: Pixels, rgb: RGB, within: float = 60.0) -> NDArray[np.bool_]:
    difference = pixels[..., :3].astype(np.float64) - np.array(rgb, dtype=np.float64)
    distance: NDArray[np.float64] = np.linalg.norm(difference, axis=-1)
    return distance < within


def silhouette(kind: str) -> NDArray[np.bool_]:
    """Brought to one square size, so that shapes and not sizes are compared."""
    alpha = drawn(kind).getchannel("A").resize((64, 64))
    return np.asarray(alpha) > 127


@pytest.mark.parametrize(("table", "names"), TABLES)
def test_every_value_has_a_colour(table: Mapping[str, RGB], names: tuple[str, ...]) -> None:
    assert tuple(table) == names


@pytest.mark.parametrize(("table", "names"), TABLES)
def test_colours_stay_apart_when_shaded(table: Mapping[str, RGB], names: tuple[str, ...]) -> None:
    rng = random.Random(0)
    for one, other in itertools.combinations(names, 2):
        for _ in range(20):
            distance = np.linalg.norm(np.subtract(shade(table[one], rng, 0.06), shade(table[other], rng, 0.06)))
            assert distance > 50, (one, other)


def test_shading_keeps_the_hue_and_white_and_black_visible() -> None:
    rng = random.Random(0)
    for _ in range(50):
        red, green, blue = shade(COLOURS["orange"], rng)
        assert red / green == pytest.approx(244 / 122, rel=0.02)
        assert blue < green < red
        assert all(225 < channel <= 248 for channel in shade(COLOURS["white"], rng))
        assert all(26 < channel < 40 for channel in shade(COLOURS["black"], rng))


def test_darker_and_lighter_run_to_black_and_white() -> None:
    assert darker((200, 100, 50), 0.5) == (100, 50, 25)
    assert darker((200, 100, 50), 1.0) == (0, 0, 0)
    assert lighter((200, 100, 50), 0.0) == (200, 100, 50)
    assert lighter((200, 100, 50), 1.0) == (255, 255, 255)


@pytest.mark.parametrize("kind", FULL.products)
@pytest.mark.parametrize("height", [9, 45, 64, 110])
def test_a_product_has_exactly_the_height_asked_for_and_no_empty_border(kind: str, height: int) -> None:
    for proportion in (0.0, 0.37, 1.0):
        picture = drawn(kind, proportion=proportion, height=height)
        assert picture.mode == "RGBA"
        assert picture.height == height
        box = picture.getbbox()
        assert box is not None
        assert max(box[0], box[1]) <= 1
        assert box[2] >= picture.width - 1
        assert box[3] >= height - 1


@pytest.mark.parametrize("kind", FULL.products)
def test_the_reference_colour_covers_much_of_a_plain_product(kind: str) -> None:
    for colour in FULL.colours:
        second = "white" if colour == "black" else "black"
        pixels = np.asarray(drawn(kind, Look(colour, second, "plain", "none")), dtype=np.int16)
        visible = pixels[..., 3] > 127
        share = float((near(pixels, COLOURS[colour]) & visible).sum() / visible.sum())
        assert share > 0.3, (kind, colour, share)


@pytest.mark.parametrize("kind", FULL.products)
def test_patterns_and_emblems_show_on_every_kind(kind: str) -> None:
    for pattern, emblem in [
        *((name, "none") for name in FULL.patterns[1:]),
        *(("plain", e) for e in FULL.emblems[1:]),
    ]:
        bare = np.asarray(drawn(kind, Look("blue", "yellow", "plain", "none"), height=45), dtype=np.int16)
        full = np.asarray(drawn(kind, Look("blue", "yellow", pattern, emblem), height=45), dtype=np.int16)
        assert bare.shape == full.shape
        gained = near(full, COLOURS["yellow"], 90).sum() - near(bare, COLOURS["yellow"], 90).sum()
        assert gained > (35 if emblem == "none" else 12), (kind, pattern, emblem, gained)


def test_the_same_product_is_drawn_with_the_same_bytes() -> None:
    look = Look("teal", "orange", "zigzags", "moon")
    for kind in FULL.products:
        assert drawn(kind, look).tobytes() == drawn(kind, look).tobytes()


def test_chance_moves_shades_but_no_shape() -> None:
    product = Product("teapot", Look("teal", "orange", "dots", "leaf"), 0.3)
    one, other = (draw_product(product, 64, random.Random(seed)) for seed in (1, 2))
    assert one.getchannel("A").tobytes() == other.getchannel("A").tobytes()
    assert one.tobytes() != other.tobytes()


def test_kinds_differ_in_silhouette() -> None:
    shapes = {kind: silhouette(kind) for kind in FULL.products}
    for one, other in itertools.combinations(FULL.products, 2):
        overlap = (shapes[one] & shapes[other]).sum() / (shapes[one] | shapes[other]).sum()
        assert overlap < 0.93, (one, other, overlap)


@pytest.mark.parametrize("kind", FULL.products)
def test_tall_products_are_visibly_narrower(kind: str) -> None:
    squat, usual, tall = (drawn(kind, proportion=share).width for share in (0.0, 0.5, 1.0))
    assert squat > usual > tall
    assert squat > 1.4 * tall


def test_patterns_differ_and_take_a_fair_share() -> None:
    inks = {name: near(tile(Look("blue", "yellow", name, "none")), COLOURS["yellow"]) for name in FULL.patterns}
    assert not inks["plain"].any()
    for name in FULL.patterns[1:]:
        assert 0.2 < inks[name].mean() < 0.6, name
    for one, other in itertools.combinations(FULL.patterns, 2):
        assert (inks[one] ^ inks[other]).mean() > 0.2, (one, other)


def test_emblems_differ_and_are_large_and_central() -> None:
    inks = {name: near(tile(Look("blue", "yellow", "plain", name)), COLOURS["yellow"]) for name in FULL.emblems}
    assert not inks["none"].any()
    for name in FULL.emblems[1:]:
        rows, columns = np.nonzero(inks[name])
        assert 0.4 < max(np.ptp(rows), np.ptp(columns)) / 120 < 0.6, name
        assert max(abs(rows.mean() - 60), abs(columns.mean() - 60)) < 12, name
    for one, other in itertools.combinations(FULL.emblems[1:], 2):
        differing = (inks[one] ^ inks[other]).sum() / (inks[one] | inks[other]).sum()
        assert differing > 0.2, (one, other, differing)


def test_an_emblem_stands_on_a_bare_patch_of_the_ground_colour() -> None:
    pixels = tile(Look("blue", "yellow", "checks", "bolt"))
    emblem = near(tile(Look("blue", "yellow", "plain", "bolt")), COLOURS["yellow"])
    rows, columns = np.mgrid[:120, :120] - 60
    around = np.hypot(rows, columns) < 36
    assert near(pixels, COLOURS["yellow"])[emblem].all()
    assert near(pixels, COLOURS["blue"])[around & ~emblem].mean() > 0.95


def test_fabric_for_an_empty_mask_is_its_ground() -> None:
    sheet = fabric(Image.new("L", (9, 9)), Look("green", "pink", "dots", "star"), random.Random(0), scale=0.3)
    assert sheet.size == (9, 9)
    assert len(sheet.getcolors() or ()) == 1


@pytest.mark.parametrize(
    ("product", "height", "named"),
    [
        (Product("spoon", PLAIN, 0.5), 64, "'spoon'"),
        (Product("mug", PLAIN, 1.5), 64, "1.5"),
        (Product("mug", PLAIN, 0.5), 3, "3 pixels"),
        (Product("mug", Look("mauve", "white", "plain", "none"), 0.5), 64, "'mauve'"),
        (Product("mug", Look("red", "white", "tartan", "none"), 0.5), 64, "'tartan'"),
        (Product("mug", Look("red", "white", "plain", "skull"), 0.5), 64, "'skull'"),
    ],
)
def test_what_the_world_does_not_have_is_refused_by_name(product: Product, height: int, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        draw_product(product, height, random.Random(0))
