"""Safe reading: every kind of file comes out upright in sRGB, or is refused by name."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from core import images
from core.errors import BadInput

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


def encoded(picture: Image.Image, type_: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, type_, **options)
    return stream.getvalue()


def quarters(mode: str = "RGB") -> Image.Image:
    """Red, green, blue, yellow, clockwise from the top left; 48 x 32 pixels."""
    picture = Image.new("RGB", (48, 32), "red")
    picture.paste("green", (24, 0, 48, 16))
    picture.paste("blue", (24, 16, 48, 32))
    picture.paste("yellow", (0, 16, 24, 32))
    return picture.convert(mode)


def near(one: Image.Image, other: Image.Image, most: float = 6) -> bool:
    pair = [np.asarray(picture.convert("RGB"), int) for picture in (one, other)]
    return one.size == other.size and float(np.abs(pair[0] - pair[1]).mean()) < most


def refusal(data: bytes, source: str = "shoes/red.jpg") -> str:
    with pytest.raises(BadInput) as caught:
        images.read_picture(data, source)
    (problem,) = caught.value.problems
    assert problem.where == source
    assert problem.what
    assert problem.mend
    return str(problem)


STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How cameras store an upright picture under each orientation: the inverse of what readers must do."""


@pytest.mark.parametrize("type_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_orientation_comes_out_upright(orientation: int, type_: str) -> None:
    turn = STORED[orientation]
    stored = quarters() if turn is None else quarters().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = images.read_picture(encoded(stored, type_, exif=exif), "x")
    assert near(read, quarters())


def test_a_heic_is_turned_once_though_its_exif_says_so_too() -> None:
    read = images.read_file(PHOTOS / "turned.heic")
    upright = Image.open(PHOTOS / "astronaut.jpg").crop((176, 64, 272, 128))
    assert read.mode == "RGB"
    assert near(read, upright)


def test_heic_leaves_pillow_as_it_was() -> None:
    program = (
        "from pathlib import Path; from PIL import Image; from core.images import read_file\n"
        f"read_file(Path({str(PHOTOS / 'turned.heic')!r}))\n"
        "assert 'HEIF' not in Image.OPEN and Image.MAX_IMAGE_PIXELS == 89478485, Image.MAX_IMAGE_PIXELS"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("mode", "type_"),
    [
        ("L", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("RGB", "BMP"),
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("YCbCr", "JPEG"),
        ("LAB", "TIFF"),
        ("RGB", "AVIF"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "WEBP"),
    ],
)
def test_modes_without_transparency_become_rgb(mode: str, type_: str) -> None:
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        stored = ImageCms.profileToProfile(quarters(), srgb, lab, outputMode="LAB")
        assert stored is not None
    else:
        stored = quarters(mode)
    read = images.read_picture(encoded(stored, type_), "x")
    grey = mode in ("L", "LA")
    expected = quarters("L") if grey else quarters("1") if mode == "1" else quarters()
    assert read.mode == "RGB"
    assert near(read, expected, 14 if mode == "CMYK" else 8)


def test_sixteen_bit_grey_keeps_its_upper_byte() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16)[None].repeat(4, axis=0)
    read = images.read_picture(encoded(Image.fromarray(ramp)), "x")
    assert np.array_equal(np.asarray(read)[..., 0], ramp >> 8)
    tiff = images.read_picture(encoded(Image.fromarray(ramp.astype(np.int32)), "TIFF"), "x")
    assert np.array_equal(np.asarray(tiff), np.asarray(read))


def test_an_icc_profile_is_converted_to_srgb() -> None:
    """A profile whose red and blue are swapped: what it stores as red is seen as blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[:] = bytes(profile).replace(b"rXYZ", b"tmp0").replace(b"bXYZ", b"rXYZ").replace(b"tmp0", b"bXYZ")
    data = encoded(Image.new("RGB", (8, 8), "red"), icc_profile=bytes(profile))
    assert near(images.read_picture(data, "x"), Image.new("RGB", (8, 8), "blue"), 3)


@pytest.mark.parametrize("profile", [b"", b"nonsense", b"\0" * 200])
def test_a_broken_icc_profile_is_passed_over(profile: bytes) -> None:
    read = images.read_picture(encoded(quarters(), icc_profile=profile), "x")
    assert np.array_equal(np.asarray(read), np.asarray(quarters()))


def test_a_profile_of_another_colour_space_is_passed_over() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert near(images.read_picture(encoded(quarters("L"), icc_profile=profile), "x"), quarters("L"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_real_transparency_is_kept_and_turns_white_when_asked(mode: str) -> None:
    picture = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    picture.paste((40, 40, 40, 255), (0, 0, 10, 10))
    stored = picture.quantize(4) if mode == "PA" else picture.convert(mode)
    read = images.read_picture(encoded(stored), "x")
    assert read.mode == "RGBA"
    white = images.on_white(read)
    assert white.mode == "RGB"
    assert white.getpixel((15, 5)) == (255, 255, 255)
    assert white.getpixel((5, 5)) == (40, 40, 40)


@pytest.mark.parametrize("type_", ["GIF", "WEBP", "PNG", "TIFF", "MPO", "AVIF"])
def test_an_animation_is_read_by_its_first_frame(type_: str) -> None:
    others = [Image.new("RGB", (48, 32), "black"), Image.new("RGB", (48, 32), "white")]
    data = encoded(quarters(), type_, save_all=True, append_images=others)
    assert near(images.read_picture(data, "x"), quarters(), 12)


def bomb(width: int, height: int) -> bytes:
    """A PNG of some bytes that claims a size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_001, 10_000), (20_000, 20_000), (60_000, 60_000), (1, 200_000_000)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    assert "100 megapixels are the most" in refusal(bomb(*size))
    with pytest.raises(BadInput, match="100 megapixels"):
        images.probe(bomb(*size), "x")


@pytest.mark.parametrize("type_", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_a_truncated_file_is_refused_by_name(type_: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8).astype(np.uint8))
    data = encoded(noise, type_)
    assert "shoes/red.jpg" in refusal(data[: len(data) * 6 // 10])
    refusal(data[:20])


def test_a_truncated_heic_is_refused() -> None:
    data = (PHOTOS / "turned.heic").read_bytes()
    for length in (13, 40, 300, len(data) * 2 // 3):
        refusal(data[:length])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"hello", "is no picture"),
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"8BPS\0\1", "Photoshop"),
        (b"PK\x03\x04" + b"\0" * 60, "ZIP"),
        (b"\x89PNG\r\n\x1a\n", "has no whole header"),
        (b"\xff\xd8\xff\xe0", "has no whole header"),
    ],
)
def test_what_is_no_picture_is_told_by_what_it_is(data: bytes, said: str) -> None:
    assert said in refusal(data)
    with pytest.raises(BadInput, match=said):
        images.probe(data, "x")


def test_a_type_that_is_not_on_the_list_is_refused() -> None:
    assert "is no picture of a type that is read" in refusal(encoded(quarters(), "PPM"))


def test_floating_point_pixels_are_refused() -> None:
    ramp = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    assert "floating-point" in refusal(encoded(ramp, "TIFF"))


def test_damaged_exif_does_not_cost_the_picture() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\xff" + b"\1\x12" * 9
    assert near(images.read_picture(encoded(quarters(), "JPEG", exif=exif), "x"), quarters())


def test_probing_reads_the_header_only(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (400, 600, 3), np.uint8).astype(np.uint8))
    path = tmp_path / "large.jpg"
    path.write_bytes(encoded(noise, "JPEG")[:5000])
    assert images.probe_file(path) == images.Header("JPEG", 600, 400)
    assert images.probe((PHOTOS / "turned.heic").read_bytes(), "x").type == "HEIC"


def test_files_that_are_not_there_or_no_files_are_named(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "gone.png", "is not there"), (tmp_path, "can't be read")):
        for read in (images.read_file, images.probe_file):
            with pytest.raises(BadInput, match=said) as caught:
                read(path)
            assert caught.value.problems[0].where == str(path)


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.jpg"
    with path.open("wb") as stream:
        stream.truncate(images.MAX_BYTES + 1)
    with pytest.raises(BadInput, match="200 MB is the most"):
        images.read_file(path)


def test_warnings_neither_leak_nor_fail_and_filters_stay() -> None:
    """Pillow warns of a palette with transparency in bytes and of bombs; tests turn warnings into errors."""
    picture = quarters("P")
    data = encoded(picture, transparency=bytes([0] * 256))
    before = list(warnings.filters)
    assert images.read_picture(data, "x").mode == "RGBA"
    refusal(bomb(10_000, 10_001))
    assert list(warnings.filters) == before


def test_filters_stay_when_many_threads_read() -> None:
    before, data = list(warnings.filters), encoded(quarters(), "JPEG")
    threads = [
        threading.Thread(target=lambda: [images.read_picture(data, "x") for _ in range(20)]) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


@pytest.mark.parametrize(
    ("size", "area", "expected"),
    [
        ((512, 512), 512 * 512, (512, 512)),
        ((300, 300), 512 * 512, (512, 512)),
        ((1024, 768), 512 * 512, (576, 432)),
        ((3, 4), 256 * 256, (208, 288)),
        ((10_000, 1), 256 * 256, (4096, 16)),
        ((1, 10_000), 256 * 256, (16, 4096)),
    ],
)
def test_fitting_keeps_the_area_and_floors_to_multiples(
    size: tuple[int, int], area: int, expected: tuple[int, int]
) -> None:
    assert images.fit_size(*size, area, 16) == expected


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(16, 64), st.sampled_from([8, 16, 32]))
def test_fitted_sizes_lie_on_the_grid_within_the_area(width: int, height: int, tokens: int, multiple: int) -> None:
    area = (tokens * multiple) ** 2 // 4
    across, down = images.fit_size(width, height, area, multiple)
    assert across % multiple == down % multiple == 0
    assert min(across, down) >= multiple
    assert across * down <= area
    if max(width, height) <= 2 * min(width, height):
        assert across > (area * width / height) ** 0.5 - multiple - 1


def test_reading_gives_the_same_bytes_each_time() -> None:
    data = (PHOTOS / "astronaut.jpg").read_bytes()
    first = images.read_picture(data, "x").tobytes()
    np.random.default_rng().random(3)
    assert images.read_picture(data, "y").tobytes() == first


SAMPLES = [
    encoded(quarters(), "JPEG"),
    encoded(quarters("P")),
    encoded(quarters("CMYK"), "TIFF"),
    encoded(quarters("RGBA"), "WEBP"),
    encoded(quarters(), "GIF"),
    encoded(quarters(), "AVIF"),
    (PHOTOS / "turned.heic").read_bytes(),
]


@given(st.sampled_from(SAMPLES), st.data())
def test_corrupt_bytes_are_read_or_refused_and_nothing_else(sample: bytes, data: st.DataObject) -> None:
    damaged = bytearray(sample[: data.draw(st.integers(0, len(sample)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=8)):
        if damaged:
            damaged[place] = data.draw(st.integers(0, 255))
    with suppress(BadInput):
        assert images.read_picture(bytes(damaged), "damaged").mode in ("RGB", "RGBA")
    with suppress(BadInput):
        images.probe(bytes(damaged), "damaged")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        images.read_picture(data, "arbitrary")
    with pytest.raises(BadInput):
        images.probe(data, "arbitrary")
