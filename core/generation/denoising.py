"""From noise to latents, step by step: the loop around the transformer.

Latents, timesteps and guidance stay in float32; only the network runs in the model's precision. (In bfloat16 a
timestep of 826.3 would become 828 and a guidance of 4.5, told as 4500, would become 4512.)

Shape suffixes: B batch, S noisy tokens, D channels of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from core.generation.batches import Job, Tensors, main_tensors, negative_tensors, noise_of
from core.generation.schedule import euler_step, guidance_at, second_pass

if TYPE_CHECKING:
    from torch import Tensor

    from core.generation.model import Model


def denoise(jobs: Sequence[Job], model: Model) -> Iterator[Tensor]:
    """Yields the packed latents (B, S, D) after each step; the last are the result.

    On a GPU at most one step is queued while another one runs, so that whoever stops iterating stops the work.
    """
    import torch

    with torch.no_grad():
        latent_BSD = noise_of(jobs, model.vae.config.latent_channels).to(model.device)
        main, negative = main_tensors(jobs, model), negative_tensors(jobs, model)
    steps = jobs[0].request.steps
    sigmas = model.schedule.sigmas(steps, jobs[0].layout.noisy.tokens)
    wait = waiter(model.device)
    for step in range(steps):
        with torch.no_grad():
            velocity = velocity_at(step, latent_BSD, sigmas[step], jobs, main, negative, model)
            latent_BSD = euler_step(latent_BSD, velocity, sigmas[step], sigmas[step + 1])
        wait()
        yield latent_BSD


def velocity_at(
    step: int,
    latent_BSD: Tensor,
    sigma: float,
    jobs: Sequence[Job],
    main: Tensors,
    negative: Tensors | None,
    model: Model,
) -> Tensor:
    """The predicted velocity, float32: one pass, or with true CFG negative + scale · (positive - negative)."""
    import torch

    def predict(tensors: Tensors, guidance: Sequence[float]) -> Tensor:
        timestep_B = torch.full((len(jobs),), sigma * model.schedule.timesteps, device=model.device)
        velocity: Tensor = model.transformer(
            noisy_BSD=latent_BSD.to(model.precision),
            references_BRD=tensors.references_BRD,
            text_BTE=tensors.text_BTE,
            pooled_BP=tensors.pooled_BP,
            timestep_B=timestep_B,
            guidance_B=torch.tensor(guidance, device=model.device) if model.guided else None,
            rotation=tensors.rotation,
            roles_BLW=tensors.roles_BLW,
        )
        return velocity.float()

    velocity = predict(main, [guidance_at(step, job.request) for job in jobs])
    if negative is None or not second_pass(step, jobs[0].request):
        return velocity
    away = predict(negative, [job.request.negative_guidance for job in jobs])
    scale_B11 = torch.tensor([job.request.true_cfg for job in jobs], device=velocity.device)[:, None, None]
    return away + scale_B11 * (velocity - away)


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
