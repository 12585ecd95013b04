"""How a step is computed fastest: precision by device, attention written out, blocks compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.generation.compiling import has_compiler
from core.training.adapter import Adapter
from core.training.attention import RoutingTap, tapped
from core.training.base_model import Base, read_base
from core.training.batches import Batch
from core.training.computing import autocast, has_bfloat16, quicken
from core.training.loop import empty_texts
from core.training.recipes import Recipe
from core.training.trainee import Chances, Trainee


def loss(base: Base, recipe: Recipe, batch: Batch) -> float:
    trainee = Trainee(base, None, empty_texts(base.tokenizers))
    with torch.no_grad():
        return float(trainee(batch, recipe.stage("base"), Chances.of(0, 3))["loss"])


def test_the_fastest_precision_follows_the_device() -> None:
    assert autocast("float32", "cpu") == "no"
    assert autocast("bfloat16", "cpu") == "bf16"
    assert autocast("fastest", "cpu") == ("bf16" if has_bfloat16("cpu") else "no")


@pytest.mark.parametrize("task", ["subject", "two-subjects", "text"])
def test_attention_written_out_gives_the_same_losses(
    base: Base, recipe: Recipe, batch_of: Callable[[str], Batch], task: str
) -> None:
    before = loss(base, recipe, batch_of(task))
    quicken(base.transformer, base.t5, "cpu", compiled=False)
    names = {block.attn.processor._attention_backend for block in base.transformer.transformer_blocks}
    assert [str(name.value) for name in names] == ["_native_math"]
    assert loss(base, recipe, batch_of(task)) == pytest.approx(before, abs=1e-5)


def test_watching_attention_keeps_its_kernel(base: Base, batch_of: Callable[[str], Batch]) -> None:
    quicken(base.transformer, base.t5, "cpu", compiled=False)
    attention = base.transformer.transformer_blocks[0].attn
    own = attention.processor
    tap = RoutingTap.__new__(RoutingTap)
    with tapped(base.transformer, tap):
        assert attention.processor.watch is tap
        assert attention.processor._attention_backend == own._attention_backend
    assert attention.processor is own


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.skipif(not has_compiler("cpu"), reason="no C++ compiler is here")
def test_compiled_blocks_give_the_same_losses_at_every_length(
    nano_base: Path, recipe: Recipe, batch_of: Callable[[str], Batch]
) -> None:
    torch.compiler.reset()
    plain, compiled = read_base(nano_base, 40), read_base(nano_base, 40)
    quicken(compiled.transformer, compiled.t5, "cpu", compiled=True)
    for task in ("subject", "two-subjects"):
        expected = loss(plain, recipe, batch_of(task))
        assert loss(compiled, recipe, batch_of(task)) == pytest.approx(expected, abs=1e-4)
    counters = torch._dynamo.utils.counters
    assert not counters["graph_break"]
    torch.compiler.reset()


def joint_losses(base: Base, recipe: Recipe, batch: Batch, routed: float) -> dict[str, float]:
    adapter = Adapter(base.transformer, base.t5.config.d_model, 4)
    stage = replace(recipe.stage("joint"), alone=0.0, routed=routed)
    with torch.no_grad():
        losses = Trainee(base, adapter, empty_texts(base.tokenizers))(batch, stage, Chances.of(0, 3))
    return {name: float(loss) for name, loss in losses.items()}


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.skipif(not has_compiler("cpu"), reason="no C++ compiler is here")
def test_routing_sees_the_same_in_blocks_that_are_compiled(
    nano_base: Path, recipe: Recipe, batch_of: Callable[[str], Batch]
) -> None:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    plain, compiled = read_base(nano_base, 40), read_base(nano_base, 40)
    quicken(compiled.transformer, compiled.t5, "cpu", compiled=True)
    for routed, named in ((0.0, False), (1.0, True), (0.0, False)):
        expected = joint_losses(plain, recipe, batch_of("two-subjects"), routed)
        assert ("route R" in expected) == named
        found = joint_losses(compiled, recipe, batch_of("two-subjects"), routed)
        assert found == pytest.approx(expected, abs=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    torch.compiler.reset()
