"""What channels ask of pictures: the data that ships, and what rendering does for them."""

from __future__ import annotations

import datetime
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from orchestrator.delivering.destinations import Destination, Safe, presets
from orchestrator.delivering.orders import stems_of
from orchestrator.delivering.rendering.copy import Copy, Margins
from orchestrator.delivering.rendering.images import Look, Unfit, pad, render, whitened

XMP = b"<xmp/>"


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def noise(side: int = 256) -> bytes:
    return png(Image.effect_noise((side, side), 90).convert("RGB"))


@pytest.mark.parametrize("one", presets().values(), ids=str)
def test_what_ships_is_whole_and_dated(one: Destination) -> None:
    assert one.title
    assert one.source.startswith("https://")
    assert datetime.date.fromisoformat(one.seen) >= datetime.date(2026, 11, 1)
    assert all(500 <= side <= 4000 for side in one.size)
    assert one.kind in ("jpg", "png", "webp")
    assert one.fit in ("cut", "pad")
    margins = one.margins
    assert margins.top + margins.bottom < one.size[1] / 1.5
    assert margins.left + margins.right < one.size[0] / 1.5


def test_margins_are_shares_of_the_sides_in_pixels() -> None:
    one = Destination("own", (1000, 2000), safe=Safe(top=14, right=6, bottom=35, left=0.5))
    assert one.margins == Margins(280, 60, 700, 5)


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.tuples(st.integers(1, 200), st.integers(1, 200)))
def test_padding_keeps_the_whole_picture_in_the_middle(made: tuple[int, int], wanted: tuple[int, int]) -> None:
    padded = pad(Image.new("RGB", made, "red"), wanted, "blue")
    assert padded.size == wanted
    left, top, right, bottom = padded.getchannel("R").getbbox() or (0, 0, 0, 0)
    assert (right - left == wanted[0]) or (bottom - top == wanted[1])
    assert abs((wanted[0] - right) - left) <= 1
    assert abs((wanted[1] - bottom) - top) <= 1


def test_transparency_is_padded_on_white() -> None:
    assert pad(Image.new("RGBA", (10, 10), (0, 0, 0, 0)), (20, 10), "red").getpixel((10, 5)) == (255, 255, 255)


def test_what_is_nearly_white_becomes_white_and_nothing_else_changes() -> None:
    picture = Image.new("RGB", (100, 100), (249, 252, 248))
    ImageDraw.Draw(picture).rectangle((30, 30, 60, 60), fill=(247, 255, 255))
    made = whitened(picture, "mug")
    assert made.getpixel((5, 5)) == (255, 255, 255)
    assert made.getpixel((40, 40)) == (247, 255, 255)


def test_a_ground_that_is_not_white_is_refused_with_its_share() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    ImageDraw.Draw(picture).rectangle((0, 0, 100, 9), fill="teal")
    with pytest.raises(Unfit, match=r"mug: is white in \d\d % of its rim"):
        whitened(picture, "mug")


@pytest.mark.parametrize(("ending", "share"), [(".jpg", 0.7), (".webp", 0.9)])
def test_a_file_gets_as_small_as_its_destination_wants_it_and_no_smaller(ending: str, share: float) -> None:
    data = noise()
    full = render(data, "mug", Look((256, 256)), ending, XMP)
    most = int(len(full) * share)
    made = render(data, "mug", Look((256, 256), most=most), ending, XMP)
    assert len(full) * 0.4 < len(made) <= most
    assert render(data, "mug", Look((256, 256), most=len(full)), ending, XMP) == full
    with pytest.raises(Unfit, match=r"mug: has [\d,]+ bytes as \w+, and the destination takes 900"):
        render(data, "mug", Look((256, 256), most=900), ending, XMP)


def test_a_png_that_is_too_large_is_told_to_be_a_jpeg() -> None:
    with pytest.raises(Unfit, match="Say kind: jpg"):
        render(noise(), "mug", Look((256, 256), most=20_000), ".png", XMP)


def test_what_is_signed_counts_for_the_bytes() -> None:
    data, signature = noise(), b"s" * 10_000
    full = render(data, "mug", Look((256, 256)), ".jpg", XMP)
    made = render(data, "mug", Look((256, 256), most=len(full)), ".jpg", XMP, lambda one: one + signature)
    assert made.endswith(signature)
    assert len(made) <= len(full)


def test_a_text_that_does_not_fit_makes_the_image_unfit() -> None:
    with pytest.raises(Unfit):
        render(noise(64), "mug", Look((64, 64), copy=Copy(headline="much too long for this " * 20)), ".jpg", XMP)


def test_looks_that_come_out_alike_have_one_name_and_others_another() -> None:
    square = Look((10, 10))
    assert square.id == "10x10"
    assert Look().id == "native"
    assert square.id == Look((10, 10), ground="red", safe=Margins(1, 1, 1, 1)).id
    others = [
        Look((10, 10), fit="pad"),
        Look((10, 10), fit="pad", ground="red"),
        Look((10, 10), white=True),
        Look((10, 10), most=1000),
        Look((10, 10), copy=Copy(label="made")),
        Look((10, 10), copy=Copy(label="made"), safe=Margins(1, 0, 0, 0)),
    ]
    assert len({square.id, *(one.id for one in others)}) == 1 + len(others)


def test_files_that_differ_in_their_endings_alone_keep_names_of_their_own() -> None:
    assert stems_of(["a.jpg", "A.png", "b/c.d.png"]) == {"a.jpg": "a-jpg", "A.png": "A-png", "b/c.d.png": "b/c.d"}


def test_one_file_is_signed_once_however_small_it_has_to_be() -> None:
    calls = []

    def sign(made: bytes) -> bytes:
        calls.append(len(made))
        return made + b"s" * 3000

    full = render(noise(), "mug", Look((256, 256)), ".jpg", XMP)
    made = render(noise(), "mug", Look((256, 256), most=len(full)), ".jpg", XMP, sign)
    assert len(calls) == 1
    assert len(made) <= len(full)
