"""Ways to denoise the same job: plain diffusers, and dreamline's, with and without what makes it fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.generation.mapped import widen
from benchmarks.generation.sizes import Size, build_model, build_transformer
from core.generation.batches import Job, main_tensors, noise_of
from core.generation.compiling import compile_decoder, rows_in_registers
from core.generation.denoising import denoise
from core.generation.float8 import quantize
from core.generation.fused import FusedTransformer
from core.generation.model import Model
from core.generation.schedule import euler_step
from core.generation.sequence import position_ids

WAYS = {
    "plain": "diffusers' transformer as it is, with the kernel that torch picks",
    "plain+flash": "plain with FlashAttention 2, which older versions of torch pick",
    "plain+compiled": "plain with its repeated blocks compiled",
    "fused": "ours, not compiled",
    "exact": "ours, compiled: how campaigns run",
    "fp8": "ours, compiled, with fp8 linear layers (approximate)",
    "model": "ours; each model comes to the device for its part",
    "group": "diffusers' blocks, one after another on the device",
}

Steps = Callable[[Job], Iterator[Tensor]]
"""A job's packed latents after each step, (1, S, D)."""


def prepare(way: str, size: Size, device: str) -> tuple[Model, Steps]:
    """A model of random weights, and how it denoises. Compilation happens in the first call."""
    if way in ("model", "group"):
        model = build_model(size, device, way)
        return model, lambda job: _lent(job, model)
    if way.startswith("plain"):
        theirs = diffusers_transformer(size, device)
        if way == "plain+compiled":
            theirs.compile_repeated_blocks(fullgraph=True, dynamic=True)
        model = build_model(size, device, "resident", Shape(theirs))
        chosen = partial(sdpa_kernel, SDPBackend.FLASH_ATTENTION) if way == "plain+flash" else nullcontext
        return model, lambda job: plain_steps(theirs, model, job, chosen)
    fused = FusedTransformer(build_transformer(size, device))
    if way == "fp8":
        quantize(fused)
    model = build_model(size, device, "resident", fused)
    if way in ("exact", "fp8"):
        fused.compile_blocks(backend=rows_in_registers)
        compile_decoder(model.vae)
    return model, lambda job: denoise([job], model)


def diffusers_transformer(size: Size, device: str, precision: torch.dtype | None = None) -> Any:
    """The class of diffusers itself, with the weights of `build_transformer`."""
    ours = build_transformer(size, device)
    with torch.device("meta"):
        theirs = FluxTransformer2DModel.from_config(ours.config)
    theirs.load_state_dict(ours.state_dict(), assign=True)
    theirs.eval().requires_grad_(requires_grad=False)
    if size.weights is None:
        nn.Module.to(theirs, precision or size.precision(device))
    elif precision == torch.float32:
        widen(theirs)
    return theirs


class Shape:
    """What a job needs to know of a transformer of diffusers' own."""

    def __init__(self, theirs: Any) -> None:
        self.config = theirs.config
        self.inner_dim = theirs.inner_dim
        self._embed = theirs.pos_embed

    def rotation(self, ids_BN3: Tensor) -> Any:
        from core.generation.transformer import Rotation

        return Rotation.of(self._embed, ids_BN3)


def _lent(job: Job, model: Model) -> Iterator[Tensor]:
    with model.denoising():
        yield from denoise([job], model)


@torch.no_grad()
def plain_steps(
    theirs: Any, model: Model, job: Job, chosen: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[Tensor]:
    """What DreamO's published pipeline does with diffusers' transformer, but for the role vectors."""
    layout = job.layout
    at: dict[str, Any] = {"device": model.device, "dtype": model.precision}
    ids = position_ids(layout).to(model.device)
    given = main_tensors([job], model)
    text, pooled = given.text_BTE.to(**at), given.pooled_BP.to(**at)
    fixed = [] if given.references_BRD is None else [given.references_BRD.to(**at)]
    guidance = torch.full((1,), job.request.guidance, **at)
    sigmas = model.schedule.sigmas(job.request.steps, layout.noisy.tokens)
    latent = noise_of([job], model.vae.config.latent_channels).to(model.device)
    for sigma, following in pairwise(sigmas):
        with chosen():
            velocity = theirs(
                hidden_states=torch.cat([latent.to(at["dtype"]), *fixed], dim=1),
                timestep=torch.full((1,), sigma, **at),
                guidance=guidance,
                encoder_hidden_states=text,
                pooled_projections=pooled,
                txt_ids=ids[: layout.text],
                img_ids=ids[layout.text :],
                return_dict=False,
            )[0][:, : layout.noisy.tokens]
        latent = euler_step(latent, velocity.float(), sigma, following)
        yield latent
