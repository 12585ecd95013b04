"""The benchmark runs where there is no GPU, at a scaled-down size."""

from __future__ import annotations

import json

import pytest

from benchmarks import generate


def test_the_benchmark_measures_each_mode_beside_plain_diffusers(capsys):
    made = generate.main(["--device", "cpu", "--references", "0", "2", "--times", "1", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [(one.mode, one.references) for one in made] == [("resident", 0), ("resident", 2)]
    assert told["figures"][1]["tokens"] == 64 + 16 * 16 + 2 * 8 * 8
    assert all(one["plain_denoise"] > 0 and one["denoise"] > 0 for one in told["figures"])


@pytest.mark.parametrize(("references", "seconds"), [(0, 1.19), (1, 1.53), (2, 1.89), (3, 2.29)])
def test_the_floor_of_the_full_size_is_the_known_one(references, seconds):
    from types import SimpleNamespace

    config = SimpleNamespace(num_layers=19, num_single_layers=38)
    model = SimpleNamespace(transformer=SimpleNamespace(config=config, inner_dim=3072))
    tokens = 512 + 4096 + 1024 * references
    assert generate.floor_of(generate.FULL, tokens, model, 790, 632) == pytest.approx(seconds, abs=0.006)
