"""The drawn places: any canvas, the same for the same seed, and told apart by what no product covers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.errors import BadInput
from core.training.world.places import draw_place, ground
from core.training.world.truth import FULL

SIZES = ((96, 96), (128, 128), (96, 192), (320, 160), (201, 133))
SEEDS = 20


def border(place: str, time: str, seed: int) -> np.ndarray:
    """The place at 16 x 16 without the part that a thing covers, as one row of numbers."""
    small = draw_place(place, time, 128, 128, seed).resize((16, 16), Image.Resampling.BOX)
    seen = np.ones((16, 16), dtype=bool)
    seen[4:14, 5:11] = False
    return np.asarray(small, dtype=np.float32)[seen].ravel()


@pytest.mark.parametrize("place", FULL.places)
def test_every_place_fills_any_canvas_at_any_hour(place: str) -> None:
    for time in FULL.times:
        for size in SIZES:
            picture = draw_place(place, time, *size, seed=3)
            assert (picture.mode, picture.size) == ("RGB", size)
            assert np.asarray(picture).std() > 15
    assert 0.85 <= ground(place) <= 0.92


@pytest.mark.parametrize("place", FULL.places)
def test_the_seed_alone_decides_what_no_word_says(place: str) -> None:
    for time in FULL.times:
        pictures = [draw_place(place, time, 128, 128, seed).tobytes() for seed in range(6)]
        assert draw_place(place, time, 128, 128, 4).tobytes() == pictures[4]
        assert len(set(pictures)) == len(pictures)


@pytest.mark.parametrize("place", FULL.places)
def test_the_hour_shows_in_the_light(place: str) -> None:
    day, night, sunset = (
        np.mean(
            [np.asarray(draw_place(place, time, 96, 96, seed), dtype=float) for seed in range(4)], axis=(0, 1, 2)
        )
        for time in ("day", "night", "sunset")
    )
    assert night.mean() < 0.65 * day.mean()
    assert sunset[0] - sunset[2] > day[0] - day[2] + 10
    assert sunset.mean() > night.mean() + 20


def test_places_are_told_apart_by_their_outer_parts_alone() -> None:
    names = [(place, time) for place in FULL.places for time in FULL.times]
    learnt = np.stack([np.mean([border(*name, seed) for seed in range(100, 110)], axis=0) for name in names])
    right = 0
    for place, time in names:
        for seed in range(SEEDS):
            nearest = int(np.square(learnt - border(place, time, seed)).sum(axis=1).argmin())
            right += names[nearest] == (place, time)
    assert right >= 0.95 * len(names) * SEEDS


@pytest.mark.parametrize(
    ("place", "time", "size", "named"),
    [
        ("moonbase", "day", (128, 128), "moonbase"),
        ("beach", "noon", (128, 128), "noon"),
        ("beach", "day", (0, 128), "0 x 128"),
        ("beach", "day", (128, 9000), "128 x 9000"),
    ],
)
def test_what_cannot_be_drawn_is_named(place: str, time: str, size: tuple[int, int], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        draw_place(place, time, *size, seed=0)


def test_an_unknown_place_has_no_ground() -> None:
    with pytest.raises(BadInput, match="moonbase"):
        ground("moonbase")
