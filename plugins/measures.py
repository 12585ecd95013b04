"""Scores of every image: what its pixels tell, and what pretrained networks add where they are present."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from dreamline import Image, Preparation, Request, Score, Settings, hookimpl
from dreamline.scoring import (
    Shown,
    by_clip,
    by_dinov2,
    by_faces,
    by_readers,
    copied,
    glance,
    shown,
    true_to_colours,
    whole,
    world_of,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__version__ = "1"

log = logging.getLogger("dreamline")


@hookimpl
def score_image(
    image: Image, request: Request, references: Sequence[Preparation], settings: Settings
) -> Sequence[Score]:
    every = shown(request, references)
    return [
        *without_weights(image.picture, every),
        *with_weights(image.picture, every, request, settings),
    ]


def without_weights(picture: Picture, references: Sequence[Shown]) -> Iterator[Score]:
    """The floors: about the whole image, and beside each reference its colours and whether it is repeated."""
    seen = glance(picture)
    yield from whole(seen)
    for one in references:
        yield copied(seen, one)
        if (colour := true_to_colours(seen, one)) is not None:
            yield colour


def with_weights(
    picture: Picture, references: Sequence[Shown], request: Request, settings: Settings
) -> Iterator[Score]:
    """Faces, features and readers. One that breaks (a damaged file) is logged and costs its own scores alone.

    A drawn world has readers of its own; its faces are none that a network for photographs knows.
    """
    measures: dict[str, Callable[[], Iterator[Score]]] = {
        "DINOv2": lambda: by_dinov2(picture, references, settings),
        "CLIP": lambda: by_clip(picture, references, request.prompt, settings),
    }
    if world_of(request.model, settings):
        measures["readers"] = lambda: by_readers(picture, references, request.prompt, request.model, settings)
    else:
        measures["faces"] = lambda: by_faces(picture, references, settings)
    for name, measure in measures.items():
        try:
            yield from list(measure())
        except Exception as error:
            log.warning("plugin 'measures': no scores by %s: %r", name, error)
