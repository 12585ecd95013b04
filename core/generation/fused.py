"""The transformer for making images: what does not change from step to step is computed once a batch.

`FusedTransformer` takes over the weights of a `DreamOTransformer`, block by block. Both begin a batch with `begin`
and then predict step after step. This one is the faster; that one is trained, and fits small devices in parts.

Shape suffixes: B batch, I steps, S noisy tokens, R tokens of references, L = S + R, T tokens of text, N = T + L,
D channels of a token, E T5's width, P channels of the pooled text, W model width, M rows of modulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.generation.streams import DoubleStream, LastStream, SingleStream, modulated
from core.generation.transformer import DreamOTransformer, Predict, Rotation


@dataclass(frozen=True, slots=True)
class Modulation:
    """The rows of every step, (I, B, M, W): six for `image` and `text` in a double block, three in a `single` one.

    The `head` has two.
    """

    image: list[Tensor]
    text: list[Tensor]
    single: list[Tensor]
    head: Tensor


class FusedTransformer(nn.Module):
    """FLUX with references, for inference.

    Attributes:
        config: diffusers', of the transformer that it was made from.
        inner_dim: W.
    """

    def __init__(self, transformer: DreamOTransformer) -> None:
        """Takes all layers, so that the given transformer has none left; what was joined is freed as it goes."""
        super().__init__()
        self.config: Any = transformer.config
        self.inner_dim: int = transformer.inner_dim
        self.pos_embed = transformer.pos_embed
        self.x_embedder, self.context_embedder = transformer.x_embedder, transformer.context_embedder
        self.time_text_embed = transformer.time_text_embed
        self.head_rows, self.head = transformer.norm_out.linear, transformer.proj_out
        self.image_rows, self.text_rows, self.single_rows = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.double_blocks, self.single_blocks = nn.ModuleList(), nn.ModuleList()
        while len(transformer.transformer_blocks):
            block = transformer.transformer_blocks.pop(0)
            self.image_rows.append(block.norm1.linear)
            self.text_rows.append(block.norm1_context.linear)
            self.double_blocks.append(DoubleStream(block))
        while len(transformer.single_transformer_blocks):
            block = transformer.single_transformer_blocks.pop(0)
            self.single_rows.append(block.norm.linear)
            last = not len(transformer.single_transformer_blocks)
            self.single_blocks.append(LastStream(block) if last else SingleStream(block))
        self._compiled: dict[type, Callable[..., Any]] = {}
        self.requires_grad_(requires_grad=False).eval()

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
        """Computes what all steps of a batch share; arguments as `DreamOTransformer.begin` has them."""
        # A table for each image, so that a batch of one layout has the shapes of one of several.
        batch = len(text_BTE)
        turn = tuple(table.expand(batch, -1, -1, -1).contiguous() for table in (rotation.cos, rotation.sin))
        # A tensor of its own, as blocks hand on, lets the first block share what the others are compiled to.
        text_BTW = self.context_embedder(text_BTE).clone()
        text = text_BTW.shape[1]
        modulation = self._modulation(pooled_BP, timestep_IB, guidance_IB)
        references_BRW = None if references_BRD is None else self.x_embedder(references_BRD)

        def predict(step: int, noisy_BSD: Tensor) -> Tensor:
            noisy = noisy_BSD.shape[1]
            image_BLW = self.x_embedder(noisy_BSD)
            if references_BRW is not None:
                image_BLW = torch.cat([image_BLW, references_BRW], dim=1)
            if roles_BLW is not None:
                image_BLW = image_BLW + roles_BLW
            own = slice(text, text + noisy)
            x_BSW = self._blocks(image_BLW, text_BTW, modulation, step, turn, own)
            scale, shift = modulation.head[step].unbind(1)
            velocity: Tensor = self.head(modulated(x_BSW, scale, shift))
            return velocity

        return predict

    def _blocks(
        self,
        image_BLW: Tensor,
        text_BTW: Tensor,
        modulation: Modulation,
        step: int,
        turn: tuple[Tensor, ...],
        noisy: slice,
    ) -> Tensor:
        """The noisy tokens, (B, S, W), after all blocks."""
        rows = zip(self.double_blocks, modulation.image, modulation.text, strict=True)
        for block, image, text in rows:
            image_BLW, text_BTW = self._run(block, image_BLW, text_BTW, image[step], text[step], *turn)
        x_BNW = torch.cat([text_BTW, image_BLW], dim=1)
        *singles, last = self.single_blocks
        for block, single in zip(singles, modulation.single, strict=False):
            x_BNW = self._run(block, x_BNW, single[step], *turn)
        own = (turn[0][:, noisy], turn[1][:, noisy])
        made: Tensor = self._run(last, x_BNW, x_BNW[:, noisy], modulation.single[-1][step], turn, own)
        return made

    def _run(self, block: nn.Module, *given: Any) -> Any:
        compiled = self._compiled.get(type(block))
        return block(*given) if compiled is None else compiled(block, *given)

    def _modulation(self, pooled_BP: Tensor, timestep_IB: Tensor, guidance_IB: Tensor | None) -> Modulation:
        """Every block's rows for every step: each weight is read once a batch instead of once a step."""
        steps, batch = timestep_IB.shape
        when = [timestep_IB.flatten()]
        if guidance_IB is not None:
            when.append(guidance_IB.flatten() * 1000)
        moment_XW = functional.silu(self.time_text_embed(*when, pooled_BP.repeat(steps, 1)))

        def rows(layer: nn.Module, count: int) -> Tensor:
            found: Tensor = layer(moment_XW)
            return found.reshape(steps, batch, count, self.inner_dim)

        return Modulation(
            [rows(layer, 6) for layer in self.image_rows],
            [rows(layer, 6) for layer in self.text_rows],
            [rows(layer, 3) for layer in self.single_rows],
            rows(self.head_rows, 2),
        )

    def compile_blocks(self, **options: Any) -> None:
        """Compiles each kind of block once, for sequences of any length: `options` are torch.compile's.

        What is compiled belongs to the kind and holds no block, so that a model that is dropped is freed at once.
        """
        for kind in (DoubleStream, SingleStream, LastStream):
            self._compiled[kind] = torch.compile(kind.forward, fullgraph=True, dynamic=True, **options)
