"""One training step's forward pass: a batch, made noisy, goes through the model that generation runs.

`[text | noisy target | reference 1 | reference 2 | …]`, as `core.generation` lays it out. A base learns from the
same samples: told in words alone, or beside references that stand there as further panels without any role.

Shape suffixes: B batch, L image tokens (S noisy ones, R of references), T text tokens, N = T + L, D channels of a
token, C channels of a latent, E T5's width, W model width, H heads, K channels of a head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from core.generation.sequence import Layout, pack, position_ids, role_bias
from core.generation.text import PLACEHOLDERS
from core.training.adapter import Adapter, without_lora
from core.training.attention import RoutingTap, tapped
from core.training.base_model import Base
from core.training.batches import Batch, Texts
from core.training.data.entries import kinds_of
from core.training.distilling import Teacher, distil_losses
from core.training.kind_adapter import KindAdapter
from core.training.losses import diffusion_loss, flow_target, mix
from core.training.recipes import Stage
from core.training.words import Listener, Sayings

UNKNOWN_ID = 2


@dataclass(frozen=True, slots=True)
class Chances:
    """What is left to chance in one step, as a function of seed and step alone."""

    generator: torch.Generator

    @classmethod
    def of(cls, seed: int, step: int, part: int = 0) -> Chances:
        return cls(torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + part))

    def uniform(self) -> float:
        return float(torch.rand((), generator=self.generator))

    def below(self, most: int) -> int:
        return int(torch.randint(most, (), generator=self.generator))

    def hits(self, count: int, share: float) -> Tensor:
        """(count,) bool: true with that probability."""
        return torch.rand(count, generator=self.generator) < share

    def normal_like(self, value: Tensor) -> Tensor:
        """Normal numbers, drawn where the value is: on a GPU that is a hundred times faster than on a CPU."""
        if value.device.type == "cpu":
            return torch.randn(value.shape, generator=self.generator)
        own = torch.Generator(value.device).manual_seed(self.below(2**31))
        return torch.randn(value.shape, generator=own, device=value.device)

    def times(self, count: int, shift: float = 1.0) -> Tensor:
        """Noise levels, (count,): the logistic function of a normal number, as FLUX's kind is trained.

        A shift s > 1 moves them towards noise as a schedule's does, t → s t / (1 + (s - 1) t): where latents are
        led by a few strong components, shapes are decided while nearly all is noise.
        """
        return torch.sigmoid(torch.randn(count, generator=self.generator) + math.log(shift))


class Trainee(nn.Module):
    """Base and, from the second kind of stage on, adapter. `forward` gives the losses of one batch by name."""

    def __init__(
        self,
        base: Base,
        adapter: Adapter | KindAdapter | None,
        empty: Texts,
        guidance: float | None = None,
        shift: float = 1.0,
    ) -> None:
        super().__init__()
        self.transformer = base.transformer
        self.t5, self.clip, self.vae = base.t5, base.clip, base.vae
        self.adapter = adapter
        self.empty = empty
        self.guidance = guidance
        self.shift = shift
        self.words = len(base.tokenizers.t5) - len(PLACEHOLDERS)
        self.teacher: Teacher | None = None
        self.listener: Listener | None = None

    def forward(self, batch: Batch | Sayings, stage: Stage, chances: Chances) -> dict[str, Tensor]:
        """Losses by name; `loss` is what is minimised."""
        if isinstance(batch, Sayings):
            assert self.listener is not None
            return self.listener.losses(self.t5(batch.caption.t5_BT).last_hidden_state, batch)
        batch = self.encoded(batch)
        if stage.trains == "base":
            return self.base_losses(batch, stage, chances)
        if stage.alone and chances.uniform() < stage.alone:
            with without_lora(self.transformer):
                return self.base_losses(batch, stage, chances)
        if stage.distil is not None:
            assert self.teacher is not None
            weight_BS = object_weight(batch.mask_BNS, stage.object_weight)
            return distil_losses(self, self.teacher, stage.distil, batch, weight_BS, chances)
        if stage.keep_tokens is not None:
            return self.quality_losses(batch, stage, chances)
        return self.adapter_losses(batch, stage, chances)

    def base_losses(self, batch: Batch, stage: Stage, chances: Chances) -> dict[str, Tensor]:
        """Words alone, or with panels: clean ones that are given, or noisy ones that are made together."""
        panels = bool(batch.references) and chances.uniform() < stage.panels
        given = chances.uniform() < stage.given
        told = self.without_placeholders(batch.caption) if panels and given else batch.spoken
        text_BTE, pooled_BP = self.read(told, chances.hits(len(batch.target_BCHW), stage.drop_text))
        target_BSD = pack(batch.target_BCHW)
        weight_BS = object_weight(batch.mask_BNS, stage.object_weight)
        layout = Layout(text_BTE.shape[1], batch.grid, batch.reference_grids if panels else ())
        ids_N3 = position_ids(layout)
        references_BRD = None
        if panels:
            references_BRD = torch.cat([pack(latent) for latent in batch.references], dim=1)
            if chances.uniform() < stage.shifted:
                shift = torch.tensor([0, chances.below(24), chances.below(24)])
                ids_N3[layout.text + layout.noisy.tokens :] += shift
            if not given:
                target_BSD = torch.cat([target_BSD, references_BRD], dim=1)
                weight_BS = torch.cat(
                    [weight_BS, torch.ones(references_BRD.shape[:2], device=weight_BS.device)], dim=1
                )
                references_BRD = None
        return self.denoising(target_BSD, references_BRD, text_BTE, pooled_BP, ids_N3, None, weight_BS, chances)

    def adapter_losses(self, batch: Batch, stage: Stage, chances: Chances) -> dict[str, Tensor]:
        """DreamO's objective: denoising beside references with roles, routing, placeholders."""
        assert self.adapter is not None
        lost, dice = False, chances.uniform()
        dropped = chances.hits(len(batch.target_BCHW), stage.drop_text)
        if dice < stage.drop_references + stage.drop_both:
            lost = True
            dropped = dropped | torch.tensor(dice < stage.drop_both)
        grids = () if lost else batch.reference_grids
        text_BTE, pooled_BP = self.read(batch.caption if batch.references else batch.spoken, dropped)
        layout = Layout(text_BTE.shape[1], batch.grid, grids)
        references_BRD = torch.cat([pack(latent) for latent in batch.references], dim=1) if grids else None
        roles_BLW = self.roles(layout, len(text_BTE), kinds_of(batch.task))
        weight_BS = object_weight(batch.mask_BNS, stage.object_weight)
        tap = None
        asked = stage.routed == 1 or chances.uniform() < stage.routed
        if grids and asked and (stage.routing is not None or stage.placeholder_weight > 0):
            tap = RoutingTap(
                layout,
                stage.routing.forms if stage.routing else (),
                batch.mask_BNS,
                batch.placeholder_BN.masked_fill(dropped[:, None].to(batch.placeholder_BN.device), -1),
                placeholders=stage.placeholder_weight > 0 and len(grids) > 1,
            )
        target_BSD, ids_N3 = pack(batch.target_BCHW), position_ids(layout)
        told = (target_BSD, references_BRD, text_BTE, pooled_BP, ids_N3, roles_BLW, weight_BS)
        losses = self.denoising(*told, chances, tap, stage.routing.layers if stage.routing else "all")
        if tap is not None:
            losses |= tap.losses() | tap.contrast()
            forms = stage.routing.forms if stage.routing else ()
            weights: dict[str, float] = {f"route {form}": weight for form, weight in forms}
            weights["placeholder"] = stage.placeholder_weight
            for name in weights.keys() & losses.keys():
                losses["loss"] = losses["loss"] + weights[name] * losses[name]
        return losses

    def quality_losses(self, batch: Batch, stage: Stage, chances: Chances) -> dict[str, Tensor]:
        """The last stage: the reference is the target itself, of which few tokens are kept (at random places)."""
        assert stage.keep_tokens is not None
        text_BTE, pooled_BP = self.read(batch.spoken, chances.hits(len(batch.target_BCHW), stage.drop_text))
        target_BSD = pack(batch.target_BCHW)
        layout = Layout(text_BTE.shape[1], batch.grid, (batch.grid,))
        noisy = layout.text + layout.noisy.tokens
        kept = torch.randperm(batch.grid.tokens, generator=chances.generator)[: stage.keep_tokens].sort().values
        ids_N3 = position_ids(layout)
        ids_N3 = torch.cat([ids_N3[:noisy], ids_N3[noisy:][kept]])
        roles_BLW = self.roles(layout, len(text_BTE))
        if roles_BLW is not None:
            tokens = layout.noisy.tokens
            roles_BLW = torch.cat([roles_BLW[:, :tokens], roles_BLW[:, tokens:][:, kept]], dim=1)
        return self.denoising(
            target_BSD, target_BSD[:, kept], text_BTE, pooled_BP, ids_N3, roles_BLW, None, chances
        )

    def denoising(
        self,
        target_BSD: Tensor,
        references_BRD: Tensor | None,
        text_BTE: Tensor,
        pooled_BP: Tensor,
        ids_N3: Tensor,
        roles_BLW: Tensor | None,
        weight_BS: Tensor | None,
        chances: Chances,
        tap: RoutingTap | None = None,
        layers: str = "all",
    ) -> dict[str, Tensor]:
        """L_diff: the velocity that the transformer predicts against noise minus target."""
        time_B = chances.times(len(target_BSD), self.shift).to(target_BSD.device)
        noise_BSD = chances.normal_like(target_BSD)
        noisy_BSD = mix(target_BSD, noise_BSD, time_B)
        told = (references_BRD, text_BTE, pooled_BP, ids_N3, roles_BLW)
        velocity_BSD = self.velocity(noisy_BSD, time_B, *told, tap, layers)
        loss = diffusion_loss(velocity_BSD, flow_target(target_BSD, noise_BSD), weight_BS)
        return {"loss": loss, "diffusion": loss.detach()}

    def velocity(
        self,
        noisy_BSD: Tensor,
        time_B: Tensor,
        references_BRD: Tensor | None,
        text_BTE: Tensor,
        pooled_BP: Tensor,
        ids_N3: Tensor,
        roles_BLW: Tensor | None,
        tap: RoutingTap | None = None,
        layers: str = "all",
    ) -> Tensor:
        """What the transformer predicts for noisy tokens at these noise levels, (B, S, D)."""
        device = noisy_BSD.device
        guidance_B = None
        if self.transformer.config.guidance_embeds:
            guidance_B = torch.full((len(noisy_BSD),), self.guidance or 1.0, device=device)
        watching: AbstractContextManager[Any] = (
            nullcontext() if tap is None else tapped(self.transformer, tap, layers)
        )
        with watching:
            velocity_BSD: Tensor = self.transformer(
                noisy_BSD=noisy_BSD,
                references_BRD=references_BRD,
                text_BTE=text_BTE,
                pooled_BP=pooled_BP,
                timestep_B=time_B * 1000,
                guidance_B=guidance_B,
                rotation=self.transformer.rotation(ids_N3[None].to(device)),
                roles_BLW=roles_BLW,
                mapping=self.adapter.mapping if self.adapter else None,
            )
        return velocity_BSD

    def encoded(self, batch: Batch) -> Batch:
        """Latents for pixels: the posterior's mode, shifted and scaled as the base wants it."""
        if batch.target_BCHW.shape[1] != 3:
            return batch
        config = self.vae.config

        def encode(picture_B3HW: Tensor) -> Tensor:
            with torch.no_grad():
                mode: Tensor = self.vae.encode(picture_B3HW).latent_dist.mode()
            return mode.sub(config.shift_factor).mul(config.scaling_factor)

        references = tuple(encode(picture) for picture in batch.references)
        return replace(batch, target_BCHW=encode(batch.target_BCHW), references=references)

    def read(self, texts: Texts, dropped_B: Tensor) -> tuple[Tensor, Tensor]:
        """Both encoders' answers, the dropped texts emptied; placeholders by the adapter's rows."""
        dropped_B1 = dropped_B[:, None].to(texts.t5_BT.device)
        t5_BT = torch.where(dropped_B1, self.empty.t5_BT.to(texts.t5_BT.device), texts.t5_BT)
        clip_BT = torch.where(dropped_B1, self.empty.clip_BT.to(texts.clip_BT.device), texts.clip_BT)
        pooled_BP: Tensor = self.clip(clip_BT).pooler_output
        words_KE = self.t5.get_input_embeddings().weight
        if self.adapter is not None:
            words_KE = torch.cat([words_KE[: self.words], self.adapter.placeholders.to(words_KE.dtype)])
        text_BTE: Tensor = self.t5(inputs_embeds=nn.functional.embedding(t5_BT, words_KE)).last_hidden_state
        return text_BTE, pooled_BP

    def without_placeholders(self, texts: Texts) -> Texts:
        """A base knows no placeholders: they are unknown words to it."""
        return Texts(texts.t5_BT.masked_fill(texts.t5_BT >= self.words, UNKNOWN_ID), texts.clip_BT)

    def roles(self, layout: Layout, count: int, kinds: Sequence[str] = ()) -> Tensor | None:
        """What is added to each image token, (B, L, W); references of no named kind get DreamO's vectors."""
        if self.adapter is None:
            return None
        own = [self.adapter.vectors_of(kind) for kind in kinds[: len(layout.references)]]
        own += [self.adapter.vectors] * (len(layout.references) - len(own))
        return role_bias(layout, self.adapter.vectors, own).expand(count, -1, -1)


def object_weight(mask_BNS: Tensor, weight: float) -> Tensor:
    """(B, S): 1, and as much as 1 + weight where a reference governs what is seen. Equal for scenes without."""
    if mask_BNS.shape[1] == 0:
        return torch.ones(mask_BNS.shape[0], mask_BNS.shape[2], device=mask_BNS.device)
    return 1 + weight * mask_BNS.amax(1)
