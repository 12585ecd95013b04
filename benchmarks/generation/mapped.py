"""The full architecture where memory does not hold it: weights in a file, read as each block is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.generation.transformer import DreamOTransformer


def mapped_transformer(config: dict[str, Any], file: Path) -> DreamOTransformer:
    """A transformer whose bfloat16 weights are the file's; random ones, if there is none yet.

    Raises:
        ValueError: the file is of another size.
    """
    with torch.device("meta"):
        transformer = DreamOTransformer(**config)
    count = sum(one.numel() for one in transformer.parameters())
    if not file.exists():
        making = file.with_suffix(".part")
        _fill(transformer, making, count)
        making.rename(file)
    if file.stat().st_size != 2 * count:
        problem = f"has {file.stat().st_size} bytes instead of {2 * count}"
        raise ValueError(f"{file}: {problem}. Name another file, or remove it to have it made anew.")
    _lay_over(transformer, file, count)
    return transformer.eval().requires_grad_(requires_grad=False)  # type: ignore[no-any-return]


def _fill(transformer: nn.Module, file: Path, count: int) -> None:
    """Writes the random weights that layers begin with."""
    _lay_over(transformer, file, count)
    torch.manual_seed(0)
    for module in transformer.modules():
        if isinstance(module, (nn.Linear, nn.RMSNorm)):
            module.reset_parameters()


def _lay_over(transformer: nn.Module, file: Path, count: int) -> None:
    """Makes every parameter a view of the file, one after another."""
    whole = torch.from_file(str(file), shared=True, size=count, dtype=torch.bfloat16)
    parts = whole.split([one.numel() for one in transformer.parameters()])
    named = zip(transformer.named_parameters(), parts, strict=True)
    transformer.load_state_dict({name: part.view(one.shape) for (name, one), part in named}, assign=True)


class Widened:
    """Computes with a module's weights in float32, which are there for as long as it takes."""

    def __init__(self, module: nn.Module) -> None:
        self.kept: list[tuple[nn.Parameter, Tensor]] = []
        module.register_forward_pre_hook(self._widen)
        module.register_forward_hook(self._restore, always_call=True)

    def _widen(self, module: nn.Module, given: Any) -> None:
        self.kept = [(one, one.data) for one in module.parameters()]
        for parameter, stored in self.kept:
            parameter.data = stored.float()

    def _restore(self, module: nn.Module, given: Any, made: Any) -> None:
        for parameter, stored in self.kept:
            parameter.data = stored
        self.kept = []


def widen(transformer: nn.Module) -> None:
    """A transformer that computes in float32, block by block."""
    for part in transformer.children():
        for module in part if isinstance(part, nn.ModuleList) else [part]:
            Widened(module)
