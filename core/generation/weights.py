"""Adapters fused into the transformer's weights: once, in float32, kept on disk under a hash of what made them.

W + sum of scale · alpha / rank · up @ down over all adapters, in the card's order, rounded once to the precision
of the model. What is kept has diffusers' layout, so that it loads like any base.

Shape suffixes: O out, I in, R rank.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.generation.files import weight_files
from core.generation.names import EMBEDDINGS, Pair, pairs_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core.cards import Adapter

CODE = "fuse/1"
"""Grows whenever the same files would be fused into other numbers."""


@dataclass(frozen=True, slots=True)
class Ingredient:
    """An adapter with its file, found and hashed."""

    adapter: Adapter
    path: Path
    sha256: str


def fused_folder(
    transformer: Path,
    hashes: Mapping[str, str],
    ingredients: Sequence[Ingredient],
    precision: torch.dtype,
    cache: Path,
) -> Path:
    """The folder of the fused transformer; made if it is not there yet.

    Args:
        transformer: the base's transformer folder.
        hashes: sha256 of its files by name.
        ingredients: the adapters in order.
        precision: of the fused weights.
        cache: where fused transformers are kept.

    Raises:
        BadInput: an adapter has a tensor that fits nowhere.
    """
    made_of = [
        CODE,
        str(precision),
        sorted(hashes.items()),
        [(one.adapter.scale, one.adapter.naming, one.sha256) for one in ingredients],
    ]
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    target = cache / key[:32]
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        _write_fused(transformer, ingredients, precision, building)
        try:
            building.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _write_fused(
    transformer: Path, ingredients: Sequence[Ingredient], precision: torch.dtype, target: Path
) -> None:
    """Goes through the base file by file, so that memory holds one of them at a time."""
    from safetensors.torch import load_file, save_file

    changes = [Change.read(one.path, one.adapter) for one in ingredients]
    left = [set(change.targets) for change in changes]
    for path in weight_files(transformer):
        weights = load_file(path)
        for name in weights:
            weights[name] = fuse(weights[name], name, changes).to(precision).contiguous()
            for targets in left:
                targets.discard(name)
        save_file(weights, target / path.name, metadata={"format": "pt"})
    for change, names in zip(changes, left, strict=True):
        if names:
            raise BadInput.at(
                f"{change.path}, tensor {change.targets[min(names)][0].down}",
                f"the base has no weight {min(names)}",
                "The adapter belongs to another base model",
            )
    for path in transformer.glob("*.json"):
        shutil.copyfile(path, target / path.name)


@dataclass(frozen=True, slots=True)
class Change:
    """An adapter file in memory: for each weight that it changes, the pair, and which part of `up` is its own."""

    path: Path
    scale: float
    targets: Mapping[str, tuple[Pair, int]]
    tensors: Mapping[str, Tensor]

    @classmethod
    def read(cls, path: Path, adapter: Adapter) -> Change:
        """Reads the file; embeddings are left out.

        Raises:
            BadInput: it has a tensor of an unknown name.
        """
        from safetensors.torch import load_file

        tensors = load_file(path)
        pairs = pairs_of([name for name in tensors if name not in EMBEDDINGS], str(path), adapter.naming)
        targets = {name: (pair, part) for pair in pairs for part, name in enumerate(pair.targets)}
        return cls(path, adapter.scale, targets, tensors)

    def added_to(self, name: str) -> Tensor | None:
        """What it adds to the weight of that name, in float32, (O, I); None: nothing."""
        if name not in self.targets:
            return None
        pair, part = self.targets[name]
        down_RI = self.tensors[pair.down].float()
        up_OR = self.tensors[pair.up].float().chunk(len(pair.targets))[part]
        rank = down_RI.shape[0]
        alpha = rank if pair.alpha is None else float(self.tensors[pair.alpha])
        return (self.scale * alpha / rank) * (up_OR @ down_RI)


def fuse(weight: Tensor, name: str, changes: Sequence[Change]) -> Tensor:
    """The weight with all changes added, float32 where there are any.

    Raises:
        BadInput: a change has another shape than the weight.
    """
    for change in changes:
        added = change.added_to(name)
        if added is None:
            continue
        if added.shape != weight.shape:
            pair, _ = change.targets[name]
            raise BadInput.at(
                f"{change.path}, tensor {pair.up}",
                f"it changes {name} by {tuple(added.shape)}, which is {tuple(weight.shape)}",
                "The adapter belongs to another base model",
            )
        weight = weight.float() + added
    return weight
