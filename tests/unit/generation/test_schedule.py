"""Sigmas, steps, guidance and starting noise against diffusers and plain arithmetic."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import BadInput
from core.generation.schedule import (
    Schedule,
    euler_step,
    guidance_at,
    second_pass,
    starting_noise,
)

FLUX = Schedule()


@pytest.mark.parametrize(("steps", "tokens"), [(12, 4096), (25, 2304), (4, 24), (1, 256), (30, 5184)])
def test_sigmas_agree_with_plain_float64_arithmetic(steps, tokens):
    mu = 0.5 + (1.15 - 0.5) * (tokens - 256) / (4096 - 256)
    expected = []
    for k in range(steps):
        sigma = 1.0 + (1 / steps - 1.0) * k / max(1, steps - 1)
        expected.append(math.exp(mu) / (math.exp(mu) + (1 / sigma - 1)))
    assert FLUX.sigmas(steps, tokens) == pytest.approx([*expected, 0.0], abs=1e-12)


@pytest.mark.parametrize("dynamic", [True, False])
def test_sigmas_agree_with_diffusers_scheduler(dynamic):
    from diffusers import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(shift=1.0 if not dynamic else 3.0, use_dynamic_shifting=dynamic)
    ours = Schedule.read(theirs.config, "scheduler")
    tokens = 3072
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / 12, 12), mu=ours.mu(tokens))
    assert theirs.sigmas.tolist() == pytest.approx(ours.sigmas(12, tokens), abs=1e-6)


def test_steps_agree_with_diffusers_scheduler():
    from diffusers import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / 5, 5), mu=FLUX.mu(64))
    sigmas = FLUX.sigmas(5, 64)
    latent = theirs_latent = torch.randn(1, 64, 64)
    for step, timestep in enumerate(theirs.timesteps):
        velocity = torch.sin(latent * 3)
        theirs_latent = theirs.step(velocity, timestep, theirs_latent, return_dict=False)[0]
        latent = euler_step(latent, velocity, sigmas[step], sigmas[step + 1])
        assert torch.allclose(latent, theirs_latent, atol=1e-5)


@pytest.mark.parametrize("key", ["use_karras_sigmas", "shift_terminal", "invert_sigmas"])
def test_a_scheduler_that_is_not_flux_is_refused_by_name(key):
    with pytest.raises(BadInput, match=r"scheduler_config\.json"):
        Schedule.read({key: 1}, "scheduler_config.json")


def test_the_golden_scheduler_is_read(golden):
    told = json.loads((golden / "base/scheduler/scheduler_config.json").read_text())
    assert Schedule.read(told, "golden") == replace(FLUX, shift=3.0)


def test_the_noise_is_what_diffusers_pipeline_draws(golden):
    from diffusers import FluxPipeline

    from core.generation.sequence import pack

    pipeline = FluxPipeline(None, None, None, None, None, None, None)
    for seed, width, height in ((5, 96, 64), (2**40, 64, 112)):
        drawn, _ = pipeline.prepare_latents(
            1, 16, height, width, torch.float32, torch.device("cpu"), torch.Generator("cpu").manual_seed(seed)
        )
        assert torch.equal(pack(starting_noise(seed, width, height, 16)), drawn)


def test_guidance_of_the_first_step_replaces_it_there_alone(ask):
    request, _ = ask(guidance=4.5, first_step_guidance=1.5)
    assert [guidance_at(step, request) for step in range(3)] == [1.5, 4.5, 4.5]
    assert guidance_at(0, replace(request, first_step_guidance=None)) == 4.5
    assert guidance_at(0, replace(request, first_step_guidance=0.0)) == 0.0


def test_true_cfg_runs_between_its_start_and_end(ask):
    request, _ = ask(steps=5, true_cfg=2.0, true_cfg_start=1, true_cfg_end=3)
    assert [second_pass(step, request) for step in range(5)] == [False, True, True, False, False]
    assert all(second_pass(step, replace(request, true_cfg_start=0, true_cfg_end=None)) for step in range(5))
    assert not any(second_pass(step, replace(request, true_cfg=1.0)) for step in range(5))
