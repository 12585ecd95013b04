"""Every loss against a slow computation in float64, written from the formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.generation.sequence import Grid
from core.training.losses import (
    diffusion_loss,
    flow_target,
    inside_outside,
    mix,
    placeholder_loss,
    response,
    routing_p,
    routing_r,
    routing_s,
    spans_of,
)

B, S, R, N, H, K = 2, 6, 4, 2, 3, 5


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def slow_response(query: Tensor, key: Tensor) -> list[list[float]]:
    found = []
    for b in range(len(query)):
        row = []
        for s in range(key.shape[1]):
            total = 0.0
            for r in range(query.shape[1]):
                for h in range(H):
                    total += sum(float(query[b, r, h, k]) * float(key[b, s, h, k]) for k in range(K)) / math.sqrt(
                        K
                    )
            row.append(total / (query.shape[1] * H))
        found.append(row)
    return found


def test_the_path_runs_from_the_picture_to_the_noise_and_its_velocity_is_their_difference() -> None:
    target, noise = drawn(3, 4, 2), drawn(3, 4, 2, seed=1)
    early, late = mix(target, noise, torch.zeros(3)), mix(target, noise, torch.ones(3))
    assert torch.equal(early, target)
    assert torch.equal(late, noise)
    step = mix(target, noise, torch.full((3,), 0.75)) - mix(target, noise, torch.full((3,), 0.25))
    assert torch.allclose(step / 0.5, flow_target(target, noise), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_diffusion_loss_is_the_weighted_mean_of_squares(dtype: torch.dtype) -> None:
    velocity, target, weight = drawn(B, S, K).to(dtype), drawn(B, S, K, seed=1).to(dtype), drawn(B, S).abs()
    top = bottom = plain = 0.0
    for b in range(B):
        for s in range(S):
            error = sum((float(velocity[b, s, k]) - float(target[b, s, k])) ** 2 for k in range(K)) / K
            top, bottom, plain = top + float(weight[b, s]) * error, bottom + float(weight[b, s]), plain + error
    assert float(diffusion_loss(velocity, target, weight)) == pytest.approx(top / bottom, rel=1e-5)
    assert float(diffusion_loss(velocity, target)) == pytest.approx(plain / (B * S), rel=1e-5)
    assert float(diffusion_loss(velocity, target, torch.full((B, S), 3.0))) == pytest.approx(
        plain / (B * S), rel=1e-5
    )


def test_the_response_is_the_mean_product_of_reference_queries_and_image_keys() -> None:
    query, key = drawn(B, R, H, K), drawn(B, S, H, K, seed=1)
    assert torch.allclose(response(query, key), torch.tensor(slow_response(query, key)), atol=1e-5)


def test_routing_as_printed_is_the_squared_distance_of_response_and_mask() -> None:
    query, key, mask = drawn(B, R, H, K), drawn(B, S, H, K, seed=1), torch.rand(B, S)
    slow = slow_response(query, key)
    wanted = [sum((slow[b][s] - float(mask[b, s])) ** 2 for s in range(S)) / S for b in range(B)]
    assert routing_p(response(query, key), mask).tolist() == pytest.approx(wanted, rel=1e-4)


def test_routing_by_softmax_is_the_cross_entropy_to_the_mask_and_forgives_an_empty_one() -> None:
    query, key, mask = drawn(B, R, H, K), drawn(B, S, H, K, seed=1), torch.rand(B, S)
    mask[1] = 0
    slow = slow_response(query, key)[0]
    total = sum(math.exp(one) for one in slow)
    goal = [float(one) / float(mask[0].sum()) for one in mask[0]]
    wanted = -sum(g * math.log(math.exp(one) / total) for g, one in zip(goal, slow, strict=True))
    assert routing_s(response(query, key), mask).tolist() == pytest.approx([wanted, 0.0], rel=1e-4)


def test_routing_by_owner_counts_the_share_of_attention_that_goes_to_the_owner() -> None:
    grids = (Grid(1, 3), Grid(1, 2))
    query, key, mask = drawn(B, S, H, K), drawn(B, 5, H, K, seed=1), torch.rand(B, 2, S)
    spans, wanted = spans_of(grids), []
    for b in range(B):
        top = bottom = 0.0
        for s in range(S):
            shares = [0.0, 0.0]
            for h in range(H):
                scores = [
                    math.exp(
                        sum(float(query[b, s, h, k]) * float(key[b, q, h, k]) for k in range(K)) / math.sqrt(K)
                    )
                    for q in range(5)
                ]
                for n, span in enumerate(spans):
                    shares[n] += sum(scores[span]) / sum(scores) / H
            for n in range(2):
                top -= float(mask[b, n, s]) * math.log(shares[n])
                bottom += float(mask[b, n, s])
        wanted.append(top / bottom)
    assert routing_r(query, key, spans, mask).tolist() == pytest.approx(wanted, rel=1e-4)


def test_each_reference_is_drawn_to_its_own_placeholder() -> None:
    query, key = drawn(B, N, H, K), drawn(B, N, H, K, seed=1)
    wanted = []
    for b in range(B):
        total = 0.0
        for n in range(N):
            scores = [
                sum(float(query[b, n, h, k]) * float(key[b, p, h, k]) for h in range(H) for k in range(K))
                / (H * math.sqrt(K))
                for p in range(N)
            ]
            whole = sum(math.exp(one) for one in scores)
            total += sum((math.exp(one) / whole - float(p == n)) ** 2 for p, one in enumerate(scores))
        wanted.append(total / N**2)
    assert placeholder_loss(query, key).tolist() == pytest.approx(wanted, rel=1e-4)


def test_the_placeholder_loss_falls_to_nothing_when_each_finds_its_own() -> None:
    eye = torch.eye(N).reshape(1, N, 1, N) * 50
    assert float(placeholder_loss(eye, eye)) < 1e-6
    assert float(placeholder_loss(eye, eye.flip(1))) > 0.9


def test_inside_and_outside_are_means_weighted_by_the_mask() -> None:
    inside, outside = inside_outside(torch.tensor([[1.0, 3.0, 5.0]]), torch.tensor([[1.0, 0.0, 0.5]]))
    assert float(inside) == pytest.approx((1 + 2.5) / 1.5)
    assert float(outside) == pytest.approx((3 + 2.5) / 1.5)
