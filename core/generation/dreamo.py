"""DreamO on FLUX (arXiv 2504.16915): requests with prepared references in, images out.

    prompts ──T5, CLIP──▶ text ──┐
    noise ─────────────▶ noisy ──┼─▶ [text | noisy | references] ──transformer, N steps──▶ latents ──VAE──▶ images
    references ──VAE──▶ tokens ──┘      + task[1]   + task[0] + index[i]

An image is a function of its request and references alone: encoders and decoder see one input at a time, noise
comes from the request's seed, reference latents are the posterior's mode.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from core.cards import ModelCard
from core.errors import BadInput, OutOfMemory, Problem
from core.generation.batches import grouped
from core.generation.sequence import PIXELS_PER_TOKEN
from core.requests import Image, Preparation, Request
from core.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from core.generation.batches import Job, Order
    from core.generation.encoding import Encoder
    from core.generation.model import Model
    from core.hookspecs import OnStep

log = logging.getLogger("dreamline")

ENCODING = "encoding prompts and references"


class DreamO:
    """The generator of every card that says `generator = "dreamo"`.

    Attributes:
        overlap: whether decoding and what the caller does with an image run beside the next batch; None: on GPUs.
    """

    def __init__(self, card: ModelCard, settings: Settings, device: str, *, overlap: bool | None = None) -> None:
        self.card = card
        self.settings = settings
        self.device = device
        self.overlap = overlap
        approximate = {"fp8": settings.memory == "fp8", "not-white": settings.reference_tokens == "not-white"}
        self.id = "+".join(["dreamo/1", *(mode for mode, on in approximate.items() if on)])
        self.most = settings.batch_size

    @cached_property
    def model(self) -> Model:
        """The weights, loaded at first use."""
        from core.generation.model import load_model

        with memory_for(f"the weights of {self.card.name}"):
            return load_model(self.card, self.settings, self.device)

    @cached_property
    def encoder(self) -> Encoder:
        from core.generation.encoding import Encoder

        return Encoder(self.model, self.settings)

    def generate(
        self,
        requests: Sequence[Request],
        references: Sequence[Sequence[Preparation]],
        on_step: OnStep | None = None,
    ) -> Iterator[Image]:
        """Yields one image per request, in order; see `core.hookspecs.Generator`."""
        if not requests:
            return
        from core.generation.decoding import Decoder

        beside = self.model.device.startswith("cuda") if self.overlap is None else self.overlap
        decoder = Decoder(self.model, beside=beside)
        coming: dict[int, Future[Image]] = {}
        due = 0
        try:
            for finished in self._denoise(requests, references, on_step):
                for index, latent in finished.items():
                    coming[index] = decoder.submit(latent, requests[index], self._facts(requests[index]))
                while due in coming and coming[due].done():
                    yield picked_up(coming.pop(due))
                    due += 1
            while due < len(requests):
                yield picked_up(coming.pop(due))
                due += 1
        finally:
            decoder.close()

    def latents(
        self,
        requests: Sequence[Request],
        references: Sequence[Sequence[Preparation]],
        on_step: OnStep | None = None,
    ) -> list[Tensor]:
        """The final packed latents of each request, float32, (tokens, channels): for holding against others."""
        found: dict[int, Tensor] = {}
        for finished in self._denoise(requests, references, on_step):
            found.update(finished)
        return [found[index] for index in range(len(requests))]

    def _facts(self, request: Request) -> dict[str, object]:
        left_out = self.model.text.tokenizers.too_long(request.prompt)
        warnings = (
            [f"the last {left_out} tokens of the prompt have no place and were left out"] if left_out else []
        )
        if lacking := self.model.text.tokenizers.known(request.prompt)[1]:
            warnings.append(f"words that the model does not know were left out: {', '.join(lacking)}")
        plan = self.model.plan
        return {
            "generator": self.id,
            "precision": str(self.model.precision).removeprefix("torch."),
            "device": self.model.device,
            "memory": f"{plan.mode}: {plan.why}",
            "warnings": warnings,
        }

    def _denoise(
        self,
        requests: Sequence[Request],
        references: Sequence[Sequence[Preparation]],
        on_step: OnStep | None,
    ) -> Iterator[dict[int, Tensor]]:
        """Yields nothing after every step, and after a batch its latents by index.

        A batch that does not fit is begun again: without the text encoders beside it, then in halves.
        """
        from core.generation.denoising import denoise, waiter

        BadInput.gather(problems_of(requests, references, self.card))
        waiting = list(grouped(self.encoder.orders(requests, references), self.most))
        encoded = self._encode_first(waiting) if self.encoder.comes_first else {}
        total, step = sum(batch[0].request.steps for batch in waiting), 0
        wait = waiter(self.model.device)
        while waiting:
            batch = waiting.pop(0)
            begun, finished, jobs = step, {}, []
            try:
                jobs = [encoded[one.index] for one in batch] if encoded else self.encoder.encode(batch)
                with self.model.denoising():
                    for latents in denoise(jobs, self.model, wait):
                        finished = {one.index: latents[k] for k, one in enumerate(batch)}
                        step += 1
                        if on_step is not None:
                            on_step(step, total)
                        yield {}
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                crowded = self._has_text_beside()
                if not jobs and not crowded:
                    raise does_not_fit(ENCODING) from error
                again = [batch] if crowded else self._halve(batch, error)
            else:
                yield finished
                continue
            self._free()
            waiting[:0] = again
            if crowded:
                self.encoder.crowded = True
                encoded = encoded or self._encode_first(waiting)
                self.model.text.to("cpu")
            total, step = total + len(again) * batch[0].request.steps - batch[0].request.steps, begun

    def _encode_first(self, batches: Sequence[Sequence[Order]]) -> dict[int, Job]:
        """All jobs by index, while no transformer is at work beside the encoders."""
        orders = [one for batch in batches for one in batch]
        with memory_for(ENCODING):
            return {job.index: job for job in self.encoder.encode(orders, first=True)}

    def _has_text_beside(self) -> bool:
        """Whether the text encoders occupy room on the device that they could leave."""
        home = self.model.device.split(":")[0]
        return home != "cpu" and self.model.text.device == home

    def _halve(self, batch: list[Order], error: RuntimeError) -> list[list[Order]]:
        first = batch[0].request
        what = f"{first.width}x{first.height} with {len(first.references)} references on {self.model.device}"
        if len(batch) == 1:
            raise OutOfMemory(
                f"one image of {what} does not fit into memory ({self.model.plan.mode}). Ask for a smaller size, "
                "or set DREAMLINE_MEMORY to model or group"
            ) from error
        middle = len(batch) // 2
        log.warning("%d images of %s do not fit into memory: %d at a time from here", len(batch), what, middle)
        self.most = min(self.most, middle)
        return [batch[:middle], batch[middle:]]

    def _free(self) -> None:
        """Hands cached blocks back after a batch that did not fit; never between batches that do."""
        import torch

        if self.model.device.startswith("cuda"):
            torch.cuda.empty_cache()


def picked_up(coming: Future[Image]) -> Image:
    """A decoded image, as soon as it is there."""
    with memory_for("decoding an image"):
        return coming.result()


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Says what did not fit.

    Raises:
        OutOfMemory: memory ran out inside.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise does_not_fit(what) from error


def does_not_fit(what: str) -> OutOfMemory:
    return OutOfMemory(f"{what} does not fit into memory: set DREAMLINE_MEMORY to model or group")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out: a class of torch's on GPUs, a RuntimeError with a telling text elsewhere."""
    import torch

    told = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in told or "can't allocate memory" in told


def problems_of(
    requests: Sequence[Request], references: Sequence[Sequence[Preparation]], card: ModelCard
) -> Iterator[Problem]:
    """What the model can't make; planning has found these before, with better places."""
    for number, (request, given) in enumerate(zip(requests, references, strict=True), start=1):
        where = f"request {number}"
        if len(given) != len(request.references):
            text = f"has {len(request.references)} references and {len(given)} preparations"
            yield Problem(where, text, "Give one preparation a reference")
        if len(given) > card.max_references:
            yield Problem(where, f"has {len(given)} references", f"{card.name} takes {card.max_references}")
        for side in (request.width, request.height):
            if side <= 0 or side % card.grid or side % PIXELS_PER_TOKEN:
                yield Problem(where, f"a side is {side} pixels", f"Sides are multiples of {card.grid}")
        for one in given:
            if one.picture.mode != "RGB" or any(side % PIXELS_PER_TOKEN or not side for side in one.picture.size):
                text = f"a prepared reference is {one.picture.mode} {one.picture.size}"
                yield Problem(where, text, f"It has to be RGB with sides that are multiples of {PIXELS_PER_TOKEN}")
        if request.steps < 1:
            yield Problem(where, f"has {request.steps} steps", "Ask for one at least")
