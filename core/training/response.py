"""Where references respond: how strongly their tokens are drawn to image tokens, inside their masks and outside.

Measured on unseen drawings of two products, at one noise level; a picture shows a few of them.

Shape suffixes: B samples, N references, S noisy tokens, D channels of a token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from core.generation.sequence import Layout, pack, position_ids, unpack
from core.training.attention import RoutingTap
from core.training.autoencoder import PatchEncoder
from core.training.batches import Batch
from core.training.drawing import Drawing
from core.training.loop import empty_texts
from core.training.losses import inside_outside, mix
from core.training.preview import column, maps_of, shown, side_by_side
from core.training.runs import Run
from core.training.trainee import Chances, Trainee
from core.training.world.samples import Canvas, draw_sample
from core.training.world.truth import WORLDS

TASK, COUNT, SHOWN = "two-subjects", 64, 3
TIME = 0.6
"""The noise level: shapes are decided, details are not."""


@dataclass(frozen=True, slots=True)
class Response:
    """Means over samples, references and layers: of q · k / √d as attention has it, no share.

    `owners` is the share of the references' mask tokens on which their own response is the highest of all
    references': 0.5 is chance.
    """

    inside: float
    outside: float
    owners: float


@torch.no_grad()
def respond(run: Run, device: str = "cpu") -> tuple[Response, Image.Image]:
    """The responses of a finished run, and a picture: references, the drawing as predicted, masks, responses."""
    base, adapter = run.parts(run.recipe.stages[-1])
    encoder = PatchEncoder.read(base.vae)
    drawing = replace(
        Drawing.of(run.recipe, ((TASK, 1.0),), run.base_folder, run.text_length, encoder, run.folder), split="new"
    )
    canvas, reference = Canvas(*run.recipe.canvases[0][0]), Canvas(*run.recipe.references[0][0])
    world = WORLDS[run.recipe.world]
    samples = [draw_sample(world, TASK, number, canvas, reference, "new") for number in range(COUNT)]
    empty = empty_texts(base.tokenizers)
    trainee = Trainee(base, adapter, empty, run.recipe.guidance, run.recipe.shift).to(device).eval()
    batch = trainee.encoded(drawing.tensors(samples).to(device))
    predicted_BCHW, response_BNS = predicted(trainee, batch)
    mask_BNS = batch.mask_BNS
    inside, outside = inside_outside(response_BNS.flatten(0, 1), mask_BNS.flatten(0, 1))
    own_BS = mask_BNS.amax(1) > 0.5
    owners = (response_BNS.argmax(1) == mask_BNS.argmax(1))[own_BS].float().mean()
    found = Response(round(float(inside.mean()), 4), round(float(outside.mean()), 4), round(float(owners), 4))
    latents_BCHW = predicted_BCHW[:SHOWN].cpu()
    pictures = shown(encoder.inverse(latents_BCHW)) if encoder else [sample.target for sample in samples[:SHOWN]]
    columns = [
        column(sample, picture, maps_of(mask_BNS[row], response_BNS[row], batch.grid))
        for row, (sample, picture) in enumerate(zip(samples, pictures, strict=False))
    ]
    return found, side_by_side(columns)


def predicted(trainee: Trainee, batch: Batch) -> tuple[Tensor, Tensor]:
    """The targets as the model guesses them through the noise (B, C, H, W), and its responses (B, N, S)."""
    nobody_B = torch.zeros(len(batch.target_BCHW), dtype=torch.bool)
    text_BTE, pooled_BP = trainee.read(batch.caption, nobody_B)
    layout = Layout(text_BTE.shape[1], batch.grid, batch.reference_grids)
    tap = RoutingTap(layout, (), batch.mask_BNS, batch.placeholder_BN, placeholders=False)
    target_BSD = pack(batch.target_BCHW)
    time_B = torch.full((len(target_BSD),), TIME, device=target_BSD.device)
    noisy_BSD = mix(target_BSD, Chances.of(0, 0).normal_like(target_BSD), time_B)
    references_BRD = torch.cat([pack(latent) for latent in batch.references], dim=1)
    roles_BLW = trainee.roles(layout, len(text_BTE))
    told = (references_BRD, text_BTE, pooled_BP, position_ids(layout), roles_BLW)
    velocity_BSD = trainee.velocity(noisy_BSD, time_B, *told, tap)
    return unpack(noisy_BSD - TIME * velocity_BSD.float(), batch.grid), tap.response_map()
