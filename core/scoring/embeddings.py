"""How alike image, references and words are to pretrained networks: DINOv2 and CLIP.

DINOv2: Oquab et al., "DINOv2: learning robust visual features without supervision" (arXiv 2304.07193). CLIP:
Radford et al., "Learning transferable visual models from natural language supervision" (arXiv 2103.00020); the
scores are the cosines that DreamBooth (arXiv 2208.12242, section 4.3) calls DINO, CLIP-I and CLIP-T.

Shapes: B pictures, C channels, H rows, W columns, D features.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.requests import Score
from core.scoring.references import Shown
from core.settings import Settings
from core.toolbox import tool_files

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the channels that DINOv2 was trained with (its preprocessor_config.json)."""

OF_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""The same of CLIP."""

MOST_PIXELS = 224
"""Side at which pictures are looked at; less where the network says so."""


def by_dinov2(image: Picture, references: Sequence[Shown], settings: Settings) -> Iterator[Score]:
    """`dino:NAME` of every reference; nothing where the weights are not here."""
    if not references or (files := tool_files("dinov2", settings)) is None:
        return
    network, device = _dinov2(files["config.json"].parent, settings.device)
    side = min(MOST_PIXELS, network.config.image_size)
    found_BD = _dino_features(network, batch([image, *pictures(references)], side, IMAGENET).to(device))
    for one, value in zip(references, cosines(found_BD), strict=True):
        compared = f"the whole image with the reference {one.name}, cosine of their DINOv2 features"
        yield Score(f"dino:{one.name}", value, compared)


def by_clip(image: Picture, references: Sequence[Shown], prompt: str, settings: Settings) -> Iterator[Score]:
    """`clip:NAME` of every reference and `clip-text`; nothing where the weights are not here."""
    if (files := tool_files("clip", settings)) is None:
        return
    network, tokenizer, device = _clip(files["config.json"].parent, settings.device)
    side = min(MOST_PIXELS, network.config.vision_config.image_size)
    found_BD = _clip_features(network, batch([image, *pictures(references)], side, OF_CLIP).to(device))
    for one, value in zip(references, cosines(found_BD), strict=True):
        compared = f"the whole image with the reference {one.name}, cosine of their CLIP features"
        yield Score(f"clip:{one.name}", value, compared)
    if words := bare(prompt):
        words_BD = _clip_words(network, tokenizer, words, device)
        value = cosines(_stacked(found_BD[:1], words_BD))[0]
        yield Score("clip-text", value, f"the whole image with the words {words!r}, cosine of their CLIP features")


def bare(prompt: str) -> str:
    """A prompt without placeholders: `a mug from [ref#1] on a desk` → `a mug on a desk`."""
    return " ".join(re.sub(r"(\b(from|of)\s+)?\[ref#\d\]", " ", prompt).split())


def pictures(references: Sequence[Shown]) -> list[Picture]:
    """As the model saw them."""
    return [one.prepared.picture for one in references]


def batch(every: Sequence[Picture], side: int, channels: tuple[Any, Any]) -> Tensor:
    """Pictures as (B, C, H, W): each whole on a white square, so that nothing at the sides is lost."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    fitted = [
        ImageOps.pad(one.convert("RGB"), (side, side), Image.Resampling.BICUBIC, color="white") for one in every
    ]
    levels_BHWC = np.stack([np.asarray(one, np.float32) for one in fitted]) / 255
    mean_C, deviation_C = (np.asarray(values, np.float32) for values in channels)
    return torch.from_numpy((levels_BHWC - mean_C) / deviation_C).permute(0, 3, 1, 2).contiguous()


def cosines(found_BD: Tensor) -> list[float]:
    """Of the first with each of the others, -1 to 1."""
    from torch.nn import functional

    unit_BD = functional.normalize(found_BD.double(), dim=1)
    return [round(min(max(value, -1.0), 1.0), 6) for value in (unit_BD[1:] @ unit_BD[0]).tolist()]


def _dino_features(network: Any, picture_BCHW: Tensor) -> Tensor:
    import torch

    with torch.inference_mode():
        return network(pixel_values=picture_BCHW).last_hidden_state[:, 0].float().cpu()  # type: ignore[no-any-return]


def _clip_features(network: Any, picture_BCHW: Tensor) -> Tensor:
    import torch

    with torch.inference_mode():
        seen = network.vision_model(pixel_values=picture_BCHW).pooler_output
        return network.visual_projection(seen).float().cpu()  # type: ignore[no-any-return]


def _clip_words(network: Any, tokenizer: Any, words: str, device: str) -> Tensor:
    """The end token, whose features stand for the words, stays where they are too long."""
    import torch

    numbers = tokenizer.encode(words).ids
    most = network.config.text_config.max_position_embeddings
    numbers = numbers if len(numbers) <= most else [*numbers[: most - 1], numbers[-1]]
    with torch.inference_mode():
        read = network.text_model(input_ids=torch.tensor([numbers], device=device)).pooler_output
        return network.text_projection(read).float().cpu()  # type: ignore[no-any-return]


def _stacked(one_BD: Tensor, other_BD: Tensor) -> Tensor:
    import torch

    return torch.cat([one_BD, other_BD])


@lru_cache(maxsize=1)
def _dinov2(folder: Path, asked: str) -> tuple[Any, str]:
    """The network, kept for the process, and its device."""
    from transformers import Dinov2Model

    from core.generation.memory import resolve_device

    device = resolve_device(asked)
    return Dinov2Model.from_pretrained(folder, local_files_only=True).eval().to(device), device


@lru_cache(maxsize=1)
def _clip(folder: Path, asked: str) -> tuple[Any, Any, str]:
    """Network and tokenizer, kept for the process, and their device."""
    from tokenizers import Tokenizer
    from transformers import CLIPModel

    from core.generation.memory import resolve_device

    device = resolve_device(asked)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return CLIPModel.from_pretrained(folder, local_files_only=True).eval().to(device), tokenizer, device
