"""The benchmark runs where there is no GPU, at a scaled-down size."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from diffusers import FluxTransformer2DModel

from benchmarks import generate
from benchmarks.generation import ceilings, ways
from benchmarks.generation.campaigns import spent_of
from benchmarks.generation.profiles import kind_of
from benchmarks.generation.sizes import FULL, SMALL, build_model, job_of, square
from core.generation.fused import FusedTransformer


def test_each_way_is_measured_beside_plain_diffusers_and_written(tmp_path, capsys):
    file = tmp_path / "figures.json"
    asked = (
        f"--device cpu --ways plain fused --references 0 2 --times 1 --parts ways rest agreement --write {file}"
    )
    told = generate.main(asked.split())
    assert json.loads(file.read_text()) == told
    assert [(one["way"], one["references"]) for one in told["ways"]] == [
        *(("plain", count) for count in (0, 2)),
        *(("fused", count) for count in (0, 2)),
    ]
    assert told["ways"][1]["tokens"] == 64 + 16 * 16 + 2 * 8 * 8
    assert all(one["denoise"] > 0 for one in told["ways"])
    assert set(told["rest"]) == {"reference", "decode", "file"}
    assert max(told["agreement"]["plain"]) == 0
    assert 0 < max(told["agreement"]["fused"]) < 1e-6
    assert "of plain" in capsys.readouterr().out


def test_a_campaign_and_many_shapes_are_measured(capsys):
    parts = ["--parts", "campaign", "mixed", "white", "--images", "3"]
    arguments = ["--device", "cpu", "--ways", "exact", *parts, "--json"]
    with pytest.MonkeyPatch.context() as patch:
        compiled = FusedTransformer.compile_blocks
        decoder = ways.compile_decoder
        patch.setattr(FusedTransformer, "compile_blocks", lambda self, **_: compiled(self, backend="eager"))
        patch.setattr(ways, "compile_decoder", lambda vae: decoder(vae, backend="eager"))
        generate.main(arguments)
    told = json.loads(capsys.readouterr().out)
    assert [one["tokens"] for one in told["white"]] == [64 + 256 + round(64 * count * 0.68) for count in (1, 2, 3)]
    campaign = told["campaign"]
    assert campaign["image"] >= campaign["denoise"] > 0
    assert campaign["between"] > 0
    assert campaign["calls"] > 0
    assert (told["mixed"]["shapes"], told["mixed"]["compiled"]) == (26, 0)


def test_a_campaign_says_what_took_longer_than_its_steps():
    call = [0.0, 1.0, 2.0, 3.5, 5.2, 6.2, 7.2, 8.2]
    spent = spent_of([call, [told + 20 for told in call]], 4)
    assert spent == {"denoise": 16.0, "slower": pytest.approx(1.0), "between": pytest.approx(1.4)}


def test_references_of_which_a_share_is_kept_have_fewer_tokens():
    model = build_model(SMALL, "cpu", "resident")
    layout = job_of(SMALL, square(SMALL, 2), model, share=0.75).layout
    assert (layout.reference_tokens, layout.tokens) == (96, 64 + 256 + 96)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("--parts campaign --steps 2", "three steps"),
        ("--parts ways white --ways plain fp8", "exact is the one that has the part white"),
    ],
)
def test_a_part_that_could_not_be_measured_is_refused(capsys, asked, said):
    with pytest.raises(SystemExit):
        generate.main(["--device", "cpu", *asked.split()])
    assert said in capsys.readouterr().err


def test_weights_in_a_file_compute_as_those_in_memory_do(tmp_path):
    size = replace(SMALL, half=True, weights=tmp_path / "weights.bin", side=64, reference=32, steps=2)
    mapped = ways.diffusers_transformer(size, "cpu", torch.float32)
    held = FluxTransformer2DModel(**size.transformer).requires_grad_(requires_grad=False).eval()
    held.load_state_dict(mapped.state_dict())
    model = build_model(size, "cpu", "resident", ways.Shape(mapped))
    model.precision = torch.float32
    job = job_of(size, square(size, 1), model)
    found, known = (list(ways.plain_steps(one, model, job)) for one in (mapped, held))
    assert all(torch.equal(*pair) for pair in zip(found, known, strict=True))
    assert {one.dtype for one in mapped.parameters()} == {torch.bfloat16}


def test_weights_of_another_architecture_are_refused(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(bytes(64))
    asked = f"--device cpu --half --weights {file} --parts agreement"
    with pytest.raises(ValueError, match=r"weights\.bin: has 64 bytes instead of"):
        generate.main(asked.split())
    assert file.stat().st_size == 64


def test_weights_in_a_file_want_bfloat16(capsys, tmp_path):
    with pytest.raises(SystemExit):
        generate.main(["--device", "cpu", "--weights", str(tmp_path / "weights.bin")])
    assert "add --device cpu --half" in capsys.readouterr().err


@pytest.mark.parametrize(("references", "seconds"), [(0, 1.19), (1, 1.53), (2, 1.89), (3, 2.29)])
def test_the_floor_of_the_full_size_is_the_known_one(references, seconds):
    tokens = 512 + 4096 + 1024 * references
    assert ceilings.floor_of(FULL, tokens, 790, 632) == pytest.approx(seconds, abs=0.006)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16", "attention"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits>", "attention"),
        ("triton_red_fused__fused_rms_norm__scaled_dot_product_cudnn_attention__to_copy", "compiled passes"),
        ("nvjet_sm90_tst_256x128_64x4_1x2_h_bz_coopA_bias_TNT", "products"),
        ("void at::native::elementwise_kernel<128, 4, MulFunctor>", "single passes"),
    ],
)
def test_kernels_are_sorted_by_what_they_do(kernel, kind):
    assert kind_of(kernel) == kind
