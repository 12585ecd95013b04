"""From latents to pictures, while the next batch is already on its way.

Each latent is decoded alone, so that a picture does not depend on its batch.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from core.generation.sequence import Grid, unpack
from core.generation.transfers import sent
from core.requests import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor

    from core.generation.model import Model
    from core.requests import Request


class Decoder:
    """Turns latents into images: in a thread and a stream of its own where `beside`, at once where not."""

    def __init__(self, model: Model, *, beside: bool) -> None:
        self.model = model
        self.pool = ThreadPoolExecutor(1, "decode") if beside else None

    def submit(self, latent_SD: Tensor, request: Request, facts: dict[str, object]) -> Future[Image]:
        """Starts decoding one packed latent."""
        ready = self._mark()

        def work() -> Image:
            return Image(self._picture(latent_SD, request, ready), request, facts)

        if self.pool is not None:
            return self.pool.submit(work)
        done: Future[Image] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Gives up what was not started."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def _mark(self) -> Any:
        if self.pool is None or not self.model.device.startswith("cuda"):
            return None
        import torch

        # Of the model's card, which need not be the process's current one.
        mark = torch.cuda.Event()
        mark.record(torch.cuda.current_stream(self.model.device))
        return mark

    def _picture(self, latent_SD: Tensor, request: Request, ready: Any) -> Picture:
        if ready is None:
            return to_picture(decode(latent_SD, request, self.model))
        import torch

        stream = stream_of(self.model.device)
        with torch.cuda.stream(stream):
            stream.wait_event(ready)
            latent_SD.record_stream(stream)
            return to_picture(decode(latent_SD, request, self.model))


@cache
def stream_of(device: str) -> Any:
    """The stream that pictures are decoded in, one for each device.

    The allocator keeps what a stream has freed for that stream alone: with one after another out of torch's pool
    of 32, a card would hold the memory of 32 decodings.
    """
    import torch

    return torch.cuda.Stream(device)


def decode(latent_SD: Tensor, request: Request, model: Model) -> Tensor:
    """(S, D) → (3, height, width), float32, 0 to 1."""
    import torch

    grid = Grid.of_pixels(request.width, request.height)
    config = model.vae.config
    latent_BCHW = unpack(latent_SD[None], grid) / config.scaling_factor + config.shift_factor
    with torch.no_grad(), model.lent(model.vae) as vae:
        pixels: Tensor = vae.decode(latent_BCHW.to(vae.dtype)).sample[0].float()
        return torch.clamp(pixels / 2 + 0.5, 0, 1)


def to_picture(pixels_3HW: Tensor) -> Picture:
    """Rounds to whole levels: RGB, 8 bits."""
    from PIL import Image as Pictures

    levels = (pixels_3HW * 255).round().byte().permute(1, 2, 0)
    return Pictures.fromarray(levels.contiguous().cpu().numpy())


def encode(picture: Picture, model: Model) -> Tensor:
    """An RGB picture → (C, rows, columns) latent, float32: the posterior's mode, never a draw."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    scaled = 2 * (pixels.float() / 255) - 1
    config = model.vae.config
    with torch.no_grad(), model.lent(model.vae) as vae:
        mode = vae.encode(sent(scaled, model.device, vae.dtype)).latent_dist.mode()
        latent: Tensor = (mode[0].float() - config.shift_factor) * config.scaling_factor
        return latent
