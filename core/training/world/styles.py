"""The styles of the drawn world: a finished picture done over as pixels, pencil, neon and so on.

Each depends on the picture alone and keeps its large colours recognisable. Lengths grow with the shorter side:
they are given for 128 pixels. Shapes: H rows, W columns, 3 colours; values run from 0 to 255.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from core.errors import BadInput

Values = NDArray[np.float32]

PAPER = (250, 247, 238)


def hands() -> dict[str, Callable[[Image.Image], Image.Image]]:
    """What draws each style."""
    return {
        "plain": Image.Image.copy,
        "pixel": draw_pixels,
        "sketch": draw_sketch,
        "neon": draw_neon,
        "pastel": draw_pastel,
        "halftone": draw_halftone,
        "mosaic": draw_mosaic,
        "ink": draw_ink,
    }


def draw_in(style: str, picture: Image.Image) -> Image.Image:
    """`picture` (RGB) in `style`, of the same size.

    Raises:
        BadInput: no such style.
    """
    known = hands()
    if style not in known:
        raise BadInput.at("style", f"{style!r} is no drawn style", f"Known are: {', '.join(known)}.")
    return known[style](picture)


def colour(red: float, green: float, blue: float) -> Values:
    """One colour as numbers (3), to be added to every pixel."""
    return np.array((red, green, blue), dtype=np.float32)


def values(picture: Image.Image) -> Values:
    """The picture as numbers (H x W x 3, or H x W where it is grey)."""
    return np.asarray(picture, dtype=np.float32)


def as_picture(values_HW3: NDArray[Any]) -> Image.Image:
    """Numbers as a picture, cut to what a byte holds."""
    return Image.fromarray(np.clip(values_HW3, 0, 255).astype(np.uint8))


def scaled(picture: Image.Image, length: float) -> int:
    """`length` in pixels of a 128-pixel picture, as whole pixels of this one; at least 1."""
    return max(round(length * min(picture.size) / 128), 1)


def edges(picture: Image.Image) -> Values:
    """How steeply the strongest of the three colours changes at each pixel (H x W, about 0 to 255)."""
    values_HW3 = values(picture)
    steep_HW3 = np.zeros_like(values_HW3)
    steep_HW3[:, 1:-1] += np.abs(values_HW3[:, 2:] - values_HW3[:, :-2])
    steep_HW3[1:-1] += np.abs(values_HW3[2:] - values_HW3[:-2])
    return strongest(steep_HW3)


def strongest(values_HW3: Values) -> Values:
    """Of each pixel the strongest of its three colours (H x W)."""
    return np.maximum(np.maximum(values_HW3[..., 0], values_HW3[..., 1]), values_HW3[..., 2])


def weakest(values_HW3: Values) -> Values:
    """Of each pixel the weakest of its three colours (H x W)."""
    return np.minimum(np.minimum(values_HW3[..., 0], values_HW3[..., 1]), values_HW3[..., 2])


def saturated(values_HW3: Values, floor: float) -> Values:
    """The same hues at full strength: the strongest colour raised to 255, grey (of a share `floor`) taken out."""
    high_HW1: Any = strongest(values_HW3)[..., None]
    low_HW1: Any = weakest(values_HW3)[..., None]
    grey_HW1 = low_HW1 * floor * np.clip((high_HW1 - low_HW1) / 60, 0, 1)
    strong_HW3: Values = (values_HW3 - grey_HW1) * (255 / np.maximum(high_HW1 - grey_HW1, 24))
    return strong_HW3


def cells(picture: Image.Image, size: int) -> Image.Image:
    """The mean colour of each square of `size` pixels (the last row and column may be squeezed)."""
    count = (-(-picture.width // size), -(-picture.height // size))
    return picture.resize(count, Image.Resampling.BOX)


def draw_pixels(picture: Image.Image) -> Image.Image:
    """Square blocks of a few strong colours."""
    small = values(cells(picture, scaled(picture, 5)))
    few = np.round(small / 36) * 36
    return as_picture(few).resize(picture.size, Image.Resampling.NEAREST)


def draw_sketch(picture: Image.Image) -> Image.Image:
    """Pencil lines and hatching on paper, with a faint wash of the colours."""
    values_HW3 = values(picture)
    rows, columns = np.ogrid[: picture.height, : picture.width]
    grey_HW = values(picture.convert("L"))
    line_HW = np.clip((edges(picture) - 24) / 110, 0, 1) * 0.85
    step = scaled(picture, 5)
    hatch_HW = ((rows + columns) % step < step * 0.3) * np.clip((150 - grey_HW) / 300, 0, 0.42)
    cross_HW = ((rows - columns) % step < step * 0.3) * np.clip((80 - grey_HW) / 200, 0, 0.35)
    dark_HW1 = np.maximum(np.maximum(line_HW, hatch_HW), cross_HW)[..., None]
    chroma_HW3 = values_HW3 - grey_HW[..., None]
    paper_HW3 = colour(*PAPER) - (255 - grey_HW[..., None]) * 0.3 + chroma_HW3 * 0.42
    return as_picture(paper_HW3 * (1 - dark_HW1) + 62 * dark_HW1)


def draw_neon(picture: Image.Image) -> Image.Image:
    """Glowing outlines of full colour on a dark ground."""
    values_HW3 = values(picture)
    near_HW3 = values_HW3.copy()
    np.maximum(near_HW3[:, 1:], values_HW3[:, :-1], out=near_HW3[:, 1:])
    np.maximum(near_HW3[1:], values_HW3[:-1], out=near_HW3[1:])
    line_HW1 = np.clip((edges(picture) - 18) / 70, 0, 1)[..., None]
    tube_HW3 = saturated(near_HW3, 0.9) * line_HW1
    glow_HW3 = values(as_picture(tube_HW3).filter(ImageFilter.BoxBlur(scaled(picture, 3))))
    ground_HW3 = values_HW3 * np.float32(0.26) + colour(6, 4, 22)
    return as_picture(np.maximum(ground_HW3 + glow_HW3, tube_HW3))


def draw_pastel(picture: Image.Image) -> Image.Image:
    """Soft chalk: blurred, pale, low in contrast, on slightly ribbed paper."""
    soft_HW3 = values(picture.filter(ImageFilter.GaussianBlur(scaled(picture, 1.2))))
    rows, columns = np.ogrid[: picture.height, : picture.width]
    step = scaled(picture, 4)
    rib_HW1 = ((rows + 2 * columns) % step < step / 2)[..., None] * 6.0
    return as_picture(soft_HW3 * 0.44 + colour(140, 134, 132) + rib_HW1)


def draw_halftone(picture: Image.Image) -> Image.Image:
    """Rows of dots on paper: the darker or fuller the colour, the larger the dot. Cells: h rows, w columns."""
    size = scaled(picture, 5)
    mean_hw3 = values(cells(picture, size))
    cover_hw = 1 - weakest(mean_hw3) / 255
    radius_hw = size * (0.12 + 0.5 * np.sqrt(cover_hw))
    from_middle = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    away = np.hypot(from_middle[:, None], from_middle[None, :])
    dot_hsws = np.clip(radius_hw[:, None, :, None] - away[None, :, None, :] + 0.3, 0, 1).astype(np.float32)
    ink_hw3 = saturated(mean_hw3, 0.5) * np.float32(0.25) + mean_hw3 * np.float32(0.72)
    paper_hw3 = colour(*PAPER) * np.float32(0.8) + mean_hw3 * np.float32(0.2)
    inked_hsws3 = (ink_hw3 - paper_hw3)[:, None, :, None] * dot_hsws[..., None] + paper_hw3[:, None, :, None]
    rows, columns = mean_hw3.shape[0] * size, mean_hw3.shape[1] * size
    return as_picture(inked_hsws3.reshape(rows, columns, 3)[: picture.height, : picture.width])


def draw_mosaic(picture: Image.Image) -> Image.Image:
    """Glazed tiles laid in bond, with pale grout between them."""
    size = scaled(picture, 9)
    rows, columns = np.ogrid[: picture.height, : picture.width]
    shift = (rows // size % 2) * (size // 2)
    tile_row, tile_column = rows // size, (columns + shift) // size
    mean_HW3 = values(picture.filter(ImageFilter.BoxBlur((size - 1) / 2)))
    middle_row = np.minimum(tile_row * size + size // 2, picture.height - 1) + 0 * columns
    middle_column = np.clip(tile_column * size + size // 2 - shift, 0, picture.width - 1)
    glaze_HW1 = (0.9 + 0.2 * ((tile_row * 7 + tile_column * 13) % 5) / 4)[..., None]
    tile_HW3 = mean_HW3[middle_row, middle_column] * glaze_HW1.astype(np.float32)
    gap = max(size // 9, 1)
    shine_HW = (rows % size == gap) | ((columns + shift) % size == gap)
    tile_HW3 = tile_HW3 + shine_HW[..., None] * 26
    grout_HW = (rows % size < gap) | ((columns + shift) % size < gap)
    return as_picture(np.where(grout_HW[..., None], colour(206, 200, 190), tile_HW3))


def draw_ink(picture: Image.Image) -> Image.Image:
    """A black brush outline around flat washes of a few tones on paper."""
    flat_HW3 = values(picture.filter(ImageFilter.BoxBlur(1)))
    tone_HW1 = strongest(flat_HW3)[..., None] + np.float32(1)
    few_HW1 = np.maximum(np.round(tone_HW1 / np.float32(64)), 1) * np.float32(64)
    paper_HW3 = flat_HW3 * (few_HW1 / tone_HW1) * (colour(*PAPER) / np.float32(255))
    brush = as_picture(np.clip((edges(picture) - 64) * 3, 0, 255)).filter(ImageFilter.BoxBlur(scaled(picture, 1)))
    line_HW1 = np.clip((values(brush) - 40) / np.float32(90), 0, 1)[..., None]
    return as_picture(paper_HW3 * (1 - line_HW1) + 12 * line_HW1)
