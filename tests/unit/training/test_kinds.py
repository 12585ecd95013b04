"""A kind of one's own: what is learnt is its role alone, it is pinned, and its package keeps its promises."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import pytest
import torch
from safetensors.torch import load_file, save_file

from core import hookspecs
from core.asking import combination_problems, make_reference
from core.cards import ModelCard, load_card, read_card
from core.conditions import ConditionType
from core.errors import BadInput, Infrastructure, Stopped
from core.generation.model import read_embeddings, read_roles
from core.generation.names import TASK
from core.generation.sequence import RoleVectors
from core.registry import Registry
from core.requests import Method, Preparation, Role
from core.roles import MISSING, with_roles_pinned
from core.settings import Settings
from core.training.adapter import lora_parameters
from core.training.data.drawn import draw_samples
from core.training.data.writing import write_samples
from core.training.kind_adapter import KindAdapter
from core.training.kind_measures import ALONE, AS_DREAMO, OWN, batches, errors_of, measure_held_out
from core.training.kind_plans import KindPlan
from core.training.kind_reports import markdown, report_of
from core.training.kinds import COPIED, KindRun, card_text
from core.training.recipes import Stage
from core.training.world.palette import COLOURS
from core.training.world.samples import Canvas, Sample
from core.training.world.truth import SMALL, Product
from dreamline.conformance import check_plugin
from orchestrator.plugin_package import write_package
from orchestrator.working.references import open_references

pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")


def palettes(count: int, split: str = "train") -> list[Sample]:
    drawn = draw_samples("small", "palette", range(count), Canvas(128, 128), Canvas(96, 96), split)
    return [sample for sample in drawn if isinstance(sample, Sample)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("palettes") / "data"
    write_samples(palettes(20), folder)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def card(settings: Settings) -> ModelCard:
    return load_card("dreamo-mini", settings)


def plan(data: Path, **more: Any) -> KindPlan:
    return replace(KindPlan("palette", data, steps=2, batch=2, drawers=0, rank=2), **more)


@pytest.fixture(scope="module")
def taught(data: Path, card: ModelCard, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> KindRun:
    """Two steps, one for the role and one for the adapter."""
    run = KindRun(plan(data, adapter=True), card, settings, tmp_path_factory.mktemp("taught"))
    run.train()
    return run


def test_a_card_shows_the_colours_that_its_product_has_and_the_caption_tells_none() -> None:
    for sample in palettes(12):
        product = sample.scene.things[0].thing
        assert isinstance(product, Product)
        levels = sample.references[0].picture.getcolors(96 * 96)
        assert levels is not None
        (_, first), (_, second) = sorted(
            ((count, level) for count, level in levels if level != (255, 255, 255)), reverse=True
        )[:2]
        for seen, name in ((first, product.look.colour), (second, product.look.second)):
            nearest = min(SMALL.colours, key=lambda known: distance(COLOURS[known], seen))
            assert nearest == name
        assert not set(SMALL.colours) & set(sample.caption.replace(",", "").split())
        assert product.look.colour in sample.spoken
    assert [one.caption for one in palettes(3)] == [one.caption for one in palettes(3)]
    assert palettes(1)[0].target.tobytes() != palettes(1, "new")[0].target.tobytes()


def distance(one: tuple[int, ...], other: Any) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def test_a_role_alone_is_learnt_and_the_model_stays_as_it_is(
    data: Path, card: ModelCard, settings: Settings, tmp_path: Path
) -> None:
    run = KindRun(plan(data), card, settings, tmp_path)
    before = {name: tensor.clone() for name, tensor in run.trainee.state_dict().items()}
    run.train()
    after = run.trainee.state_dict()
    assert {name for name, tensor in after.items() if not torch.equal(tensor, before[name])} == {"adapter.role_1W"}
    assert run.roles == {"dreamo-mini": tmp_path / "run" / "roles" / "dreamo-mini.safetensors"}
    told = load_file(run.role_file)
    assert {name: tuple(tensor.shape) for name, tensor in told.items()} == {TASK: (1, 192)}
    rows = read_embeddings(card, settings)
    read = read_roles(run.role_file, RoleVectors(*list(rows.values())[:2]), 192)
    assert torch.equal(read.task_2W[0], told[TASK][0])
    assert (run.learnt, len(run.held_out)) == (16, 4)
    again = KindRun(plan(data), card, settings, tmp_path)
    again.train()
    assert markdown(report_of(again)) == markdown(report_of(run))
    with pytest.raises(BadInput, match="is of another training"):
        KindRun(plan(data, seed=3), card, settings, tmp_path)


def test_an_adapter_is_a_model_card_and_the_kind_has_a_role_for_either_model(
    taught: KindRun, settings: Settings
) -> None:
    assert set(taught.roles) == {"dreamo-mini", "dreamo-mini-palette"}
    card = load_card(str(taught.card_file), settings)
    assert (card.base_name, card.world, len(card.adapters)) == ("dreamo-mini-palette", "small", 2)
    from core.asking import make_request
    from core.generation.dreamo import DreamO

    (sample,) = palettes(1, "new")
    prepared = Preparation(sample.references[0].picture, role=Role(taught.roles))
    kinds = {"palette": ConditionType(name="palette", title="A card", prepare=lambda *told: prepared)}
    reference = reference_of(kinds["palette"], settings)
    request = make_request(card, kinds, "a mug from [it]", [reference], width=128, height=128, seed=1, steps=1)
    (made,) = DreamO(card, settings, "cpu").generate([request], [[prepared]])
    assert made.picture.size == (128, 128)


def test_measuring_knows_the_three_ways_apart(taught: KindRun) -> None:
    found = taught.measured(taught.recipe.stages[0])
    assert found[OWN].count == found[f"saved {OWN}"].count == 4
    assert found[ALONE].mean != found[OWN].mean
    assert "| role | 1 |" in markdown(report_of(taught))
    adapter = taught.trainee.adapter
    assert isinstance(adapter, KindAdapter)
    batch = next(batches(taught.drawing(taught.recipe.stages[0]), taught.held_out[:2]))
    before = {way: errors_of(taught.trainee, batch, way) for way in (ALONE, AS_DREAMO, OWN)}
    # Not the same in all channels: that is what layer norms take away.
    other = torch.linspace(-1, 1, adapter.role_1W.shape[1])
    with torch.no_grad():
        adapter.role_1W += other
        after = {way: errors_of(taught.trainee, batch, way) for way in (ALONE, AS_DREAMO, OWN)}
        adapter.role_1W -= other
    assert torch.equal(before[ALONE], after[ALONE])
    assert torch.equal(before[AS_DREAMO], after[AS_DREAMO])
    assert not torch.equal(before[OWN], after[OWN])


def test_held_out_samples_that_cant_be_read_are_left_out_of_the_measurement(
    taught: KindRun, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawing, entries = taught.drawing(taught.recipe.stages[0]), taught.held_out
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(entries[0].target.read_bytes()[:200])
    some = [replace(entries[0], target=damaged), replace(entries[1], target=tmp_path / "gone.png"), *entries[2:]]
    assert measure_held_out(taught.trainee, drawing, some)[OWN].count == 2
    assert "damaged.png" in caplog.text
    assert "gone.png" in caplog.text
    with pytest.raises(BadInput, match=r"none of them\. Bring their pictures back"):
        measure_held_out(taught.trainee, drawing, some[:2])


def test_a_training_that_is_stopped_goes_on_from_its_checkpoint(
    data: Path, card: ModelCard, settings: Settings, tmp_path: Path
) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    run = KindRun(plan(data, steps=3), card, settings, tmp_path, stop=stop)
    with pytest.raises(Stopped):
        run.train()
    seen: list[int] = []
    again = KindRun(
        plan(data, steps=3), card, settings, tmp_path, shown=lambda now, length, figures: seen.append(now.step)
    )
    again.train()
    assert seen == [3]
    assert len(asked) == 2


def test_a_training_does_not_go_on_with_other_samples(card: ModelCard, settings: Settings, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_samples(palettes(20), data)
    first = data / "targets" / "000000.png"
    whole, last = first.read_bytes(), data / "targets" / "000019.png"
    first.write_bytes(b"")
    run = KindRun(plan(data), card, settings, out)
    with pytest.raises(BadInput, match=r"000000\.png"):
        run.train()
    first.write_bytes(whole)
    asked = iter([False, True])
    with pytest.raises(Stopped):
        KindRun(plan(data), card, settings, out, stop=lambda: next(asked)).train()
    lines = (data / "samples.jsonl").read_text()

    def mended_by(change: Callable[[], object], back: Callable[[], object]) -> None:
        change()
        with pytest.raises(
            BadInput, match=r"data: has other samples than those .*run has begun .*-o to begin anew"
        ):
            KindRun(plan(data), card, settings, out)
        back()
        KindRun(plan(data), card, settings, out)

    mended_by(
        lambda: first.write_bytes((data / "targets" / "000001.png").read_bytes()), lambda: first.write_bytes(whole)
    )
    mended_by(first.unlink, lambda: first.write_bytes(whole))
    for changed in (lines.replace("a ", "the ", 1), lines + lines.splitlines()[0] + "\n"):
        rewrite = partial((data / "samples.jsonl").write_text, changed)
        mended_by(rewrite, lambda: (data / "samples.jsonl").write_text(lines))
    last.unlink()
    elsewhere = data.rename(tmp_path / "elsewhere")
    again = KindRun(plan(elsewhere), card, settings, out)
    again.train()
    assert again.measured(again.recipe.stages[0])[OWN].count == 3


def test_an_adapter_begins_as_its_seed_says(
    data: Path, card: ModelCard, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(name: str, chance: int, seed: int = 0) -> dict[str, torch.Tensor]:
        def train_stage(run: KindRun, stage: Stage) -> None:
            assert isinstance(run.trainee.adapter, KindAdapter)
            run.role_file.parent.mkdir(exist_ok=True)
            save_file(run.trainee.adapter.tensors(), run.role_file)

        monkeypatch.setattr(KindRun, "train_stage", train_stage)
        torch.manual_seed(chance)
        run = KindRun(plan(data, adapter=True, seed=seed), card, settings, tmp_path / name)
        run.train()
        return {one: tensor.detach() for one, tensor in lora_parameters(run.base.transformer).items()}

    one, again, other = begun("one", 1), begun("again", 2), begun("other", 1, seed=5)
    assert any(tensor.any() for tensor in one.values())
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_card_of_an_adapter_says_all_that_its_models_card_says(card: ModelCard, tmp_path: Path) -> None:
    own = {"name", "title", "base", "base_name", "adapters", "embeddings", "generator", "source"}
    assert {one.name for one in fields(ModelCard)} - own == set(COPIED)
    told = replace(card, languages=("en", "de"), alone=("style",), true_cfg_end=7, untried=True, world="full")
    (tmp_path / "mine.toml").write_text(card_text(told, "mine", "palette"))
    made = read_card(tmp_path / "mine.toml")
    assert {name: getattr(made, name) for name in COPIED} == {name: getattr(told, name) for name in COPIED}


def test_samples_without_the_kind_and_too_few_of_them_are_refused(
    data: Path, card: ModelCard, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"samples\.jsonl, line 1: has no reference of kind 'pet'"):
        KindRun(plan(data, name="pet"), card, settings, tmp_path)
    write_samples(palettes(3), tmp_path / "few")
    with pytest.raises(BadInput, match=r"has 3 samples\. Give at least 16"):
        KindRun(plan(tmp_path / "few"), card, settings, tmp_path / "run")
    with pytest.raises(BadInput, match="takes no references"):
        KindRun(plan(data), replace(card, embeddings=""), settings, tmp_path / "run")


def test_only_references_of_the_kind_get_its_role() -> None:
    rows = {
        TASK: torch.randn(2, 8),
        "dreamo_idx_embedding.weight": torch.randn(10, 8),
        "dreamo_t5_embedding.weight": torch.randn(10, 4),
    }
    adapter = KindAdapter("pet", rows)
    with torch.no_grad():
        adapter.role_1W += 1
    assert torch.equal(adapter.vectors_of("subject").task_2W, rows[TASK])
    assert torch.equal(adapter.vectors_of("pet").task_2W[0], rows[TASK][0] + 1)
    assert torch.equal(adapter.vectors_of("pet").task_2W[1], rows[TASK][1])
    adapter.worn = False
    assert torch.equal(adapter.vectors_of("pet").task_2W, rows[TASK])


def imported(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_the_package_keeps_its_promises_with_the_role_that_was_learnt(
    taught: KindRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMLINE_HOME", str(tmp_path / "home"))
    files = write_package("palette", tmp_path / "package", {}, taught.roles)
    assert [str(path.relative_to(tmp_path / "package")) for path in files] == [
        "pyproject.toml",
        "dreamline_palette/__init__.py",
        "test_dreamline_palette.py",
        "README.md",
        "dreamline_palette/roles/dreamo-mini.safetensors",
        "dreamline_palette/roles/dreamo-mini-palette.safetensors",
    ]
    module = imported(files[1], "dreamline_palette")
    try:
        (kind,) = module.condition_types()
        assert set(kind.role.files) == {"dreamo-mini", "dreamo-mini-palette"}
        for check in ("hooks", "names", "options", "methods", "prepares", "repeats", "image"):
            check_plugin(module, check, name="palette")
    finally:
        sys.modules.pop("dreamline_palette")


def kind_with(files: Mapping[str, Path], **more: Any) -> ConditionType[Any]:
    return ConditionType(name="pet", title="A pet", prepare=lambda *told: None, role=Role(files), **more)  # type: ignore[arg-type,return-value]


def offered(condition: ConditionType[Any]) -> Registry:
    """A registry with a plugin that offers the kind."""

    class Plugin:
        __version__ = "1"

        @staticmethod
        @hookspecs.hookimpl
        def condition_types() -> list[ConditionType[Any]]:
            return [condition]

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin, name="pets")
    return Registry(manager)


def reference_of(condition: ConditionType[Any], settings: Settings) -> Any:
    offer = offered(condition).kinds()[condition.name]
    made, problems = make_reference("it", b"picture", "it.png", offer, {}, settings, "here")
    assert not problems
    return made


def test_another_role_file_is_another_reference(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "dreamo-mini.safetensors"
    condition = kind_with({"dreamo-mini": path}, by_mask=Method("mask"))
    assert reference_of(condition, settings).method.weights == {"role dreamo-mini": MISSING}
    save_file({TASK: torch.zeros(1, 8)}, path)
    one = reference_of(condition, settings)
    save_file({TASK: torch.ones(1, 9)}, path)
    other = reference_of(condition, settings)
    assert one.method.weights.keys() == other.method.weights.keys() == {"role dreamo-mini"}
    assert one.method.weights != other.method.weights
    pinned = with_roles_pinned(condition)
    assert pinned.by_mask is not None
    assert dict(pinned.by_mask.weights) == dict(other.method.weights)
    plain = kind_with({})
    assert with_roles_pinned(plain) is plain


def test_a_worker_with_other_role_files_makes_no_image(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "dreamo-mini.safetensors"
    save_file({TASK: torch.zeros(1, 8)}, path)
    condition = kind_with({"dreamo-mini": path})
    reference = reference_of(condition, settings)
    payload = {
        "references": [{"result": "x", "mask": None, "kind": "pet"}],
        "request": {"references": [reference.as_dict()]},
    }
    save_file({TASK: torch.ones(1, 9)}, path)
    with pytest.raises(Infrastructure, match="kind pet was planned with other role files than are here"):
        open_references(None, offered(condition), payload)  # type: ignore[arg-type]
    with pytest.raises(Infrastructure, match="install pets 1 as it was"):
        open_references(None, offered(kind_with({})), payload)  # type: ignore[arg-type]


def test_a_model_without_a_role_of_the_kind_is_refused_when_it_is_planned(
    tmp_path: Path, card: ModelCard, settings: Settings
) -> None:
    kinds = {"pet": kind_with({"flux-dev": tmp_path / "flux-dev.safetensors"})}
    (problem,) = combination_problems(card, kinds, ["pet"], "here")
    assert "kind pet has no role for the base 'dreamo-mini' of dreamo-mini" in str(problem)
    assert not [*combination_problems(replace(card, base_name="flux-dev"), kinds, ["pet"], "here")]
    assert not [*combination_problems(load_card("storyboard", settings), kinds, ["pet"], "here")]


def test_a_damaged_role_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "role.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"role\.safetensors: can't be read as a role"):
        read_roles(path, RoleVectors(torch.zeros(2, 8), torch.zeros(10, 8)), 8)
