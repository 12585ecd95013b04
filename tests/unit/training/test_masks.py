"""Masks on the token grid: every pixel counts for the token it lies in, and for its share of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.generation.sequence import Grid, pack
from core.training.masks import token_mask

SIZES = ((48, 112), (112, 48), (160, 128), (16, 16), (128, 128))
"""Width and height."""


def picture(width: int, height: int, *boxes: tuple[int, int, int, int], value: int = 255) -> Image.Image:
    """Black, but for boxes of (left, top, right, bottom), ends excluded."""
    pixels_HW = np.zeros((height, width), dtype=np.uint8)
    for left, top, right, bottom in boxes:
        pixels_HW[top:bottom, left:right] = value
    return Image.fromarray(pixels_HW)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_square_in_any_corner_lights_exactly_its_token(width: int, height: int) -> None:
    grid = Grid.of_pixels(width, height)
    corners = {
        (0, 0): 0,
        (width - 16, 0): grid.columns - 1,
        (0, height - 16): (grid.rows - 1) * grid.columns,
        (width - 16, height - 16): grid.tokens - 1,
    }
    for (left, top), token in corners.items():
        mask_S = token_mask(picture(width, height, (left, top, left + 16, top + 16)), grid)
        assert mask_S.nonzero().flatten().tolist() == [token]
        assert mask_S[token] == 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tokens_come_in_the_order_in_which_latents_are_packed(width: int, height: int) -> None:
    grid = Grid.of_pixels(width, height)
    draw = np.random.default_rng(width * height)
    pixels_HW = draw.integers(0, 256, (height, width), dtype=np.uint8)
    tensor_HW = torch.from_numpy(pixels_HW.copy()).double() / 255
    latent_HW = tensor_HW.reshape(height // 8, 8, width // 8, 8).mean((1, 3))
    expected_S = pack(latent_HW[None, None])[0].mean(-1)
    assert torch.allclose(token_mask(Image.fromarray(pixels_HW), grid).double(), expected_S, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(left=st.integers(0, 47), top=st.integers(0, 111), width=st.integers(1, 48), height=st.integers(1, 112))
def test_partial_cover_gives_the_exact_share(left: int, top: int, width: int, height: int) -> None:
    right, bottom = min(left + width, 48), min(top + height, 112)
    mask_S = token_mask(picture(48, 112, (left, top, right, bottom)), Grid(7, 3))
    for token, share in enumerate(mask_S.tolist()):
        row, column = divmod(token, 3)
        across = max(0, min(right, column * 16 + 16) - max(left, column * 16))
        down = max(0, min(bottom, row * 16 + 16) - max(top, row * 16))
        assert share == across * down / 256


def test_one_pixel_is_not_lost_and_half_transparency_counts_half() -> None:
    assert token_mask(picture(32, 16, (31, 15, 32, 16)), Grid(1, 2)).tolist() == [0, 1 / 256]
    assert token_mask(picture(32, 16, (0, 0, 16, 16), value=51), Grid(1, 2)).tolist() == pytest.approx([0.2, 0])


def test_it_is_float32_flat_and_within_0_and_1() -> None:
    mask_S = token_mask(picture(160, 128, (0, 0, 160, 128)), Grid(8, 10))
    assert mask_S.dtype == torch.float32
    assert mask_S.shape == (80,)
    assert (mask_S == 1).all()


@pytest.mark.parametrize("size", [(112, 48), (48, 96), (47, 112), (96, 224)])
def test_a_mask_of_another_size_is_refused_with_both_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"{size[0]}, {size[1]}.*48, 112"):
        token_mask(picture(*size), Grid(7, 3))
