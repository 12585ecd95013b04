"""The four kinds as a worker runs them: right on what they are made for, `BadInput` on all else."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core.cards import ModelCard
from core.conditions import ConditionType
from core.errors import BadInput
from core.preparing import prepare_reference
from core.prompts import with_prefixes
from core.requests import Preparation, Reference
from core.settings import Settings
from plugins import identity, style, subject, tryon

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
KINDS: dict[str, ConditionType[Any]] = {
    kind.name: kind for plugin in (identity, style, subject, tryon) for kind in plugin.condition_types()
}
LARGE = ModelCard(name="large", title="", generator="", reference_area=512 * 512)
SMALL = ModelCard(name="small", title="", generator="", reference_area=128 * 128)


def prepared(
    kind: str, data: bytes, card: ModelCard = SMALL, source: str = "in.png", method: str = "", **options: Any
) -> Preparation:
    """As planning and a worker would: options filled in, the method pinned, the result held to the contract."""
    condition, given = KINDS[kind], Settings(home=Path("nowhere"))
    methods = {one.name: one for one in condition.methods(given)}
    pinned = methods[method or next(iter(methods))]
    sha256 = hashlib.sha256(data).hexdigest()
    reference = Reference("it", kind, sha256, source, options, f"{kind} 1", pinned)
    return prepare_reference(data, reference, condition, card, given)


def photo(name: str) -> bytes:
    return (PHOTOS / f"{name}.jpg").read_bytes()


def encoded(picture: Image.Image, type_: str = "PNG", **more: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, type_, **more)
    return stream.getvalue()


@cache
def mug() -> Image.Image:
    picture = Image.new("RGB", (128, 128), (235, 235, 235))
    draw = ImageDraw.Draw(picture)
    draw.ellipse([74, 44, 112, 88], fill=(200, 40, 40))
    draw.ellipse([82, 52, 104, 80], fill=(235, 235, 235))
    draw.rounded_rectangle([28, 32, 88, 102], 6, fill=(200, 40, 40))
    draw.rectangle([28, 60, 88, 72], fill=(250, 240, 210))
    return picture


def test_the_four_kinds_are_there_with_a_version_and_help_for_every_option() -> None:
    assert set(KINDS) == {"subject", "identity", "style", "tryon"}
    for plugin in (identity, style, subject, tryon):
        assert plugin.__version__
    for kind in KINDS.values():
        for name, option in kind.options.__dataclass_fields__.items():
            assert option.metadata["help"], (kind.name, name)
        methods = kind.methods(Settings(home=Path("nowhere")))
        assert methods
        assert all(method.version for method in methods)


@pytest.mark.parametrize(("kind", "name"), [("subject", "toy"), ("tryon", "dress")])
@pytest.mark.parametrize("card", [LARGE, SMALL])
def test_products_and_garments_come_out_on_white(kind: str, name: str, card: ModelCard) -> None:
    made = prepared(kind, photo(name), card)
    rgb, mask = np.asarray(made.picture), np.asarray(made.mask)
    assert made.picture.width * made.picture.height > 0.85 * card.reference_area
    assert (rgb[mask == 0] > 248).all()
    assert 0.3 < (mask >= 128).mean() < 0.8
    left, top, right, bottom = made.facts["box"]
    assert left > 0
    assert top > 0
    assert right < made.picture.width
    assert bottom < made.picture.height


def test_a_face_is_set_upright_on_a_white_square() -> None:
    made = prepared("identity", photo("astronaut"), LARGE)
    assert made.picture.size == (512, 512)
    assert made.picture.getpixel((5, 5)) == made.picture.getpixel((256, 505)) == (255, 255, 255)
    assert made.facts["faces"] == 1
    assert abs(made.facts["tilt"] - 2.8) < 3
    assert prepared("identity", photo("astronaut"), SMALL).picture.size == (128, 128)


def test_a_style_is_kept_whole_and_brings_its_words() -> None:
    made = prepared("style", photo("mountain"), LARGE)
    assert made.mask is None
    assert made.picture.size == (512, 512)
    assert with_prefixes("a cat", [KINDS["style"].prompt_prefix]) == "generate a same style image. a cat"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("subject", "coffee", "busy background"),
        ("subject", "chelsea", "busy background"),
        ("tryon", "astronaut", "somebody wears"),
        ("identity", "chelsea", "no face"),
        ("identity", "coffee", "no face"),
    ],
)
def test_what_cant_serve_is_refused_with_name_reason_and_mend(kind: str, name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        prepared(kind, photo(name), LARGE, source=f"brief/{name}.jpg")
    (problem,) = caught.value.problems
    assert problem.where == f"brief/{name}.jpg"
    assert problem.mend


def test_mends_that_are_named_work() -> None:
    """`method: keep-background` and `aligned: true` are what the refusals advise."""
    with pytest.raises(BadInput, match="keep-background"):
        prepared("subject", photo("coffee"), LARGE)
    with pytest.raises(BadInput) as caught:
        prepared("tryon", photo("coffee"), LARGE)
    assert "keep-background" not in str(caught.value)
    made = prepared("subject", photo("coffee"), LARGE, method="keep-background")
    assert made.mask is None
    assert made.picture.width > made.picture.height
    drawn = Image.new("RGB", (100, 120), "white")
    ImageDraw.Draw(drawn).ellipse([10, 10, 90, 110], fill=(230, 190, 160))
    with pytest.raises(BadInput, match="aligned: true"):
        prepared("identity", encoded(drawn))
    made = prepared("identity", encoded(drawn), aligned=True)
    assert made.picture.size == (128, 128)
    assert made.picture.getpixel((2, 64)) == (255, 255, 255)


def test_a_drawn_product_of_the_small_world_comes_out_on_white() -> None:
    made = prepared("subject", encoded(mug()))
    assert made.picture.getpixel((2, 2)) == (255, 255, 255)
    assert made.mask is not None
    assert not made.warnings
    kept = prepared("subject", encoded(mug()), crop=False)
    assert kept.picture.size == (128, 128)
    assert kept.facts["box"] == pytest.approx([28, 32, 113, 103], abs=2)


def test_options_out_of_range_are_bad_input() -> None:
    for kind in ("subject", "tryon"):
        for margin in (-0.1, 0.6, float("nan"), float("inf")):
            with pytest.raises(BadInput, match="option margin"):
                prepared(kind, encoded(mug()), margin=margin)


def test_facts_and_warnings_are_json() -> None:
    for kind, name in (("subject", "toy"), ("tryon", "dress"), ("identity", "astronaut"), ("style", "mountain")):
        made = prepared(kind, photo(name), LARGE)
        assert json.loads(json.dumps([made.facts, made.warnings]))[0] == dict(made.facts)


@pytest.mark.parametrize(("kind", "name"), [("subject", "toy"), ("identity", "astronaut"), ("style", "mountain")])
def test_the_same_reference_gives_the_same_bytes_whatever_came_between(kind: str, name: str) -> None:
    def made() -> tuple[bytes, bytes]:
        one = prepared(kind, photo(name))
        return one.picture.tobytes(), one.mask.tobytes() if one.mask else b""

    first = made()
    prepared("subject", encoded(mug()))
    prepared("identity", photo("astronaut"))
    assert made() == first


def test_preparing_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, name in (("subject", "toy"), ("identity", "astronaut"), ("style", "mountain")):
        prepared(kind, photo(name))
    assert list(tmp_path.iterdir()) == []


@st.composite
def odd_pictures(draw: st.DrawFn) -> bytes:
    """Pictures of any mode, type, size and content; some turned by EXIF, some damaged."""
    sides = st.one_of(st.sampled_from([1, 2, 15, 16, 17, 63, 64, 200]), st.integers(1, 90))
    width, height = draw(sides), draw(sides)
    if draw(st.integers(0, 9)) == 0:
        width, height = draw(st.sampled_from([(3000, 1), (1, 3000), (900, 20)]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    content = draw(st.sampled_from(["noise", "flat", "blob", "ramp", "frame"]))
    colours = rng.integers(0, 256, (3, 4)).astype(np.uint8)
    picture = Image.new("RGBA", (width, height), tuple(map(int, colours[0])))
    if content == "noise":
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 4)).astype(np.uint8))
    elif content == "ramp":
        picture = Image.linear_gradient("L").resize((width, height)).convert("RGBA")
    elif content != "flat":
        box = [width // 4, height // 4, width * 3 // 4, height * 3 // 4] if content == "blob" else [0, 0, width, 3]
        ImageDraw.Draw(picture).rectangle(box, fill=tuple(map(int, colours[1])))
    modes = {
        "PNG": ["RGBA", "RGB", "L", "LA", "P", "1", "I;16"],
        "JPEG": ["RGB", "L", "CMYK"],
        "TIFF": ["CMYK", "RGB", "RGBA", "LAB"],
        "WEBP": ["RGBA"],
        "GIF": ["P"],
    }
    type_ = draw(st.sampled_from(sorted(modes)))
    mode = draw(st.sampled_from(modes[type_]))
    base = picture.convert("RGB") if mode in ("CMYK", "1", "P", "LAB") else picture
    picture = Image.new("LAB", picture.size) if mode == "LAB" else base.convert("L" if mode == "I;16" else mode)
    picture = picture.convert("I;16") if mode == "I;16" else picture
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 9))
    more = {"exif": exif} if type_ in ("JPEG", "WEBP") else {}
    data = encoded(picture, type_, **more)
    return data[: draw(st.integers(1, len(data)))] if draw(st.integers(0, 9)) == 0 else data


OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "subject": st.fixed_dictionaries({"crop": st.booleans(), "margin": st.floats(0, 0.5) | st.floats()}),
    "tryon": st.fixed_dictionaries({"margin": st.floats(0, 0.5), "garment": st.none() | st.text()}),
    "identity": st.fixed_dictionaries({"face": st.sampled_from(["largest", "centre"]), "aligned": st.booleans()}),
    "style": st.just({}),
}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(odd_pictures(), st.sampled_from(sorted(KINDS)), st.sampled_from([256, 48 * 48, 128 * 128]), st.data())
def test_odd_pictures_are_prepared_within_the_contract_or_refused(
    data: bytes, kind: str, area: int, more: st.DataObject
) -> None:
    card = ModelCard(name="odd", title="", generator="", reference_area=area)
    methods = [method.name for method in KINDS[kind].methods(Settings(home=Path("nowhere")))]
    with suppress(BadInput):
        prepared(kind, data, card, method=more.draw(st.sampled_from(methods)), **more.draw(OPTIONS[kind]))
