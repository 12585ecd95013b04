"""Damaged files: told by name, never approved, and made again where they are ours to make."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.cards import Adapter
from core.errors import BadInput
from core.generation.caches import TensorCache
from core.generation.checks import check_card
from core.generation.files import weight_files
from core.generation.model import fuse_card, load_model
from core.generation.weights import Change

MEGA = 10**6
TRANSFORMER = "base/transformer/diffusion_pytorch_model.safetensors"
DREAMO = "adapters/dreamo.safetensors"
QKV = "double_blocks_0_processor_qkv_lora1"


@pytest.fixture
def copied(tmp_path, golden, card, own_settings):
    """A card whose files may be damaged."""
    shutil.copytree(golden / "base", tmp_path / "base")
    shutil.copytree(golden / "adapters", tmp_path / "adapters")
    adapters = tuple(replace(one, repository=str(tmp_path / "adapters")) for one in card.adapters)
    return replace(card, base=str(tmp_path / "base"), adapters=adapters), own_settings, tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: (path.parent / "config.json").write_text("{"),
    ],
    ids=["cut off", "gone", "empty", "other settings"],
)
def test_a_damaged_fused_folder_is_made_again(damage, card, own_settings, caplog):
    folder = fuse_card(card, own_settings, torch.float32)
    (path,) = weight_files(folder)
    whole, settings = path.read_bytes(), (folder / "config.json").read_bytes()
    damage(path)
    with caplog.at_level(logging.WARNING, "dreamline"):
        assert fuse_card(card, own_settings, torch.float32) == folder
    assert path.read_bytes() == whole
    assert (folder / "config.json").read_bytes() == settings
    assert "damaged" in caplog.text
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]


def test_a_whole_fused_folder_stays_and_others_may_read_it(card, own_settings):
    folder = fuse_card(card, own_settings, torch.float32)
    assert folder.stat().st_mode & 0o777 == 0o755
    before = folder.stat().st_ino
    fuse_card(card, own_settings, torch.float32)
    assert folder.stat().st_ino == before


def test_what_a_stopped_fusing_left_goes_after_a_day(card, own_settings):
    cache = own_settings.home / "cache" / "fused"
    for name in ("old", "new"):
        (cache / f".making-{name}").mkdir(parents=True)
    yesterday = time.time() - 25 * 3600
    os.utime(cache / ".making-old", (yesterday, yesterday))
    fuse_card(card, own_settings, torch.float32)
    assert [path.name for path in cache.glob(".making-*")] == [".making-new"]


@pytest.mark.parametrize(
    "file",
    [
        TRANSFORMER,
        "base/vae/diffusion_pytorch_model.safetensors",
        "base/text_encoder/model.safetensors",
        "base/vae/config.json",
        "base/scheduler/scheduler_config.json",
        "base/tokenizer_2/tokenizer.json",
    ],
)
def test_a_base_file_that_is_cut_off_is_one_clear_error(file, copied):
    card, settings, folder = copied
    path = folder / file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput):
        load_model(card, settings, "cpu")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("scheduler/scheduler_config.json", "{"),
        ("scheduler/scheduler_config.json", "[]"),
        ("scheduler/scheduler_config.json", '{"use_karras_sigmas": true}'),
        ("scheduler/scheduler_config.json", '{"shift": "much"}'),
        ("tokenizer/vocab.json", "{"),
        ("tokenizer_2/tokenizer.json", "{"),
        ("tokenizer_2/tokenizer.json", "{}"),
        ("tokenizer_2/tokenizer_config.json", "nothing"),
        ("vae/config.json", "[]"),
        ("transformer/diffusion_pytorch_model.safetensors.index.json", "{"),
        ("transformer/diffusion_pytorch_model.safetensors.index.json", "{}"),
        ("transformer/diffusion_pytorch_model.safetensors.index.json", '{"weight_map": []}'),
        ("transformer/diffusion_pytorch_model.safetensors.index.json", '{"weight_map": {}}'),
        ("transformer/diffusion_pytorch_model.safetensors.index.json", '{"weight_map": {"x": 3}}'),
    ],
)
def test_a_settings_file_that_can_not_be_used_is_named_by_the_check(file, text, copied):
    card, settings, folder = copied
    (folder / "base" / file).write_text(text)
    places = [problem.where for problem in check_card(card, settings).problems]
    named = str(folder / "base" / file) if text != "{}" or "index" in file else str(folder / "base/tokenizer_2")
    assert [place for place in places if place.startswith(named)]


@pytest.mark.parametrize(
    ("down", "up", "said"),
    [
        (torch.zeros(64), torch.zeros(192, 4), r"is \(64,\), not a matrix"),
        (torch.zeros(4, 64), torch.tensor(1.0), r"is \(\), not a matrix"),
        (torch.zeros(0, 64), torch.zeros(192, 0), r"is \(0, 64\), not a matrix"),
        (torch.zeros(4, 64), torch.zeros(192, 5), "does not go with"),
        (torch.zeros(4, 64), torch.zeros(2, 4), "does not go with"),
    ],
)
def test_halves_that_make_no_change_are_named_by_the_check_and_by_fusing(down, up, said, copied):
    card, settings, folder = copied
    tensors = load_file(folder / DREAMO)
    tensors |= {f"{QKV}.down.weight": down, f"{QKV}.up.weight": up}
    save_file(tensors, folder / DREAMO)
    with pytest.raises(BadInput, match=said):
        BadInput.gather(check_card(card, settings).problems)
    with pytest.raises(BadInput, match=said):
        fuse_card(card, settings, torch.float32)


def test_an_alpha_is_one_number(tmp_path):
    layer = "transformer.transformer_blocks.0.attn.to_q"
    halves = {f"{layer}.lora_A.weight": torch.zeros(4, 64), f"{layer}.lora_B.weight": torch.zeros(64, 4)}
    adapter = Adapter(repository="here", file="a.safetensors", scale=1.0)
    save_file({**halves, f"{layer}.alpha": torch.ones(1)}, tmp_path / "good.safetensors")
    save_file({**halves, f"{layer}.alpha": torch.ones(2)}, tmp_path / "bad.safetensors")
    assert Change.read(tmp_path / "good.safetensors", adapter).targets
    with pytest.raises(BadInput, match=r"alpha: is \(2,\), not one number"):
        Change.read(tmp_path / "bad.safetensors", adapter)


def test_float8_weights_are_checked_too(copied):
    card, settings, folder = copied
    tensors = load_file(folder / TRANSFORMER)
    bias = torch.zeros(64)
    save_file({**tensors, "x_embedder.bias": bias.to(torch.float8_e4m3fn)}, folder / TRANSFORMER)
    assert check_card(card, settings).good
    bias[3] = torch.nan
    save_file({**tensors, "x_embedder.bias": bias.to(torch.float8_e4m3fn)}, folder / TRANSFORMER)
    with pytest.raises(BadInput, match=r"x_embedder\.bias: holds numbers that are not finite"):
        BadInput.gather(check_card(card, settings).problems)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def rename(path):
    with safe_open(path, "pt") as file:
        told, tensor = file.metadata(), file.get_tensor("x")
    save_file({"y": tensor}, path, metadata=told)


def strip(path):
    save_file(load_file(path), path)


@pytest.mark.parametrize("damage", [flip, rename, strip])
def test_a_cached_value_that_is_not_what_was_written_is_told_and_made_again(damage, tmp_path, caplog):
    made = []

    def make():
        made.append(1)
        return {"x": torch.ones(5)}

    TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", make)
    damage(next(tmp_path.glob("aa/*")))
    with caplog.at_level(logging.WARNING, "dreamline"):
        found = TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", make)
    assert len(made) == 2
    assert torch.equal(found["x"], torch.ones(5))
    assert "holds other tensors" in caplog.text
    TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", make)
    assert len(made) == 2


def test_scalars_and_empty_tensors_are_cached(tmp_path):
    value = {"a": torch.tensor(2.5), "b": torch.zeros(0, 3), "c": torch.ones(2, dtype=torch.bfloat16)}
    TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", lambda: value)
    found = TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", dict)
    assert all(torch.equal(found[name], value[name]) for name in value)


def test_a_value_beyond_the_disk_bound_drives_nothing_out(tmp_path):
    cache = TensorCache(tmp_path, "cpu", 0, 2000)
    cache.get("aa", lambda: {"x": torch.zeros(10)})
    cache.get("bb", lambda: {"x": torch.zeros(1000)})
    assert [path.stem for path in tmp_path.glob("*/*.safetensors")] == ["aa"]


def test_a_broken_index_names_itself(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps(["weight_map"]))
    with pytest.raises(BadInput, match=r"model\.safetensors\.index\.json"):
        weight_files(tmp_path)
