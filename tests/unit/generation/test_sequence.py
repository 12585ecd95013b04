"""Packing, positions and roles against plain loops."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.generation.sequence import Grid, Layout, RoleVectors, pack, position_ids, role_bias, unpack

sides = st.integers(1, 5)
grids = st.builds(Grid, sides, sides)


def slow_pack(latent):
    """One token of each 2 x 2 cell: for each channel its four latents, row by row."""
    batch, channels, height, width = latent.shape
    tokens = torch.zeros(batch, height // 2 * (width // 2), channels * 4, dtype=latent.dtype)
    for b in range(batch):
        for row in range(height // 2):
            for column in range(width // 2):
                for c in range(channels):
                    for dy in range(2):
                        for dx in range(2):
                            value = latent[b, c, 2 * row + dy, 2 * column + dx]
                            tokens[b, row * (width // 2) + column, c * 4 + dy * 2 + dx] = value
    return tokens


@given(grids, st.integers(1, 3), st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_packing_agrees_with_a_plain_loop_and_unpacking_undoes_it(grid, batch, channels):
    latent = torch.randn(batch, channels, grid.rows * 2, grid.columns * 2, dtype=torch.float64)
    tokens = pack(latent)
    assert torch.equal(tokens, slow_pack(latent))
    assert torch.equal(unpack(tokens, grid), latent)


@given(st.integers(0, 4), grids, st.lists(grids, max_size=9))
@settings(deadline=None, max_examples=50)
def test_positions_agree_with_a_plain_loop(text, noisy, references):
    expected = [(0, 0, 0)] * text
    row = column = 0
    for grid in [noisy, *references]:
        for y in range(grid.rows):
            for x in range(grid.columns):
                expected.append((0, row + y, column + x))
        row += grid.rows
        column += grid.columns
    ids = position_ids(Layout(text, noisy, tuple(references)))
    assert ids.dtype == torch.float32
    assert ids.tolist() == [list(map(float, place)) for place in expected]


@given(grids, st.lists(grids, min_size=1, max_size=9))
@settings(deadline=None, max_examples=25)
def test_no_reference_shares_a_row_or_column_with_another_picture(noisy, references):
    ids = position_ids(Layout(0, noisy, tuple(references)))
    start, rows, columns = 0, [], []
    for grid in [noisy, *references]:
        part = ids[start : start + grid.tokens]
        rows.append(set(part[:, 1].tolist()))
        columns.append(set(part[:, 2].tolist()))
        start += grid.tokens
    for places in (rows, columns):
        assert sum(map(len, places)) == len(set.union(*places))


@given(grids, st.lists(grids, max_size=9))
@settings(deadline=None, max_examples=25)
def test_roles_agree_with_a_plain_loop(noisy, references):
    vectors = RoleVectors(torch.randn(2, 6, dtype=torch.float64), torch.randn(10, 6, dtype=torch.float64))
    layout = Layout(3, noisy, tuple(references))
    bias = role_bias(layout, vectors, [vectors] * len(references))
    expected = [vectors.task_2W[1].tolist() for _ in range(noisy.tokens)]
    task = vectors.task_2W[0].tolist()
    for number, grid in enumerate(references, start=1):
        index = vectors.index_KW[number].tolist()
        expected += [[task[w] + index[w] for w in range(6)] for _ in range(grid.tokens)]
    assert torch.allclose(bias, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_a_kind_with_vectors_of_its_own_gets_those_and_its_place():
    dreamo = RoleVectors(torch.zeros(2, 4), torch.arange(40.0).reshape(10, 4))
    own = RoleVectors(torch.full((2, 4), 100.0), torch.zeros(10, 4))
    layout = Layout(0, Grid(1, 1), (Grid(1, 1), Grid(1, 1)))
    bias = role_bias(layout, dreamo, [dreamo, own])
    assert bias[1].tolist() == [4, 5, 6, 7]
    assert bias[2].tolist() == [100] * 4


def test_positions_stay_exact_far_out():
    """In bfloat16, positions past 256 would be rounded: nine references of 1024 pixels reach 640."""
    layout = Layout(0, Grid(64, 64), tuple(Grid(64, 64) for _ in range(9)))
    assert position_ids(layout)[-1].tolist() == [0.0, 639.0, 639.0]
