"""Campaign files: what they may say, and that every mistake in one comes up once, with its place and its mend."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pluggy
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core import hookspecs
from core.conditions import ConditionType
from core.errors import BadInput, Problem
from core.hookspecs import hookimpl
from core.registry import Registry
from core.requests import Method
from core.settings import Settings
from orchestrator.cli.schema import command
from orchestrator.planning.campaign_file import CampaignFile, ReferenceEntry, json_schema, read_campaign_file
from orchestrator.planning.expand import Brief, read_brief
from orchestrator.planning.findings import Findings

DOCS = Path(__file__).parents[2] / "docs" / "campaign-file.md"

GOOD = """\
campaign: summer-drop
model: dreamo-mini
rows: products.csv
references:
  product: {kind: thing, image: "{{ row.image }}"}
prompt: "a {{ row.noun }} from [product] {{ scene }}"
vary:
  scene: ["on the beach", "in a studio"]
"""


@dataclass(frozen=True, slots=True)
class ThingOptions:
    margin: float = 0.1
    index: int = 0
    choice: Literal["largest", "nearest"] = "largest"


class Kinds:
    """A plugin with a kind of thing, three of which are too many."""

    __version__ = "1.2"

    @hookimpl
    def condition_types(self) -> list[ConditionType[Any]]:
        return [
            ConditionType(
                name="thing",
                title="A thing",
                prepare=lambda picture, options, bench: None,  # type: ignore[arg-type,return-value]
                options=ThingOptions,
                methods=lambda settings: (Method("careful", "2"), Method("quick")),
                per_request=2,
            )
        ]


@pytest.fixture
def kinds() -> Registry:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Kinds(), "things")
    return Registry(manager)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with rows and two pictures."""
    (tmp_path / "images").mkdir()
    for name in ("mug", "lamp"):
        Image.new("RGB", (64, 64), "red").save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "products.csv").write_text("sku,noun,image\na,mug,images/mug.png\nb,lamp,images/lamp.png\n")
    return tmp_path


def read(folder: Path, text: str | bytes, kinds: Registry, name: str = "campaign.yaml") -> Brief:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_brief(path, Settings(home=folder), kinds)


def problems(folder: Path, text: str | bytes, kinds: Registry, name: str = "campaign.yaml") -> list[Problem]:
    with pytest.raises(BadInput) as caught:
        read(folder, text, kinds, name)
    return [
        Problem(one.where.replace(f"{folder}/", ""), one.what.replace(f"{folder}/", ""), one.mend)
        for one in caught.value.problems
    ]


def test_ten_mistakes_are_ten_errors_each_with_place_and_mend(folder: Path, kinds: Registry) -> None:
    (folder / "images" / "torn.png").write_bytes((folder / "images" / "mug.png").read_bytes()[:20])
    (folder / "products.csv").write_text(
        "sku;noun;image\na;mug;images/mug.png\nb;lamp;images/lmap.png\nc;hat;images/torn.png\n"
    )
    text = """\
campaign: summer-drop
model: dreamo-midi
rows: products.csv
refrences:
  product: {kind: thing, image: "{{ row.image }}"}
  logo: {kind: thinng, image: images/mug.png}
prompt: "a {{ row.colour }} [prodct] {{ scene }}"
vary:
  scene: ["on the beach"]
  zip: {mood: [warm, cool], light: [soft]}
seeds: [1, -1]
formats: [square, potrait]
"""
    found = problems(folder, text, kinds)
    assert [(one.where, one.what.partition(" is damaged")[0], one.mend.partition("?")[0]) for one in found] == [
        ("campaign.yaml, line 4, key refrences", "there is no such key", "Did you mean 'references'"),
        ("campaign.yaml, line 11, key seeds, item 2", "-1 is less than 0", found[1].mend),
        ("campaign.yaml, line 2, key model", "there is no model card 'dreamo-midi'", "Did you mean 'dreamo-mini'"),
        ("campaign.yaml, line 10, key vary.zip", "mood has 2, light has 1", found[3].mend),
        ("campaign.yaml, line 12, key formats, item 2", "there is no format 'potrait'", "Did you mean 'portrait'"),
        ("campaign.yaml, line 6, key references.logo.kind", "there is no kind 'thinng'", "Did you mean 'thing'"),
        ("products.csv, row 3, column image", "there is no file images/lmap.png", "Did you mean 'lamp.png'"),
        ("products.csv, row 4, column image", "images/torn.png", found[7].mend),
        (
            "campaign.yaml, line 7, key prompt",
            "the template names the column 'colour', which products.csv does not have",
            "Columns: sku, noun, image",
        ),
        ("campaign.yaml, line 7, key prompt", "[prodct] is no reference", found[9].mend),
    ]
    assert all(one.mend for one in found)


BY_ITSELF: list[tuple[str, str, str, str, str]] = [
    ("campaign: summer-drop\n", "", "key campaign", "is missing", "Name of the campaign"),
    ("model:", "modle:", "line 2, key modle", "there is no such key", "Did you mean 'model'?"),
    ("kind: thing", "knd: thing", "line 5, key references.product.knd", "no such key", "Did you mean 'kind'?"),
    ("kind: thing, ", "", "line 5, key references.product.kind", "is missing", "What is kept"),
    ("model: dreamo-mini", "model: mini", "line 2, key model", "no model card 'mini'", "dreamo-mini"),
    ("model: dreamo-mini", "model: 3", "line 2, key model", "3 is not a text", "model card"),
    ("products.csv", "product.csv", "product.csv", "can't be read", "Did you mean 'products.csv'?"),
    ("rows: products.csv", "rows: 3", "line 3, key rows", "3 is not a text or keys with values", "A file of rows"),
    ("rows: products.csv", 'rows: ""', "line 3, key rows", "is an empty text", "Name a file"),
    ("rows: products.csv", "rows: []", "line 3, key rows", "no rows with columns", "Add one"),
    ("image: ", "key: ", "line 5, key references.product.key", "there is no such key", ""),
    ("{{ row.noun }}", "{{ row.nuon }}", "line 6, key prompt", "the column 'nuon'", "Did you mean 'noun'?"),
    ("{{ row.noun }}", "{{ noun }}", "line 6, key prompt", "names 'noun'", "write {{ row.noun }}"),
    ("{{ scene }}", "{{ scen }}", "line 6, key prompt", "names 'scen'", "Did you mean 'scene'?"),
    ("{{ row.noun }}", "{{ row['nuon'] }}", "line 6, key prompt", "the column 'nuon'", "Did you mean 'noun'?"),
    ("{{ scene }}", "{{ scene", "line 6, key prompt", "is no template", "Mend the braces"),
    ("[product]", "[produkt]", "line 6, key prompt", "[produkt] is no reference", "[product]"),
    ("a {{ row.noun }} from [product] {{ scene }}", " ", "line 6, key prompt", "the prompt is empty", "Say what"),
    ("kind: thing", "kind: thin", "line 5, key references.product.kind", "no kind 'thin'", "Kinds here: thing"),
    ('"{{ row.image }}"', "images/no.png", "line 5, key references.product.image", "there is no file", "mug.png"),
    ('"{{ row.image }}"', "images", "line 5, key references.product.image", "is a folder", "Give the path"),
    ('"{{ row.image }}"', "products.csv", "line 5, key references.product.image", "products.csv is", ""),
    ('"{{ row.image }}"', "ftp://a.b/c.png", "line 5, key references.product.image", "begins with ftp", "https"),
    ("scene: [", "scene: []\n  x: [", "line 8, key vary.scene", "is empty", "Give a list of at least one"),
    ('"in a studio"', '"on the beach"', "line 8, key vary.scene, item 2", "stands twice", "item 1"),
    ('"in a studio"', '"{{ row.noun }}"', "line 8, key vary.scene, item 2", "is a template", "into the prompt"),
    ("vary:\n  scene: [", "vary: [", "line 7, key vary", "is not keys with values", "Names with lists"),
    ("rows: products.csv", "rows: images", "images", "rows can't be read", "Give .csv"),
    ("scene: [", "row: [a]\n  scene: [", "line 8, key vary.row", "'row' can't be a name", "letters"),
    ("scene: [", "zip: {scene: [a]}\n  scene: [", "line 8, key vary.zip.scene", "outside zip too", "Keep one"),
    ("scene: [", "zip: {a: [1, 1], b: [2, 2]}\n  scene: [", "line 8, key vary.zip", "stands twice", "Keep one"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "what", "mend"), BY_ITSELF)
def test_a_single_mistake_is_a_single_error(
    old: str, new: str, where: str, what: str, mend: str, folder: Path, kinds: Registry
) -> None:
    assert old in GOOD
    found = problems(folder, GOOD.replace(old, new), kinds)
    if old != "image: ":
        assert len(found) == 1, found
    assert where in found[0].where
    assert what in found[0].what
    assert mend in found[0].mend


@pytest.mark.parametrize(
    ("more", "where", "what"),
    [
        ("seeds: 0", "key seeds", "0 is less than 1"),
        ("seeds: -2", "key seeds", "-2 is less than 1"),
        ("seeds: []", "key seeds", "is empty"),
        ("seeds: [1, 2, 1]", "key seeds, item 3", "1 stands twice"),
        (f"seeds: [{2**63}]", "key seeds, item 1", f"{2**63} is more than {2**63 - 1}"),
        ("seeds: [a]", "key seeds, item 1", "'a' is not a whole number"),
        ("seeds: [true]", "key seeds, item 1", "True is not a whole number"),
        ("formats: []", "key formats", "is empty"),
        ("formats: square", "key formats", "'square' is not a list"),
        ("formats: [square, square]", "key formats, item 2", "'square' stands twice"),
        ("formats: [0x100]", "key formats, item 1", "there is no format '0x100'"),
        ("steps: 0", "key steps", "0 is less than 1"),
        ("steps: 4.5", "key steps", "4.5 is not a whole number"),
        ("guidance: high", "key guidance", "'high' is not a number"),
        ("priority: 1001", "key priority", "1001 is more than 1000"),
        ("key: sku_", "key key", "there is no column 'sku_'"),
        ("negative_prompt: '{{ row.bad }}'", "key negative_prompt", "the column 'bad'"),
        ("seeds: 1000000", "campaign.yaml", "asks for 4,000,000 images"),
        ("steps: 3\nsteps: 4", "line 10, key steps", "stands twice"),
        ("<<: {steps: 3}", "line 9, key <<", "there is no such key"),
    ],
)
def test_a_single_mistake_in_another_key_is_a_single_error(
    more: str, where: str, what: str, folder: Path, kinds: Registry
) -> None:
    (found,) = problems(folder, GOOD + more + "\n", kinds)
    assert where in found.where
    assert what in found.what


@pytest.mark.parametrize(
    ("options", "where", "what"),
    [
        ("{margn: 1}", "key references.product.options.margn", "has no option 'margn'"),
        ("{margin: wide}", "key references.product.options.margin", "'wide' is not a number"),
        ("{choice: best}", "key references.product.options.choice", "'best' is not one of"),
        ("{method: magic}", "key references.product.options.method", "has no method 'magic'"),
        ("{choice: '{{ row.noun }}'}", "products.csv, row 2, column noun", "option choice: 'mug' is not one of"),
        ("{margin: '{{ row.no }}'}", "key references.product.options.margin", "the column 'no'"),
        ("{margin: 'ten'}", "key references.product.options.margin", "'ten' is not a number"),
        ("3", "key references.product.options", "3 is not keys with values"),
    ],
)
def test_options_that_the_kind_refuses_are_told(
    options: str, where: str, what: str, folder: Path, kinds: Registry
) -> None:
    found = problems(folder, GOOD.replace("kind: thing", f"kind: thing, options: {options}"), kinds)
    assert where in found[0].where
    assert what in found[0].what


def test_too_many_references_are_told(folder: Path, kinds: Registry) -> None:
    more = "".join(f"  more{n}: {{kind: thing, image: images/mug.png}}\n" for n in range(9))
    found = problems(folder, GOOD.replace("prompt:", more + "prompt:"), kinds)
    assert [one.where for one in found] == ["campaign.yaml, line 4, key references"] * 2
    assert "10 references" in found[0].what
    assert "of kind thing" in found[1].what


def test_a_kind_that_stands_alone_is_told(folder: Path, kinds: Registry) -> None:
    (folder / "shy.toml").write_text('name = "shy"\ntitle = "Shy"\ngenerator = "fake"\nalone = ["thing"]\n')
    more = "  other: {kind: thing, image: images/mug.png}\nprompt:"
    text = GOOD.replace("prompt:", more).replace("dreamo-mini", "shy")
    (folder / "campaign.yaml").write_text(text)
    here = Settings(home=folder, cards=(str(folder),))
    with pytest.raises(BadInput, match="shy takes a thing reference only by itself"):
        read_brief(folder / "campaign.yaml", here, kinds)


def test_a_mistake_of_many_rows_is_shown_three_times_and_counted(folder: Path, kinds: Registry) -> None:
    rows = "".join(f"s{n},mug,images/none{n}.png\n" for n in range(500))
    (folder / "products.csv").write_text(f"sku,noun,image\n{rows}")
    found = problems(folder, GOOD, kinds)
    assert [one.where for one in found] == [f"products.csv, row {n}, column image" for n in (2, 3, 4)]
    assert found[2].what == "there is no file images/none2.png (and 497 more rows)"


def test_an_empty_cell_is_told_by_row_and_column(folder: Path, kinds: Registry) -> None:
    (folder / "products.csv").write_text("sku,noun,image\na,mug,images/mug.png\nb,,images/mug.png\n")
    (found,) = problems(folder, GOOD, kinds)
    assert found.where == "products.csv, row 3, column noun"
    assert "is empty" in found.what
    (found,) = problems(folder, GOOD.replace("{{ row.noun }}", "{{ row.sku }} {{ row.noun }}"), kinds)
    assert found.where == "products.csv, row 3, column noun"


def test_templates_that_want_rows_are_told_when_there_are_none(folder: Path, kinds: Registry) -> None:
    found = problems(folder, GOOD.replace("rows: products.csv\n", ""), kinds)
    assert [one.where for one in found] == [
        "campaign.yaml, line 4, key references.product.image",
        "campaign.yaml, line 5, key prompt",
    ]
    assert all(one.mend == "Give rows with that column: rows: FILE" for one in found)


def test_what_needs_no_row_is_checked_though_the_rows_are_missing(folder: Path, kinds: Registry) -> None:
    more = "  other: {kind: thin, image: images/no.png, options: {margin: x}}\nprompt:"
    found = problems(folder, GOOD.replace("products.csv", "none.csv").replace("prompt:", more), kinds)
    assert [one.what for one in found] == [
        "can't be read (No such file or directory)",
        "there is no kind 'thin'",
        "there is no file images/no.png",
    ]


def test_brackets_in_a_cell_are_told_at_their_row(folder: Path, kinds: Registry) -> None:
    (folder / "products.csv").write_text("sku,noun,image\na,mug [red],images/mug.png\n")
    found = problems(folder, GOOD.replace(', "in a studio"', ""), kinds)
    assert [(one.where, one.what) for one in found] == [
        ("products.csv, row 2, column noun", "[red] is no reference")
    ]


def test_combinations_past_counting_are_refused_before_they_are_made(folder: Path, kinds: Registry) -> None:
    lists = "".join(f"  v{n}: [{', '.join(map(str, range(100)))}]\n" for n in range(12))
    (found,) = problems(folder, GOOD.replace("vary:\n", f"vary:\n{lists}"), kinds)
    assert "combinations" in found.what


def test_the_same_mistakes_in_json_have_lines_too(folder: Path, kinds: Registry) -> None:
    value = {**yaml.safe_load(GOOD), "seeds": -1, "promt": "é😀"}
    found = problems(folder, json.dumps(value, indent="\t"), kinds, "campaign.json")
    assert [one.where for one in found] == [
        "campaign.json, line 19, key promt",
        "campaign.json, line 18, key seeds",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty, not keys with values"),
        ("- a\n- b\n", "holds ['a', 'b'], not keys with values"),
        ("campaign: a: b\n", "line 1: is not YAML"),
        ("campaign: 'a\n", "is not YAML"),
        ("prompt: {{ row.noun }}\n", 'Put templates into quotes: "{{ row.noun }}"'),
        ("campaign: !!python/object/apply:os.system [ls]\n", "line 1: the tag"),
        ("campaign: a\n---\ncampaign: b\n", "line 2: a second document begins here"),
        ("campaign: *a\n", "*a stands for nothing"),
        ("campaign: &a [*a]\n", "*a stands for nothing"),
        ('campaign: "\\0"\n', "the character U+0000 can't be kept"),
        (b"campaign: \xff\n", "line 1: is not UTF-8 text"),
        ("[" * 100_000, "is nested more than 40 deep"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghi")
        ), "more than 1000000 values"),
    ],
)  # fmt: skip
def test_files_that_are_no_campaign_files_are_refused_at_once(
    text: str | bytes, said: str, folder: Path, kinds: Registry
) -> None:
    with pytest.raises(BadInput) as caught:
        read(folder, text, kinds)
    assert said in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path, kinds: Registry) -> None:
    with pytest.raises(BadInput, match=r"none\.yaml: can't be read \(No such file or directory\)"):
        read_brief(tmp_path / "none.yaml", Settings(home=tmp_path), kinds)


def test_words_that_other_yaml_readers_change_stay_as_written(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(
        "rows: [{country: no, sku: 00123, day: 2026-07-01, n: 7, price: 1.5, on: true, x: ~, s: '7'}]\n"
    )
    told = read_campaign_file(path, Findings())
    assert told.file.rows == [
        {
            "country": "no",
            "sku": "00123",
            "day": "2026-07-01",
            "n": 7,
            "price": 1.5,
            "on": True,
            "x": None,
            "s": "7",
        }
    ]


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("{{ row.noun }}")
tree = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
KEYS = [*CampaignFile.model_fields, "sedes"]


@settings(deadline=None)
@given(value=st.dictionaries(st.sampled_from(KEYS), tree, max_size=6), good=st.booleans())
def test_whatever_a_file_says_only_bad_input_comes_out(
    value: dict[str, Any], good: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Kinds(), "things")
    text = json.dumps({**(yaml.safe_load(GOOD) if good else {}), **value})
    try:
        read(tmp_path_factory.getbasetemp(), text, Registry(manager), "campaign.json")
    except BadInput as error:
        found = error.problems
    else:
        return
    assert found
    assert len(set(found)) == len(found)
    assert all(one.where and one.what and one.mend for one in found)


@settings(deadline=None)
@given(text=st.text(max_size=200) | st.text("abc:-[]{}&*!|>'\"#% \n\t", max_size=60))
def test_whatever_stands_in_a_file_only_bad_input_comes_out(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "replace"))
    findings = Findings()
    try:
        read_campaign_file(path, findings)
        findings.raise_if_any()
    except BadInput as error:
        found = error.problems
    else:
        return
    assert all(one.where and one.what and one.mend for one in found)


def test_dreamline_schema_prints_every_key_with_its_description() -> None:
    printed = json.loads(CliRunner().invoke(command).output)
    assert printed == json_schema()
    assert printed["required"] == ["campaign", "model", "prompt"]
    for keys in (printed["properties"], printed["$defs"]["ReferenceEntry"]["properties"]):
        assert all(key["description"] for key in keys.values())


def test_the_page_on_campaign_files_has_every_key_and_no_other() -> None:
    page = DOCS.read_text()
    tables = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert tables == [*CampaignFile.model_fields, *ReferenceEntry.model_fields]
    assert "`zip`" in page
