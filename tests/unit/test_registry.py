"""The registry: plugins as questions, and errors that bear a plugin's name."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pluggy
import pytest
from PIL import Image as PillowImage

from core import hookspecs
from core.cards import load_card
from core.conditions import ConditionType
from core.errors import BadInput, DreamlineError, PluginError
from core.generation import builtin
from core.hookspecs import Event, hookimpl
from core.registry import Registry, load
from core.requests import Image, Preparation, Request, Score
from core.settings import Settings


class Pets:
    """A plugin with one kind."""

    __version__ = "3"

    @hookimpl
    def condition_types(self) -> Sequence[ConditionType[Any]]:
        return [ConditionType(name="pet", title="A pet", prepare=lambda picture, options, bench: None)]  # type: ignore[arg-type,return-value]


def registry_of(**plugins: Any) -> Registry:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for name, plugin in plugins.items():
        manager.register(plugin, name)
    return Registry(manager)


def image() -> Image:
    return Image(PillowImage.new("RGB", (16, 16)), Request("m", "p", (), 16, 16, 0, 1, 1.0))


def test_the_four_kinds_are_plugins_found_by_entry_point(registry: Registry) -> None:
    kinds = registry.kinds()
    assert set(kinds) >= {"subject", "identity", "style", "tryon"}
    assert {kinds[name].plugin for name in ("subject", "style")} == {"subject", "style"}
    assert all(offer.version for offer in kinds.values())


def test_a_kind_knows_its_plugin_and_version() -> None:
    assert registry_of(pets=Pets()).kinds()["pet"].pin == "pets 3"


def test_a_kind_that_two_plugins_offer_is_an_error_naming_both_and_the_mend() -> None:
    with pytest.raises(PluginError, match=r"'pet'.*(a|b).*DREAMLINE_BLOCK=") as caught:
        registry_of(a=Pets(), b=Pets()).kinds()
    assert "'a'" in str(caught.value)
    assert "'b'" in str(caught.value)


def test_something_else_than_a_kind_is_an_error_naming_the_plugin() -> None:
    class Wrong:
        @hookimpl
        def condition_types(self) -> Any:
            return ["pet"]

    with pytest.raises(PluginError, match=r"plugin 'wrong'.*'pet', not a ConditionType"):
        registry_of(wrong=Wrong()).kinds()


def test_a_plugin_that_raises_is_named() -> None:
    class Raises:
        @hookimpl
        def score_image(self, image: Image) -> Any:
            raise ZeroDivisionError("by nothing")

    with pytest.raises(PluginError, match=r"plugin 'raises': score_image raised ZeroDivisionError: by nothing"):
        registry_of(raises=Raises()).scores("raises", image(), [], Settings())


def test_scores_are_asked_of_each_plugin_by_its_name() -> None:
    class Sharp:
        @hookimpl
        def score_image(
            self, image: Image, request: Request, references: Sequence[Preparation], settings: Settings
        ) -> Sequence[Score]:
            assert image.request is request
            assert settings.device == "cpu"
            return [Score("sharpness", len(references), "the image alone")]

    given = [Preparation(PillowImage.new("RGB", (16, 16)))]
    registry = registry_of(sharp=Sharp())
    assert registry.scorers() == ["sharp"]
    (score,) = registry.scores("sharp", image(), given, Settings(device="cpu"))
    assert (score.name, score.value) == ("sharpness", 1)
    assert registry.scores("gone", image(), given, Settings()) == []


def test_generators_of_plugins_come_before_our_own() -> None:
    class Mine:
        id = "mine/1"

        @hookimpl
        def make_generator(self) -> Any:
            return self

    card, settings = load_card("storyboard", Settings()), Settings()
    assert registry_of(generation=builtin).generator(card, settings, "cpu").id != "mine/1"
    assert registry_of(mine=Mine(), generation=builtin).generator(card, settings, "cpu").id == "mine/1"


def test_a_card_that_nobody_makes_images_for_is_an_error() -> None:
    card = load_card("storyboard", Settings())
    with pytest.raises(DreamlineError, match="no plugin makes the generator"):
        registry_of().generator(card, Settings(), "cpu")


def test_a_blocked_plugin_is_left_out_and_a_choice_leaves_out_the_others() -> None:
    assert "style" not in load(Settings(block=("style",))).kinds()
    assert set(load(Settings(plugins=("style",))).kinds()) == {"style"}


def test_our_generators_stay_when_others_are_chosen() -> None:
    registry = load(Settings(plugins=("style",)))
    assert registry.generator(load_card("storyboard", Settings()), Settings(), "cpu").id


@pytest.mark.parametrize("field", ["plugins", "block"])
def test_choosing_a_plugin_that_is_not_there_names_those_that_are(field: str) -> None:
    with pytest.raises(BadInput, match=f"DREAMLINE_{field.upper()}.*'stile'.*Installed: .*style"):
        load(Settings(**{field: ("stile",)}))  # type: ignore[arg-type]


def test_every_hook_call_can_be_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dreamline"):
        load(Settings(trace_hooks=True)).kinds()
    assert "hook condition_types: plugin style answered" in caplog.text


@pytest.fixture
def install(tmp_path: Path) -> Any:
    """Installs a module as a distribution with an entry point, beside this installation."""

    def install(name: str, source: str) -> Path:
        site = tmp_path / "site"
        information = site / f"{name}-1.dist-info"
        information.mkdir(parents=True)
        (site / f"{name}.py").write_text(source)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (information / "entry_points.txt").write_text(f"[dreamline]\n{name} = {name}\n")
        return site

    return install


def plugins_command(site: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "plugins", *more],
        env={"PYTHONPATH": str(site), "PATH": "", "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_plugin_that_cannot_be_imported_is_listed_with_its_error_and_spoils_nothing(install: Any) -> None:
    done = plugins_command(install("bad_plugin", "import nothing_like_this"), "--json")
    assert done.returncode == 0
    assert "nothing_like_this" in done.stdout
    assert '"subject"' in done.stdout


def test_a_misspelt_hook_is_refused_by_name(install: Any) -> None:
    source = "from dreamline import hookimpl\n@hookimpl\ndef condition_tipes():\n    return []\n"
    done = plugins_command(install("slip_plugin", source))
    assert done.returncode == 1
    assert "plugin 'slip_plugin'" in done.stderr
    assert "condition_tipes" in done.stderr


def test_plugins_tells_name_version_kinds_hooks_and_origin(registry: Registry) -> None:
    (style,) = [info for info in registry.plugins() if info.name == "style"]
    assert (style.kinds, style.hooks) == (("style",), ("condition_types",))
    assert style.module == "plugins.style"
    assert style.distribution.startswith("dreamline ")


@pytest.mark.parametrize("error", [BadInput.at("here", "is wrong", "Mend it"), OSError("gone"), KeyError("x")])
def test_an_observer_that_raises_anything_is_logged_and_stops_nobody(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []

    class Failing:
        @hookimpl
        def campaign_changed(self, event: Event) -> None:
            raise error

    class Listening:
        @hookimpl
        def campaign_changed(self, event: Event) -> None:
            heard.append(event)

    registry_of(a=Failing(), b=Listening()).tell(Event("started", "drop"))
    assert [event.campaign for event in heard] == ["drop"]
    assert "plugin 'a'" in caplog.text
