"""From a prompt to what the transformer reads of it: T5's token embeddings and CLIP's pooled one.

T5 gets ten added words, `[ref#1]` … `[ref#9]` and `[res]`; their input embeddings come from DreamO's file. CLIP
sees the same text without added words. Both tokenizers follow the files of the base, whatever version of
transformers is installed: version 5 would rebuild T5's from its vocabulary, and `from [ref#1]` would become other
tokens.

Shape suffixes: T text tokens, E T5's width, P CLIP's width.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadInput
from core.generation.memory import bytes_of
from core.generation.transfers import sent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core.generation.memory import Plan

PLACEHOLDERS = (*(f"[ref#{k}]" for k in range(1, 10)), "[res]")


@dataclass(frozen=True, slots=True)
class Words:
    """One prompt, encoded: `text_TE` and `pooled_P`."""

    text_TE: Tensor
    pooled_P: Tensor


@dataclass(frozen=True, slots=True)
class Tokenizers:
    """Text to ids, padded to a fixed length."""

    clip: Any
    t5: Any
    length: int

    @classmethod
    def read(cls, base: Path, length: int, *, placeholders: bool = True) -> Tokenizers:
        """Reads both from a base folder.

        Args:
            base: in diffusers' layout.
            length: T5 tokens at most; fewer where the base says so.
            placeholders: whether DreamO's words are added, for which a card has embeddings.
        """
        from transformers import CLIPTokenizer

        clip = CLIPTokenizer.from_pretrained(base / "tokenizer", local_files_only=True)
        t5 = read_t5(base / "tokenizer_2")
        if placeholders:
            t5.add_tokens(list(PLACEHOLDERS), special_tokens=False)
        return cls(clip, t5, min(length, t5.model_max_length))

    def known(self, prompt: str) -> tuple[str, list[str]]:
        """The prompt as far as a vocabulary of whole words has it, and the words that it lacks.

        A sentence of which it has half or less goes as a whole, and the last full stop with it: captions of the
        drawn world have none. FLUX's T5 is made of pieces of words and takes all.
        """
        return self._all_known([prompt])[0]

    def _all_known(self, prompts: Sequence[str]) -> list[tuple[str, list[str]]]:
        """`known` of each, asking the tokenizer once where nothing is unknown."""
        if not self._has_words:
            return [(prompt, []) for prompt in prompts]
        bare = [prompt.rstrip(LAST) for prompt in prompts]
        lacking = {*self._lacking(*bare)}
        return [self._reduced(prompt) if prompt in lacking else (prompt, []) for prompt in bare]

    def _reduced(self, prompt: str) -> tuple[str, list[str]]:
        """A prompt with unknown words, without them, and these."""
        kept, lacking = [], []
        for sentence in re.split(r"(?<=[.!?])\s+", prompt):
            words = sentence.split()
            strange = self._lacking(*words)
            lacking += strange
            if 2 * len(strange) < len(words):
                kept += [word for word in words if word not in strange]
        return " ".join(kept).rstrip(LAST), [word.strip(".,:;!?") for word in lacking]

    @property
    def _has_words(self) -> bool:
        """Whether T5's vocabulary is one of whole words."""
        from tokenizers.models import WordLevel

        return isinstance(self.t5.backend_tokenizer.model, WordLevel)

    def _lacking(self, *texts: str) -> list[str]:
        """Those of the texts in which something is unknown."""
        if not texts:
            return []
        said = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
        ids = self.t5(list(texts), **said).input_ids
        return [text for text, row in zip(texts, ids, strict=True) if self.t5.unk_token_id in row]

    def ids(self, *prompts: str) -> tuple[Tensor, Tensor]:
        """(CLIP's ids, T5's ids) of what is known of the prompts, each (prompts, length)."""
        import torch

        known = [kept for kept, _ in self._all_known(prompts)]
        said = {"padding": "max_length", "truncation": True, "return_attention_mask": False}
        clip = self.clip(known, max_length=min(self.clip.model_max_length, CLIP_TOKENS), **said)
        t5 = self.t5(known, max_length=self.length, **said)
        return torch.tensor(clip.input_ids), torch.tensor(t5.input_ids)

    def too_long(self, prompt: str) -> int:
        """How many T5 tokens of the prompt have no place and are left out."""
        return max(0, len(self.t5(self.known(prompt)[0], verbose=False).input_ids) - self.length)


CLIP_TOKENS = 77
LAST = " .!?"
T5_WORDS = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def read_t5(folder: Path) -> Any:
    """T5's tokenizer as written in `tokenizer.json`."""
    from transformers import PreTrainedTokenizerFast

    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        model_max_length=config.get("model_max_length", 512),
        **T5_WORDS,
        clean_up_tokenization_spaces=False,
    )


class TextEncoders:
    """CLIP and T5 of one base. `encoded` counts the prompts that went through them."""

    def __init__(self, tokenizers: Tokenizers, clip: Any, t5: Any) -> None:
        self.tokenizers = tokenizers
        self.clip = clip
        self.t5 = t5
        self.encoded = 0

    @classmethod
    def load(
        cls, base: Path, tokenizers: Tokenizers, placeholders_KE: Tensor | None, precision: torch.dtype
    ) -> TextEncoders:
        """Loads both onto the CPU; `placeholders_KE` holds DreamO's rows, the last ten of which are used."""
        from transformers import CLIPTextModel, T5EncoderModel

        said = {"local_files_only": True, "dtype": precision}
        clip = CLIPTextModel.from_pretrained(base / "text_encoder", **said).eval()
        t5 = T5EncoderModel.from_pretrained(base / "text_encoder_2", **said).eval()
        if placeholders_KE is not None:
            add_words(t5, placeholders_KE, len(tokenizers.t5) - len(PLACEHOLDERS))
        return cls(tokenizers, clip, t5)

    def encode(self, prompt: str, device: str) -> Words:
        """Runs both encoders on one prompt, alone: what comes out depends on nothing beside it."""
        import torch

        clip_ids, t5_ids = self.tokenizers.ids(prompt)
        with torch.no_grad():
            pooled = self.clip(sent(clip_ids, device)).pooler_output[0]
            text = self.t5(sent(t5_ids, device)).last_hidden_state[0]
        self.encoded += 1
        return Words(text, pooled)

    @property
    def device(self) -> str:
        """What kind of device they are on (`cpu`, `cuda`)."""
        return str(next(self.t5.parameters()).device.type)

    def bytes_to_come(self, plan: Plan) -> int:
        """Of their weights, those that are not yet where the plan has them work."""
        return 0 if self.device == plan.text.split(":")[0] else bytes_of(self.clip) + bytes_of(self.t5)

    def to(self, device: str) -> None:
        self.clip.to(device)
        self.t5.to(device)


def add_words(t5: Any, placeholders_KE: Tensor, words: int) -> None:
    """Puts DreamO's ten rows behind the `words` rows that the tokenizer uses; rows past them are left out.

    FLUX.1-dev's T5 has 32,128 rows for 32,100 words: the placeholders get the ids 32,100 to 32,109.

    Raises:
        BadInput: the rows are not of T5's width.
    """
    import torch

    before = t5.get_input_embeddings()
    if placeholders_KE.shape[1] != before.weight.shape[1] or len(placeholders_KE) < len(PLACEHOLDERS):
        raise BadInput.at(
            "placeholder embeddings",
            f"they are {tuple(placeholders_KE.shape)}, T5 is {before.weight.shape[1]} wide",
            "The embeddings belong to another base model",
        )
    rows = placeholders_KE[-len(PLACEHOLDERS) :].to(before.weight)
    after = torch.nn.Embedding.from_pretrained(torch.cat([before.weight.detach()[:words], rows]), freeze=True)
    t5.set_input_embeddings(after)
