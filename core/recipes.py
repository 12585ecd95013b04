"""A finished image as a file: PNG that carries its own recipe, so that it can be made again.

The recipe is the request as JSON under the key `dreamline`, without the paths of the reference files: those
are names on somebody's disk; their hashes say which pictures they were.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

from core.errors import BadInput
from core.requests import Image, Request

KEY = "dreamline"


def encode_image(image: Image) -> bytes:
    """PNG bytes of an image, a function of its pixels and its request alone."""
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_itxt(KEY, json.dumps(recipe(image.request), sort_keys=True, ensure_ascii=False))
    file = io.BytesIO()
    image.picture.save(file, format="PNG", pnginfo=told, compress_level=4)
    return file.getvalue()


def recipe(request: Request) -> dict[str, Any]:
    """The request as it is written into files."""
    told = request.as_dict()
    for reference in told["references"]:
        reference["source"] = ""
    return told


def read_recipe(data: bytes, source: str) -> Request:
    """The request of an image that dreamline made.

    Raises:
        BadInput: the file is no PNG, or carries no recipe.
    """
    from PIL import Image as PillowImage

    try:
        with PillowImage.open(io.BytesIO(data), formats=["PNG"]) as picture:
            told = picture.info.get(KEY)
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInput.at(source, "is no PNG file", "Give an image that dreamline made") from error
    if told is None:
        raise BadInput.at(source, "carries no recipe", "Give a PNG that dreamline made, with its metadata")
    try:
        request = Request.from_dict(json.loads(told))
        _refuse_odd(request)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput.at(
            source, f"carries a recipe that can't be read ({error})", "Another version or another program made it"
        ) from error
    return request


def _refuse_odd(request: Request) -> None:
    """A recipe comes from a file that anybody may have written: types and ranges are checked before use."""
    texts = [request.model, request.prompt, request.negative_prompt]
    wholes = {"width": (1, 1 << 16), "height": (1, 1 << 16), "steps": (1, 1000), "seed": (0, (1 << 64) - 1)}
    for name, (low, high) in wholes.items():
        value = getattr(request, name)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}")
    for name in ("guidance", "true_cfg", "first_step_guidance", "negative_guidance"):
        value = getattr(request, name)
        if value is not None and (type(value) not in (int, float) or not 0 <= value <= 1000):
            raise ValueError(f"{name} is {value!r}")
    for reference in request.references:
        texts += [reference.name, reference.kind, reference.plugin, reference.sha256, reference.method.name]
        if not re.fullmatch(r"[0-9a-f]{64}", reference.sha256) or not re.fullmatch(r"[\w .-]+", reference.name):
            raise ValueError(f"reference {reference.name!r}")
        if not re.fullmatch(r"([0-9a-f]{64})?", reference.mask):
            raise ValueError(f"the mask of reference {reference.name!r}")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a text is none")
