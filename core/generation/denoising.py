"""From noise to latents, step by step: the loop around the transformer.

Latents, timesteps and guidance stay in float32; only the network runs in the model's precision. (In bfloat16 a
timestep of 826.3 would become 828 and a guidance of 4.5, told as 4500, would become 4512.)

Shape suffixes: B batch, S noisy tokens, D channels of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from core.generation.attention import kernels
from core.generation.batches import Job, Tensors, main_tensors, negative_tensors, noise_of
from core.generation.schedule import euler_step, guidance_at, second_pass
from core.generation.transfers import sent

if TYPE_CHECKING:
    from torch import Tensor

    from core.generation.model import Model
    from core.generation.transformer import Predict


def denoise(jobs: Sequence[Job], model: Model, wait: Callable[[], None] | None = None) -> Iterator[Tensor]:
    """Yields the packed latents (B, S, D) after each step; the last are the result.

    On a GPU at most one step is queued while another one runs, so that whoever stops iterating stops the work.
    Batches that follow one another share a `waiter` of the device, so that this holds between them, too.
    """
    import torch

    steps = jobs[0].request.steps
    sigmas = model.schedule.sigmas(steps, jobs[0].layout.noisy.tokens)
    wait = wait or waiter(model.device)
    with torch.no_grad():
        latent_BSD = sent(noise_of(jobs, model.vae.config.latent_channels), model.device)
        velocity_at = predictor(jobs, sigmas[:-1], model)
    for step in range(steps):
        with torch.no_grad(), kernels(model.device):
            velocity = velocity_at(step, latent_BSD)
            latent_BSD = euler_step(latent_BSD, velocity, sigmas[step], sigmas[step + 1])
        wait()
        yield latent_BSD


def predictor(jobs: Sequence[Job], sigmas: Sequence[float], model: Model) -> Predict:
    """The velocity of each step, float32: one pass, or with true CFG negative + scale · (positive - negative)."""
    import torch

    steps, requests = range(len(sigmas)), [job.request for job in jobs]

    def begin(tensors: Tensors, guidance: list[list[float]]) -> Predict:
        timestep_I = sent(torch.tensor([sigma * model.schedule.timesteps for sigma in sigmas]), model.device)
        predict = model.transformer.begin(
            text_BTE=tensors.text_BTE,
            pooled_BP=tensors.pooled_BP,
            references_BRD=tensors.references_BRD,
            rotation=tensors.rotation,
            roles_BLW=tensors.roles_BLW,
            timestep_IB=timestep_I[:, None].expand(-1, len(jobs)),
            guidance_IB=sent(torch.tensor(guidance), model.device) if model.guided else None,
        )
        return lambda step, latent_BSD: predict(step, latent_BSD.to(model.precision)).float()

    toward = begin(main_tensors(jobs, model), [[guidance_at(step, one) for one in requests] for step in steps])
    tensors = negative_tensors(jobs, model)
    if tensors is None:
        return toward
    away = begin(tensors, [[one.negative_guidance for one in requests]] * len(steps))
    scale_B11 = sent(torch.tensor([one.true_cfg for one in requests]), model.device)[:, None, None]

    def guided(step: int, latent_BSD: Tensor) -> Tensor:
        velocity = toward(step, latent_BSD)
        if not second_pass(step, requests[0]):
            return velocity
        negative = away(step, latent_BSD)
        return negative + scale_B11 * (velocity - negative)

    return guided


def waiter(device: str) -> Callable[[], None]:
    """Waits, when called after a step, until the step before it is done; does nothing where work is not queued."""
    if not device.startswith("cuda"):
        return lambda: None
    import torch

    marks: list[torch.cuda.Event] = []

    def wait() -> None:
        mark = torch.cuda.Event()
        mark.record(torch.cuda.current_stream(device))
        marks.append(mark)
        if len(marks) > 1:
            marks.pop(0).synchronize()

    return wait
