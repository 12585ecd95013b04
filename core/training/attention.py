"""What routing needs of attention, taken layer by layer as a forward pass goes by.

Only small sums are kept: for forms P and S and the placeholders a reference's mean query is enough; form R alone
multiplies image rows with reference columns, S x Q of the N x N products that attention computes anyway.

Shape suffixes: B batch, N all tokens, S noisy ones, Q of all references, R of one, H heads, K channels of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from core.generation.sequence import Layout
from core.generation.transformer import DreamOTransformer, JointAttention
from core.training.losses import (
    inside_outside,
    placeholder_loss,
    response,
    routing_p,
    routing_r,
    routing_s,
    spans_of,
)

LAYERS: Mapping[str, tuple[str, ...]] = {
    "all": ("transformer_blocks", "single_transformer_blocks"),
    "double": ("transformer_blocks",),
    "single": ("single_transformer_blocks",),
}


class RoutingTap:
    """Collects the routing and placeholder losses of each layer that `tapped` hands to it.

    Args:
        layout: of the whole sequence.
        forms: of routing, with their weights (which are applied elsewhere).
        mask_BNS: what each reference governs, on the noisy tokens.
        placeholder_BN: positions of the placeholders among the text; -1: none. A sample without all of its
            placeholders has no placeholder loss.
        placeholders: whether that loss is asked for.
    """

    def __init__(
        self,
        layout: Layout,
        forms: Sequence[tuple[str, float]],
        mask_BNS: Tensor,
        placeholder_BN: Tensor,
        *,
        placeholders: bool,
    ) -> None:
        self.layout = layout
        self.forms = [form for form, _ in forms]
        self.mask_BNS = mask_BNS
        self.placeholder_BN = placeholder_BN
        self.told_B = (
            (placeholder_BN >= 0).all(1) if placeholders else torch.zeros(len(mask_BNS), dtype=torch.bool)
        )
        self.taken: dict[str, list[Tensor]] = {}
        self.responses: list[Tensor] = []

    def __call__(self, query_BNHK: Tensor, key_BNHK: Tensor) -> None:
        """One layer's queries and keys of all tokens."""
        text, noisy = self.layout.text, self.layout.noisy.tokens
        spans = spans_of(self.layout.references)
        references_BQHK = query_BNHK[:, text + noisy :]
        image_BSHK = key_BNHK[:, text : text + noisy]
        response_BNS = torch.stack([response(references_BQHK[:, span], image_BSHK) for span in spans], dim=1)
        self.responses.append(response_BNS.detach())
        for form in self.forms:
            self._take(f"route {form}", self._route(form, query_BNHK, key_BNHK, response_BNS))
        if self.told_B.any():
            self._take("placeholder", self._hold(references_BQHK, key_BNHK, spans))

    def _route(self, form: str, query_BNHK: Tensor, key_BNHK: Tensor, response_BNS: Tensor) -> Tensor | None:
        text, noisy = self.layout.text, self.layout.noisy.tokens
        if form == "P":
            return routing_p(response_BNS, self.mask_BNS).mean()
        if form == "S":
            return routing_s(response_BNS, self.mask_BNS).mean()
        if len(self.layout.references) < 2:
            return None
        spans = spans_of(self.layout.references)
        image_BSHK, references_BQHK = query_BNHK[:, text : text + noisy], key_BNHK[:, text + noisy :]
        return routing_r(image_BSHK, references_BQHK, spans, self.mask_BNS).mean()

    def _hold(self, references_BQHK: Tensor, key_BNHK: Tensor, spans: Sequence[slice]) -> Tensor:
        rows_B1 = torch.arange(len(key_BNHK), device=key_BNHK.device)[:, None]
        words_BPHK = key_BNHK[rows_B1, self.placeholder_BN.clamp(min=0)]
        queries_BNHK = torch.stack([references_BQHK[:, span].float().mean(1) for span in spans], dim=1)
        loss_B = placeholder_loss(queries_BNHK, words_BPHK)
        return (loss_B * self.told_B).sum() / self.told_B.sum()

    def _take(self, name: str, loss: Tensor | None) -> None:
        if loss is not None:
            self.taken.setdefault(name, []).append(loss)

    def losses(self) -> dict[str, Tensor]:
        """Means over layers: `route P`, `route S`, `route R`, `placeholder`, as far as there were any."""
        return {name: torch.stack(parts).mean() for name, parts in self.taken.items()}

    def contrast(self) -> dict[str, Tensor]:
        """The response's mean where its mask is and where it is not: what routing is to drive apart."""
        responses, masks = self.response_map().flatten(0, 1), self.mask_BNS.flatten(0, 1)
        inside, outside = inside_outside(responses, masks)
        return {"response inside": inside.mean(), "response outside": outside.mean()}

    def response_map(self) -> Tensor:
        """The response of each noisy token to each reference, averaged over layers, (B, N references, S)."""
        return torch.stack(self.responses).mean(0)


@contextmanager
def tapped(transformer: DreamOTransformer, tap: RoutingTap, layers: str = "all") -> Iterator[None]:
    """Lets the tap see this one transformer's queries and keys while the context lasts."""
    blocks = [block for name in LAYERS[layers] for block in getattr(transformer, name)]
    before = [block.attn.processor for block in blocks]
    for block, processor in zip(blocks, before, strict=True):
        block.attn.set_processor(JointAttention(tap, processor._attention_backend))
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for block, processor in zip(blocks, before, strict=True):
            block.attn.set_processor(processor)
