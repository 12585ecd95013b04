"""White ground that is left out of the sequence: which tokens, and that the others are what they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks import drift
from core.cards import load_card
from core.errors import BadInput
from core.generation import denoising
from core.generation.batches import main_tensors
from core.generation.dreamo import DreamO
from core.generation.sequence import Grid, Layout, RoleVectors, position_ids, role_bias
from core.generation.white_ground import WHITE, kept_tokens, needed, rings, step_of
from core.requests import Preparation
from core.settings import Settings
from orchestrator.planning.keys import job_key, model_pin

NOTHING: tuple[int, ...] = ()


def cut_out(rows, columns, things, *, level=255, masked=True):
    """Grey squares of a token each on a ground of `level`, with the mask that keeps them."""
    picture = np.full((rows * 16, columns * 16, 3), level, np.uint8)
    mask = np.zeros((rows * 16, columns * 16), np.uint8)
    for row, column in things:
        place = slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16)
        picture[place] = 90
        mask[place] = 255
    return Preparation(Image.fromarray(picture), Image.fromarray(mask) if masked else None)


def test_what_shows_something_stays_with_its_eight_neighbours():
    found = needed(cut_out(5, 6, [(0, 0), (3, 4)]))
    assert found.astype(int).tolist() == [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
    ]


@pytest.mark.parametrize(("level", "left_out"), [(WHITE, True), (WHITE - 1, False)])
def test_white_is_from_250_on_in_every_channel(level, left_out):
    for channels in ([0, 1, 2], [1]):
        reference = cut_out(8, 8, [(0, 0)])
        picture = np.array(reference.picture)
        picture[64:, 64:, channels] = level
        found = needed(replace(reference, picture=Image.fromarray(picture)))
        assert found[4:, 4:].any() != left_out


def test_one_pixel_of_ink_keeps_its_token():
    reference = cut_out(8, 8, [(0, 0)])
    picture = np.array(reference.picture)
    picture[127, 127, 2] = 249
    found = needed(replace(reference, picture=Image.fromarray(picture)))
    assert found.sum() == 8
    assert found[6:, 6:].all()


def test_white_that_a_mask_keeps_stays():
    """A white mug is white as its ground is."""
    reference = cut_out(8, 8, [(0, 0)])
    mask = np.array(reference.mask)
    mask[80:96, 80:96] = 255
    assert needed(replace(reference, mask=Image.fromarray(mask)))[4:7, 4:7].all()


def test_a_picture_without_a_mask_counts_as_a_whole():
    """As a style does, though its paper is white."""
    assert kept_tokens([cut_out(8, 8, [(0, 0)], masked=False)]) is None
    both = kept_tokens([cut_out(8, 8, [(0, 0)], masked=False), cut_out(16, 16, [(0, 0)])])
    assert both is not None
    assert set(range(64)) < set(both)


def test_a_white_picture_keeps_its_middle():
    assert np.argwhere(needed(cut_out(6, 4, NOTHING))).tolist() == [[3, 2]]
    kept = kept_tokens([cut_out(32, 32, NOTHING)])
    assert len(kept) == 64
    places = np.array([divmod(one, 32) for one in kept])
    assert np.abs(places - 16).max() == 4


def test_nothing_to_leave_out_is_none():
    assert kept_tokens([]) is None
    assert kept_tokens([cut_out(6, 6, [(row, column) for row in range(6) for column in range(6)])]) is None


@pytest.mark.parametrize(
    ("tokens", "step"), [(1, 1), (15, 1), (16, 2), (36, 4), (72, 8), (511, 32), (512, 64), (972, 64), (9216, 64)]
)
def test_steps_of_the_number_that_is_kept(tokens, step):
    assert step_of(tokens) == step


places = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=6)


@given(st.lists(places, min_size=1, max_size=4))
@settings(deadline=None, max_examples=40)
def test_kept_are_all_that_are_needed_and_the_nearest_up_to_a_round_number(things):
    references = [cut_out(12, 12, one) for one in things]
    kept, total = kept_tokens(references), 144 * len(references)
    must = np.concatenate([needed(one).ravel() for one in references])
    far = np.concatenate([rings(needed(one)).ravel() for one in references])
    full = -(-must.sum() // step_of(total)) * step_of(total)
    if full >= total:
        assert kept is None
        return
    assert len(kept) == full
    assert list(kept) == sorted(set(kept))
    stays = np.isin(np.arange(total), kept)
    assert stays[must].all()
    assert far[stays].max() <= far[~stays].min()
    assert kept == kept_tokens(references)
    middles = {at for at, one in enumerate(references) if stays[144 * at : 144 * (at + 1)].any()}
    assert middles == set(range(len(references)))


def test_rings_count_tokens_to_the_nearest_that_is_needed():
    assert rings(np.array([[0, 0, 0, 1], [0, 0, 0, 0]], bool)).tolist() == [[3, 2, 1, 0], [3, 2, 1, 1]]


@given(st.integers(0, 3), st.data())
@settings(deadline=None, max_examples=30)
def test_kept_tokens_have_the_positions_and_vectors_that_they_have_among_all(text, data):
    noisy, grids = Grid(2, 3), (Grid(3, 2), Grid(2, 4))
    kept = tuple(sorted(data.draw(st.sets(st.integers(0, 13), min_size=1))))
    whole, part = Layout(text, noisy, grids), Layout(text, noisy, grids, kept)
    vectors = RoleVectors(torch.randn(2, 6), torch.randn(10, 6))
    ids, bias = position_ids(whole), role_bias(whole, vectors, [vectors] * 2)
    stay = [*range(noisy.tokens), *(noisy.tokens + one for one in kept)]
    assert part.reference_tokens == len(kept)
    assert part.tokens == text + 6 + len(kept)
    assert torch.equal(position_ids(part), ids[[*range(text), *(text + one for one in stay)]])
    assert torch.equal(role_bias(part, vectors, [vectors] * 2), bias[stay])


@pytest.fixture
def sparing(own_settings, card):
    """A generator that leaves white ground out."""
    return DreamO(card, replace(own_settings, reference_tokens="not-white"), "cpu")


def asked_for(ask, references, **changes):
    request, _ = ask(*[one.picture.size for one in references], **changes)
    return request, references


def test_latents_positions_and_vectors_leave_out_the_same_tokens(ask, sparing, dreamo):
    references = [cut_out(8, 4, [(0, 0)]), cut_out(4, 8, [(0, 7)])]
    request, given_to = asked_for(ask, references)
    encoders = [one.encoder for one in (sparing, dreamo)]
    (job,), (whole,) = (one.encode(one.orders([request], [given_to])) for one in encoders)
    kept = list(kept_tokens(references))
    assert torch.equal(job.references_RD, whole.references_RD[kept])
    part, full = main_tensors([job], sparing.model), main_tensors([whole], dreamo.model)
    noisy, text = whole.layout.noisy.tokens, whole.layout.text
    stay = [*range(noisy), *(noisy + one for one in kept)]
    assert torch.equal(part.references_BRD, full.references_BRD[:, kept])
    assert torch.equal(part.roles_BLW, full.roles_BLW[:, stay])
    after = [*range(text), *(text + one for one in stay)]
    assert torch.equal(part.rotation.cos, full.rotation.cos[:, after])
    assert torch.equal(part.rotation.sin, full.rotation.sin[:, after])


def test_only_images_with_white_ground_change(ask, sparing, dreamo):
    drawn, plain = ask((64, 48), (32, 32)), ask()
    everywhere = [(row, column) for row in range(4) for column in range(4)]
    full = asked_for(ask, [cut_out(4, 4, everywhere)], true_cfg=2.0, negative_prompt="a cat")
    for request, given_to in (drawn, plain, full):
        assert torch.equal(sparing.latents([request], [given_to])[0], dreamo.latents([request], [given_to])[0])
    request, given_to = asked_for(ask, [cut_out(8, 8, [(1, 1)])])
    assert not torch.equal(sparing.latents([request], [given_to])[0], dreamo.latents([request], [given_to])[0])


def test_images_share_a_batch_where_as_many_tokens_are_kept(ask, sparing, monkeypatch):
    """Wherever these lie; and each is what it is alone."""
    things = [[(1, 1)], [(6, 6)], [(1, 1), (6, 6)], [(1, 6)]]
    asked = [asked_for(ask, [cut_out(8, 8, one)], seed=seed) for seed, one in enumerate(things)]
    alone = [sparing.latents([request], [references])[0] for request, references in asked]
    sizes, whole = [], denoising.denoise
    monkeypatch.setattr(denoising, "denoise", lambda jobs, *more: sizes.append(len(jobs)) or whole(jobs, *more))
    together = sparing.latents(*zip(*asked, strict=True))
    assert sizes == [3, 1]
    assert all((one - other).abs().max() <= 1e-4 for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "dreamo/1"),
        ({"reference_tokens": "not-white"}, "dreamo/1+not-white"),
        ({"reference_tokens": "not-white", "memory": "fp8"}, "dreamo/1+fp8+not-white"),
    ],
)
def test_approximate_images_have_keys_of_their_own(changes, name, card, ask):
    made = DreamO(card, Settings(**changes), "cpu")
    assert made.id == name
    request, _ = ask()
    exact = job_key(request, model_pin(card, DreamO(card, Settings(), "cpu").id, {}), [])
    assert (job_key(request, model_pin(card, made.id, {}), []) == exact) == (not changes)


def test_the_setting_is_one_of_two_words():
    assert Settings.from_env({}).reference_tokens == "all"
    assert Settings.from_env({"DREAMLINE_REFERENCE_TOKENS": "not-white"}).reference_tokens == "not-white"
    with pytest.raises(BadInput, match=r"DREAMLINE_REFERENCE_TOKENS.*'white'"):
        Settings.from_env({"DREAMLINE_REFERENCE_TOKENS": "white"})


def test_drift_is_measured_with_readers_and_is_none_where_nothing_is_left_out(capsys):
    every, *_ = drift.main(["--mode", "not-white", "--images", "2", "--steps", "2", "--reference", "128x64"])
    assert 0 < every.dropped < 1
    assert every.approximate_tokens < every.tokens
    assert 0 < every.mean <= every.worst_image <= every.worst_pixel
    assert every.psnr is not None
    assert every.difference is not None
    assert "| all | 2 |" in capsys.readouterr().out
    same, *_ = drift.main(["--mode", "not-white", "--images", "1", "--steps", "1", "--json"])
    assert (same.dropped, same.worst_pixel, same.psnr) == (0, 0, None)
    assert '"difference"' in capsys.readouterr().out


def test_models_that_know_no_drawn_world_have_no_readers(settings):
    card = load_card("dreamo-v1.1", settings)
    cases = drift.draw_cases(card, 1, 1, "128x64")
    assert cases[0].sample.target.size == (1024, 1024)
    assert drift.fidelity_of(cases, [cases[0].sample.target], card) == []
