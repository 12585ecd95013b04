"""When and how far each denoising step goes: FLUX's shifted sigmas, Euler steps, guidance, starting noise.

FLUX's convention: x_t = (1 - t) x_0 + t eps; the network predicts eps - x_0; an Euler step goes from sigma to
the next one along that direction. The shift comes from the noisy tokens alone, never from text or references.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import BadInput
from core.generation.sequence import PIXELS_PER_LATENT

if TYPE_CHECKING:
    from torch import Tensor

    from core.requests import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The scheduler's part of a base model, from its `scheduler_config.json`."""

    dynamic: bool = True
    shift: float = 1.0
    base_tokens: int = 256
    max_tokens: int = 4096
    base_shift: float = 0.5
    max_shift: float = 1.15
    timesteps: int = 1000

    @classmethod
    def read(cls, config: Mapping[str, Any], where: str) -> Schedule:
        """Takes what FLUX uses from diffusers' scheduler configuration.

        Raises:
            BadInput: it asks for something that changes the sigmas and is not FLUX's.
        """
        for key in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas"):
            if config.get(key):
                raise BadInput.at(f"{where}, key {key}", "is on", "Only FLUX's own sigmas are supported")
        if config.get("shift_terminal") or config.get("time_shift_type", "exponential") != "exponential":
            raise BadInput.at(where, "has a shift that is not FLUX's", "Use the scheduler of a FLUX base")
        return cls(
            dynamic=config.get("use_dynamic_shifting", False),
            shift=config.get("shift", 1.0),
            base_tokens=config.get("base_image_seq_len", 256),
            max_tokens=config.get("max_image_seq_len", 4096),
            base_shift=config.get("base_shift", 0.5),
            max_shift=config.get("max_shift", 1.15),
            timesteps=config.get("num_train_timesteps", 1000),
        )

    def mu(self, noisy_tokens: int) -> float:
        """The shift's exponent: a line through (`base_tokens`, `base_shift`) and (`max_tokens`, `max_shift`)."""
        slope = (self.max_shift - self.base_shift) / (self.max_tokens - self.base_tokens)
        return self.base_shift + slope * (noisy_tokens - self.base_tokens)

    def sigmas(self, steps: int, noisy_tokens: int) -> list[float]:
        """`steps` falling noise levels, the first 1, and a final 0.

        From 1 to 1/steps evenly, then shifted: by exp(mu) where the base shifts by size (FLUX.1-dev), by a
        constant where it does not (schnell); both are s x / (1 + (s - 1) x).
        """
        factor = math.exp(self.mu(noisy_tokens)) if self.dynamic else self.shift
        even = [1 - k / steps for k in range(steps)]
        return [factor * sigma / (1 + (factor - 1) * sigma) for sigma in even] + [0.0]


def euler_step(latent: Tensor, velocity: Tensor, sigma: float, following: float) -> Tensor:
    """From noise level `sigma` to `following` along the predicted velocity; float32 in, float32 out."""
    return latent + (following - sigma) * velocity


def guidance_at(step: int, request: Request) -> float:
    """The guidance that is told to the network in a step, counted from 0: the first may have its own."""
    if step == 0 and request.first_step_guidance is not None:
        return request.first_step_guidance
    return request.guidance


def second_pass(step: int, request: Request) -> bool:
    """Whether true CFG runs in this step: scale over 1, and within `true_cfg_start` ≤ step < `true_cfg_end`."""
    end = request.steps if request.true_cfg_end is None else request.true_cfg_end
    return request.true_cfg > 1 and request.true_cfg_start <= step < end


def starting_noise(seed: int, width: int, height: int, channels: int) -> Tensor:
    """The noise that diffusers' `FluxPipeline` draws for this seed and size: float32, on the CPU, (1, C, H, W).

    The precision and the device of the model don't change it, so images can be held against other tools.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, channels, height // PIXELS_PER_LATENT, width // PIXELS_PER_LATENT)
    return torch.randn(shape, generator=generator, dtype=torch.float32)
