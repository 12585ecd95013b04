"""People taken apart into 18 parts: hair, face, dress, shoes … by a SegFormer, where its files are present.

E. Xie et al.: "SegFormer: simple and efficient design for semantic segmentation with transformers" (NeurIPS 2021),
trained on the ATR labels; run by transformers on the CPU.

Shapes: P parts, H rows, W columns, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import WeightsMissing
from core.images import on_white
from core.settings import Settings
from core.toolbox import require_files, tool_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    Floats = NDArray[np.float32]

PARSER = "clothes"
"""The tool's name."""

PARTS = (
    "background",
    "hat",
    "hair",
    "sunglasses",
    "upper-clothes",
    "skirt",
    "trousers",
    "dress",
    "belt",
    "left-shoe",
    "right-shoe",
    "face",
    "left-leg",
    "right-leg",
    "left-arm",
    "right-arm",
    "bag",
    "scarf",
)
"""In the order of the network's outputs."""

HEAD = ("hat", "hair", "sunglasses", "face")
BODY = ("hair", "face", "left-leg", "right-leg", "left-arm", "right-arm")
"""Parts that show that somebody is there."""


def can_parse(settings: Settings) -> bool:
    """Whether the parser's files and what runs them are on this machine; neither is loaded."""
    here = tool_files(PARSER, settings) is not None
    return here and all(find_spec(name) is not None for name in ("torch", "transformers"))


def parse(picture: Picture, models: Path) -> Floats:
    """What each place of a picture shows: probabilities `shares_PHW`, at a quarter of the network's size.

    Args:
        picture: RGB or RGBA.
        models: the folder of weights.

    Raises:
        WeightsMissing: the files, or what runs them, are not on this machine.
    """
    import numpy as np
    from PIL import Image

    files = require_files(PARSER, models)
    network, told = _load(files["config.json"].parent, _facts(files.values()))
    size = _size(told)
    seen = on_white(picture).resize(size, Image.Resampling.BILINEAR)
    mean_C = np.asarray(told.get("image_mean", (0.485, 0.456, 0.406)), np.float32)
    spread_C = np.asarray(told.get("image_std", (0.229, 0.224, 0.225)), np.float32)
    pixels_HWC = (np.asarray(seen, np.float32) / 255 - mean_C) / spread_C
    import torch

    with torch.inference_mode():
        logits_1PHW = network(torch.from_numpy(pixels_HWC.transpose(2, 0, 1)[None])).logits
        return np.asarray(logits_1PHW.float().softmax(dim=1)[0].numpy(), np.float32)


def part_mask(shares_PHW: Floats, parts: Collection[str], size: tuple[int, int]) -> Picture:
    """Where the parts together are the likeliest, as `L` of `size`: 128 is as likely as not."""
    import numpy as np
    from PIL import Image

    share_HW = shares_PHW[[PARTS.index(part) for part in parts]].sum(axis=0)
    small = Image.fromarray(np.rint(share_HW * 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def part_shares(shares_PHW: Floats) -> dict[str, float]:
    """The share of the picture in which each part is the likeliest."""
    import numpy as np

    counts = np.bincount(shares_PHW.argmax(axis=0).ravel(), minlength=len(PARTS))
    return {part: float(count / counts.sum()) for part, count in zip(PARTS, counts, strict=True)}


def _size(told: dict[str, Any]) -> tuple[int, int]:
    """Width and height that the network wants, by its `preprocessor_config.json`."""
    size = told.get("size", 512)
    if isinstance(size, dict):
        return int(size.get("width", 512)), int(size.get("height", 512))
    return int(size), int(size)


def _facts(paths: Collection[Path]) -> tuple[tuple[int, int, int], ...]:
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in (path.stat() for path in paths))


@lru_cache(maxsize=1)
def _load(folder: Path, facts: tuple[tuple[int, int, int], ...]) -> tuple[Any, dict[str, Any]]:
    """The network and what its pictures have to look like; kept, for loading takes longer than looking."""
    try:
        import torch
        from transformers import SegformerForSemanticSegmentation
    except ImportError as error:
        raise WeightsMissing(f"the tool {PARSER} needs torch: pip install 'dreamline[generation]'") from error
    told = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    network = SegformerForSemanticSegmentation.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    if network.config.num_labels != len(PARTS):
        raise WeightsMissing(
            f"{folder} tells {network.config.num_labels} parts apart, not the {len(PARTS)} wanted"
        )
    return network.eval(), told
