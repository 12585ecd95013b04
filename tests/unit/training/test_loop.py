"""A stage's loop: the same losses after a kill, the way back from a divergence, averages, rates."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from core.errors import BadInput, Stopped
from core.generation.transformer import DreamOTransformer
from core.training.adapter import adapter_tensors
from core.training.autoencoder import PatchEncoder
from core.training.checkpoints import newest_checkpoint, save_checkpoint
from core.training.export import export_model
from core.training.loop import Length, Loop, Progress
from core.training.muon import orthogonal
from core.training.optimising import Average, rate_factor
from core.training.recipes import Recipe, Stage
from core.training.runs import KEPT_WEIGHTS, Run
from core.training.shipped_recipes import RECIPES, mini
from core.training.trainee import UNKNOWN_ID, Chances


def short(recipe: Recipe, steps: int, stages: int = 1) -> Recipe:
    """The first stages from the base on, so many steps each."""
    pictured = [stage for stage in recipe.stages if stage.trains != "words"]
    kept = tuple(replace(stage, share=1.0 / stages) for stage in pictured[:stages])
    return replace(recipe, steps=steps * stages, stages=kept)


def journal(folder: Path, stage: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / stage / "journal.jsonl").read_text().splitlines()]


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.training.loop.SAID_EVERY", 1)


@pytest.mark.usefixtures("every_step")
def test_the_losses_after_a_resume_are_those_of_a_run_that_was_not_stopped(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = short(recipe, 6)
    Run(whole, tmp_path / "whole").train()

    class Stopped(Exception):
        pass

    step = Loop.step

    def stopping(self: Loop, batches: object) -> dict[str, float]:
        if self.progress.step == 3:
            self.keep()
            raise Stopped
        return step(self, batches)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "step", stopping)
        with pytest.raises(Stopped):
            Run(whole, tmp_path / "stopped").train()
    Run(whole, tmp_path / "stopped").train()
    first, second = journal(tmp_path / "whole", "base"), journal(tmp_path / "stopped", "base")
    assert [line["step"] for line in second] == [1, 2, 3, 4, 5, 6]
    told = [line["loss"] for line in first]
    assert [line["loss"] for line in second] == pytest.approx(told, rel=5e-5)
    assert told[3:] != pytest.approx(told[:3], rel=1e-2)


def test_a_run_that_was_killed_goes_on(tmp_path: Path, recipe: Recipe) -> None:
    script = (
        "import sys, torch\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from core.training.shipped_recipes import nano\n"
        "from core.training.runs import Run\n"
        "torch.set_num_threads(1)\n"
        "import core.training.loop as loop\n"
        "loop.SAID_EVERY = 1\n"
        "one = nano()\n"
        "one = replace(one, drawers=0, steps=60, checkpoint_minutes=1e-6,"
        " stages=(replace(one.stage('base'), share=1.0),))\n"
        "Run(one, Path(sys.argv[1])).train()\n"
    )
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)])
    deadline = time.monotonic() + 120
    while len(list((folder / "base" / "checkpoints").glob("step-*.pt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    reached = newest_checkpoint(folder / "base" / "checkpoints")
    assert reached is not None
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=200)
    steps = [line["step"] for line in journal(folder, "base")]
    assert steps[-1] == 60
    assert steps.count(reached["progress"]["step"] + 1) >= 1
    assert (folder / "base" / "finished").exists()


@pytest.mark.usefixtures("every_step")
def test_a_loss_that_is_no_number_goes_back_with_half_the_rate(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, broken = Loop.step, []

    def breaking(self: Loop, batches: object) -> dict[str, float]:
        figures = step(self, batches)  # type: ignore[arg-type]
        if self.progress.step == 4 and not broken:
            broken.append(1)
            figures["loss"] = math.nan
        return figures

    monkeypatch.setattr(Loop, "step", breaking)
    Run(replace(short(recipe, 6), checkpoint_minutes=1e-6), tmp_path / "run").train()
    lines = journal(tmp_path / "run", "base")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    before, after = lines[2], lines[3]
    assert after["rate"] < 0.6 * before["rate"]


@pytest.mark.usefixtures("every_step")
def test_all_stages_follow_one_another_and_routing_is_in_all_but_the_last(tmp_path: Path, recipe: Recipe) -> None:
    seen = []
    one = short(recipe, 3, stages=5)
    Run(one, tmp_path, lambda progress, length, figures: seen.append((progress.step, dict(figures)))).train()
    assert "route P" in journal(tmp_path, "warm-up")[-1] or "route P" in journal(tmp_path, "warm-up")[0]
    assert not any("route P" in line for line in journal(tmp_path, "quality"))
    assert (tmp_path / "adapter" / "dreamo.safetensors").exists()
    assert (tmp_path / "base" / "transformer" / "config.json").exists()
    assert len(seen) == 15
    Run(one, tmp_path).train()
    assert len(journal(tmp_path, "quality")) == 3


def test_a_stage_of_everything_leaves_a_base_and_an_adapter_that_have_learnt(
    tmp_path: Path, recipe: Recipe, nano_base: Path
) -> None:
    stage = replace(recipe.stage("joint"), share=1.0, alone=0.5)
    assert stage.trains == "everything"
    run = Run(replace(short(recipe, 4), stages=(stage,)), tmp_path / "run")
    run.begin_with(nano_base)
    before = load_file(run.base_folder / "transformer" / "diffusion_pytorch_model.safetensors")
    run.train()
    after = load_file(run.base_folder / "transformer" / "diffusion_pytorch_model.safetensors")
    assert after.keys() == before.keys()
    assert not torch.equal(after["x_embedder.weight"].float(), before["x_embedder.weight"].float())
    learnt = load_file(run.adapter_file)
    assert any(tensor.any() for name, tensor in learnt.items() if name.endswith(".up.weight"))


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    Run(recipe, tmp_path)
    with pytest.raises(BadInput, match="another recipe"):
        Run(replace(recipe, seed=7), tmp_path)


def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    save_checkpoint({"progress": {"step": 1}}, tmp_path, 1)
    path = save_checkpoint({"progress": {"step": 2}}, tmp_path, 2)
    path.write_bytes(path.read_bytes()[:50])
    state = newest_checkpoint(tmp_path)
    assert state is not None
    assert state["progress"]["step"] == 1
    save_checkpoint({"progress": {"step": 3}}, tmp_path, 3)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_rate_rises_holds_and_falls() -> None:
    stage = Stage("s", "base", 1.0, (("text", 1.0),), 1.0, warm_up=10, decay=0.25)
    assert rate_factor(0, 0.0, stage) == pytest.approx(0.1)
    assert rate_factor(50, 0.5, stage) == 1
    assert rate_factor(50, 0.875, stage) == pytest.approx(0.5)
    assert rate_factor(50, 1.0, stage) == 0
    assert rate_factor(0, 0.875, stage) == pytest.approx(0.05)


def test_time_on_a_sleeping_machine_does_not_count(tmp_path: Path) -> None:
    loop = Loop.__new__(Loop)
    loop.progress, loop.usual, loop.accelerator = Progress(), None, Accelerator(cpu=True)
    for seconds in (1.0, 1.0, 300.0, 1.0):
        loop._count(seconds)
    assert loop.progress.seconds == pytest.approx(4.0)


def test_length_is_a_share_of_steps_or_of_minutes() -> None:
    recipe = RECIPES["nano"]()
    assert Length.of(replace(recipe, steps=100), replace(recipe.stage("base"), share=0.3)).steps == 30
    timed = Length.of(replace(recipe, steps=None, minutes=10.0), replace(recipe.stage("base"), share=0.3))
    assert timed.seconds == pytest.approx(180)
    assert Progress(seconds=90).share(timed) == pytest.approx(0.5)


def test_the_average_follows_slowly_once_it_is_old() -> None:
    parameters = {"a": torch.zeros(3)}
    average = Average(parameters, 0.9)
    parameters["a"] += 1
    average.update(parameters)
    early = float(average.values["a"][0])
    for _ in range(50):
        average.update(parameters)
    assert 0.5 < early < 1
    assert float(average.values["a"][0]) == pytest.approx(1, abs=1e-3)


def test_what_is_left_to_chance_follows_from_seed_and_step() -> None:
    assert torch.equal(Chances.of(1, 2).times(5), Chances.of(1, 2).times(5))
    assert not torch.equal(Chances.of(1, 2).times(5), Chances.of(1, 3).times(5))
    assert not torch.equal(Chances.of(1, 2).times(5), Chances.of(1, 2, part=1).times(5))


def test_shifted_noise_levels_are_those_of_a_shifted_schedule() -> None:
    even, shifted = Chances.of(0, 1).times(200), Chances.of(0, 1).times(200, 2.5)
    assert torch.allclose(shifted, 2.5 * even / (1 + 1.5 * even), atol=1e-6)
    assert even.median() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8)])
def test_muons_matrices_come_out_nearly_orthogonal(shape: tuple[int, ...]) -> None:
    turned = orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(turned)
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_a_run_can_begin_with_the_weights_of_another(tmp_path: Path, recipe: Recipe, nano_base: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(nano_base, weights / "base")
    (weights / "base" / "finished").touch()
    run = Run(short(recipe, 2), tmp_path / "run")
    run.begin_with(weights)
    assert not run.finished(recipe.stage("base"))
    begun = run.new_base().transformer.state_dict()
    given = DreamOTransformer.from_pretrained(nano_base / "transformer").state_dict()
    assert all(torch.equal(begun[name], value) for name, value in given.items())
    run.train()
    assert run.finished(recipe.stage("base"))


def test_a_run_can_begin_with_an_exported_model(tmp_path: Path, recipe: Recipe, nano_base: Path) -> None:
    whole = short(recipe, 2, stages=2)
    first = Run(whole, tmp_path / "first")
    first.train()
    card = export_model(first, tmp_path / "model", "small")
    run = Run(whole, tmp_path / "run")
    run.begin_with(card.parent / "small")
    assert {path.name for path in run.base_folder.iterdir()} == {
        *("transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
    }
    assert load_file(run.adapter_file).keys() == load_file(first.adapter_file).keys()
    assert [(one["stage"], one["steps"]) for one in run.stages_before()] == [("base", 2), ("warm-up", 2)]
    base, adapter = run.parts(whole.stage("warm-up"))
    assert adapter is not None
    found = adapter_tensors(base.transformer, adapter)
    kept = load_file(card.parent / "small" / "dreamo.safetensors")
    assert all(torch.equal(found[name], value.float()) for name, value in kept.items())


def test_weights_of_another_shape_are_refused(tmp_path: Path, nano_base: Path) -> None:
    shutil.copytree(nano_base, tmp_path / "weights" / "base")
    with pytest.raises(BadInput, match="double and single blocks"):
        Run(mini(), tmp_path / "run").begin_with(tmp_path / "weights")
    with pytest.raises(BadInput, match="no base/transformer"):
        Run(mini(), tmp_path / "run").begin_with(tmp_path / "nothing")


def test_a_run_that_is_asked_to_stop_writes_a_checkpoint_first(tmp_path: Path, recipe: Recipe) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Stopped):
        Run(short(recipe, 6), tmp_path, stop=stop).train()
    state = newest_checkpoint(tmp_path / "base" / "checkpoints")
    assert state is not None
    assert state["progress"]["step"] == 3
    Run(short(recipe, 6), tmp_path).train()
    assert journal(tmp_path, "base")[-1]["step"] == 6


def test_the_kept_weights_fit_their_recipe(tmp_path: Path) -> None:
    run = Run(mini(), tmp_path)
    run.begin_with(KEPT_WEIGHTS["mini"])
    base = run.new_base()
    assert sum(parameter.numel() for parameter in base.transformer.parameters()) == 5_146_176
    assert PatchEncoder.read(base.vae) is not None
    assert UNKNOWN_ID not in base.tokenizers.ids("a mug from [ref#1] on the beach at night")[1].tolist()[0]
