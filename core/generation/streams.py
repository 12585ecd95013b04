"""FLUX's blocks with diffusers' weights, laid out so that a step passes over memory as seldom as it can.

The mathematics is that of diffusers' `FluxTransformerBlock` and `FluxSingleTransformerBlock`; what differs:

- one product gives queries, keys and values, and in single blocks the first layer of the MLP with them;
- modulation comes in, computed once for all steps, instead of being computed in each;
- text and image stay one sequence through all single blocks;
- the last block makes what is read of it: the noisy tokens.

Shape suffixes: B batch, S noisy tokens, R tokens of references, L = S + R, T tokens of text, N = T + L,
W model width, H heads, K channels of a head, M rows of modulation.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.generation.transformer import rotated, split


def joined(*layers: nn.Linear) -> nn.Linear:
    """Linear layers of one input as one, whose outputs stand one after another."""
    outputs = sum(layer.out_features for layer in layers)
    like = {"device": layers[0].weight.device, "dtype": layers[0].weight.dtype}
    whole: nn.Linear = nn.utils.skip_init(nn.Linear, layers[0].in_features, outputs, **like)
    with torch.no_grad():
        torch.cat([layer.weight for layer in layers], out=whole.weight)
        torch.cat([layer.bias for layer in layers], out=whole.bias)
    whole.requires_grad_(requires_grad=False)
    return whole


def modulated(x_BNW: Tensor, scale_BW: Tensor, shift_BW: Tensor) -> Tensor:
    """Normalised over W, then scaled and shifted by the time's rows (adaptive layer norm)."""
    return functional.layer_norm(x_BNW, x_BNW.shape[-1:], eps=1e-6) * (1 + scale_BW[:, None]) + shift_BW[:, None]


def attend(q_BNHK: Tensor, k_BNHK: Tensor, v_BNHK: Tensor) -> Tensor:
    """(B, queries, W): full attention; the kernel is `attention.kernels`' to choose."""
    q, k, v = (x.transpose(1, 2) for x in (q_BNHK, k_BNHK, v_BNHK))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def gelu(x: Tensor) -> Tensor:
    """GELU's tanh formula, x (1 + tanh u) / 2; compiled as x sigmoid(2 u), which is the same in half the steps."""
    if not torch.compiler.is_compiling():
        return functional.gelu(x, approximate="tanh")
    return x * torch.sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x**3))


class Side(nn.Module):
    """Text or image in a double block: its layers of diffusers' block, under one name for both."""

    def __init__(self, head: int, qkv: nn.Linear, norms: tuple[Any, Any], out: nn.Linear, mlp: Any) -> None:
        super().__init__()
        self.head = head
        self.qkv, self.out = qkv, out
        self.norm_q, self.norm_k = norms
        self.up, self.down = mlp.net[0].proj, mlp.net[2]

    def projected(self, x_BLW: Tensor, rows_BMW: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of these tokens, (B, L, H, K) each, the first two turned."""
        shift, scale = rows_BMW[:, 0], rows_BMW[:, 1]
        q, k, v = (split(x, self.head) for x in self.qkv(modulated(x_BLW, scale, shift)).chunk(3, dim=-1))
        return rotated(self.norm_q(q), cos, sin), rotated(self.norm_k(k), cos, sin), v

    def finished(self, x_BLW: Tensor, mixed_BLW: Tensor, rows_BMW: Tensor) -> Tensor:
        """What attention has mixed, and the MLP, added to the tokens."""
        _, _, gate, shift, scale, gate_mlp = rows_BMW.unbind(1)
        x_BLW = x_BLW + gate[:, None] * self.out(mixed_BLW)
        inner = self.up(modulated(x_BLW, scale, shift))
        made: Tensor = x_BLW + gate_mlp[:, None] * self.down(gelu(inner))
        return made


class DoubleStream(nn.Module):
    """A block in which text and image have weights of their own and attend together."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        attn = block.attn
        image = joined(attn.to_q, attn.to_k, attn.to_v)
        text = joined(attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        self.image = Side(attn.head_dim, image, (attn.norm_q, attn.norm_k), attn.to_out[0], block.ff)
        told = (attn.norm_added_q, attn.norm_added_k)
        self.text = Side(attn.head_dim, text, told, attn.to_add_out, block.ff_context)

    def forward(
        self, image_BLW: Tensor, text_BTW: Tensor, image_BMW: Tensor, text_BMW: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Image and text after the block; `…_BMW` are their six rows of modulation."""
        text = text_BTW.shape[1]
        sides = (
            self.text.projected(text_BTW, text_BMW, cos[:, :text], sin[:, :text]),
            self.image.projected(image_BLW, image_BMW, cos[:, text:], sin[:, text:]),
        )
        mixed_BNW = attend(*(torch.cat(pair, dim=1) for pair in zip(*sides, strict=True)))
        image_BLW = self.image.finished(image_BLW, mixed_BNW[:, text:], image_BMW)
        return image_BLW, self.text.finished(text_BTW, mixed_BNW[:, :text], text_BMW)


class SingleStream(nn.Module):
    """A block with one set of weights, whose MLP runs beside attention."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        attn = block.attn
        self.head, self.width = attn.head_dim, attn.to_q.out_features
        self.enter = joined(attn.to_q, attn.to_k, attn.to_v, block.proj_mlp)
        self.norm_q, self.norm_k = attn.norm_q, attn.norm_k
        self.leave = block.proj_out

    def forward(self, x_BNW: Tensor, rows_BMW: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The whole sequence after the block; `rows_BMW` are shift, scale and gate."""
        shift, scale, gate = rows_BMW.unbind(1)
        width = self.width
        entered = self.enter(modulated(x_BNW, scale, shift))
        q, k, v, inner = entered.split([width, width, width, entered.shape[-1] - 3 * width], dim=-1)
        q, k, v = (split(x, self.head) for x in (q, k, v))
        mixed_BNW = attend(rotated(self.norm_q(q), cos, sin), rotated(self.norm_k(k), cos, sin), v)
        both = torch.cat([mixed_BNW, gelu(inner)], dim=-1)
        made: Tensor = x_BNW + gate[:, None] * self.leave(both)
        return made


class LastStream(nn.Module):
    """The last single block: every token is attended to, the noisy ones alone are made."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        attn = block.attn
        self.head, self.width = attn.head_dim, attn.to_q.out_features
        self.keys = joined(attn.to_k, attn.to_v)
        self.enter = joined(attn.to_q, block.proj_mlp)
        self.norm_q, self.norm_k = attn.norm_q, attn.norm_k
        self.leave = block.proj_out

    def forward(
        self,
        x_BNW: Tensor,
        noisy_BSW: Tensor,
        rows_BMW: Tensor,
        whole: tuple[Tensor, Tensor],
        own: tuple[Tensor, Tensor],
    ) -> Tensor:
        """The noisy tokens after the block.

        Args:
            x_BNW: the whole sequence.
            noisy_BSW: its noisy tokens.
            rows_BMW: shift, scale and gate.
            whole: cosine and sine of every token.
            own: of the noisy ones.
        """
        shift, scale, gate = rows_BMW.unbind(1)
        k, v = (split(x, self.head) for x in self.keys(modulated(x_BNW, scale, shift)).chunk(2, dim=-1))
        entered = self.enter(modulated(noisy_BSW, scale, shift))
        q, inner = entered.split([self.width, entered.shape[-1] - self.width], dim=-1)
        turned_q = rotated(self.norm_q(split(q, self.head)), *own)
        mixed_BSW = attend(turned_q, rotated(self.norm_k(k), *whole), v)
        both = torch.cat([mixed_BSW, gelu(inner)], dim=-1)
        made: Tensor = noisy_BSW + gate[:, None] * self.leave(both)
        return made
