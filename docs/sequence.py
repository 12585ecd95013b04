"""Draws the figure of docs/dreamo.md, from the very layout that generation uses: `python -m docs.sequence`."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from core.generation.sequence import Grid, Layout, position_ids
from core.training.masks import token_mask
from core.training.world.captions import words_of
from core.training.world.samples import Canvas, Sample, draw_sample
from core.training.world.truth import FULL

PLACE = Path(__file__).parent / "images" / "sequence.webp"
SIZE, LEFT, BAR = (1240, 780), 30, 1180
TEXT, NOISY, ONE, TWO = (150, 150, 150), (230, 120, 40), (50, 110, 190), (60, 150, 90)
COLOURS = (TEXT, NOISY, ONE, TWO)
INK, PALE, RULE = (30, 30, 30), (244, 244, 244), (205, 205, 205)
CANVAS, REFERENCE, TOLD = Canvas(128, 128), Canvas(96, 96), 24
PLANE, CELL = (LEFT, 420), 15
MASKS = (460, 420)
MAP, SIDE = (690, 420), 340


def main() -> None:
    """Pictures and sequence above, below them positions, masks, and attention with its losses."""
    sample = draw_sample(FULL, "two-subjects", 14, CANVAS, REFERENCE, "new")
    grid, other = Grid.of_pixels(*CANVAS.size), Grid.of_pixels(*REFERENCE.size)
    layout = Layout(TOLD, grid, (other, other))
    sheet = Image.new("RGB", SIZE, "white")
    draw_sequence(sheet, sample, layout)
    draw_positions(sheet, layout)
    draw_masks(sheet, sample, layout)
    draw_attention(sheet, sample, layout)
    sheet.save(PLACE, quality=92)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def parts_of(layout: Layout) -> list[int]:
    """Tokens of text, noisy image and each reference."""
    return [layout.text, layout.noisy.tokens, *(grid.tokens for grid in layout.references)]


def draw_sequence(sheet: Image.Image, sample: Sample, layout: Layout) -> None:
    """The bar of all tokens, what each part shows above it, and what is added to its tokens below."""
    pen = ImageDraw.Draw(sheet)
    parts = parts_of(layout)
    ends = list(accumulate(parts))
    scale, top, height = BAR / ends[-1], 236, 40
    noise = Image.effect_noise(sample.target.size, 90).convert("RGB")
    pictures = [None, Image.blend(sample.target, noise, 0.55), *(one.picture for one in sample.references)]
    names = ["text", "noisy image", "reference 1", "reference 2"]
    roles = ["", "+ task[1]", "+ task[0] + index[1]", "+ task[0] + index[2]"]
    for name, role, end, count, colour, picture in zip(names, roles, ends, parts, COLOURS, pictures, strict=True):
        start, stop = LEFT + scale * (end - count), LEFT + scale * end
        for token in range(count):
            left = start + token * scale
            pen.rectangle((left, top, left + scale - 1, top + height), colour, "white")
        pen.text(((start + stop) / 2, top + height + 8), name, colour, font(16), "ma")
        pen.text(((start + stop) / 2, top + height + 28), f"{count} tokens {role}", INK, font(14), "ma")
        if picture is not None:
            side = 150
            shown = picture.resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(shown, (round((start + stop) / 2 - side / 2), top - side - 14))
    draw_caption(pen, sample, (LEFT, top - 164), scale * parts[0] + 20)
    pen.text((LEFT, 20), "One sequence, full attention, no mask", INK, font(22))
    end = "Of the output, the noisy part alone is used"
    pen.text((LEFT + BAR, 24), end, TEXT, font(16), "ra")


def draw_caption(pen: ImageDraw.ImageDraw, sample: Sample, at: tuple[float, float], width: float) -> None:
    """The prompt, a word after the other, its placeholders in their references' colours."""
    left, top = at
    for word in words_of(sample.caption):
        colour = {"[ref#1]": ONE, "[ref#2]": TWO}.get(word, INK)
        long = font(15).getlength(word + " ")
        if left + long > at[0] + width:
            left, top = at[0], top + 21
        pen.text((left, top), word, colour, font(15))
        left += long


def draw_positions(sheet: Image.Image, layout: Layout) -> None:
    """Where each token stands: (t, row, column), the references on the diagonal."""
    pen = ImageDraw.Draw(sheet)
    pen.text((PLANE[0], PLANE[1] - 50), "Positions", INK, font(20))
    said = "(0, row, column); text at the origin, references on the diagonal"
    pen.text((PLANE[0], PLANE[1] - 24), said, TEXT, font(14))
    ids_N3, colour = position_ids(layout), [at for at, count in enumerate(parts_of(layout)) for _ in range(count)]
    rows, columns = (int(ids_N3[:, axis].max()) + 1 for axis in (1, 2))
    left, top = PLANE
    pen.rectangle((left, top, left + columns * CELL, top + rows * CELL), PALE)
    for (_, row, column), part in reversed(list(zip(ids_N3.tolist(), colour, strict=True))):
        x, y = left + column * CELL, top + row * CELL
        pen.rectangle((x, y, x + CELL - 2, y + CELL - 2), COLOURS[part])
    pen.ellipse((left - 5, top - 5, left + 9, top + 9), TEXT, "white")


def draw_attention(sheet: Image.Image, sample: Sample, layout: Layout) -> None:
    """Queries down, keys across, and which of their products the three losses look at."""
    pen = ImageDraw.Draw(sheet)
    left, top = MAP
    pen.text((left, top - 50), "Attention, and what training tells it", INK, font(20))
    pen.text((left, top - 27), "queries down, keys across", TEXT, font(14))
    parts = parts_of(layout)
    ends = [0, *accumulate(parts)]
    scale = SIDE / ends[-1]
    edges = [scale * end for end in ends]
    pen.rectangle((left, top, left + SIDE, top + SIDE), PALE)
    for k in range(2, len(parts)):
        box = (left + edges[1], top + edges[k], left + edges[2], top + edges[k + 1])
        pen.rectangle(box, tinted(COLOURS[k], 0.75))
        pen.rectangle(
            (left + edges[k], top + edges[1], left + edges[k + 1], top + edges[2]), tinted(COLOURS[k], 0.4)
        )
    words = words_of(sample.caption)
    for k in range(2, len(parts)):
        at = words.index(f"[ref#{k - 1}]") if f"[ref#{k - 1}]" in words else k
        x = left + scale * at
        pen.rectangle((x, top + edges[2], x + max(3.0, scale), top + edges[-1]), tinted(COLOURS[k], 0.2))
    for edge in edges[1:]:
        pen.line((left, top + edge, left + SIDE, top + edge), RULE)
        pen.line((left + edge, top, left + edge, top + SIDE), RULE)
    for at, colour in enumerate(COLOURS):
        pen.line((left - 6, top + edges[at] + 1, left - 6, top + edges[at + 1] - 1), colour, 5)
        pen.line((left + edges[at] + 1, top - 5, left + edges[at + 1] - 1, top - 5), colour, 5)
    middle_noisy, middle_text = (edges[1] + edges[2]) / 2, edges[1] / 2
    for k in range(2, len(parts)):
        middle = (edges[k] + edges[k + 1]) / 2
        pen.text((left + middle_noisy, top + middle), "P", INK, font(20), "mm")
        pen.text((left + middle, top + middle_noisy), "R", INK, font(20), "mm")
        pen.text((left + middle_text, top + middle), "H", INK, font(20), "mm")
    lines = (
        ("P  L_route, as printed", "a reference's mean", "response over the image", "is its mask"),
        ("R  its other direction", "where the image looks", "among the references:", "at the owner"),
        ("H  L_holder", "which placeholder", "a reference reads:", "its own"),
    )
    for row, (name, *told) in enumerate(lines):
        pen.text((left + SIDE + 16, top + 100 * row), name, INK, font(15))
        for line, text in enumerate(told, start=1):
            pen.text((left + SIDE + 16, top + 100 * row + 19 * line), text, TEXT, font(13))


def draw_masks(sheet: Image.Image, sample: Sample, layout: Layout) -> None:
    """What each reference governs: the visible share of every token's area."""
    pen = ImageDraw.Draw(sheet)
    left, top = MASKS
    pen.text((left, top - 50), "Masks", INK, font(20))
    pen.text((left, top - 24), "shares of a token's area", TEXT, font(14))
    for mask, colour in zip(sample.masks, COLOURS[2:], strict=True):
        share_S = token_mask(mask, layout.noisy)
        for token, share in enumerate(share_S.tolist()):
            row, column = divmod(token, layout.noisy.columns)
            x, y = left + column * CELL, top + row * CELL
            pen.rectangle((x, y, x + CELL - 2, y + CELL - 2), mixed(colour, share))
        top += layout.noisy.rows * CELL + 24


def mixed(colour: tuple[int, int, int], share: float) -> tuple[int, ...]:
    """That share of the colour on a pale ground."""
    return tuple(round(pale + (level - pale) * share) for level, pale in zip(colour, PALE, strict=True))


def tinted(colour: tuple[int, int, int], white: float) -> tuple[int, ...]:
    """The colour with that share of white."""
    return tuple(round(level + (255 - level) * white) for level in colour)


if __name__ == "__main__":
    main()
