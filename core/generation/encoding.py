"""From requests with prepared references to jobs: prompts and pictures encoded, each once.

On a GPU a batch is encoded behind the last step of the one before, which is still at work: once T5 is there,
nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from core.generation.attention import kernels
from core.generation.batches import Job, Order, layout_of
from core.generation.caches import TensorCache, key_of
from core.generation.decoding import encode
from core.generation.memory import is_scarce
from core.generation.sequence import Grid, pack, with_kept
from core.generation.text import Words
from core.generation.transfers import sent
from core.generation.white_ground import kept_tokens
from core.requests import Preparation, Request
from core.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from core.generation.model import Model

MEMORY_FOR_CACHE = 2_000_000_000


class Encoder:
    """The text encoders and the VAE's encoder of one model, with what they have made before.

    Attributes:
        crowded: a batch did not fit beside the text encoders, which now leave the device after their work.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model = model
        self.crowded = False
        self.sparing = settings.reference_tokens == "not-white"
        disk = int(settings.cache_gb * 1e9 / 2)
        self.prompts, self.references = (
            TensorCache(settings.home / "cache" / name, model.device, MEMORY_FOR_CACHE, disk)
            for name in ("prompts", "references")
        )

    @property
    def comes_first(self) -> bool:
        """Whether everything has to be encoded before the first step, since memory does not hold all models."""
        return self.text_leaves or is_scarce(self.model.device, self.model.text.bytes_to_come(self.model.plan))

    @property
    def text_leaves(self) -> bool:
        """Whether the text encoders don't stay on the device beside the transformer."""
        return self.crowded or self.model.plan.mode in ("model", "group")

    def orders(self, requests: Sequence[Request], references: Sequence[Sequence[Preparation]]) -> list[Order]:
        """What is asked for, as far as it is known before anything is encoded.

        Raises:
            BadInput: a reference's kind has no role for this model.
        """
        text = self.model.text.tokenizers.length
        return [
            Order(
                index=index,
                request=request,
                references=given,
                layout=layout_of(
                    request,
                    text,
                    [Grid.of_pixels(*one.picture.size) for one in given],
                    kept_tokens(given) if self.sparing else None,
                ),
                roles=tuple(self.model.vectors(one.role) for one in given),
            )
            for index, (request, given) in enumerate(zip(requests, references, strict=True))
        ]

    def encode(self, orders: Sequence[Order], *, first: bool = False) -> list[Job]:
        """A job for each.

        Args:
            orders: of one batch, or of all.
            first: before the first step; the text encoders then leave the device where they don't stay, and where
                they had nothing to do.
        """
        text = self.model.text
        before = text.encoded
        with kernels(self.model.device):
            prompts = dict.fromkeys(prompt for order in orders for prompt in texts_of(order.request))
            words = {prompt: self._words(prompt) for prompt in prompts}
            if first and (self.text_leaves or text.encoded == before):
                text.to("cpu")
            return [self._job(order, words) for order in orders]

    def _job(self, order: Order, words: Mapping[str, Words]) -> Job:
        import torch

        main, *negative = (words[prompt] for prompt in texts_of(order.request))
        tokens = [self._reference(one) for one in order.references]
        return Job(
            index=order.index,
            request=order.request,
            layout=order.layout,
            words=main,
            references_RD=with_kept(torch.cat(tokens), order.layout, 0) if tokens else None,
            roles=order.roles,
            negative=negative[0] if negative else None,
        )

    def _words(self, prompt: str) -> Words:
        def make() -> dict[str, Tensor]:
            model.text.to(model.plan.text)
            made = model.text.encode(prompt, model.plan.text)
            return {"text": sent(made.text_TE, model.device), "pooled": sent(made.pooled_P, model.device)}

        model = self.model
        kept = self.prompts.get(key_of("prompt/2", model.fingerprints["text"], prompt), make)
        return Words(kept["text"], kept["pooled"])

    def _reference(self, preparation: Preparation) -> Tensor:
        picture = preparation.picture
        key = key_of("reference/1", self.model.fingerprints["vae"], list(picture.size), picture.tobytes())
        kept = self.references.get(key, lambda: {"latent": encode(picture, self.model)})
        return pack(kept["latent"][None])[0]


def texts_of(request: Request) -> list[str]:
    """The prompts that have to be encoded for it: its own, and the negative one where true CFG runs."""
    return [request.prompt, request.negative_prompt] if request.true_cfg > 1 else [request.prompt]
