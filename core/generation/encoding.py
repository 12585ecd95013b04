"""From requests with prepared references to jobs: prompts and pictures encoded, each once.

On a GPU a batch is encoded behind the last step of the one before, which is still at work: nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from core.generation.attention import kernels
from core.generation.batches import Job, Order, layout_of
from core.generation.caches import TensorCache, key_of
from core.generation.decoding import encode
from core.generation.memory import is_scarce
from core.generation.sequence import Grid, pack, with_kept
from core.generation.text import Words
from core.generation.white_ground import kept_tokens
from core.requests import Preparation, Request
from core.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from core.generation.model import Model

MEMORY_FOR_CACHE = 2_000_000_000


class Encoder:
    """The text encoders and the VAE's encoder of one model, with what they have made before."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model = model
        self.sparing = settings.reference_tokens == "not-white"
        disk = int(settings.cache_gb * 1e9 / 2)
        self.prompts, self.references = (
            TensorCache(settings.home / "cache" / name, model.device, MEMORY_FOR_CACHE, disk)
            for name in ("prompts", "references")
        )

    @property
    def comes_first(self) -> bool:
        """Whether everything has to be encoded before the first step, since memory does not hold all models."""
        return self.model.plan.mode in ("model", "group") or is_scarce(self.model.device)

    def orders(self, requests: Sequence[Request], references: Sequence[Sequence[Preparation]]) -> list[Order]:
        """What is asked for, as far as it is known before anything is encoded."""
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
            )
            for index, (request, given) in enumerate(zip(requests, references, strict=True))
        ]

    def encode(self, orders: Iterable[Order]) -> list[Job]:
        """A job for each."""
        with kernels(self.model.device):
            return [self._job(order) for order in orders]

    def encode_first(self, orders: Sequence[Order]) -> list[Job]:
        """A job for each; the text encoders leave the device where they are not wanted beside the transformer."""
        text = self.model.text
        before = text.encoded
        with kernels(self.model.device):
            for order in orders:
                for prompt in texts_of(order.request):
                    self._words(prompt)
        if self.model.plan.mode in ("model", "group") or text.encoded == before:
            text.to("cpu")
        return self.encode(orders)

    def _job(self, order: Order) -> Job:
        import torch

        main, *negative = map(self._words, texts_of(order.request))
        tokens = [self._reference(one) for one in order.references]
        return Job(
            index=order.index,
            request=order.request,
            layout=order.layout,
            words=main,
            references_RD=with_kept(torch.cat(tokens), order.layout, 0) if tokens else None,
            roles=tuple(self.model.vectors(one.role) for one in order.references),
            negative=negative[0] if negative else None,
        )

    def _words(self, prompt: str) -> Words:
        def make() -> dict[str, Tensor]:
            self.model.text.to(self.model.plan.text)
            made = self.model.text.encode(prompt, self.model.plan.text)
            return {"text": made.text_TE.to(self.model.device), "pooled": made.pooled_P.to(self.model.device)}

        kept = self.prompts.get(key_of("prompt/2", self.model.fingerprints["text"], prompt), make)
        return Words(kept["text"], kept["pooled"])

    def _reference(self, preparation: Preparation) -> Tensor:
        picture = preparation.picture
        key = key_of("reference/1", self.model.fingerprints["vae"], list(picture.size), picture.tobytes())
        kept = self.references.get(key, lambda: {"latent": encode(picture, self.model)})
        return pack(kept["latent"][None])[0]


def texts_of(request: Request) -> list[str]:
    """The prompts that have to be encoded for it: its own, and the negative one where true CFG runs."""
    return [request.prompt, request.negative_prompt] if request.true_cfg > 1 else [request.prompt]
