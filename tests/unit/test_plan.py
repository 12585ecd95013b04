"""Plans: exactly the jobs that a change touches get other keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy
import pytest
from PIL import Image

from core import hookspecs
from core.conditions import ConditionType, Workbench
from core.errors import PluginError
from core.generation import builtin
from core.hookspecs import hookimpl
from core.registry import Registry
from core.requests import Method, Preparation, Request
from core.settings import Settings
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan

CAMPAIGN = """
campaign: two-kinds
model: storyboard
rows:
  - {{sku: mug, kind: thing, image: mug.png}}
  - {{sku: ann, kind: face, image: ann.png}}
references:
  it: {{kind: "{kind}", image: "{{{{ row.image }}}}"{options}}}
prompt: "one {{{{ row.sku }}}} from [it]"
seeds: 2
"""


@dataclass(frozen=True)
class Options:
    margin: float = 0.1


@dataclass
class Kind:
    """A plugin with one kind, made of what a test wants to change."""

    name: str
    __version__: str = "1"
    weights: str = "0" * 64
    changes: Mapping[str, Any] | None = None

    @hookimpl
    def condition_types(self) -> Sequence[ConditionType[Any]]:
        def prepare(picture: Any, options: Options, bench: Workbench) -> Preparation:
            raise AssertionError("planning prepares nothing")

        def methods(settings: Settings) -> Sequence[Method]:
            return [Method("net", "1", {"net.onnx": self.weights}), Method("plain")]

        return [ConditionType(name=self.name, title=self.name, prepare=prepare, options=Options, methods=methods)]

    @hookimpl
    def before_generate(self, request: Request) -> Mapping[str, Any] | None:
        return self.changes


@pytest.fixture
def keys(tmp_path: Path) -> Callable[..., dict[str, set[str]]]:
    """Job keys by row of a campaign with a thing and a face, each under a campaign file of its own kind."""
    for name, colour in (("mug", "red"), ("ann", "pink")):
        Image.new("RGB", (160, 160), colour).save(tmp_path / f"{name}.png")

    def plan_keys(*plugins: Kind, options: Mapping[str, str] | None = None) -> dict[str, set[str]]:
        registry = registry_of(*plugins)
        found = {}
        for kind in ("thing", "face"):
            plan = plan_of(tmp_path, registry, kind, (options or {}).get(kind, ""))
            found[kind] = {item.job for item in plan.items}
        return found

    return plan_keys


def registry_of(*plugins: Any) -> Registry:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(builtin, "generation")
    for plugin in plugins:
        manager.register(plugin, f"{plugin.name}-plugin")
    return Registry(manager)


def plan_of(folder: Path, registry: Registry, kind: str, options: str = "") -> Plan:
    path = folder / f"{kind}.yaml"
    path.write_text(CAMPAIGN.format(kind=kind, options=options))
    settings = Settings(home=folder / "home")
    return make_plan(read_brief(path, settings, registry), settings, registry)


def test_planning_twice_gives_the_same_keys(keys: Any) -> None:
    assert keys(Kind("thing"), Kind("face")) == keys(Kind("thing"), Kind("face"))


@pytest.mark.parametrize(
    ("thing", "options"),
    [
        (Kind("thing", "2"), None),
        (Kind("thing", weights="1" * 64), None),
        (Kind("thing"), {"thing": ", options: {margin: 0.2}"}),
        (Kind("thing"), {"thing": ", options: {method: plain}"}),
    ],
    ids=["plugin version", "weights file", "option", "method"],
)
def test_a_change_touches_exactly_the_jobs_of_its_kind(thing: Kind, options: Any, keys: Any) -> None:
    before = keys(Kind("thing"), Kind("face"))
    after = keys(thing, Kind("face"), options=options)
    assert after["face"] == before["face"]
    assert after["thing"].isdisjoint(before["thing"])


def test_what_a_plugin_changes_is_in_the_request_and_on_record(tmp_path: Path, keys: Any) -> None:
    registry = registry_of(Kind("thing", changes={"guidance": 2.5}), Kind("face"))
    plan = plan_of(tmp_path, registry, "thing")
    job = next(iter(plan.jobs.values()))
    assert '"guidance":2.5' in job.request
    assert '"changed_by":{"guidance":"thing-plugin"}' in job.pinned


def test_two_plugins_that_change_one_field_are_an_error_naming_both(tmp_path: Path, keys: Any) -> None:
    registry = registry_of(Kind("thing", changes={"steps": 2}), Kind("face", changes={"steps": 3}))
    with pytest.raises(PluginError, match=r"'thing-plugin'.*'steps'.*'face-plugin'"):
        plan_of(tmp_path, registry, "thing")


def test_each_distinct_reference_is_prepared_once(tmp_path: Path, keys: Any) -> None:
    plan = plan_of(tmp_path, registry_of(Kind("thing"), Kind("face")), "thing")
    assert (len(plan.items), len(plan.jobs), len(plan.preparations)) == (4, 4, 2)
