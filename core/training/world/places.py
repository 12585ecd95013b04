"""The places of the drawn world by name: the ground behind a product or a person."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from core.errors import BadInput
from core.training.world import indoors, outdoors
from core.training.world.backdrop import LIGHT, Backdrop

SMALLEST, LARGEST = 16, 4096


def painters() -> dict[str, tuple[Callable[[Backdrop], None], float]]:
    """Of each place: what paints it, and where things stand in it (a share of the height)."""
    return {
        "beach": (outdoors.paint_beach, 0.89),
        "city": (outdoors.paint_city, 0.88),
        "forest": (outdoors.paint_forest, 0.88),
        "kitchen": (indoors.paint_kitchen, 0.87),
        "studio": (indoors.paint_studio, 0.88),
        "mountains": (outdoors.paint_mountains, 0.88),
        "desert": (outdoors.paint_desert, 0.88),
        "garden": (outdoors.paint_garden, 0.88),
        "living room": (indoors.paint_living_room, 0.9),
        "office": (indoors.paint_office, 0.88),
        "harbour": (outdoors.paint_harbour, 0.88),
        "market": (outdoors.paint_market, 0.89),
    }


def draw_place(place: str, time: str, width: int, height: int, seed: int) -> Image.Image:
    """An empty place (RGB, `width` x `height` pixels), lit by the hour.

    `seed` varies what no word says: clouds, trees, the height of houses, which hand a palm is on, a slight tint.
    The same arguments draw the same picture.

    Raises:
        BadInput: no such place or time, or a canvas that is no size to draw on.
    """
    if time not in LIGHT:
        raise BadInput.at("time", f"{time!r} is no time of day", f"Known are: {', '.join(LIGHT)}.")
    if min(width, height) < SMALLEST or max(width, height) > LARGEST:
        size = f"{width} x {height} pixels"
        raise BadInput.at("size", f"{size} is no canvas", f"Give {SMALLEST} to {LARGEST} pixels a side.")
    view = Backdrop(time, width, height, seed)
    found(place)[0](view)
    return view.finished()


def ground(place: str) -> float:
    """Where things stand in `place`, as a share of the picture's height.

    Raises:
        BadInput: no such place.
    """
    return found(place)[1]


def found(place: str) -> tuple[Callable[[Backdrop], None], float]:
    """The painter and the ground of `place`; BadInput where there is no such place."""
    known = painters()
    if place not in known:
        raise BadInput.at("place", f"{place!r} is no drawn place", f"Known are: {', '.join(known)}.")
    return known[place]
