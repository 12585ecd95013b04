"""The ablation: each variant lacks just its part, and the whole of it runs, is written, and is not run twice."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from core.errors import BadInput, Stopped
from core.generation.names import INDEX, TASK
from core.settings import Settings
from core.training.ablation import NAMES, VARIANTS, Ablation, Audience, ablate, adapter_alone, check_place
from core.training.journal import read_stages
from core.training.recipes import Recipe
from core.training.shipped_recipes import mini
from core.training.world.readers import new_readers
from core.training.world.truth import SMALL
from orchestrator.cli import cli


@pytest.fixture
def whole(recipe: Recipe) -> Recipe:
    small = replace(recipe, canvases=(((64, 64), 1.0),), references=(((48, 48), 1.0),), batch=2, pool=4)
    return adapter_alone(small, 6)


def test_variants_differ_from_the_whole_in_their_own_part_alone() -> None:
    whole = adapter_alone(mini(), 300)
    assert [stage.name for stage in whole.stages] == ["warm-up", "full", "quality"]
    assert (whole.steps, whole.minutes) == (300, None)
    made = {name: change(whole) for name, change in VARIANTS.items()}
    assert made["full"] == whole
    assert made["no-embeddings"] == replace(whole, embeddings=False)
    assert all(stage.routing is None for stage in made["no-routing"].stages)
    assert any(stage.placeholder_weight for stage in made["no-routing"].stages)
    assert not any(stage.placeholder_weight for stage in made["no-placeholder-loss"].stages)
    assert [stage.name for stage in made["no-progressive-training"].stages] == ["full", "quality"]
    assert [stage.name for stage in made["no-quality-stage"].stages] == ["warm-up", "full"]
    for recipe in made.values():
        assert sum(stage.share for stage in recipe.stages) == pytest.approx(1)


def test_every_variant_is_trained_measured_and_written_once(
    whole: Recipe, nano_base: Path, tmp_path: Path
) -> None:
    plan = Ablation(whole, nano_base.parent / "run", 2, ("subject", "two-subjects"))
    (plan.weights / "base").parent.mkdir(exist_ok=True)
    if not (plan.weights / "base").exists():
        (plan.weights / "base").symlink_to(nano_base)
    settings = Settings(home=tmp_path / "home", device="cpu", cache_gb=0)
    said: list[str] = []
    found = ablate(plan, tmp_path, settings, new_readers(SMALL), audience=Audience(said.append))
    assert [variant.name for variant in found] == list(VARIANTS)
    roles = load_file(tmp_path / "no-embeddings" / "adapter" / "dreamo.safetensors")
    assert not roles[TASK].any()
    assert not roles[INDEX].any()
    assert load_file(tmp_path / "full" / "adapter" / "dreamo.safetensors")[TASK].any()
    losses = {name: {loss for stage in read_stages(tmp_path / name) for loss in stage.losses} for name in VARIANTS}
    assert "route P" in losses["full"]
    assert "route P" not in losses["no-routing"]
    assert all({row.task for row in variant.report.rows} == set(plan.tasks) for variant in found)
    assert all(0 <= variant.response.owners <= 1 for variant in found)
    table = (tmp_path / "ablation.md").read_text()
    assert all(name in table for name in NAMES.values())
    assert len(json.loads((tmp_path / "ablation.json").read_text())["variants"]) == len(VARIANTS)
    assert (tmp_path / "responses.png").stat().st_size > 0
    told = len(said)
    assert ablate(plan, tmp_path, settings, new_readers(SMALL), audience=Audience(said.append)) == found
    assert len(said) == told
    more = replace(plan, samples=1, tasks=("subject",), variants=("full",))
    (again,) = ablate(more, tmp_path, settings, new_readers(SMALL), audience=Audience(said.append))
    assert (again.report.count, {row.task for row in again.report.rows}) == (1, {"subject"})
    assert again.response == found[0].response


@pytest.mark.parametrize("stopped", [True, False])
def test_a_variant_of_another_plan_is_not_taken_for_this_one(
    stopped: bool, whole: Recipe, nano_base: Path, tmp_path: Path
) -> None:
    for name in ("weights", "moved"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "base").symlink_to(nano_base)
    shutil.copytree(nano_base, tmp_path / "others" / "base")
    changed = tmp_path / "others" / "base" / "transformer" / "diffusion_pytorch_model.safetensors"
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    plan = Ablation(whole, tmp_path / "weights", 1, ("subject",), ("full",))
    settings, readers = Settings(home=tmp_path / "home", device="cpu", cache_gb=0), new_readers(SMALL)
    with pytest.raises(Stopped) if stopped else contextlib.nullcontext():
        ablate(plan, tmp_path / "out", settings, readers, audience=Audience(stop=lambda: stopped))
    for other, said in (
        (replace(plan, recipe=replace(whole, seed=3)), r"full: holds a variant of another plan \(seed 0, not 3\)"),
        (replace(plan, recipe=replace(whole, steps=9)), "steps 6, not 9"),
        (replace(plan, recipe=replace(whole, ema=0.5)), r"\(ema\)"),
        (replace(plan, weights=tmp_path / "others"), "weights [0-9a-f]+, not [0-9a-f]+"),
    ):
        never = replace(other, variants=("no-routing", "full"))
        with pytest.raises(BadInput, match=said):
            ablate(never, tmp_path / "out", settings, readers)
    assert not (tmp_path / "out" / "no-routing").exists()
    check_place("full", replace(plan, weights=tmp_path / "moved"), tmp_path / "out" / "full")
    (tmp_path / "out" / "full" / "plan.json").unlink()
    with pytest.raises(BadInput, match="nothing tells which"):
        ablate(plan, tmp_path / "out", settings, readers)


def test_an_ablation_that_is_stopped_goes_on(whole: Recipe, nano_base: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "base").symlink_to(nano_base)
    plan = Ablation(whole, weights, 1, ("subject",), ("full",))
    settings = Settings(home=tmp_path / "home", device="cpu", cache_gb=0)
    with pytest.raises(Stopped):
        ablate(plan, tmp_path / "out", settings, new_readers(SMALL), audience=Audience(stop=lambda: True))
    assert not (tmp_path / "out" / "full" / "ablation.json").exists()
    (variant,) = ablate(plan, tmp_path / "out", settings, new_readers(SMALL))
    assert variant.seen > 0


def test_unknown_variants_are_refused(whole: Recipe, tmp_path: Path) -> None:
    plan = Ablation(whole, tmp_path, 1, ("subject",), ("no-attention",))
    with pytest.raises(BadInput, match=r"no-attention.*no-routing"):
        ablate(plan, tmp_path, Settings(home=tmp_path), new_readers(SMALL))


def test_a_recipe_that_trains_no_adapter_part_by_part_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["train", "ablation", "mini-turbo", "-o", str(tmp_path / "out")], obj=Settings()
    )
    assert "recipe mini-turbo: has no stage 'full'" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_an_ablation_that_is_stopped_says_the_whole_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*given: object, **more: object) -> None:
        raise Stopped("asked to stop")

    monkeypatch.setattr("core.training.ablation.ablate", stopped)
    told = ["mini", "--steps", "9", "--samples", "3", "--tasks", "subject", "--variants", "full,no-routing"]
    told += ["--start", "kept", "--seed", "4", "--set", "batch=2", "--set", "rank=4", "--device", "cpu"]
    told += ["-o", str(tmp_path / "an out"), "--json"]
    done = CliRunner().invoke(cli, ["train", "ablation", *told], obj=Settings())
    assert done.exit_code == 130
    again = shlex.split(done.output.partition("`")[2].partition("`")[0])
    assert again[:4] == ["dreamline", "train", "ablation", "mini"]
    assert sorted(again[3:]) == sorted(told)
    assert again[again.index("-o") + 1] == str(tmp_path / "an out")
    bare = CliRunner().invoke(cli, ["train", "ablation"], obj=Settings())
    assert "`dreamline train ablation` goes on" in bare.output
