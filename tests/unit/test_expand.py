"""From campaign files to items: how many, in which order, with which requests - and the example as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy
import pytest
from PIL import Image

from core import hookspecs
from core.conditions import ConditionType
from core.errors import BadInput, PluginError
from core.hookspecs import hookimpl
from core.registry import Registry
from core.requests import Method
from core.settings import Settings
from orchestrator.planning import pictures, references
from orchestrator.planning.expand import Brief, read_brief

EXAMPLE = Path(__file__).parents[2] / "examples" / "summer-drop"
DOCS = Path(__file__).parents[2] / "docs" / "campaign-file.md"


@dataclass(frozen=True, slots=True)
class ThingOptions:
    margin: float = 0.1
    index: int = 0
    sides: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, slots=True)
class ChoosyOptions:
    method: str = "auto"


class Kinds:
    """A plugin with three kinds: with methods, with words of its own, with an option called method."""

    __version__ = "1.2"

    def __init__(self) -> None:
        self.asked = 0

    def methods(self, settings: Settings) -> tuple[Method, ...]:
        self.asked += 1
        return Method("careful", "2", {"w.onnx": "ab"}), Method("quick")

    @hookimpl
    def condition_types(self) -> list[ConditionType[Any]]:
        def kind(name: str, **more: Any) -> ConditionType[Any]:
            return ConditionType(name=name, title=name, prepare=lambda *_: None, **more)  # type: ignore[arg-type,return-value]

        return [
            kind("thing", options=ThingOptions, methods=self.methods),
            kind("look", prompt_prefix="in one look:"),
            kind("choosy", options=ChoosyOptions, methods=self.methods),
        ]


def registry_of(plugin: object) -> Registry:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, "things")
    return Registry(manager)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in ("images", "rows/images"):
        (tmp_path / place).mkdir(parents=True)
    for index, name in enumerate(("images/a", "images/b", "rows/images/a")):
        Image.new("RGB", (32, 32), (index, 0, 0)).save(tmp_path / f"{name}.png")
    return tmp_path


def read(folder: Path, text: str, registry: Registry | None = None) -> Brief:
    path = folder / "campaign.yaml"
    path.write_text("campaign: test\nmodel: storyboard\n" + text)
    return read_brief(path, Settings(home=folder), registry or registry_of(Kinds()))


def test_items_come_row_by_row_then_by_format_variant_and_seed(folder: Path) -> None:
    brief = read(
        folder,
        """
rows: [{sku: a}, {sku: b}]
prompt: "{{ row.sku }} {{ x }}{{ y }}{{ z }}"
vary: {x: [1, 2], zip: {y: [p, q], z: [r, s]}}
seeds: [5, 3]
formats: [portrait, square]
""",
    )
    told = [(i.row.key, i.shape.name, *i.variant.values(), i.seed, i.request.prompt) for i in brief.items()]
    assert brief.count == len(told) == 2 * 2 * 4 * 2
    assert told[:9] == [
        ("a", "portrait", 1, "p", "r", 5, "a 1pr"),
        ("a", "portrait", 1, "p", "r", 3, "a 1pr"),
        ("a", "portrait", 1, "q", "s", 5, "a 1qs"),
        ("a", "portrait", 1, "q", "s", 3, "a 1qs"),
        ("a", "portrait", 2, "p", "r", 5, "a 2pr"),
        ("a", "portrait", 2, "p", "r", 3, "a 2pr"),
        ("a", "portrait", 2, "q", "s", 5, "a 2qs"),
        ("a", "portrait", 2, "q", "s", 3, "a 2qs"),
        ("a", "square", 1, "p", "r", 5, "a 1pr"),
    ]
    assert told[16][0] == "b"


def test_a_prompt_alone_is_a_campaign(folder: Path) -> None:
    brief = read(folder, "prompt: |\n  a mug,\n\n  red\n")
    (item,) = brief.items()
    assert item.request.prompt == "a mug, red"
    assert (item.row.key, dict(item.variant), item.seed, item.shape.name) == ("1", {}, 0, "square")
    assert item.request.references == ()


def test_more_seeds_leave_the_first_as_they_are(folder: Path) -> None:
    few, many = read(folder, "prompt: x\nseeds: 2"), read(folder, "prompt: x\nseeds: 3")
    assert (few.seeds, many.seeds) == ((0, 1), (0, 1, 2))
    assert list(few.items()) == list(many.items())[:2]


def test_a_request_has_what_the_file_and_else_the_card_says(folder: Path) -> None:
    (item,) = read(folder, "prompt: x\nformats: [portrait]").items()
    assert (item.request.steps, item.request.guidance) == (8, 3.5)
    assert (item.request.width, item.request.height) == item.shape.native
    brief = read(folder, "prompt: x\nsteps: 3\nguidance: 2\npriority: 7\nnegative_prompt: ' no\n  text '")
    (item,) = brief.items()
    assert (item.request.steps, item.request.guidance, item.request.negative_prompt) == (3, 2.0, "no text")
    assert brief.priority == 7
    assert "never reads a negative prompt" in brief.warnings[0]


def test_references_are_placed_pinned_and_filled_in(folder: Path) -> None:
    brief = read(
        folder,
        """
rows: [{sku: a, image: images/a.png, n: 2}]
references:
  one: {kind: thing, image: "{{ row.image }}", options: {index: "{{ row.n }}", method: quick}}
  two: {kind: look, image: "images/{{ name }}.png"}
  three: {kind: choosy, image: images/b.png, options: {method: quick}}
prompt: "[two] beside [one], [[quoted]] [three]"
vary: {name: [a, b]}
""",
    )
    first, second = brief.items()
    one, two, three = first.request.references
    assert first.request.prompt == "in one look: [ref#2] beside [ref#1], [quoted] [ref#3]"
    assert (one.name, one.kind, one.plugin) == ("one", "thing", "things 1.2")
    assert one.options == {"margin": 0.1, "index": 2, "sides": [1, 2]}
    assert one.method == Method("quick")
    assert three.options == {"method": "quick"}
    assert three.method == Method("quick")
    assert one.sha256 == two.sha256
    assert brief.files[one.sha256] == folder / "images" / "a.png"
    assert second.request.references[1].sha256 == three.sha256
    assert second.request.references[0] is one
    assert set(brief.files) == {one.sha256, three.sha256}


def test_the_best_method_is_pinned_when_nobody_chooses(folder: Path) -> None:
    text = """
references: {a: {kind: thing, image: images/a.png}, b: {kind: choosy, image: images/a.png}}
prompt: "[a] [b]"
"""
    (item,) = read(folder, text).items()
    assert [one.method.name for one in item.request.references] == ["careful", "careful"]


def test_paths_from_rows_are_relative_to_the_file_of_rows_and_others_to_the_campaign(folder: Path) -> None:
    (folder / "rows" / "rows.csv").write_text("sku,image\na,images/a.png\n")
    text = """
rows: rows/rows.csv
references:
  row: {kind: thing, image: "{{ row.image }}"}
  own: {kind: thing, image: images/a.png}
prompt: "[row] [own]"
"""
    (item,) = read(folder, text).items()
    row, own = item.request.references
    assert row.source == str(folder / "rows" / "images" / "a.png")
    assert own.source == str(folder / "images" / "a.png")
    assert row.sha256 != own.sha256


def test_each_file_is_read_once_and_each_kind_asked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, settled = [], []
    probe, settle = pictures.probe, references.settle
    monkeypatch.setattr(pictures, "probe", lambda data, source: (looked.append(source), probe(data, source)))
    monkeypatch.setattr(references, "settle", lambda *given: (settled.append(given), settle(*given))[1])
    rows = "".join(f"r{n},images/{'ab'[n % 2]}.png,{n % 3}\n" for n in range(300))
    (folder / "rows.csv").write_text(f"sku,image,n\n{rows}")
    kinds = Kinds()
    text = """
rows: rows.csv
references: {one: {kind: thing, image: "{{ row.image }}", options: {index: "{{ row.n }}"}}}
prompt: "[one] {{ x }}"
vary: {x: [a, b, c]}
"""
    brief = read(folder, text, registry_of(kinds))
    assert brief.count == 900
    assert len(looked) == 2
    assert len(settled) == 3
    assert kinds.asked == 1
    assert len({id(reference) for item in brief.items() for reference in item.request.references}) == 6


def test_a_reference_that_no_prompt_names_is_warned_of_unless_its_kind_speaks_for_it(folder: Path) -> None:
    text = (
        "references: {one: {kind: thing, image: images/a.png}, two: {kind: look, image: images/a.png}}\nprompt: x"
    )
    (warning,) = read(folder, text).warnings
    assert "key references.one: no prompt names [one]" in warning


def test_a_change_elsewhere_leaves_an_item_as_it_was(folder: Path) -> None:
    def items(text: str) -> dict[tuple[object, ...], object]:
        brief = read(folder, f"prompt: '{{{{ row.sku }}}} {{{{ x }}}}'\n{text}")
        return {(i.row.key, *i.variant.items(), i.seed, i.shape.name): i.request for i in brief.items()}

    before = items("rows: [{sku: a}, {sku: b}]\nvary: {x: [p, q]}\nseeds: 2\nformats: [square]")
    after = items("rows: [{sku: z}, {sku: b}, {sku: a}]\nvary: {x: [o, q, p]}\nseeds: 4\nformats: [story, square]")
    assert before.items() <= after.items()


def test_variants_that_look_alike_but_are_not_keep_their_own_references(folder: Path) -> None:
    for name in ("1", "1.5", "true"):
        Image.new("RGB", (8, 8), (len(name), 9, 9)).save(folder / f"{name}.png")
    text = "references: {a: {kind: thing, image: '{{ x }}.png'}}\nprompt: '[a]'\nvary: {x: [1, 1.5, true]}"
    sources = [Path(item.request.references[0].source).name for item in read(folder, text).items()]
    assert sources == ["1.png", "1.5.png", "true.png"]


def test_a_kind_that_fails_is_told_by_its_plugin(folder: Path) -> None:
    class Broken(Kinds):
        def methods(self, settings: Settings) -> tuple[Method, ...]:
            raise OSError("no disk")

    with pytest.raises(PluginError, match=r"plugin 'things': methods of kind 'thing' raised OSError: no disk"):
        read(folder, "references: {a: {kind: thing, image: images/a.png}}\nprompt: '[a]'", registry_of(Broken()))


def test_a_kind_that_nothing_here_can_prepare_is_told(folder: Path) -> None:
    class Bare(Kinds):
        def methods(self, settings: Settings) -> tuple[Method, ...]:
            return ()

    with pytest.raises(
        BadInput, match=r"key references\.a\.kind: nothing on this machine can prepare kind 'thing'"
    ):
        read(folder, "references: {a: {kind: thing, image: images/a.png}}\nprompt: '[a]'", registry_of(Bare()))


def test_the_example_runs_as_it_stands(tmp_path: Path, registry: Registry) -> None:
    brief = read_brief(EXAMPLE / "campaign.yaml", Settings(home=tmp_path), registry)
    assert brief.count == 4 * 3 * 2 * 2 == len(list(brief.items()))
    assert brief.warnings == ()
    assert len(brief.files) == 4
    assert next(brief.items()).request.prompt == "a mug from [ref#1] on the beach"


def test_the_example_is_small_and_is_the_one_of_the_page() -> None:
    assert (EXAMPLE / "campaign.yaml").read_text() in DOCS.read_text()
    images = list((EXAMPLE / "images").iterdir())
    assert len(images) == 4
    for path in images:
        assert path.stat().st_size < 60_000
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == ((512, 512), "RGB")
