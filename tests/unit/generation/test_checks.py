"""What `dreamline models check` finds, and what cards may say."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.cards import load_card, read_card
from core.errors import BadInput
from core.generation.checks import check_card
from core.generation.files import file_hash


@pytest.fixture
def copied(tmp_path, golden, card, own_settings):
    """A card whose files may be damaged."""
    shutil.copytree(golden / "base", tmp_path / "base")
    shutil.copytree(golden / "adapters", tmp_path / "adapters")
    adapters = tuple(replace(one, repository=str(tmp_path / "adapters")) for one in card.adapters)
    return replace(card, base=str(tmp_path / "base"), adapters=adapters), own_settings, tmp_path


def change(path, **tensors):
    found = load_file(path)
    for name, tensor in tensors.items():
        if tensor is None:
            del found[name]
        else:
            found[name] = tensor
    save_file(found, path)


@pytest.mark.parametrize("name", ["dreamo-v1.1", "dreamo-v1", "dreamo-v1.1-plain", "dreamo-v1-plain"])
def test_whole_files_pass_and_are_hashed(name, settings, golden):
    report = check_card(load_card(name, settings), settings)
    assert report.good
    whole = golden / "adapters/dreamo.safetensors"
    digest = hashlib.sha256(whole.read_bytes()).hexdigest()
    assert report.files["ByteDance/DreamO/dreamo.safetensors"] == (digest, whole.stat().st_size)
    assert report.parameters["transformer"] == sum(
        tensor.numel()
        for tensor in load_file(golden / "base/transformer/diffusion_pytorch_model.safetensors").values()
    )


TRANSFORMER = "base/transformer/diffusion_pytorch_model.safetensors"
DREAMO = "adapters/dreamo.safetensors"


@pytest.mark.parametrize(
    ("file", "name", "tensor", "said"),
    [
        (TRANSFORMER, "x_embedder.bias", None, "is missing"),
        (TRANSFORMER, "x_embedder.bias", torch.zeros(7), r"is \(7,\), not \(64,\)"),
        (TRANSFORMER, "x_embedder.bias", torch.full((64,), torch.nan), "not finite"),
        (TRANSFORMER, "x_embedder.other", torch.zeros(3), "belongs to no layer"),
        ("base/text_encoder/model.safetensors", "text_model.final_layer_norm.bias", None, "is missing"),
        ("base/text_encoder_2/model.safetensors", "shared.weight", torch.full((61, 32), torch.inf), "not finite"),
        ("base/vae/diffusion_pytorch_model.safetensors", "decoder.conv_in.bias", torch.zeros(2), r"is \(2,\)"),
        (DREAMO, "dreamo_task_embedding.weight", None, "is missing"),
        (DREAMO, "dreamo_t5_embedding.weight", torch.zeros(10, 8), r"is \(10, 8\)"),
        (DREAMO, "double_blocks_0_processor_mlp.down.weight", torch.zeros(2), "no layer"),
        (DREAMO, "double_blocks_0_processor_qkv_lora1.up.weight", torch.zeros(96, 4), "changes"),
        (DREAMO, "double_blocks_0_processor_qkv_lora1.down.weight", torch.full((4, 64), torch.nan), "not finite"),
        (
            "adapters/dreamo_cfg_distill.safetensors",
            "dreamo_task_embedding.weight",
            torch.zeros(2, 64),
            "no layer",
        ),
    ],
)
def test_each_kind_of_damage_is_named_by_file_and_tensor(file, name, tensor, said, copied):
    card, settings, folder = copied
    change(folder / file, **{name: tensor})
    report = check_card(card, settings)
    shown = name.removeprefix("text_model.")
    with pytest.raises(BadInput, match=said):
        BadInput.gather(report.problems)
    assert any(shown in str(problem) and str(folder) in problem.where for problem in report.problems)


def test_a_file_that_is_cut_off_is_named(copied):
    card, settings, folder = copied
    for file in (DREAMO, TRANSFORMER):
        path = folder / file
        path.write_bytes(path.read_bytes()[:-100])
    places = [problem.where for problem in check_card(card, settings).problems]
    assert [place for place in places if DREAMO in place]
    assert [place for place in places if "transformer" in place]


def test_missing_files_are_named_together(copied):
    card, settings, folder = copied
    (folder / DREAMO).unlink()
    (folder / "base/vae/config.json").unlink()
    report = check_card(card, settings)
    assert not report.good
    assert "dreamo.safetensors" in report.missing
    assert "vae/config.json" in report.missing
    assert "models fetch" not in report.missing


def test_a_missing_shard_is_named(copied):
    card, settings, folder = copied
    whole = folder / TRANSFORMER
    tensors = load_file(whole)
    whole.unlink()
    index = {"weight_map": dict.fromkeys(tensors, "part-2.safetensors")}
    (whole.parent / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert "part-2.safetensors" in check_card(card, settings).missing


def test_a_hash_is_remembered_until_the_file_changes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = file_hash(path, tmp_path / "notes")
    assert first == hashlib.sha256(b"one").hexdigest()
    assert file_hash(path, tmp_path / "notes") == first
    path.write_bytes(b"other")
    assert file_hash(path, tmp_path / "notes") == hashlib.sha256(b"other").hexdigest()
    for note in (tmp_path / "notes").iterdir():
        note.write_text("{")
    assert file_hash(path, tmp_path / "notes") == hashlib.sha256(b"other").hexdigest()


CARD = """
name = "own"
title = "mine"
generator = "dreamo"
base = "base"
embeddings = "a.safetensors"
[[adapters]]
repository = "files"
file = "a.safetensors"
scale = 0.5
"""


def test_a_card_of_ones_own_is_read(tmp_path):
    (tmp_path / "own.toml").write_text(CARD)
    card = read_card(tmp_path / "own.toml")
    assert card.adapters[0].scale == 0.5
    assert card.adapters[0].naming == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "mine"', "", "key title: is missing"),
        ('base = "base"', "base = 3", "key base: 3 is of the wrong type"),
        ('base = "base"', "grid = 8", "key grid: 8 can't be used"),
        ('base = "base"', "sides = [1024, 768]", "key sides"),
        ('base = "base"', "max_references = 12", "key max_references"),
        ('base = "base"', "colour = 1", "no card has this key"),
        ("scale = 0.5", 'scale = "x"', "adapter 1, key scale"),
        ("scale = 0.5", "strength = 1", "adapter 1, key strength: no adapter has this key"),
        ("scale = 0.5", 'naming = "kohya"', "adapter 1, key naming"),
        ('file = "a.safetensors"', "", "adapter 1, key file: is missing"),
        ('embeddings = "a.safetensors"', 'embeddings = "b"', "'b' is no adapter's file"),
        ('name = "own"', 'name = "other"', "not the file's name"),
        ("scale = 0.5", "scale = ", "is not TOML"),
    ],
)
def test_each_mistake_on_a_card_is_named(old, new, said, tmp_path):
    (tmp_path / "own.toml").write_text(CARD.replace(old, new))
    with pytest.raises(BadInput, match=said):
        read_card(tmp_path / "own.toml")


def test_the_digest_follows_what_decides_pixels(card):
    digest = card.digest({"a": "1"})
    assert digest == replace(card, title="other", notice="x", licence="y").digest({"a": "1"})
    assert digest != card.digest({"a": "2"})
    assert digest != replace(card, text_tokens=64).digest({"a": "1"})
    assert digest != replace(card, adapters=card.adapters[:-1]).digest({"a": "1"})


def test_a_damaged_file_met_while_loading_is_one_clear_error(copied):
    from core.generation.model import load_model

    card, settings, folder = copied
    (folder / DREAMO).write_bytes(b"damaged")
    with pytest.raises(BadInput, match=r"dreamline models check dreamo-v1\.1"):
        load_model(card, settings, "cpu")
