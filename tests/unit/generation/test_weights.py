"""Adapter names, fused weights and their cache, against plain loops in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.cards import Adapter, find_cards, load_card
from core.errors import BadInput
from core.generation.files import adapter_file, base_folder
from core.generation.model import fuse_card
from core.generation.names import pairs_of, published_shapes
from core.settings import Settings

PUBLISHED = {
    "transformer_blocks.{n}.attn.to_q": ("double_blocks_{n}_processor_qkv_lora1", 0, 3),
    "transformer_blocks.{n}.attn.to_k": ("double_blocks_{n}_processor_qkv_lora1", 1, 3),
    "transformer_blocks.{n}.attn.to_v": ("double_blocks_{n}_processor_qkv_lora1", 2, 3),
    "transformer_blocks.{n}.attn.add_q_proj": ("double_blocks_{n}_processor_qkv_lora2", 0, 3),
    "transformer_blocks.{n}.attn.add_k_proj": ("double_blocks_{n}_processor_qkv_lora2", 1, 3),
    "transformer_blocks.{n}.attn.add_v_proj": ("double_blocks_{n}_processor_qkv_lora2", 2, 3),
    "transformer_blocks.{n}.attn.to_out.0": ("double_blocks_{n}_processor_proj_lora1", 0, 1),
    "transformer_blocks.{n}.attn.to_add_out": ("double_blocks_{n}_processor_proj_lora2", 0, 1),
    "single_transformer_blocks.{n}.attn.to_q": ("single_blocks_{n}_processor_qkv_lora", 0, 3),
    "single_transformer_blocks.{n}.attn.to_k": ("single_blocks_{n}_processor_qkv_lora", 1, 3),
    "single_transformer_blocks.{n}.attn.to_v": ("single_blocks_{n}_processor_qkv_lora", 2, 3),
    "single_transformer_blocks.{n}.proj_out": ("single_blocks_{n}_processor_proj_lora", 0, 1),
}


def slow_change(name, tensors):
    """What one adapter file adds to the weight `name`, before its scale: by both namings, in float64."""
    stem = name.removesuffix(".weight")
    down = tensors.get(f"transformer.{stem}.lora_A.weight")
    up = tensors.get(f"transformer.{stem}.lora_B.weight")
    if down is None:
        block = next(filter(str.isdecimal, stem.split(".")), "")
        published = PUBLISHED.get(stem.replace(f".{block}.", ".{n}.", 1)) if block else None
        if published is None:
            return 0.0
        key, part, parts = published[0].format(n=block), published[1], published[2]
        down = tensors[f"{key}.down.weight"]
        whole = tensors[f"{key}.up.weight"]
        rows = whole.shape[0] // parts
        up = whole[part * rows : (part + 1) * rows]
    out = torch.zeros(up.shape[0], down.shape[1], dtype=torch.float64)
    for r in range(down.shape[0]):
        out += up[:, r, None].double() * down[None, r].double()
    return out


@pytest.mark.parametrize("name", ["dreamo-v1.1", "dreamo-v1.1-plain", "dreamo-v1", "dreamo-v1-plain"])
def test_fused_weights_agree_with_a_slow_sum(name, settings):
    card = load_card(name, settings)
    base = load_file(base_folder(card, settings) / "transformer/diffusion_pytorch_model.safetensors")
    fused = load_file(fuse_card(card, settings, torch.float32) / "diffusion_pytorch_model.safetensors")
    adapters = [(one.scale, load_file(adapter_file(one, card, settings).path)) for one in card.adapters]
    assert fused.keys() == base.keys()
    changed = 0
    for key, weight in base.items():
        expected = weight.double()
        for scale, tensors in adapters:
            expected = expected + scale * slow_change(key, tensors)
        assert torch.allclose(fused[key].double(), expected, atol=1e-5), key
        changed += not torch.equal(fused[key], weight)
    assert changed >= 28


def test_the_published_scales_stand_on_the_cards(settings):
    scales = {
        name: {one.file: one.scale for one in load_card(name, settings).adapters}
        for name in ("dreamo-v1.1", "dreamo-v1", "dreamo-v1.1-plain", "dreamo-v1-plain")
    }
    both = {"dreamo.safetensors": 1.0, "dreamo_cfg_distill.safetensors": 1.0}
    turbo = {"diffusion_pytorch_model.safetensors": 1.0}
    first = {"dreamo_quality_lora_pos.safetensors": 0.15, "dreamo_quality_lora_neg.safetensors": -0.8}
    second = {"v1.1/dreamo_sft_lora.safetensors": 1.0, "v1.1/dreamo_dpo_lora.safetensors": 1.25}
    assert scales["dreamo-v1.1"] == both | turbo | second
    assert scales["dreamo-v1"] == both | turbo | first
    assert scales["dreamo-v1.1-plain"] == both | second
    assert scales["dreamo-v1-plain"] == both | first


def test_the_lora_of_the_full_size_model_has_239_075_328_parameters():
    """Built on the meta device; every name finds weights of the right shape in FLUX.1-dev's architecture."""
    from diffusers import FluxTransformer2DModel

    shapes = published_shapes(width=3072, double_blocks=19, single_blocks=38, rank=128)
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    assert sum(tensor.numel() for tensor in tensors.values()) == 239_075_328
    with torch.device("meta"):
        weights = FluxTransformer2DModel(guidance_embeds=True).state_dict()
    for pair in pairs_of(tensors, "dreamo.safetensors"):
        ups = tensors[pair.up].chunk(len(pair.targets))
        for target, up in zip(pair.targets, ups, strict=True):
            assert (up @ tensors[pair.down]).shape == weights[target].shape


@pytest.mark.parametrize(
    "name",
    [
        "double_blocks_0_processor_mlp_lora1.down.weight",
        "single_blocks_0_processor_qkv_lora1.down.weight",
        "transformer.transformer_blocks.0.attn.to_q.lora_C.weight",
        "text_encoder.layers.0.lora_A.weight",
        "dreamo_other_embedding.weight",
    ],
)
def test_an_unknown_tensor_is_an_error_that_names_it(name):
    with pytest.raises(BadInput) as caught:
        pairs_of([name], "some.safetensors")
    assert name in str(caught.value)
    assert "some.safetensors" in str(caught.value)


def test_half_a_pair_is_an_error_that_names_the_other_half():
    with pytest.raises(BadInput, match="its up half is missing"):
        pairs_of(["transformer.transformer_blocks.0.attn.to_q.lora_A.weight"], "x")


def test_two_namings_of_one_weight_are_an_error():
    names = [f"double_blocks_0_processor_qkv_lora1.{part}.weight" for part in ("down", "up")]
    names += [f"transformer.transformer_blocks.0.attn.to_k.lora_{part}.weight" for part in "AB"]
    with pytest.raises(BadInput, match=r"changes transformer_blocks\.0\.attn\.to_k\.weight, and so does"):
        pairs_of(names, "x")
    key = "transformer_blocks.0.attn.to_k.lora_"
    twice = [f"{prefix}{key}{part}.weight" for prefix in ("", "transformer.") for part in "AB"]
    with pytest.raises(BadInput, match="says again"):
        pairs_of(twice, "x")


def test_a_card_can_insist_on_one_naming():
    name = "transformer.transformer_blocks.0.attn.to_q.lora_A.weight"
    with pytest.raises(BadInput, match="naming published"):
        pairs_of([name, name.replace("_A", "_B")], "x", "published")


def test_a_lora_of_ones_own_is_added_with_its_scale_and_alpha(tmp_path, settings, card):
    key = "transformer.single_transformer_blocks.1.proj_mlp"
    own = {f"{key}.lora_A.weight": torch.randn(2, 64), f"{key}.lora_B.weight": torch.randn(256, 2)}
    save_file(own | {f"{key}.alpha": torch.tensor(1.0)}, tmp_path / "own.safetensors")
    adapter = Adapter(repository=str(tmp_path), file="own.safetensors", scale=0.5)
    name = "single_transformer_blocks.1.proj_mlp.weight"
    before = load_file(fuse_card(card, settings, torch.float32) / "diffusion_pytorch_model.safetensors")[name]
    with_own = replace(card, adapters=(*card.adapters, adapter))
    after = load_file(fuse_card(with_own, settings, torch.float32) / "diffusion_pytorch_model.safetensors")[name]
    change = 0.5 * (1.0 / 2) * own[f"{key}.lora_B.weight"] @ own[f"{key}.lora_A.weight"]
    assert torch.allclose(after - before, change, atol=1e-5)


def test_an_adapter_of_another_base_is_refused_by_tensor(tmp_path, settings, card):
    for key, width in (
        ("transformer.transformer_blocks.7.attn.to_q", 64),
        ("single_transformer_blocks.0.proj_out", 7),
    ):
        tensors = {f"{key}.lora_A.weight": torch.zeros(2, width), f"{key}.lora_B.weight": torch.zeros(64, 2)}
        save_file(tensors, tmp_path / f"{width}.safetensors")
        adapter = Adapter(repository=str(tmp_path), file=f"{width}.safetensors")
        with pytest.raises(BadInput, match="belongs to another base model"):
            fuse_card(replace(card, adapters=(*card.adapters, adapter)), settings, torch.float32)
    fused = settings.home / "cache" / "fused"
    assert not list(fused.glob(".making-*"))


def test_fusing_happens_once_and_again_when_anything_changes(own_settings, card):
    first = fuse_card(card, own_settings, torch.float32)
    weights = first / "diffusion_pytorch_model.safetensors"
    made = weights.stat().st_mtime_ns
    assert fuse_card(card, own_settings, torch.float32) == first
    assert weights.stat().st_mtime_ns == made
    stronger = replace(card.adapters[0], scale=1.1)
    assert fuse_card(replace(card, adapters=(stronger, *card.adapters[1:])), own_settings, torch.float32) != first
    assert fuse_card(card, own_settings, torch.bfloat16) != first


def test_bfloat16_is_rounded_once_after_all_adapters(settings, card):
    name = "diffusion_pytorch_model.safetensors"
    exact = load_file(fuse_card(card, settings, torch.float32) / name)
    rounded = load_file(fuse_card(card, settings, torch.bfloat16) / name)
    assert all(torch.equal(rounded[key], exact[key].bfloat16()) for key in exact)


def test_a_base_in_shards_is_fused_shard_by_shard(tmp_path, golden, settings, card):
    import json
    import shutil

    base = tmp_path / "base"
    shutil.copytree(golden / "base", base)
    whole = base / "transformer/diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    parts = {"a-00001.safetensors": names[::2], "a-00002.safetensors": names[1::2]}
    for file, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, base / "transformer" / file)
    index = {"metadata": {}, "weight_map": {key: file for file, keys in parts.items() for key in keys}}
    (base / "transformer/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    sharded = fuse_card(replace(card, base=str(base)), settings, torch.float32)
    found = {key: value for path in sharded.glob("*.safetensors") for key, value in load_file(path).items()}
    expected = load_file(fuse_card(card, settings, torch.float32) / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_every_shipped_card_is_read():
    names = {"dreamo-v1.1", "dreamo-v1", "dreamo-v1.1-plain", "dreamo-v1-plain", "dreamo-schnell"}
    assert names <= find_cards(Settings()).keys()
    for name in names:
        card = load_card(name, Settings())
        assert card.embeddings in [one.file for one in card.adapters]
    assert load_card("dreamo-schnell", Settings()).untried
