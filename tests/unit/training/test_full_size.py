"""The recipe for FLUX.1-dev on a checkpoint of the same layout with small weights: in one process and in two."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import BadInput
from core.training.recipe_files import plain_recipe
from core.training.recipes import GivenBase, Recipe
from core.training.runs import Run
from core.training.shipped_recipes import flux_dev

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "base"


def small(recipe: Recipe) -> Recipe:
    """Three steps a stage, small pictures; all else as for the full size."""
    return replace(
        recipe,
        base=GivenBase(str(GOLDEN)),
        world="small",
        stages=tuple(replace(stage, share=1 / 3, keep_tokens=stage.keep_tokens and 2) for stage in recipe.stages),
        canvases=(((96, 96), 0.5), ((112, 80), 0.5)),
        references=(((64, 64), 1.0),),
        steps=9,
        batch=2,
        pool=6,
        rank=4,
        precision="float32",
        drawers=0,
    )


def steps(folder: Path) -> dict[str, int]:
    found = {}
    for path in folder.glob("*/journal.jsonl"):
        found[path.parent.name] = json.loads(path.read_text().splitlines()[-1])["step"]
    return found


def test_it_has_the_papers_numbers() -> None:
    recipe = flux_dev()
    assert [round(stage.share * (recipe.steps or 0)) for stage in recipe.stages] == [20_000, 90_000, 3_000]
    assert {stage.rate for stage in recipe.stages} == {4e-5}
    assert (recipe.batch, recipe.rank) == (8, 128)
    warm_up, full, quality = recipe.stages
    assert warm_up.routing is not None
    assert full.routing is not None
    assert quality.routing is None
    assert full.placeholder_weight > 0


def test_without_its_base_it_says_what_is_missing(tmp_path: Path) -> None:
    recipe = replace(small(flux_dev()), base=GivenBase(str(tmp_path / "nothing")))
    with pytest.raises(BadInput, match=r"--set base\.folder"):
        Run(recipe, tmp_path / "run").train()


def test_its_stages_run_in_one_process(tmp_path: Path) -> None:
    Run(small(flux_dev()), tmp_path).train()
    assert steps(tmp_path) == {"warm-up": 3, "full": 3, "quality": 3}
    assert (tmp_path / "adapter" / "dreamo.safetensors").exists()


def test_its_stages_run_in_two_processes_that_agree(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import json, sys, torch\n"
        "from pathlib import Path\n"
        "from core.training.recipe_files import recipe_from\n"
        "from core.training.runs import Run\n"
        "torch.set_num_threads(1)\n"
        "Run(recipe_from(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2])).train()\n"
    )
    told = tmp_path / "recipe.json"
    told.write_text(json.dumps(plain_recipe(small(flux_dev()))))
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--standalone"]
    done = subprocess.run(
        [sys.executable, *launch, str(script), str(told), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps(tmp_path / "run") == {"warm-up": 3, "full": 3, "quality": 3}
    lines = (tmp_path / "run" / "full" / "journal.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["samples"] == 3 * 2 * 2


@pytest.mark.parametrize("name", ["nano", "mini", "mini-gpu"])
def test_shares_of_a_recipe_make_a_whole(name: str) -> None:
    from core.training.shipped_recipes import RECIPES

    assert sum(stage.share for stage in RECIPES[name]().stages) == pytest.approx(1)
