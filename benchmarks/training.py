"""What a training step costs: `python -m benchmarks.training [routing | computing] [--recipe mini] [--steps 8]`.

`routing`: DreamO's LoRA with and without its losses. `computing`: a whole base in other precisions, with other
kernels, compiled. A model of the recipe's size with random weights and a random batch; the kinds of step take
turns, so that whatever else the machine does falls on all of them. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from core.generation.sequence import Grid, Layout, position_ids, role_bias
from core.training.adapter import Adapter
from core.training.attention import RoutingTap, tapped
from core.training.base_model import build_transformer
from core.training.computing import quicken
from core.training.losses import diffusion_loss
from core.training.recipes import NewBase
from core.training.shipped_recipes import RECIPES
from core.training.texts import build_t5

KINDS: dict[str, tuple[tuple[str, float], ...] | None] = {
    "none": None,
    "P": (("P", 1.0),),
    "P and R": (("P", 1.0), ("R", 0.1)),
    "P, R and placeholders": (("P", 1.0), ("R", 0.1)),
}


COMPUTING: dict[str, tuple[bool, bool, bool]] = {
    "float32, torch's kernel": (False, False, False),
    "float32, attention written out": (False, True, False),
    "bfloat16, torch's kernel": (True, False, False),
    "bfloat16, attention written out": (True, True, False),
    "bfloat16, attention written out, compiled": (True, True, True),
}
"""Whether in bfloat16, quickened, compiled."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="routing", choices=["routing", "computing"])
    parser.add_argument("--recipe", default="mini", choices=["nano", "mini", "mini-gpu"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=128, help="pixels of a target's side")
    told = parser.parse_args()
    size = told.recipe, told.batch, told.side
    steps: dict[str, Callable[[], None]] = {}
    if told.what == "routing":
        step = stepper(*size)
        steps |= {kind: partial(step, kind) for kind in KINDS}
    else:
        steps |= {kind: whole(*size, *how) for kind, how in COMPUTING.items()}
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for turn in range(told.steps + 1):
        for kind, one in steps.items():
            start = time.perf_counter()
            one()
            if turn:
                times[kind].append(time.perf_counter() - start)
    first = statistics.median(next(iter(times.values())))
    print(f"| {told.what} | samples a second | of the first's time |\n|---|---|---|")
    for kind, spent in times.items():
        middle = statistics.median(spent)
        print(f"| {kind} | {told.batch / middle:.1f} | {middle / first:.2f} |")


def whole(recipe: str, batch: int, side: int, half: bool, quick: bool, compiled: bool) -> Callable[[], None]:
    """Forward and backward of a base's transformer with one reference; all of it is trained."""
    plan = RECIPES[recipe]().base
    assert isinstance(plan, NewBase)
    transformer = build_transformer(plan)
    if quick:
        quicken(transformer, build_t5(16, plan.text), "cpu", compiled=compiled)
    grid, reference = Grid.of_pixels(side, side), Grid.of_pixels(*[side * 3 // 4 // 16 * 16] * 2)
    layout = Layout(plan.text.length, grid, (reference,))
    token = 4 * plan.autoencoder.latent
    target_BSD = torch.randn(batch, grid.tokens, token)
    given = (
        torch.randn(batch, reference.tokens, token),
        torch.randn(batch, layout.text, plan.text.t5_width),
        torch.randn(batch, plan.text.clip_width),
        torch.rand(batch) * 1000,
        None,
        transformer.rotation(position_ids(layout)[None]),
        None,
    )

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = diffusion_loss(transformer(target_BSD, *given), target_BSD)
        loss.backward()

    return step


def stepper(recipe: str, batch: int, side: int) -> Callable[[str], None]:
    """Forward and backward of DreamO's LoRA with two references."""
    plan = RECIPES[recipe]().base
    assert isinstance(plan, NewBase)
    transformer = build_transformer(plan)
    adapter = Adapter(transformer, plan.text.t5_width, RECIPES[recipe]().rank)
    noisy, reference = (
        Grid.of_pixels(side, side),
        Grid.of_pixels(side * 3 // 4 // 16 * 16, side * 3 // 4 // 16 * 16),
    )
    layout = Layout(plan.text.length, noisy, (reference, reference))
    rotation = transformer.rotation(position_ids(layout)[None])
    token = 4 * plan.autoencoder.latent
    target_BSD = torch.randn(batch, noisy.tokens, token)
    references_BRD = torch.randn(batch, layout.reference_tokens, token)
    text_BTE = torch.randn(batch, layout.text, plan.text.t5_width)
    pooled_BP = torch.randn(batch, plan.text.clip_width)
    mask_BNS = torch.rand(batch, 2, noisy.tokens)
    placeholder_BN = torch.tensor([[3, 7]]).expand(batch, -1)

    def step(kind: str) -> None:
        roles = role_bias(layout, adapter.vectors, [adapter.vectors] * 2).expand(batch, -1, -1)

        def velocity() -> Tensor:
            answer: Tensor = transformer(
                target_BSD,
                references_BRD,
                text_BTE,
                pooled_BP,
                torch.rand(batch) * 1000,
                None,
                rotation,
                roles,
            )
            return answer

        forms = KINDS[kind]
        if forms is None:
            loss = diffusion_loss(velocity(), target_BSD)
        else:
            tap = RoutingTap(layout, forms, mask_BNS, placeholder_BN, placeholders="placeholders" in kind)
            with tapped(transformer, tap):
                loss = diffusion_loss(velocity(), target_BSD)
            loss = loss + torch.stack(list(tap.losses().values())).sum()
        loss.backward()

    return step


if __name__ == "__main__":
    main()
