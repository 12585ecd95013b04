"""A base of one's own: an encoder in closed form, a decoder that learns, text encoders over a list of words."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest
import torch

from core.generation.model import read_schedule
from core.generation.text import Tokenizers
from core.training.autoencoder import AutoencoderShape, PatchEncoder, build_autoencoder, decibels, train_decoder
from core.training.base_model import Base
from core.training.batches import Batch, frozen, unfrozen
from core.training.drawing import Drawing
from core.training.recipes import Recipe
from core.training.texts import TextShape, write_tokenizers
from core.training.world.captions import caption_words
from core.training.world.truth import SMALL


def smooth(count: int, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return 2 * torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bilinear") - 1


def test_latents_are_the_leading_components_of_patches_centred_and_of_unit_variance() -> None:
    picture = smooth(30)
    vae = build_autoencoder(AutoencoderShape(), picture)
    with torch.no_grad():
        latent = vae.encode(picture).latent_dist.mode()
        halved = vae.encode(picture / 2).latent_dist.mode()
        offset = vae.encode(torch.zeros(1, 3, 48, 48)).latent_dist.mode()
    assert latent.shape == (30, 16, 6, 6)
    assert float(latent.mean()) == pytest.approx(0, abs=1e-3)
    assert float(latent.square().mean()) == pytest.approx(1, rel=0.02)
    flat = latent.transpose(0, 1).flatten(1)
    covariance = torch.cov(flat)
    assert (covariance - covariance.diag().diag()).abs().max() < 0.02
    assert torch.allclose(halved - offset, (latent - offset) / 2, atol=2e-3)


def test_the_patch_encoder_is_the_encoder_and_a_learnt_one_has_none() -> None:
    vae = build_autoencoder(AutoencoderShape(), smooth(20))
    found = PatchEncoder.read(vae)
    assert found is not None
    picture = smooth(3, seed=9)
    with torch.no_grad():
        assert torch.allclose(found(picture), vae.encode(picture).latent_dist.mode(), atol=2e-3)
        vae.encoder.mid_block.resnets[0].conv2.weight.normal_(0, 0.1)
        vae.encoder.mid_block.resnets[0].conv1.weight.normal_(0, 0.1)
        vae.encoder.mid_block.resnets[0].norm1.weight.fill_(1)
        vae.encoder.mid_block.resnets[0].norm2.weight.fill_(1)
    assert PatchEncoder.read(vae) is None


def test_the_decoder_learns_and_the_encoder_stays() -> None:
    picture = smooth(8)
    vae = build_autoencoder(AutoencoderShape(), picture)
    before = {name: value.clone() for name, value in vae.encoder.state_dict().items()}
    with torch.no_grad():
        first = decibels(vae.decode(vae.encode(picture).latent_dist.mode()).sample, picture).mean()
    losses: list[float] = []
    train_decoder(vae, repeat(picture), steps=60, said=lambda step, loss: losses.append(loss))
    with torch.no_grad():
        last = decibels(vae.decode(vae.encode(picture).latent_dist.mode()).sample, picture).mean()
    assert len(losses) == 60
    assert last > first + 5
    assert all(torch.equal(before[name], value) for name, value in vae.encoder.state_dict().items())


def test_each_word_of_the_world_is_one_token_and_placeholders_are_added_words(tmp_path: Path) -> None:
    write_tokenizers(caption_words(SMALL), TextShape(), tmp_path)
    told = Tokenizers.read(tmp_path, 40)
    clip, t5 = told.ids("generate a same style image. a Mug from [ref#1], on the beach at night")
    unknown = told.t5.unk_token_id
    assert unknown not in t5[0].tolist()
    assert told.t5.convert_ids_to_tokens(t5[0, 8:10].tolist()) == ["from", "[ref#1]"]
    assert t5.shape == (1, 40)
    assert told.clip.convert_ids_to_tokens(clip[0, :3].tolist()) == ["<|startoftext|>", "generate</w>", "a</w>"]


def test_words_that_a_vocabulary_lacks_are_left_out_and_named(tmp_path: Path) -> None:
    write_tokenizers(caption_words(SMALL), TextShape(), tmp_path)
    told = Tokenizers.read(tmp_path, 40)
    plain = "a mug from [ref#1] on the beach"
    assert told.known(plain) == told.known(f"{plain}. ") == (plain, [])
    strange = "a fancy mug from [ref#1] on the beach. colours exactly as in the reference."
    assert told.known(strange) == (plain, ["fancy", "colours", "exactly", "reference"])
    assert all(torch.equal(one, two) for one, two in zip(told.ids(strange), told.ids(plain), strict=True))
    both = told.ids(strange, plain)
    assert all(torch.equal(rows, one.expand(2, -1)) for rows, one in zip(both, told.ids(plain), strict=True))
    assert told.known("wumpus!") == ("", ["wumpus"])


def test_exchanging_two_nouns_changes_what_t5_says(base: Base) -> None:
    ids = [base.tokenizers.ids(text)[1] for text in ("a red mug and a blue bag", "a blue mug and a red bag")]
    with torch.no_grad():
        first, second = (base.t5(one).last_hidden_state for one in ids)
    where = ids[0][0] == ids[1][0]
    assert (first - second)[0][where].abs().max() > 1e-3


def test_a_base_of_ours_has_even_steps(nano_base: Path) -> None:
    assert read_schedule(nano_base).sigmas(4, 64) == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_batch_is_a_function_of_its_number_and_is_kept_as_it_is(
    nano_base: Path, recipe: Recipe, tmp_path: Path, base: Base
) -> None:
    encoder = PatchEncoder.read(base.vae)
    assert encoder is not None
    tasks = (("subject", 0.5), ("text", 0.5))
    drawing = Drawing.of(recipe, tasks, nano_base, 40, encoder, tmp_path)
    first = drawing[3]
    again = Drawing.of(recipe, tasks, nano_base, 40, encoder, tmp_path / "elsewhere")[3]
    kept = drawing[3]
    for one in (again, kept):
        assert one.task == first.task
        assert torch.allclose(one.target_BCHW, first.target_BCHW, atol=2e-3)
        assert torch.equal(one.caption.t5_BT, first.caption.t5_BT)
    seen = {drawing[turn].task for turn in range(12)}
    assert seen == {"subject", "text"}


def test_freezing_loses_no_more_than_half_precision(batch_of: Callable[[str], Batch]) -> None:
    batch = batch_of("two-subjects")
    back = unfrozen(frozen(batch))
    assert torch.allclose(back.target_BCHW, batch.target_BCHW, atol=5e-3)
    assert torch.equal(back.placeholder_BN, batch.placeholder_BN)
    assert back.reference_grids == batch.reference_grids
