"""Tokens as the base's files say, and the placeholder words of DreamO."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from core.errors import BadInput
from core.generation.text import PLACEHOLDERS, TextEncoders, Tokenizers

PINNED = {
    "a dog from [ref#1] and a cat from [ref#2]": [3, 4, 6, 21, 55, 7, 3, 5, 6, 21, 56, 1],
    "[res] a[ref#9]b": [64, 3, 63, 21, 30, 1],
}
"""T5's ids of the golden tokenizer under transformers 4.46.3, which used the pipeline in `tokenizer.json`."""


@pytest.fixture(scope="module")
def tokenizers(golden):
    return Tokenizers.read(golden / "base", 512)


@pytest.mark.parametrize("prompt", PINNED)
def test_ids_around_placeholders_are_pinned(prompt, tokenizers):
    _, ids = tokenizers.ids(prompt)
    length = len(PINNED[prompt])
    assert ids[0, :length].tolist() == PINNED[prompt]
    assert set(ids[0, length:].tolist()) == {0}


def test_a_vocabulary_of_pieces_of_words_takes_every_prompt(tokenizers):
    prompt = "a wumpus, exactly as in the reference. \N{SNOWMAN}"
    assert tokenizers.known(prompt) == (prompt, [])


def test_clip_sees_no_added_words(tokenizers):
    clip, _ = tokenizers.ids("[ref#1]")
    pieces = [tokenizers.clip.convert_ids_to_tokens(one) for one in clip[0, 1:8].tolist()]
    assert "".join(pieces[:6]).replace("</w>", "") == "[ref#1"
    assert clip.shape == (1, 77)


def test_the_text_is_as_long_as_the_base_allows(tokenizers, golden):
    assert tokenizers.length == 64
    assert Tokenizers.read(golden / "base", 32).length == 32


def test_a_prompt_that_is_too_long_says_by_how_much(tokenizers):
    assert tokenizers.too_long("a dog") == 0
    assert tokenizers.too_long("a" + " a" * 69) == 70 + 1 - 64


def test_placeholder_rows_stand_behind_the_words(golden, tokenizers):
    rows = load_file(golden / "adapters/dreamo.safetensors")["dreamo_t5_embedding.weight"]
    text = TextEncoders.load(golden / "base", tokenizers, rows, torch.float32)
    table = text.t5.get_input_embeddings().weight
    assert torch.equal(table[55:], rows[-10:])
    assert tokenizers.t5.convert_ids_to_tokens(list(range(55, 65))) == list(PLACEHOLDERS)
    text.encode("a dog from [ref#1]", "cpu")
    assert text.encoded == 1


def test_without_embeddings_placeholders_are_plain_text(golden):
    _, ids = Tokenizers.read(golden / "base", 512, placeholders=False).ids("a [ref#1]")
    assert ids.max() < 55


def test_rows_of_another_width_are_refused(golden, tokenizers):
    with pytest.raises(BadInput, match="placeholder embeddings"):
        TextEncoders.load(golden / "base", tokenizers, torch.zeros(10, 7), torch.float32)
