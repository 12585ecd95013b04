"""What a model is trained to make small: DreamO's three losses, and two other forms of routing to compare with.

Every function computes in float32 whatever it is given. Queries and keys are those that attention multiplies:
after normalisation and rotation.

Shape suffixes: B batch, S noisy tokens, R tokens of one reference, Q of all references, N references, P
placeholder words, H heads, K channels of a head, D channels of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from core.generation.sequence import Grid

Given = ParamSpec("Given")
Found = TypeVar("Found")


def without_autocast(formula: Callable[Given, Found]) -> Callable[Given, Found]:
    """Inside autocast, products of float32 tensors would be made in bfloat16."""

    @wraps(formula)
    def computed(*args: Given.args, **named: Given.kwargs) -> Found:
        kind = next(value.device.type for value in args if isinstance(value, Tensor))
        with torch.autocast(kind, enabled=False):
            return formula(*args, **named)

    return computed


def mix(target: Tensor, noise: Tensor, time_B: Tensor) -> Tensor:
    """x_t = (1 - t) x_0 + t eps, the straight path of rectified flow (arXiv 2209.03003)."""
    time = time_B.reshape(-1, *[1] * (target.ndim - 1))
    return (1 - time) * target + time * noise


def flow_target(target: Tensor, noise: Tensor) -> Tensor:
    """What FLUX predicts: eps - x_0."""
    return noise - target


def diffusion_loss(velocity_BSD: Tensor, target_BSD: Tensor, weight_BS: Tensor | None = None) -> Tensor:
    """L_diff: mean squared error; with weights, their weighted mean over tokens (all equal: the plain mean)."""
    error_BS = (velocity_BSD.float() - target_BSD.float()).square().mean(-1)
    if weight_BS is None:
        return error_BS.mean()
    return (error_BS * weight_BS).sum() / weight_BS.sum()


@without_autocast
def response(query_BRHK: Tensor, key_BSHK: Tensor) -> Tensor:
    """M of arXiv 2504.16915, section 3.3: Q_ref K_img^T / sqrt(d), over heads and reference tokens, (B, S).

    The mean of the products is the product of the mean query, so that no map of R x S is ever made: R K + S K
    multiplications a head instead of R S K.
    """
    mean_BHK = query_BRHK.float().mean(1)
    heads, channels = mean_BHK.shape[1:]
    total_BS: Tensor = torch.einsum("bhk,bshk->bs", mean_BHK, key_BSHK.float())
    return total_BS.div(heads * channels**0.5)


def routing_p(response_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """L_route as printed: mean squared error between response and mask, (B,)."""
    return (response_BS - mask_BS).square().mean(-1)


def routing_s(response_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Cross-entropy between the response's softmax over the image and the mask as a distribution, (B,).

    A sample whose mask is empty counts 0.
    """
    total_B1 = mask_BS.sum(-1, keepdim=True)
    goal_BS = mask_BS / total_B1.clamp(min=1e-6)
    return -(goal_BS * response_BS.log_softmax(-1)).sum(-1)


@without_autocast
def routing_r(query_BSHK: Tensor, key_BQHK: Tensor, spans: Sequence[slice], mask_BNS: Tensor) -> Tensor:
    """Of each image token's attention on the references, the share of the one it belongs to: cross-entropy, (B,).

    Averaged over heads and, weighted by the masks, over tokens; a sample whose masks are empty counts 0. The
    shares are what attention gives with the owners as its values, so that no map of S x Q is kept.
    """
    owner_QN = torch.zeros(key_BQHK.shape[1], len(spans), device=key_BQHK.device)
    for n, span in enumerate(spans):
        owner_QN[span, n] = 1
    query_BHSK, key_BHQK = query_BSHK.float().transpose(1, 2), key_BQHK.float().transpose(1, 2)
    owner_BHQN = owner_QN.expand(*key_BHQK.shape[:2], -1, -1)
    share_BHSN = functional.scaled_dot_product_attention(query_BHSK, key_BHQK, owner_BHQN)
    surprise_BNS = -(share_BHSN.mean(1).transpose(1, 2) + FLOOR).log()
    return (mask_BNS * surprise_BNS).sum((1, 2)) / mask_BNS.sum((1, 2)).clamp(min=1e-6)


FLOOR = 1e-8
"""Added to shares before their logarithm; smaller than what an owner that is wholly passed over still gets."""


@without_autocast
def placeholder_loss(query_BNHK: Tensor, key_BPHK: Tensor) -> Tensor:
    """L_holder: squared error between which placeholder a reference attends to and its own, (B,).

    The softmax over the placeholders of the mean product of a reference's queries and a placeholder's key, against
    the identity matrix (P = N).

    Args:
        query_BNHK: of each reference, averaged over its tokens.
        key_BPHK: of the placeholders, in the references' order.
    """
    heads, channels = query_BNHK.shape[2:]
    scores_BNP: Tensor = torch.einsum("bnhk,bphk->bnp", query_BNHK.float(), key_BPHK.float())
    scores_BNP = scores_BNP / (heads * channels**0.5)
    wanted_NP = torch.eye(scores_BNP.shape[1], device=scores_BNP.device)
    return (scores_BNP.softmax(-1) - wanted_NP).square().mean((1, 2))


def spans_of(grids: Sequence[Grid]) -> list[slice]:
    """Where each reference's tokens lie among those of all references."""
    ends, spans = 0, []
    for grid in grids:
        spans.append(slice(ends, ends + grid.tokens))
        ends += grid.tokens
    return spans


def inside_outside(response_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, Tensor]:
    """The response's mean inside and outside the mask, each (B,)."""
    inside_B = (response_BS * mask_BS).sum(-1) / mask_BS.sum(-1).clamp(min=1e-6)
    outside_B = (response_BS * (1 - mask_BS)).sum(-1) / (1 - mask_BS).sum(-1).clamp(min=1e-6)
    return inside_B, outside_B
