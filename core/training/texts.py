"""Small text encoders for a base of one's own: tokenizers over a list of words, CLIP and T5 that fit them.

FLUX gives every text token the same position, so that the order of words reaches the transformer through T5's
relative positions alone: T5 has to be trained together with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.generation.text import T5_WORDS

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
START_OF_TEXT, END_OF_TEXT = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class TextShape:
    """Sizes of both encoders; `length` is T5's number of tokens, which every prompt is padded or cut to."""

    length: int = 40
    t5_width: int = 128
    t5_layers: int = 3
    t5_heads: int = 4
    clip_width: int = 64
    clip_layers: int = 2
    clip_heads: int = 4


def write_tokenizers(words: Sequence[str], shape: TextShape, base: Path) -> None:
    """Writes `tokenizer` (CLIP's, byte pairs) and `tokenizer_2` (T5's, one token a word) below a base folder.

    Words that are not in the list are left out of prompts (`core.generation.text.Tokenizers.known`).
    """
    write_t5_tokenizer(words, shape.length, base / "tokenizer_2")
    write_clip_tokenizer(words, base / "tokenizer")


def write_t5_tokenizer(words: Sequence[str], length: int, folder: Path) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: at for at, word in enumerate((PAD, END, UNKNOWN, ".", ",", ":", *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"[.,:;!?]"), behavior="isolated"),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "T5Tokenizer", "model_max_length": length, "extra_ids": 0, **T5_WORDS}
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", dict(T5_WORDS))


def write_clip_tokenizer(words: Sequence[str], folder: Path) -> None:
    """Byte pairs that join every word of the list into one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=100_000, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator([*words, *(f"{word} {word}" for word in words)], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    pieces = dict.fromkeys([*letters, *(f"{letter}</w>" for letter in letters)])
    pieces.update(dict.fromkeys(merge.replace(" ", "") for merge in merges))
    vocabulary = {piece: at for at, piece in enumerate((*pieces, START_OF_TEXT, END_OF_TEXT))}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    special = {
        "bos_token": START_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
    }
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "errors": "replace", **special}
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", special)


def write_json(path: Path, told: object) -> None:
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def build_t5(words: int, shape: TextShape) -> Any:
    """An untrained T5 encoder for that many ids, whose placeholders are the last ten."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=words,
            d_model=shape.t5_width,
            d_kv=shape.t5_width // shape.t5_heads,
            d_ff=2 * shape.t5_width,
            num_layers=shape.t5_layers,
            num_heads=shape.t5_heads,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
            use_cache=False,
        )
    )


def build_clip(tokenizer: Any, shape: TextShape) -> Any:
    """An untrained CLIP text encoder for that tokenizer."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.clip_width,
            intermediate_size=2 * shape.clip_width,
            projection_dim=shape.clip_width,
            num_hidden_layers=shape.clip_layers,
            num_attention_heads=shape.clip_heads,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
