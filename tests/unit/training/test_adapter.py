"""DreamO on a frozen base: what is added, what learns, what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.cards import Adapter as CardAdapter
from core.generation.names import EMBEDDINGS, published_shapes
from core.generation.transformer import DreamOTransformer
from core.training.adapter import (
    Adapter,
    adapter_tensors,
    bare,
    load_adapter,
    lora_parameters,
    save_adapter,
    without_lora,
)
from core.training.base_model import Base, read_base
from core.training.batches import Batch
from core.training.loop import empty_texts
from core.training.optimising import optimisers, trainable
from core.training.recipes import NewBase, Recipe
from core.training.trainee import Chances, Trainee

RANK = 4


def trainee_of(base: Base, *, shared: bool = True) -> Trainee:
    adapter = Adapter(base.transformer, base.t5.config.d_model, RANK, shared_mapping=shared)
    return Trainee(base, adapter, empty_texts(base.tokenizers))


def test_without_training_it_makes_what_the_base_makes(
    base: Base, batch_of: Callable[[str], Batch], recipe: Recipe
) -> None:
    batch, stage = batch_of("subject"), recipe.stage("warm-up")
    alone = Trainee(base, None, empty_texts(base.tokenizers))
    told = {"target_BSD": torch.randn(4, 64, 64), "references_BRD": torch.randn(4, 6, 64)}
    told |= {
        "text_BTE": torch.randn(4, 40, base.t5.config.d_model),
        "pooled_BP": torch.randn(4, base.clip.config.hidden_size),
    }
    told |= {"ids_N3": torch.rand(110, 3), "roles_BLW": None, "weight_BS": None}
    with torch.no_grad():
        before = alone.denoising(**told, chances=Chances.of(0, 0))["loss"]
        trainee = trainee_of(base)
        after = trainee.denoising(**told, chances=Chances.of(0, 0))["loss"]
    assert torch.allclose(before, after, rtol=1e-6)
    assert trainee(batch, stage, Chances.of(0, 0))["loss"].isfinite()


@pytest.mark.parametrize("task", ["subject", "two-subjects", "text"])
def test_gradients_reach_the_adapter_and_nothing_else(
    base: Base, batch_of: Callable[[str], Batch], recipe: Recipe, task: str
) -> None:
    trainee, stage = trainee_of(base), recipe.stage("full")
    parameters = trainable(trainee, stage)
    trainee(batch_of(task), stage, Chances.of(0, 3))["loss"].backward()
    reached = {name for name, parameter in trainee.named_parameters() if parameter.grad is not None}
    assert reached <= set(parameters)
    assert {"adapter.task"} <= reached
    assert any("lora_B" in name for name in reached)
    assert ("adapter.index" in reached) == (task != "text")


def test_only_placeholders_that_are_said_are_moved(
    base: Base, batch_of: Callable[[str], Batch], recipe: Recipe
) -> None:
    trainee, stage = trainee_of(base), recipe.stage("full")
    trainable(trainee, stage)
    trainee(batch_of("two-subjects"), stage, Chances.of(0, 3))["loss"].backward()
    assert trainee.adapter is not None
    moved = trainee.adapter.placeholders.grad.abs().sum(1) > 0  # type: ignore[union-attr]
    assert moved.tolist() == [True, True] + [False] * 8


def test_its_file_has_the_published_names_and_shapes_and_fuses_like_the_published_ones(
    base: Base, tmp_path: Path
) -> None:
    from core.generation.files import component_hashes, file_hash
    from core.generation.weights import Ingredient, fused_folder

    width = base.transformer.inner_dim
    unchanged = {name: tensor.clone() for name, tensor in base.transformer.state_dict().items()}
    base.transformer.save_pretrained(tmp_path / "transformer")
    trainee = trainee_of(base)
    with torch.no_grad():
        for parameter in lora_parameters(base.transformer).values():
            parameter.copy_(0.1 * torch.randn_like(parameter))
    assert trainee.adapter is not None
    path = tmp_path / "dreamo.safetensors"
    save_adapter(adapter_tensors(base.transformer, trainee.adapter), path, torch.float32)
    tensors = load_file(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name not in EMBEDDINGS}
    assert shapes == published_shapes(width, 1, 1, RANK)
    ingredient = Ingredient(
        CardAdapter(repository="x", file="dreamo.safetensors"), path, file_hash(path, tmp_path)
    )
    fused = fused_folder(
        tmp_path / "transformer",
        component_hashes(tmp_path / "transformer", tmp_path / "notes"),
        [ingredient],
        torch.float32,
        tmp_path / "fused",
    )
    again = DreamOTransformer.from_pretrained(fused)
    assert any(not torch.equal(unchanged[name], tensor) for name, tensor in again.state_dict().items())
    inputs = (torch.randn(2, 6, 64), torch.randn(2, 4, 64), torch.randn(2, 5, base.t5.config.d_model))
    rest = (torch.randn(2, base.clip.config.hidden_size), torch.tensor([100.0, 900.0]), None)
    rotation = again.rotation(torch.rand(1, 15, 3) * 9)
    with torch.no_grad():
        fused_answer = again(*inputs, *rest, rotation, None)
        trained_answer = base.transformer(*inputs, *rest, rotation, None)
    assert torch.allclose(fused_answer, trained_answer, atol=1e-4)


def test_without_its_lora_the_transformer_is_the_base_again(base: Base, nano_base: Path, recipe: Recipe) -> None:
    assert isinstance(recipe.base, NewBase)
    untouched = read_base(nano_base, recipe.base.text.length).transformer
    trainee = trainee_of(base)
    with torch.no_grad():
        for parameter in lora_parameters(base.transformer).values():
            parameter.normal_()
    found, expected = bare(base.transformer).state_dict(), untouched.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    told = {"noisy_BSD": torch.randn(2, 16, 64), "time_B": torch.rand(2), "references_BRD": None}
    told |= {"text_BTE": torch.randn(2, 8, base.t5.config.d_model), "roles_BLW": None}
    told |= {"pooled_BP": torch.randn(2, base.clip.config.hidden_size), "ids_N3": torch.rand(24, 3)}
    with torch.no_grad():
        alone = Trainee(replace(base, transformer=untouched), None, empty_texts(base.tokenizers)).velocity(**told)
        with without_lora(base.transformer):
            assert torch.allclose(trainee.velocity(**told), alone, atol=1e-5)
        assert not torch.allclose(trainee.velocity(**told), alone, atol=1e-2)


def test_where_everything_learns_the_base_gets_its_batches_without_the_adapter(
    base: Base, batch_of: Callable[[str], Batch], recipe: Recipe
) -> None:
    trainee = trainee_of(base)
    for alone in (1.0, 0.0):
        stage = replace(recipe.stage("joint"), alone=alone)
        parameters = trainable(trainee, stage)
        assert all(name in parameters for name in ("transformer.x_embedder.weight", "adapter.index"))
        trainee.zero_grad()
        trainee(batch_of("subject"), stage, Chances.of(0, 3))["loss"].backward()
        reached = {name for name, one in trainee.named_parameters() if one.grad is not None and one.grad.any()}
        assert "transformer.x_embedder.weight" in reached
        assert ("adapter.index" in reached) == any("lora_B" in name for name in reached) == (alone == 0.0)


def test_it_is_read_back_as_it_was_written(base: Base, tmp_path: Path) -> None:
    trainee = trainee_of(base)
    assert trainee.adapter is not None
    with torch.no_grad():
        for parameter in (*lora_parameters(base.transformer).values(), *trainee.adapter.parameters()):
            parameter.normal_()
    written = adapter_tensors(base.transformer, trainee.adapter)
    save_adapter(written, tmp_path / "a.safetensors", torch.float32)
    kept = {name: tensor.clone() for name, tensor in written.items()}
    with torch.no_grad():
        for parameter in (*lora_parameters(base.transformer).values(), *trainee.adapter.parameters()):
            parameter.zero_()
    load_adapter(base.transformer, trainee.adapter, load_file(tmp_path / "a.safetensors"))
    now = adapter_tensors(base.transformer, trainee.adapter)
    assert all(torch.equal(now[name], kept[name]) for name in kept)


def test_a_mapping_of_its_own_starts_as_the_bases_and_has_no_published_name(base: Base) -> None:
    trainee = trainee_of(base, shared=False)
    assert trainee.adapter is not None
    assert trainee.adapter.mapping is not None
    assert torch.equal(trainee.adapter.mapping.weight, base.transformer.x_embedder.weight)
    with pytest.raises(ValueError, match="shared"):
        adapter_tensors(base.transformer, trainee.adapter)


def test_the_full_size_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        transformer = DreamOTransformer(guidance_embeds=True)
        total = sum(parameter.numel() for parameter in transformer.parameters())
        adapter = Adapter.__new__(Adapter)
        torch.nn.Module.__init__(adapter)
        from core.training.adapter import add_lora

        add_lora(transformer, 128)
    lora = lora_parameters(transformer)
    assert total == 11_901_408_320
    assert sum(parameter.numel() for parameter in lora.values()) == 239_075_328
    assert {name: tuple(one.shape) for name, one in lora.items()} == published_shapes(3072, 19, 38, 128)


def test_the_rates_of_a_stage_go_to_the_right_parameters(base: Base, recipe: Recipe) -> None:
    trainee = Trainee(base, None, empty_texts(base.tokenizers))
    stage = recipe.stage("base")
    parameters = trainable(trainee, stage)
    muon, adamw = optimisers(parameters, stage)
    grouped = [one for optimiser in (muon, adamw) for group in optimiser.param_groups for one in group["params"]]
    assert {id(one) for one in grouped} == {id(one) for one in parameters.values()}
    assert all(one.ndim == 2 for one in muon.param_groups[0]["params"])
