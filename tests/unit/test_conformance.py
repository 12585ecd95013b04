"""The conformance kit: good plugins pass, and for every promise there is one that breaks it."""

from __future__ import annotations

import io
import math
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image as Pillow

from core.conformance import prepared
from core.conformance.kit import examine, put_on_trial
from core.registry import Registry
from core.settings import Settings
from dreamline import BadInput, ConditionType, Method, PluginError, Preparation, Role, Score, Workbench, hookimpl
from dreamline.conformance import CHECKS, check_kind, check_plugin, promise
from dreamline.preparation import keep_whole


@dataclass(frozen=True)
class NoOptions:
    """Nothing to choose."""


def good(picture: Any, options: Any, bench: Workbench) -> Preparation:
    return Preparation(keep_whole(picture, bench.area, bench.multiple, bench.source))


def kind(prepare: Callable[..., Any] = good, **more: Any) -> ConditionType[Any]:
    return ConditionType(**{"name": "pet", "title": "A pet", "prepare": prepare, "options": NoOptions, **more})


def plugin(**hooks: Callable[..., Any]) -> Any:
    return SimpleNamespace(__version__="1", **{name: hookimpl(function) for name, function in hooks.items()})


def found(condition: ConditionType[Any], check: str) -> str:
    """What a check finds wrong with a kind."""
    with pytest.raises(PluginError) as caught:
        check_kind(condition, check)
    return str(caught.value)


def found_in(broken: Any, check: str) -> str:
    with pytest.raises(PluginError) as caught:
        check_plugin(broken, check, name="broken")
    return str(caught.value)


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_kind_passes_every_check(check: str) -> None:
    check_kind(kind(), check)
    assert promise(check).endswith(".")


def test_a_check_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadInput, match=r"'purity'.*pure, odd-pictures"):
        check_kind(kind(), "purity")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"title": " "}, "title is ' '"),
        ({"prepare": "fit"}, "prepare is 'fit'"),
        ({"tokens": 0}, "tokens is 0"),
        ({"per_request": True}, "per_request is True"),
        ({"fidelity": "colour"}, "fidelity is 'colour'"),
        ({"role": Role({"flux-dev": Path("nowhere.safetensors")})}, "nowhere.safetensors for flux-dev is missing"),
    ],
)
def test_a_kind_of_wrong_types_is_told_by_its_field(wrong: dict[str, Any], said: str) -> None:
    assert said in found(kind(**wrong), "hooks")


def test_a_generator_that_takes_others_cards_is_found() -> None:
    greedy = SimpleNamespace(id="mine/1", generate=iter)
    assert "of another generator" in found_in(plugin(make_generator=lambda: greedy), "hooks")
    check_plugin(plugin(make_generator=lambda card: greedy if card.generator == "mine" else None), "hooks")


def test_panels_that_draw_nothing_and_commands_without_help_are_found() -> None:
    assert "is no Panel that draws" in found_in(plugin(review_panels=lambda: ["a panel"]), "hooks")

    def register_commands(cli: click.Group) -> None:
        cli.add_command(click.Command("quiet"))

    assert "command quiet: has no help" in found_in(plugin(register_commands=register_commands), "hooks")


@pytest.mark.parametrize("name", ["Pet", "my pet", "pet_", "-pet", "9lives", ""])
def test_names_that_campaign_files_cant_say_are_found(name: str) -> None:
    assert f"kind {name!r}: is no name" in found(kind(name=name), "names")


def test_a_kind_that_another_installed_plugin_offers_is_found(registry: Registry) -> None:
    taken = plugin(condition_types=lambda: [kind(name="style")])
    registry.manager.register(taken, "taken")
    try:
        mine = put_on_trial(taken, "taken", Settings(), beside=registry)
        others = put_on_trial(plugin(condition_types=lambda: [kind()]), "mine", Settings(), beside=registry)
        assert "offers the kind 'style'" in str(examine(mine, "names").problems)
        assert examine(others, "names").kept
    finally:
        registry.manager.unregister(taken)


def options(type_: Any, default: Any, help_text: str = "a number", *, frozen: bool = True) -> type:
    told = field(default=default, metadata={"help": help_text})
    return make_dataclass("Given", [("size", type_, told)], frozen=frozen)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (options(int, 1, frozen=False), "can be changed"),
        (options(int, 1, ""), "size: has no help"),
        (options(int, "wide"), "'wide' is not a whole number"),
        (options(frozenset, frozenset({1})), "can't be written as JSON"),
    ],
)
def test_options_that_dont_fit_are_found(given: type, said: str) -> None:
    assert said in found(kind(options=given), "options")


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ((), "there is none here"),
        ("grabcut", "no sequence of Method"),
        ((Method("one"), Method("one", "2")), "two have one name"),
        ((Method("one", ""),), "no version"),
    ],
)
def test_methods_that_cant_be_pinned_are_found(methods: Any, said: str) -> None:
    assert said in found(kind(methods=lambda settings: methods), "methods")


def result(**more: Any) -> Callable[..., Preparation]:
    def prepare(picture: Any, options: Any, bench: Workbench) -> Preparation:
        return Preparation(**{"picture": good(picture, options, bench).picture, **more})

    return prepare


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda picture, options, bench: picture, "not a Preparation"),
        (result(picture=Pillow.new("RGBA", (64, 64))), "has to be RGB"),
        (result(picture=Pillow.new("RGB", (50, 50))), "not a multiple of 16"),
        (result(picture=Pillow.new("RGB", (128, 128))), "128x128 is more than the 9216 pixels"),
        (result(mask=Pillow.new("L", (3, 3))), "the mask is L"),
        (result(warnings=["soft"]), "warnings are ['soft']"),
        (result(facts={"box": (1, 2)}), "facts are"),
        (result(facts={"share": math.nan}), "facts are"),
        (lambda picture, options, bench: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_results_that_break_the_contract_are_found(prepare: Callable[..., Any], said: str) -> None:
    assert said in found(kind(prepare), "prepares")


def test_a_kind_that_takes_no_sample_asks_for_a_picture_and_is_tried_with_it() -> None:
    tall = Pillow.new("RGB", (100, 200), "teal")

    def prepare(picture: Any, options: Any, bench: Workbench) -> Preparation:
        if picture.height <= picture.width:
            raise BadInput.at(bench.source, "lies down", "Give one that stands")
        return good(picture, options, bench)

    assert "--picture FILE" in found(kind(prepare), "prepares")
    assert "repeats: no sample picture is taken" in found(kind(prepare), "repeats")
    check_kind(kind(prepare), picture=encoded(tall))


def encoded(picture: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def noisy(dice: Callable[[], float]) -> Callable[..., Preparation]:
    def prepare(picture: Any, options: Any, bench: Workbench) -> Preparation:
        made = good(picture, options, bench)
        made.picture.putpixel((0, 0), (int(dice() * 256), 0, 0))
        return made

    return prepare


def by_opencv() -> float:
    import cv2

    value = np.zeros(1)
    cv2.randu(value, 0, 1)
    return float(value[0])


@pytest.mark.parametrize("dice", [random.random, np.random.random, by_opencv])
def test_results_that_hang_on_global_random_generators_are_found(dice: Callable[[], float]) -> None:
    assert "bench.seed" in found(kind(noisy(dice)), "repeats")


def test_results_that_hang_on_what_came_before_are_found() -> None:
    turns = iter(range(10**6))
    assert "came out differently" in found(kind(noisy(lambda: next(turns) % 250 / 256)), "repeats")


def also(deed: Callable[..., Any]) -> Callable[..., Preparation]:
    def prepare(picture: Any, options: Any, bench: Workbench) -> Preparation:
        made = good(picture.copy(), options, bench)
        deed(picture, bench)
        return made

    return prepare


def connect(picture: Any, bench: Workbench) -> None:
    with socket.socket() as one:
        one.settimeout(1)
        one.connect_ex(("127.0.0.1", 9))


def write_by_c(picture: Any, bench: Workbench) -> None:
    import cv2

    cv2.imwrite("debug.png", np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (lambda picture, bench: picture.putpixel((0, 0), (1, 2, 3)), "draws into the picture"),
        (lambda picture, bench: picture.save("debug.png"), "writes the file"),
        (write_by_c, "leaves the file 'debug.png' behind"),
        (lambda picture, bench: Path("cache").mkdir(exist_ok=True), "makes the folder"),
        (connect, "opens a connection ('127.0.0.1', 9)"),
        (lambda picture, bench: subprocess.run([sys.executable, "-c", ""], check=True), "starts the program"),
    ],
    ids=["picture", "file", "file by C", "folder", "network", "process"],
)
def test_preparing_that_does_more_is_found(deed: Callable[..., Any], said: str) -> None:
    assert said in found(kind(also(deed)), "pure")
    assert not Path("debug.png").exists()


def test_a_file_that_only_the_first_call_leaves_is_found() -> None:
    turns = iter([True] + [False] * 99)
    deed = also(lambda picture, bench: next(turns) and picture.save("cache.png"))
    assert "leaves the file 'cache.png' behind" in found(kind(deed), "pure")


def test_reading_files_is_no_deed() -> None:
    check_kind(kind(also(lambda picture, bench: Path(__file__).read_text())), "pure")


def test_breaking_on_an_odd_picture_is_found_by_the_picture() -> None:
    def prepare(picture: Any, options: Any, bench: Workbench) -> Preparation:
        red, green, blue = picture.split()
        return good(Pillow.merge("RGB", (blue, green, red)), options, bench)

    assert "kind pet, transparent everywhere: preparing picture.png raised" in found(kind(prepare), "odd-pictures")


def test_a_refusal_without_a_mend_is_found() -> None:
    def prepare(picture: Any, options: Any, bench: Workbench) -> Preparation:
        if min(picture.size) == 1:
            raise BadInput.at(bench.source, "is too small", "")
        return good(picture, options, bench)

    assert "1 pixel: is refused without" in found(kind(prepare), "odd-pictures")


def test_an_option_that_breaks_is_found_by_its_value() -> None:
    def prepare(picture: Any, options: Any, bench: Workbench) -> Preparation:
        picture.resize((round(picture.width * options.size), 64))
        return good(picture, options, bench)

    assert "size: -1.0: preparing" in found(kind(prepare, options=options(float, 1.0)), "odd-options")


def test_too_much_time_and_memory_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def hoard(picture: Any, bench: Workbench) -> None:
        if picture.width > 4000:
            held = np.ones(100_000_000)
            time.sleep(0.1)
            del held

    monkeypatch.setattr(prepared, "MEGABYTES", 900)
    check_kind(kind(), "limits")
    assert re.search(r"8000 px: took \d+ MB, 900 MB are the most", found(kind(also(hoard)), "limits"))
    monkeypatch.setattr(prepared, "SECONDS", 0.05)
    assert "a sample: took 0." in found(kind(also(lambda picture, bench: time.sleep(0.06))), "limits")


def scored(score_image: Callable[..., Any]) -> str:
    return found_in(plugin(score_image=score_image), "image")


def test_scores_that_cant_be_recorded_are_found() -> None:
    assert "finite value" in scored(lambda image: [Score("a", math.nan, "this")])
    assert "finite value" in scored(lambda image: [0.5])
    assert "what it compared" in scored(lambda image: [Score("a", 0.5, "")])
    assert "two scores" in scored(lambda image: [Score("a", random.random(), "this")])
    assert "draws into the image" in scored(lambda image: image.picture.putpixel((0, 0), (0, 1, 0)))
    assert "score_image raised ZeroDivisionError" in scored(lambda image: 1 / 0)
    assert "writes the file" in scored(lambda image: image.picture.save("debug.png"))
    check_plugin(plugin(score_image=lambda image: [Score("a", 0.5, "this")]), name="scorer")


def test_requests_changed_in_two_ways_are_found() -> None:
    def before_generate(request: Any) -> Any:
        return {"seed": random.getrandbits(32)}

    assert "changes one request in two ways" in found_in(plugin(before_generate=before_generate), "image")
    assert "'sead'" in found_in(plugin(before_generate=lambda request: {"sead": 1}), "image")
    check_plugin(plugin(before_generate=lambda request: {"seed": 7}), "image", name="seven")


def test_a_misspelt_hook_is_found_before_any_check() -> None:
    assert "condition_tipes" in found_in(plugin(condition_tipes=lambda cli: None), "hooks")


def test_an_option_that_no_kind_has_is_told() -> None:
    with pytest.raises(PluginError, match="option colour: no kind of the plugin has it"):
        check_kind(kind(), "options", options={"colour": "red"})
