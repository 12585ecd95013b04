"""What a kind's plugin returns is held against the contract, and its mistakes bear its name."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from PIL import Image

from core.conditions import ConditionType
from core.errors import BadInput, PluginError
from core.preparing import prepare_reference
from core.requests import Preparation, Reference, Role


@dataclass(frozen=True)
class Options:
    strength: int = 3


def png(width=64, height=48):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def prepared(prepare, card, settings, options=None, data=None, **kind):
    condition = ConditionType(name="thing", title="", prepare=prepare, options=Options, **kind)
    reference = Reference("mug", "thing", "12345678" * 8, "mug.png", options or {}, "things 2.0")
    return prepare_reference(data or png(), reference, condition, card, settings)


def test_the_preparer_gets_its_options_and_workbench(card, settings):
    seen = []

    def prepare(picture, options, bench):
        seen.append((picture.size, picture.mode, options, bench))
        return Preparation(picture)

    role = Role({"flux-dev": settings.home / "role.safetensors"})
    found = prepared(prepare, card, settings, {"strength": 7}, role=role, tokens=100)
    (size, mode, options, bench) = seen[0]
    assert (size, mode, options) == ((64, 48), "RGB", Options(7))
    assert (bench.area, bench.multiple, bench.source) == (100 * 256, 16, "mug.png")
    assert (bench.seed, bench.models) == (0x12345678, settings.models_folder)
    assert found.role == role


def test_the_area_is_the_smaller_of_the_cards_and_the_kinds(card, settings):
    areas = []

    def prepare(picture, options, bench):
        areas.append(bench.area)
        return Preparation(picture)

    for tokens in (None, 12, 10_000):
        prepared(prepare, card, settings, tokens=tokens)
    assert areas == [512 * 512, 3072, 512 * 512]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "returned None, not a Preparation"),
        (Preparation(Image.new("RGBA", (32, 32))), "is RGBA, it has to be RGB"),
        (Preparation(Image.new("RGB", (33, 32))), "33x32 is not a multiple of 16"),
        (Preparation(Image.new("RGB", (1024, 512))), "is more than the 262144 pixels"),
        (Preparation(Image.new("RGB", (32, 32)), Image.new("L", (16, 32))), "the mask is L"),
        (Preparation(Image.new("RGB", (32, 32)), Image.new("1", (32, 32))), "the mask is 1"),
    ],
)
def test_a_preparation_that_breaks_the_contract_bears_the_plugins_name(made, said, card, settings):
    with pytest.raises(PluginError, match=r"plugin 'things'") as caught:
        prepared(lambda *_: made, card, settings)
    assert said in str(caught.value)


def test_a_plugin_that_raises_is_named_with_the_file(card, settings):
    def prepare(picture, options, bench):
        raise KeyError("bug")

    with pytest.raises(PluginError, match=r"plugin 'things': preparing mug\.png raised KeyError"):
        prepared(prepare, card, settings)


def test_a_picture_that_can_not_serve_stays_bad_input(card, settings):
    def prepare(picture, options, bench):
        raise BadInput.at(bench.source, "shows nothing", "Give another")

    with pytest.raises(BadInput, match=r"mug\.png: shows nothing"):
        prepared(prepare, card, settings)


def test_wrong_options_and_broken_files_are_bad_input(card, settings):
    def prepare(picture, options, bench):
        return Preparation(picture)

    with pytest.raises(BadInput, match="has no option 'colour'"):
        prepared(prepare, card, settings, {"colour": 1})
    with pytest.raises(BadInput, match=r"mug\.png"):
        prepared(prepare, card, settings, data=b"no picture")
