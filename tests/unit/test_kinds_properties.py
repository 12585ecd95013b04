"""Whatever is thrown at a kind, it is prepared within the contract or refused by a documented error."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core.cards import load_card
from core.conditions import ConditionType
from core.errors import BadInput
from core.preparing import prepare_reference
from core.prompts import with_prefixes
from core.requests import Preparation, Reference
from core.settings import Settings
from plugins import identity, style, subject, tryon

HOME = Settings(home=Path("nowhere"))
CARD = load_card("dreamo-mini", HOME)
KINDS: dict[str, ConditionType[Any]] = {
    kind.name: kind for plugin in (subject, identity, style, tryon) for kind in plugin.condition_types()
}
BOUNDED = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")
SIZES = st.one_of(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(100, 400), st.integers(100, 400)),
    st.sampled_from([(1, 1), (400, 1), (1, 400), (400, 7), (129, 128)]),
)


def drawn(content: str, size: tuple[int, int], seed: int) -> Image.Image:
    """RGBA of noise, one colour, a gradient, or a product on a ground."""
    rng = np.random.default_rng(seed)
    if content == "noise":
        return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 4), np.uint8))
    colours = [tuple(int(one) for one in row) for row in rng.integers(0, 256, (2, 4))]
    picture = Image.new("RGBA", size, colours[0])
    if content == "gradient":
        picture.putalpha(Image.linear_gradient("L").resize(size))
        picture.paste(Image.radial_gradient("L").resize(size).convert("RGB"), (0, 0))
    elif content in ("product", "transparent"):
        if content == "transparent":
            picture = Image.new("RGBA", size, (0, 0, 0, 0))
        box = sorted(rng.uniform(0, size[0], 2)), sorted(rng.uniform(0, size[1], 2))
        corners = [box[0][0], box[1][0], box[0][1], box[1][1]]
        ImageDraw.Draw(picture).ellipse(corners, fill=(*colours[1][:3], 255))
    return picture


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        grey = np.asarray(picture.convert("L"), np.uint16) * 257
        return Image.fromarray(grey)
    if mode == "CMYK":
        return picture.convert("RGB").convert("CMYK")
    return picture.convert(mode)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A picture's file, as odd as people bring them, cut off now and then."""
    content = draw(st.sampled_from(["product", "product", "noise", "flat", "gradient", "transparent"]))
    mode = draw(st.sampled_from(MODES))
    picture = in_mode(drawn(content, draw(SIZES), draw(st.integers(0, 99))), mode)
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(1, 8))
    stream = io.BytesIO()
    type_ = {"CMYK": "JPEG"}.get(mode, "PNG")
    picture.save(stream, type_, exif=exif)
    data = stream.getvalue()
    if draw(st.integers(0, 7)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Whatever an option's type allows."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return st.one_of([values(one) for one in get_args(hint)])
    return {
        bool: st.booleans(),
        int: st.integers(-3, 4) | st.integers(),
        float: st.floats(0, 0.5) | st.floats(),
        str: st.sampled_from(["", "dress", "a red scarf", "tie", "dres"]) | st.text(max_size=20),
        type(None): st.none(),
    }[hint]


def options_of(kind: ConditionType[Any]) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(kind.options)
    names = [one.name for one in fields(kind.options) if one.name != "method"]
    return st.fixed_dictionaries({}, optional={name: values(hints[name]) for name in names})


def attempt(
    kind: ConditionType[Any], data: bytes, mask: bytes | None, options: dict[str, Any], method: int, side: int
) -> Preparation | str:
    """What comes out, or the documented error's words."""
    methods = kind.methods(HOME)
    pinned = kind.by_mask if mask is not None and kind.by_mask else methods[method % len(methods)]
    sha256 = hashlib.sha256(data).hexdigest()
    reference = Reference("thing", kind.name, sha256, "thing.file", options, f"{kind.name} 1", pinned)
    card = replace(CARD, reference_area=side * side)
    try:
        return prepare_reference(data, reference, kind, card, HOME, mask if kind.by_mask else None)
    except BadInput as error:
        silent = [one for one in error.problems if not (one.where and one.what and one.mend)]
        return f"{error} {silent or ''}"


def told(result: Preparation | str) -> Any:
    if isinstance(result, str):
        return result
    mask = result.mask.tobytes() if result.mask else None
    facts = json.dumps(dict(result.facts), allow_nan=False)
    return result.picture.tobytes(), mask, result.warnings, facts


@pytest.mark.parametrize("name", KINDS)
@BOUNDED
@given(data=st.data())
def test_only_documented_errors_come_out_of_odd_files_and_options(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    file = data.draw(files())
    mask = data.draw(st.none() | st.none() | files())
    options = data.draw(options_of(kind))
    method, side = data.draw(st.integers(0, 9)), data.draw(st.sampled_from([64, 128, 256]))
    first = attempt(kind, file, mask, options, method, side)
    assert told(first) == told(attempt(kind, file, mask, options, method, side))
    if isinstance(first, str):
        assert "Problem(" not in first
    else:
        width, height = first.picture.size
        assert first.picture.mode == "RGB"
        assert width % CARD.grid == height % CARD.grid == 0
        assert 0 < width * height <= side * side
        assert all(isinstance(one, str) for one in first.warnings)


@settings(BOUNDED, max_examples=20)
@given(chosen=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=9), data=st.data())
def test_kinds_combine_without_touching_each_other(chosen: list[str], data: st.DataObject) -> None:
    """A reference comes out the same alone and among others, and every prefix is said once."""
    file = data.draw(files())
    order = data.draw(st.permutations(chosen))
    alone = {name: told(attempt(KINDS[name], file, None, {}, 0, 64)) for name in set(chosen)}
    for name in order:
        assert told(attempt(KINDS[name], file, None, {}, 0, 64)) == alone[name]
    prompt = with_prefixes("a scene", [KINDS[name].prompt_prefix for name in order])
    assert prompt.endswith("a scene")
    assert all(
        prompt.count(kind.prompt_prefix) == (name in order) for name, kind in KINDS.items() if kind.prompt_prefix
    )
