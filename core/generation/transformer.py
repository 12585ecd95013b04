"""FLUX with DreamO's references: diffusers' own blocks and weights, and a forward pass that reads like the figure.

`DreamOTransformer` is a subclass: only instances of it know references, diffusers' own class stays as it is for
whoever shares the process. Offloading, compilation, LoRA and quantisation work on it as on its parent.

Shape suffixes: B batch, L tokens of images (S noisy ones first, then references), T tokens of text, N = T + L,
D channels of a token, E T5's width, W model width, P channels of the pooled text, H heads, K channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor

Predict = Callable[[int, Tensor], Tensor]
"""(step, noisy tokens (B, S, D)) → their velocity (B, S, D), for the batch that was begun."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosine and sine of each token's position, float32, (1 or B, N, 1, K): one for all, or one an image.

    Attributes:
        sin: negative for the first channel of each pair, which is what `rotated` multiplies with.
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, embed: Any, ids_BN3: Tensor) -> Rotation:
        """From positions, by FLUX's `pos_embed`: once a batch, for they don't change from step to step."""
        tables = [embed(ids_N3) for ids_N3 in ids_BN3]
        cos, sin = (torch.stack(parts)[:, :, None] for parts in zip(*tables, strict=True))
        sin[..., ::2].neg_()
        return cls(cos, sin)

    def __call__(self, x_BNHK: Tensor) -> Tensor:
        """Queries or keys, turned."""
        return rotated(x_BNHK, self.cos, self.sin)


def rotated(x_BNHK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns each pair of channels by its angle (rotary embedding, interleaved pairs) by a `Rotation`'s tables."""
    other = x_BNHK.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    turned: Tensor = x_BNHK.float() * cos + other.float() * sin
    return turned.to(x_BNHK.dtype)


class JointAttention:
    """Attention over text and images at once, where every image of a batch may have its own positions.

    diffusers' processor for FLUX, but for the rotation: references of other proportions and equal token count
    share a batch.

    Args:
        watch: gets the queries and keys that are about to be multiplied, (B, N, H, K) each: for training.
        backend: diffusers' name of the kernel; None: the one that torch picks.
    """

    def __init__(self, watch: Callable[[Tensor, Tensor], None] | None = None, backend: str | None = None) -> None:
        self.watch = watch
        self._attention_backend = None if backend is None else AttentionBackendName(backend)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotation | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        q, k, v = (split(x, attn.head_dim) for x in project(attn, hidden_states, "to_qkv", "to_q to_k to_v"))
        q, k = attn.norm_q(q), attn.norm_k(k)
        if encoder_hidden_states is not None:
            text = project(attn, encoder_hidden_states, "to_added_qkv", "add_q_proj add_k_proj add_v_proj")
            text_q, text_k, text_v = (split(x, attn.head_dim) for x in text)
            q = torch.cat([attn.norm_added_q(text_q), q], dim=1)
            k = torch.cat([attn.norm_added_k(text_k), k], dim=1)
            v = torch.cat([text_v, v], dim=1)
        if image_rotary_emb is not None:
            q, k = image_rotary_emb(q), image_rotary_emb(k)
        if self.watch is not None:
            self.watch(q, k)
        mixed: Tensor = dispatch_attention_fn(q, k, v, attn_mask=attention_mask, backend=self._attention_backend)
        mixed_BNW = mixed.flatten(2, 3).to(q.dtype)
        if encoder_hidden_states is None:
            return mixed_BNW
        text_BTW, image_BLW = mixed_BNW.tensor_split([encoder_hidden_states.shape[1]], dim=1)
        image_BLW = attn.to_out[1](attn.to_out[0](image_BLW.contiguous()))
        text_BTW = attn.to_add_out(text_BTW.contiguous())
        return image_BLW, text_BTW


def project(attn: Any, x: Tensor, fused: str, separate: str) -> tuple[Tensor, ...]:
    """Queries, keys and values, from one matrix where `fuse_projections` was called."""
    if attn.fused_projections:
        return getattr(attn, fused)(x).chunk(3, dim=-1)  # type: ignore[no-any-return]
    return tuple(getattr(attn, name)(x) for name in separate.split())


def split(x_BLW: Tensor, head: int) -> Tensor:
    """(B, L, W) → (B, L, H, K)."""
    batch, length, width = x_BLW.shape
    return x_BLW.reshape(batch, length, width // head, head)


class DreamOTransformer(FluxTransformer2DModel):  # type: ignore[misc]
    """FLUX's transformer that also reads reference tokens and adds what tells them apart."""

    @wraps(FluxTransformer2DModel.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.set_attn_processor(JointAttention())

    def rotation(self, ids_BN3: Tensor) -> Rotation:
        """Cosine and sine of all positions, text first."""
        return Rotation.of(self.pos_embed, ids_BN3)

    def begin(
        self,
        *,
        text_BTE: Tensor,
        pooled_BP: Tensor,
        references_BRD: Tensor | None,
        rotation: Rotation,
        roles_BLW: Tensor | None,
        timestep_IB: Tensor,
        guidance_IB: Tensor | None,
    ) -> Predict:
        """One batch, of which all steps are known: I steps' timesteps and guidance, the rest as in `forward`."""

        def predict(step: int, noisy_BSD: Tensor) -> Tensor:
            velocity: Tensor = self(
                noisy_BSD,
                references_BRD,
                text_BTE,
                pooled_BP,
                timestep_IB[step],
                None if guidance_IB is None else guidance_IB[step],
                rotation,
                roles_BLW,
            )
            return velocity

        return predict

    def forward(
        self,
        noisy_BSD: Tensor,
        references_BRD: Tensor | None,
        text_BTE: Tensor,
        pooled_BP: Tensor,
        timestep_B: Tensor,
        guidance_B: Tensor | None,
        rotation: Rotation,
        roles_BLW: Tensor | None,
        mapping: torch.nn.Module | None = None,
    ) -> Tensor:
        """Predicts the velocity of the noisy tokens.

        Args:
            noisy_BSD: packed latents of the images being made.
            references_BRD: packed latents of their references, or None.
            text_BTE: T5's embeddings of the prompts.
            pooled_BP: CLIP's.
            timestep_B: 0 to 1000, float32.
            guidance_B: as people give it (3.5), float32; None for bases without guidance embedding.
            rotation: of all tokens, text first.
            roles_BLW: added to the image tokens, or None.
            mapping: the layer that references enter by; None: the noisy tokens' own, as published.

        Returns:
            (B, S, D): the noisy part alone.
        """
        noisy = noisy_BSD.shape[1]
        if references_BRD is None:
            image_BLW = self.x_embedder(noisy_BSD)
        elif mapping is None:
            image_BLW = self.x_embedder(torch.cat([noisy_BSD, references_BRD], dim=1))
        else:
            image_BLW = torch.cat([self.x_embedder(noisy_BSD), mapping(references_BRD)], dim=1)
        if roles_BLW is not None:
            image_BLW = image_BLW + roles_BLW
        text_BTW = self.context_embedder(text_BTE)
        when = (timestep_B,) if guidance_B is None else (timestep_B, guidance_B * 1000)
        modulation_BW = self.time_text_embed(*when, pooled_BP)
        for block in (*self.transformer_blocks, *self.single_transformer_blocks):
            text_BTW, image_BLW = block(
                hidden_states=image_BLW,
                encoder_hidden_states=text_BTW,
                temb=modulation_BW,
                image_rotary_emb=rotation,
            )
        return self.proj_out(self.norm_out(image_BLW[:, :noisy], modulation_BW))  # type: ignore[no-any-return]
