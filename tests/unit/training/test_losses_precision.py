"""The losses where they are hard: half precision, autocast, empty masks, huge products, and where gradients go.

Shape suffixes as in `core.training.losses`.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.training.losses import placeholder_loss, response, routing_p, routing_r, routing_s

B, S, R, H, K = 2, 6, 5, 3, 4
SPANS = [slice(0, 2), slice(2, 5)]
PRECISIONS = [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shares(*shape: int, seed: int = 9) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def dot(one_K: Tensor, other_K: Tensor) -> float:
    """Scaled product of a query and a key."""
    pairs = zip(one_K.tolist(), other_K.tolist(), strict=True)
    total: float = sum(a * b for a, b in pairs)
    return total / math.sqrt(len(one_K))


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def slow_response(query_RHK: Tensor, key_SHK: Tensor) -> list[float]:
    rows, heads = query_RHK.shape[:2]
    return [
        sum(dot(query_RHK[r, h], key_HK[h]) for r in range(rows) for h in range(heads)) / (rows * heads)
        for key_HK in key_SHK
    ]


@pytest.mark.parametrize(("kind", "close"), PRECISIONS)
def test_response_is_the_mean_product_over_heads_and_reference_tokens(kind: torch.dtype, close: float) -> None:
    query, key = normal(B, R, H, K), normal(B, S, H, K, seed=1)
    found_BS = response(query.to(kind), key.to(kind))
    assert found_BS.dtype == torch.float32
    for b in range(B):
        assert found_BS[b].tolist() == pytest.approx(slow_response(query[b], key[b]), abs=close)


@pytest.mark.parametrize(("kind", "close"), PRECISIONS)
def test_forms_p_and_s_agree_with_loops(kind: torch.dtype, close: float) -> None:
    query, key, mask = normal(B, R, H, K), normal(B, S, H, K, seed=1), shares(B, S)
    told = response(query.to(kind), key.to(kind))
    for b in range(B):
        slow, wanted = slow_response(query[b], key[b]), mask[b].tolist()
        error = sum((m - w) ** 2 for m, w in zip(slow, wanted, strict=True)) / S
        pairs = zip(softmax(slow), wanted, strict=True)
        entropy = -sum(w / sum(wanted) * math.log(p) for p, w in pairs)
        assert routing_p(told, mask)[b].item() == pytest.approx(error, rel=close)
        assert routing_s(told, mask)[b].item() == pytest.approx(entropy, rel=close)


@pytest.mark.parametrize(("kind", "close"), PRECISIONS)
def test_form_r_agrees_with_loops(kind: torch.dtype, close: float) -> None:
    query, key, mask = normal(B, S, H, K), normal(B, R, H, K, seed=1), shares(B, 2, S)
    found_B = routing_r(query.to(kind), key.to(kind), SPANS, mask)
    assert found_B.dtype == torch.float32
    for b in range(B):
        total = norm = 0.0
        for s in range(S):
            masses = [softmax([dot(query[b, s, h], key[b, r, h]) for r in range(R)]) for h in range(H)]
            for n, span in enumerate(SPANS):
                share = sum(sum(mass[span]) for mass in masses) / H
                total -= float(mask[b, n, s]) * math.log(share)
                norm += float(mask[b, n, s])
        assert found_B[b].item() == pytest.approx(total / norm, rel=close)


@pytest.mark.parametrize(("kind", "close"), PRECISIONS)
def test_placeholder_loss_agrees_with_loops(kind: torch.dtype, close: float) -> None:
    queries, keys = normal(B, 3, H, K), normal(B, 3, H, K, seed=1)
    found_B = placeholder_loss(queries.to(kind), keys.to(kind))
    for b in range(B):
        total = 0.0
        for n in range(3):
            mass = softmax([sum(dot(queries[b, n, h], keys[b, p, h]) for h in range(H)) / H for p in range(3)])
            total += sum((mass[p] - (1.0 if p == n else 0.0)) ** 2 for p in range(3))
        assert found_B[b].item() == pytest.approx(total / 9, rel=close)


def test_a_sample_without_a_mask_counts_nothing_and_pulls_at_nothing() -> None:
    query, key = normal(B, R, H, K).requires_grad_(), normal(B, S, H, K, seed=1).requires_grad_()
    mask_BS, mask_BNS = shares(B, S), shares(B, 2, S)
    mask_BS[1], mask_BNS[1] = 0, 0
    for loss_B in (routing_s(response(query, key), mask_BS), routing_r(key, query, SPANS, mask_BNS)):
        assert loss_B[1] == 0
        assert loss_B[0] > 0
        for gradient in torch.autograd.grad(loss_B.sum(), (query, key)):
            assert gradient.isfinite().all()
            assert (gradient[1] == 0).all()
            assert (gradient[0] != 0).any()


def test_a_wholly_wrong_owner_still_pulls() -> None:
    query = torch.tensor([[[[30.0, 0.0]]]]).requires_grad_()
    key, mask = torch.eye(2).reshape(1, 2, 1, 2), torch.tensor([[[0.0], [1.0]]])
    loss = routing_r(query, key, [slice(0, 1), slice(1, 2)], mask).sum()
    assert (torch.autograd.grad(loss, query)[0] != 0).any()


def test_extreme_products_stay_finite_in_value_and_gradient() -> None:
    query, key = (300 * normal(B, R, H, K)).requires_grad_(), (300 * normal(B, S, H, K, seed=1)).requires_grad_()
    told = response(query, key)
    loss = routing_s(told, shares(B, S)).sum() + routing_r(key, query, SPANS, shares(B, 2, S)).sum()
    loss = loss + placeholder_loss(query[:, :2], key[:, :2]).sum()
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (query, key)))


def test_routing_pulls_at_noisy_keys_and_reference_queries_alone() -> None:
    text, end = 3, 3 + S
    query, key = normal(B, end + R, H, K).requires_grad_(), normal(B, end + R, H, K, seed=1).requires_grad_()
    told = response(query[:, end:], key[:, text:end])
    for loss_B in (routing_p(told, shares(B, S)), routing_s(told, shares(B, S))):
        to_query, to_key = torch.autograd.grad(loss_B.sum(), (query, key), retain_graph=True)
        assert (to_query[:, :end] == 0).all()
        assert (to_query[:, end:] != 0).all()
        assert (to_key[:, :text] == 0).all()
        assert (to_key[:, text:end] != 0).all()
        assert (to_key[:, end:] == 0).all()


def test_gradients_are_those_of_small_steps() -> None:
    query = normal(1, 3, 2, 2).double().requires_grad_()
    key = normal(1, 4, 2, 2, seed=1).double().requires_grad_()
    mask_BS, mask_BNS, spans = shares(1, 4), shares(1, 2, 4), [slice(0, 1), slice(1, 3)]

    def whole(query: Tensor, key: Tensor) -> Tensor:
        told = response(query, key)
        held = placeholder_loss(query[:, :2], key[:, :2])
        routed = [routing_p(told, mask_BS), routing_s(told, mask_BS), routing_r(key, query, spans, mask_BNS)]
        return torch.stack([*routed, held]).sum().double()

    assert torch.autograd.gradcheck(whole, (query, key), eps=1e-2, atol=1e-2, rtol=1e-2)


def test_autocast_changes_nothing() -> None:
    query, key = normal(B, S, H, K), normal(B, S, H, K, seed=1)

    def all_of_them() -> list[Tensor]:
        shared = routing_r(query, key, SPANS, shares(B, 2, S))
        return [response(query, key), shared, placeholder_loss(query[:, :2], key[:, :2])]

    exact = all_of_them()
    with torch.autocast("cpu", torch.bfloat16):
        cast = all_of_them()
    assert all(torch.equal(one, other) for one, other in zip(exact, cast, strict=True))
