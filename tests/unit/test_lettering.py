"""Lettering: texts and a logo are legible on any picture, inside the safe zone, or refused with a reason."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont, features

from core.errors import BadInput
from orchestrator.delivering.rendering import contrast
from orchestrator.delivering.rendering.copy import Copy, Margins
from orchestrator.delivering.rendering.layout import SMALLEST, Layout, lay_out, room_in
from orchestrator.delivering.rendering.lettering import letter
from orchestrator.delivering.rendering.typesetting import Face, TooLarge, lines_of, pieces_of, set_lines

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
SIZES = {"square": (540, 540), "portrait": (540, 675), "story": (540, 960), "banner": (600, 314)}
OPEN = Margins()
EVERYTHING = Copy("Fresh summer dresses for warm evenings", "49.90", "Image made with AI")


def plain(size: tuple[int, int] = (540, 540), colour: Any = "black") -> Image.Image:
    return Image.new("RGB", size, colour)


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def ring(colour: tuple[int, int, int], size: tuple[int, int] = (200, 100)) -> bytes:
    """A logo: the outline of an ellipse, with clear edges around it."""
    picture = Image.new("RGBA", size)
    ImageDraw.Draw(picture).ellipse((20, 20, size[0] - 21, size[1] - 21), outline=colour, width=12)
    return png(picture)


def on_black(copy: Copy, size: tuple[int, int] = (540, 540), safe: Margins = OPEN) -> Image.Image:
    """What is drawn: on black, letters are white and need no scrim."""
    return letter(plain(size), copy, safe, "feed")


def layout(copy: Copy, size: tuple[int, int] = (540, 540), safe: Margins = OPEN) -> Layout:
    return lay_out(copy, size, room_in(size, safe, "feed"), (0, 0), "feed")


def lines(found: Layout) -> Mapping[str, list[str]]:
    return {name: [text for text, _, _ in placed.lines()] for name, placed in found.texts.items()}


def refusal(copy: Copy, size: tuple[int, int] = (540, 540), safe: Margins = OPEN) -> str:
    with pytest.raises(BadInput) as caught:
        letter(plain(size), copy, safe, "feed/shoe.jpg")
    (problem,) = caught.value.problems
    assert problem.where.startswith("feed/shoe.jpg")
    assert problem.mend
    return problem.what


def noise(size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def dusk(size: tuple[int, int]) -> Image.Image:
    """As a photograph of an evening sky: from orange to blue, some grain."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    colours = np.stack([250 - 200 * down, 170 - 90 * down + 30 * across, 90 + 100 * down], axis=2)
    grain = np.random.default_rng(7).normal(0, 6, colours.shape)
    return Image.fromarray(np.clip(colours + grain, 0, 255).astype(np.uint8))


def stripes(size: tuple[int, int]) -> Image.Image:
    values = np.zeros((size[1], size[0], 3), np.uint8)
    values[:, (np.arange(size[0]) // 9) % 2 == 0] = 255
    return Image.fromarray(values)


def photo(size: tuple[int, int]) -> Image.Image:
    return Image.open(sorted(PHOTOS.glob("*.jpg"))[0]).convert("RGB").resize(size)


PICTURES = {
    "black": plain,
    "white": lambda size: plain(size, "white"),
    "grey": lambda size: plain(size, (128, 128, 128)),
    "red": lambda size: plain(size, (220, 30, 40)),
    "noise": noise,
    "dusk": dusk,
    "stripes": stripes,
    "photo": photo,
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_every_letter_contrasts_with_what_is_around_it(name: str, size: tuple[int, int]) -> None:
    drawn = on_black(EVERYTHING, size).convert("L")
    lettered = np.asarray(letter(PICTURES[name](size), EVERYTHING, OPEN, "feed"))
    mask = np.asarray(drawn)
    around = np.asarray(drawn.point(lambda level: 255 if level else 0).filter(ImageFilter.MaxFilter(7)))
    inks = np.unique(lettered[mask == 255], axis=0)
    assert len(inks) == 1
    behind = lettered[(mask == 0) & (around > 0)]
    assert contrast.ratio(contrast.luminance(inks[0]), contrast.luminance(behind)).min() >= 4.5
    on_the_pill = np.median(lettered[mask == contrast.BLACK[0]], axis=0)
    assert contrast.ratio(contrast.luminance(inks[0]), contrast.luminance(on_the_pill)) >= 4.5


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=30))
def test_a_scrim_is_as_strong_as_it_has_to_be_and_no_stronger(colours: list[tuple[int, int, int]]) -> None:
    behind = np.array(colours, np.uint8)
    scrim = contrast.scrim_for_text(behind)
    ink = contrast.luminance(scrim.ink)

    def least(strength: int) -> float:
        return float(contrast.ratio(ink, contrast.veiled(behind, scrim.veil, strength)).min())

    assert least(scrim.strength) >= 4.5
    assert scrim.strength == 0 or least(scrim.strength - 1) < contrast.TEXT


@given(st.integers(0, 255), st.tuples(*[st.integers(0, 255)] * 3))
def test_what_is_computed_of_a_scrim_is_what_pillow_draws(strength: int, veil: tuple[int, int, int]) -> None:
    picture = noise((16, 16))
    drawn = Image.composite(plain((16, 16), veil), picture, Image.new("L", (16, 16), strength))
    expected = contrast.veiled(np.asarray(picture).reshape(-1, 3), veil, strength)
    assert np.allclose(contrast.luminance(np.asarray(drawn)).ravel(), expected)


@pytest.mark.parametrize("colour", ["black", "white"])
def test_a_calm_picture_gets_no_scrim(colour: str) -> None:
    lettered = np.asarray(letter(plain(colour=colour), EVERYTHING, OPEN, "feed"))
    assert (lettered[:250] == np.asarray(plain(colour=colour))[:250]).all()
    assert (lettered[-1] == np.asarray(plain(colour=colour))[-1]).all()


def test_a_scrim_fades_out_and_leaves_the_upper_picture_alone() -> None:
    before = np.asarray(noise((540, 540)), int)
    after = np.asarray(letter(noise((540, 540)), EVERYTHING, OPEN, "feed"), int)
    assert (before[:150] == after[:150]).all()
    changes = np.abs(before - after).mean(axis=(1, 2))[200:330]
    smooth = np.convolve(changes, np.ones(9) / 9, "valid")
    assert np.abs(np.diff(smooth)).max() < 4


def test_a_headline_is_wrapped_and_stays_in_the_safe_zone() -> None:
    safe = Margins(top=125, right=60, bottom=170, left=30)
    box = on_black(Copy("Fresh summer dresses for warm evenings"), (540, 960), safe).getbbox()
    assert box is not None
    assert box[0] >= 30
    assert box[1] >= 125
    assert box[2] <= 480
    assert box[3] <= 790
    assert len(lines(layout(Copy("Fresh summer dresses for warm evenings"), (540, 960), safe))["headline"]) == 2


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
SIDES = st.integers(50, 700)
LOGO = ring((255, 255, 255))


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(SIDES, SIDES),
    shares=st.tuples(*[st.floats(0, 0.3)] * 4),
    texts=st.tuples(TEXTS, TEXTS, TEXTS),
    logo=st.sampled_from([b"", LOGO]),
)
def test_whatever_the_sizes_and_texts_only_the_safe_zone_is_drawn_on(
    size: tuple[int, int], shares: tuple[float, ...], texts: tuple[str, str, str], logo: bytes
) -> None:
    top, bottom = (int(share * size[1]) for share in shares[:2])
    left, right = (int(share * size[0]) for share in shares[2:])
    copy = Copy(*texts, logo)
    try:
        lettered = on_black(copy, size, Margins(top, right, bottom, left))
    except BadInput:
        assert not copy.empty
        return
    box = lettered.getbbox()
    assert lettered.size == size
    assert (box is None) == copy.empty
    assert box is None or (box[0] >= left and box[1] >= top)
    assert box is None or (box[2] <= size[0] - right and box[3] <= size[1] - bottom)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab W\u00a0.-"), min_size=1, max_size=60), st.integers(60, 400))
def test_wrapping_keeps_every_word_and_the_width(text: str, width: int) -> None:
    face = Face(ImageFont.load_default(20))
    for paragraph in lines_of(text):
        try:
            block = set_lines("headline", (paragraph,), face, width)
        except TooLarge:
            continue
        set_ = " ".join(line for line, _ in block.lines)
        assert set_.split() == paragraph.split()
        assert block.size[0] <= width
        assert len(block.lines) <= 3


@given(st.text(st.sampled_from("夏の新作、「ドレス」 ab。ー"), max_size=30))
def test_pieces_of_a_line_are_the_whole_line(text: str) -> None:
    for line in lines_of(text):
        assert "".join(pieces_of(line)) == line


def test_japanese_may_break_anywhere_but_before_closing_marks() -> None:
    assert pieces_of("夏の「新作」ドレス、登場 now") == [
        *"夏の",
        "「新",
        "作」",
        *"ドレ",
        "ス、",
        "登",
        "場 ",
        "now",
    ]


def test_lines_of_a_headline_are_about_equally_long() -> None:
    block = layout(Copy("Fresh summer dresses for warm evenings")).texts["headline"].block
    widths = [right - left for _, (left, _, right, _) in block.lines]
    assert len(widths) == 2
    assert min(widths) > 0.7 * max(widths)


def test_line_breaks_of_a_headline_are_kept() -> None:
    assert lines(layout(Copy("New\nin \r\n\n store ")))["headline"] == ["New", "in", "store"]


def test_words_with_a_fixed_space_between_them_stay_on_one_line() -> None:
    wrapped = lines(layout(Copy("Fresh summer dresses from only\u202f49\u00a0dollars today")))["headline"]
    assert any("only 49 dollars" in line for line in wrapped)


def test_longer_headlines_get_smaller_letters_down_to_a_size() -> None:
    sizes = [layout(Copy("warm days " * count)).texts["headline"].block.face.font.size for count in range(1, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]
    assert sizes[-1] >= SMALLEST["headline"][1]


@pytest.mark.parametrize("text", ["warm days " * 40, "Donaudampfschifffahrts" * 4])
def test_a_headline_that_fits_at_no_legible_size_is_refused(text: str) -> None:
    assert refusal(Copy(text)).startswith("the headline does not fit into 486 x 486 pixels")


def test_too_many_lines_or_characters_are_refused_by_their_count() -> None:
    assert refusal(Copy("a\nb\nc\nd")) == "the headline has 4 characters in 4 lines"
    assert refusal(Copy(label="a " * 100_000)) == "the label has 199999 characters in 1 lines"


def test_a_price_that_is_too_wide_is_refused() -> None:
    assert refusal(
        Copy(price="from 1 000 000.00 dollars a week, with all taxes and whatever else there is")
    ).startswith("the price does")


@pytest.mark.parametrize("size", [(300, 50), (728, 90), (540, 540), (1080, 1350), (160, 600)])
def test_a_label_is_small_but_legible_and_lowest(size: tuple[int, int]) -> None:
    found = layout(Copy("Summer", "49.90", "Made with AI"), size)
    label, others = found.texts["label"], [found.texts["headline"], found.texts["price"]]
    assert label.block.face.font.size >= max(12, 0.018 * min(size))
    assert all(other.top + other.block.size[1] < label.top for other in others)
    assert all(other.block.face.font.size > label.block.face.font.size for other in others)


def test_a_price_stands_below_the_headline_and_across_from_it_where_it_is_wide() -> None:
    tall, wide = layout(EVERYTHING, SIZES["portrait"]), layout(EVERYTHING, SIZES["banner"])
    assert tall.pill
    assert wide.pill
    headline = tall.texts["headline"]
    assert tall.pill[:2] == (headline.left, headline.top + headline.block.size[1] + round(0.032 * 540))
    headline = wide.texts["headline"]
    assert wide.pill[0] > headline.left + headline.block.size[0]
    assert wide.pill[3] == headline.top + headline.block.size[1]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("夏 sale", "'夏' (U+590F)"),
        ("Sun \U0001f600", "(U+1F600)"),
        ("a\x07", r"'\x07' (U+0007)"),
        ("\uffff", "U+FFFF"),
    ],
)
def test_a_character_that_the_font_lacks_is_named(text: str, named: str) -> None:
    for copy in (Copy(text), Copy(price=text), Copy(label=text)):
        assert refusal(copy).startswith("the font has no ")
        assert named in refusal(copy)


def test_the_font_that_comes_along_has_what_shops_in_europe_write() -> None:
    assert on_black(Copy("Fürs Müsli, à la carte, łódź, Ελλάδα, Київ", "49,90 €", "£ ₹ zł © ™ ½ – “AI”")).getbbox()  # noqa: RUF001


def test_spaces_and_joiners_are_never_missing() -> None:
    if features.check("raqm"):
        on_black(Copy("a\u200db\u2009c\ufe0f\u3000d"))


def test_letters_to_be_joined_are_refused_where_pillow_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    assert "can't join letters" in refusal(Copy("a\u200db"))
    on_black(Copy("plain"))


@pytest.mark.skipif(not DEJAVU.exists() or not features.check("raqm"), reason="needs a font with Hebrew, and raqm")
def test_scripts_that_run_leftward_stand_at_the_right() -> None:
    font = DEJAVU.read_bytes()
    box = on_black(Copy("שמלות קיץ", "49.90", "AI", font=font)).getbbox()
    mirrored = on_black(Copy("Summer dresses", "49.90", "AI", font=font)).getbbox()
    assert box
    assert mirrored
    assert box[2] == 540 - 27
    assert mirrored[0] == 27


def test_a_font_that_cannot_be_read_is_refused() -> None:
    whole = ImageFont.load_default(20).font_bytes
    for data in (b"no font", whole[:300], png(plain())):
        assert refusal(Copy("Summer", font=data)).startswith("the font can't be read")
    assert on_black(Copy("Summer", font=whole)).getbbox()


def test_a_logo_is_at_the_top_left_of_the_safe_zone_and_scaled_down() -> None:
    safe = Margins(top=125, left=40)
    box = on_black(Copy(logo=ring((255, 255, 255), (2000, 1000))), (540, 960), safe).getbbox()
    assert box is not None
    assert box[:2] == (40 + 27, 125 + 27)
    assert box[2] - box[0] <= 0.3 * 540
    assert box[3] - box[1] == 54


def test_a_logo_is_never_enlarged_and_its_empty_edges_do_not_count() -> None:
    box = on_black(Copy(logo=ring((255, 255, 255), (70, 60)))).getbbox()
    assert box == (27, 27, 27 + 30, 27 + 20)


def test_a_logo_that_can_be_seen_changes_nothing_but_its_own_pixels() -> None:
    copy = Copy(logo=ring((255, 255, 255)))
    drawn = np.asarray(on_black(copy)).any(axis=2)
    lettered = np.asarray(letter(plain(colour=(20, 60, 120)), copy, OPEN, "feed"))
    assert (lettered[~drawn] == (20, 60, 120)).all()


def test_a_logo_that_would_be_lost_gets_a_halo() -> None:
    copy = Copy(logo=ring((255, 255, 255)))
    lettered = np.asarray(letter(plain(colour="white"), copy, OPEN, "feed"))
    assert contrast.ratio(1.0, contrast.luminance(lettered).min()) > 1.8
    assert (lettered[200:] == 255).all()


def test_a_logo_that_would_be_lost_in_part_gets_a_halo() -> None:
    picture = plain()
    picture.paste("white", (100, 0, 540, 540))
    lettered = letter(picture, Copy(logo=ring((255, 255, 255))), OPEN, "feed")
    assert np.asarray(lettered)[:150, 105:300].min() < 200


def test_a_logo_on_a_ground_of_its_own_gets_no_halo() -> None:
    lettered = letter(plain(colour="white"), Copy(logo=png(plain((80, 40), "white"))), OPEN, "feed")
    assert lettered.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    ("logo", "what"), [(b"%PDF-1.7", "is a PDF"), (png(Image.new("RGBA", (9, 9))), "is wholly transparent")]
)
def test_a_logo_that_shows_nothing_is_refused(logo: bytes, what: str) -> None:
    assert refusal(Copy(logo=logo)) == what


def test_a_logo_stands_above_the_texts_and_beside_them_in_a_banner() -> None:
    size = (728, 90)
    with_logo = lay_out(Copy("Summer"), size, room_in(size, OPEN, "ad"), (60, 30), "ad")
    assert with_logo.texts["headline"].left < 60
    high = lay_out(Copy("Summer"), size, room_in(size, OPEN, "ad"), (60, 70), "ad")
    assert high.texts["headline"].left > 60


def test_a_safe_zone_without_room_is_refused() -> None:
    what = refusal(Copy("Summer"), safe=Margins(top=300, bottom=300))
    assert what == "the safe zone leaves 486 x 0 of 540 x 540 pixels, too little for any text"


@pytest.mark.parametrize("copy", [Copy(), Copy(" \n", "\t", " "), Copy(font=b"no font")])
def test_empty_copy_leaves_the_picture_as_it_is(copy: Copy) -> None:
    picture = noise((90, 60))
    lettered = letter(picture, copy, Margins(500, 500, 500, 500), "feed")
    assert copy.empty
    assert lettered is not picture
    assert lettered.tobytes() == picture.tobytes()


def test_the_same_input_gives_the_same_pixels_and_is_not_changed() -> None:
    picture = dusk((540, 540))
    before, copy = picture.tobytes(), Copy("Summer", "49.90", "Made with AI", LOGO)
    first, second = (letter(picture, copy, OPEN, "feed") for _ in range(2))
    assert first.tobytes() == second.tobytes() != before
    assert picture.tobytes() == before


def test_an_id_is_of_everything_that_decides_the_pixels() -> None:
    copies = [Copy(), Copy("ab"), Copy("a", "b"), Copy("a", "", "b"), Copy("", "ab"), Copy("a", logo=b"b")]
    copies += [Copy("a", font=b"b"), Copy("\ud800")]
    assert len({copy.id for copy in copies}) == len(copies)
    assert Copy("ab").id == Copy("ab").id
    assert all(len(copy.id) == 16 and int(copy.id, 16) >= 0 for copy in copies)
