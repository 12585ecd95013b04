"""Adapters fused into the transformer's weights: once, in float32, kept on disk under a hash of what made them.

W + sum of scale · alpha / rank · up @ down over all adapters, in the card's order, rounded once to the precision
of the model. What is kept has diffusers' layout, so that it loads like any base.

Shape suffixes: O out, I in, R rank.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, Problem
from core.generation.files import weight_files
from core.generation.names import EMBEDDINGS, Pair, pairs_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core.cards import Adapter

log = logging.getLogger("dreamline")

MAKING = ".making-"
"""What the names of folders begin with that are not finished."""

DAY = 24 * 3600
"""Seconds after which a folder that is still being made belongs to nobody."""

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
    """The folder of the fused transformer; made if it is not there yet, made again if it is damaged.

    Args:
        transformer: the base's transformer folder.
        hashes: sha256 of its files by name.
        ingredients: the adapters in order.
        precision: of the fused weights.
        cache: where fused transformers are kept.

    Raises:
        BadInput: an adapter has a tensor that fits nowhere, or the base's index can't be read.
    """
    made_of = [
        CODE,
        str(precision),
        sorted(hashes.items()),
        [(one.adapter.scale, one.adapter.naming, one.sha256) for one in ingredients],
    ]
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    target = cache / key[:32]
    if is_whole(target, transformer):
        return target
    cache.mkdir(parents=True, exist_ok=True)
    _remove_left(cache)
    if target.is_dir():
        log.warning("fused folder %s is damaged: it is made again", target)
        _remove(target)
    building = Path(tempfile.mkdtemp(prefix=MAKING, dir=cache))
    try:
        _write_fused(transformer, ingredients, precision, building)
        building.chmod(0o755)
        try:
            building.rename(target)
        except OSError:
            if not is_whole(target, transformer):
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def is_whole(fused: Path, transformer: Path) -> bool:
    """Whether a fused folder has all files of the base's, and none of the weights is cut off.

    The header of a safetensors file says how long the file is, so weights are not read.

    Raises:
        BadInput: the base's index can't be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        for path in weight_files(transformer):
            with safe_open(fused / path.name, "pt"):
                pass
        return all((fused / path.name).read_bytes() == path.read_bytes() for path in transformer.glob("*.json"))
    except (SafetensorError, OSError):
        return False


def _remove(folder: Path) -> None:
    """Takes the folder's name away first: others never see a part of it."""
    aside = Path(tempfile.mkdtemp(prefix=MAKING, dir=folder.parent))
    try:
        folder.rename(aside)
    except FileNotFoundError:
        log.debug("another process has removed %s", folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_left(cache: Path) -> None:
    """Removes what processes left that were stopped while they fused."""
    for path in cache.glob(f"{MAKING}*"):
        try:
            old = time.time() - path.stat().st_mtime > DAY
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(path, ignore_errors=True)


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
            BadInput: it has a tensor of an unknown name, or one that is no half of a low-rank change.
        """
        from safetensors.torch import load_file

        tensors = load_file(path)
        pairs = pairs_of([name for name in tensors if name not in EMBEDDINGS], str(path), adapter.naming)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        BadInput.gather(pair_problems(pairs, shapes, str(path)))
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


def pair_problems(pairs: Sequence[Pair], shapes: Mapping[str, tuple[int, ...]], where: str) -> Iterator[Problem]:
    """Pairs whose tensors can't be multiplied into a change, whatever the base is.

    Args:
        pairs: by the names of their tensors.
        shapes: of the adapter file's tensors.
        where: the file, for messages.
    """
    for pair in pairs:
        down, up = shapes[pair.down], shapes[pair.up]
        for name, shape in ((pair.down, down), (pair.up, up)):
            if len(shape) != 2 or min(shape) < 1:
                yield Problem(f"{where}, tensor {name}", f"is {shape}, not a matrix", "Fetch the file again")
                break
        else:
            if up[1] != down[0] or up[0] % len(pair.targets):
                text = f"is {up}, which does not go with {pair.down}, {down}"
                yield Problem(f"{where}, tensor {pair.up}", text, "Fetch the file again")
        if pair.alpha is not None and math.prod(shapes[pair.alpha]) != 1:
            text = f"is {shapes[pair.alpha]}, not one number"
            yield Problem(f"{where}, tensor {pair.alpha}", text, "Fetch the file again")


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
