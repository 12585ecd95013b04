"""The published pipeline's own outputs, met through shipped cards and published file names."""

from __future__ import annotations

import numpy as np
import pytest

CASES = (
    "v1.1-one",
    "v1.1-style",
    "v1.1-noturbo",
    "mixed-placeholders",
    "v1-two",
    "v1-noturbo-none",
    "first-step",
    "true-cfg",
    "true-cfg-all",
    "nine",
)


def test_every_golden_case_is_tried(cases):
    assert set(cases) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_latents_and_image_agree_with_the_published_pipeline(name, cases, generators):
    case = cases[name]
    generator = generators(case.card)
    latent = generator.latents([case.request], [case.references])[0].numpy()
    assert np.abs(latent - case.latent[0]).max() < 1e-4
    image = next(generator.generate([case.request], [case.references]))
    assert np.abs(np.asarray(image.picture) / 255 - case.image).max() < 2e-3


def test_the_golden_cases_differ_where_their_calls_do(cases, generators):
    """A wrong scale, role or guidance would be seen: each matters more than the tolerance."""
    from dataclasses import replace

    case = cases["true-cfg"]
    generator = generators(case.card)
    exact = generator.latents([case.request], [case.references])[0]
    for change in (
        {"first_step_guidance": 1.5},
        {"true_cfg_start": 0},
        {"true_cfg_end": 5},
        {"negative_guidance": 3.5},
        {"negative_prompt": ""},
        {"true_cfg": 1.0},
    ):
        other = generator.latents([replace(case.request, **change)], [case.references])[0]
        assert (exact - other).abs().max() > 1e-3, change
