"""Structured prompts and creative briefs: how sections become a text, who goes before whom, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pluggy
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core import hookspecs
from core import registry as registries
from core.conditions import ConditionType
from core.errors import BadInput, Problem
from core.hookspecs import hookimpl
from core.registry import Registry
from core.settings import Settings
from orchestrator.cli import plan, schema
from orchestrator.cli.prompt import command
from orchestrator.planning.brief_file import CreativeBrief, Sections, Variable, brief_schema
from orchestrator.planning.drafts import Draft
from orchestrator.planning.expand import Brief, read_brief
from orchestrator.planning.plan import make_plan
from orchestrator.planning.sections import AVOID, SECTIONS, assemble, tidy
from orchestrator.uploads import Uploaded, bounds, unpack

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "briefs.md"
EXAMPLE = ROOT / "examples" / "briefs"

BASE = """\
about: A product alone.
variables:
  noun: {about: what the article is}
  place: {default: on a plain ground}
role: product photograph
subject: "a {{ noun }} from [product]"
scene: "{{ place }}"
light: soft daylight
markets:
  de: {set: {place: on a windowsill}}
  fr: {set: {place: on a zinc counter}, light: evening light}
  us: {}
"""
CAMPAIGN = """\
campaign: test
model: storyboard
rows: [{sku: a, noun: mug}, {sku: b, noun: lamp}]
references: {product: {kind: thing, image: product.png}}
prompt:
  use: base.yaml
  set: {noun: "{{ row.noun }}"}
"""


class Kinds:
    """A plugin with a kind of thing."""

    __version__ = "1"

    @hookimpl
    def condition_types(self) -> list[ConditionType[Any]]:
        return [ConditionType(name="thing", title="A thing", prepare=lambda *_: None)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def registry() -> Registry:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Kinds(), "things")
    return Registry(manager)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (16, 16), "red").save(tmp_path / "product.png")
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def read(folder: Path, registry: Registry, text: str = CAMPAIGN, **files: str) -> Brief:
    for name, told in files.items():
        (folder / f"{name}.yaml").write_text(told)
    (folder / "campaign.yaml").write_text(text)
    return read_brief(folder / "campaign.yaml", Settings(home=folder), registry)


def problems(folder: Path, registry: Registry, text: str = CAMPAIGN, **files: str) -> list[Problem]:
    with pytest.raises(BadInput) as caught:
        read(folder, registry, text, **files)
    return [
        Problem(one.where.replace(f"{folder}/", ""), one.what.replace(f"{folder}/", ""), one.mend)
        for one in caught.value.problems
    ]


def inline(prompt: str) -> str:
    """A campaign with this prompt, of which each line is a key, and no brief."""
    lines = "".join(f"  {line}\n" for line in prompt.strip().splitlines())
    return CAMPAIGN.partition("prompt:")[0] + f"prompt:\n{lines}"


@pytest.mark.parametrize(
    ("sections", "made"),
    [
        ({"subject": "a mug from [product]"}, "a mug from [product]"),
        ({"scene": "on a beach", "subject": "a mug"}, "a mug, on a beach"),
        ({"role": "shop picture", "subject": "a mug"}, "shop picture: a mug"),
        ({"role": "shop picture", "light": "soft light"}, "shop picture. soft light"),
        ({"role": "A shop picture.", "subject": "A mug."}, "A shop picture. A mug."),
        ({"subject": "a mug.", "scene": "on a beach", "mood": "calm"}, "a mug. on a beach. calm"),
        ({"subject": " a  mug,\n red; ", "light": ", soft light:"}, "a mug, red. soft light"),
        ({"role": "", "subject": "  ", "camera": "50 mm"}, "50 mm"),
        ({}, ""),
    ],
)
def test_sections_become_sentences_without_loose_marks(sections: dict[str, str], made: str) -> None:
    assert assemble({name: tidy(text) for name, text in sections.items()}) == made


words = st.text("abcdefgh [](){}#'.,:;!?…éß杯\n\t", max_size=30)


@given(told=st.dictionaries(st.sampled_from(list(SECTIONS)), words))
def test_assembly_neither_loses_nor_doubles_a_section_nor_changes_their_order(told: dict[str, str]) -> None:
    marked = {name: tidy(f"{index}§{text}§{index}") for index, (name, text) in enumerate(told.items())}
    made = assemble(marked)
    found = {name: made.find(text) for name, text in marked.items()}
    assert all(made.count(text) == 1 for text in marked.values())
    assert sorted(found, key=lambda name: found[name]) == [name for name in SECTIONS if name in told]
    between = made
    for text in marked.values():
        between = between.replace(text, "|")
    assert set(between) <= set("|.,: ")


@given(told=st.dictionaries(st.sampled_from(list(SECTIONS)), words))
def test_assembled_prompts_have_single_spaces_and_no_loose_ends(told: dict[str, str]) -> None:
    made = assemble({name: tidy(text) for name, text in told.items()})
    assert made == " ".join(made.split())
    assert made == tidy(made)
    assert assemble({"subject": made}) == made


def test_a_structured_prompt_comes_row_by_row_with_its_references_placed(folder: Path, registry: Registry) -> None:
    brief = read(folder, registry)
    assert [draft.prompt for draft in brief.drafts] == [
        "product photograph: a mug from [ref#1], on a plain ground. soft daylight",
        "product photograph: a lamp from [ref#1], on a plain ground. soft daylight",
    ]
    assert dict(brief.drafts[0].sections) == {
        "role": "product photograph",
        "subject": "a mug from [ref#1]",
        "scene": "on a plain ground",
        "light": "soft daylight",
    }
    assert brief.warnings == ()


def test_the_same_text_is_the_same_job_however_it_was_said(folder: Path) -> None:
    everything = registries.load(Settings(home=folder))

    def keys(text: str) -> set[str]:
        brief = read(folder, everything, text.replace("kind: thing", "kind: subject"))
        return set(make_plan(brief, Settings(home=folder), everything).jobs)

    prompt = "product photograph: a {{ row.noun }} from [product], on a plain ground. soft daylight"
    plain = CAMPAIGN.partition("prompt:")[0] + f'prompt: "{prompt}"'
    sections = inline(
        'role: product photograph\nsubject: "a {{ row.noun }} from [product]"\n'
        "scene: [on a plain ground]\nlight: soft daylight\navoid: [text, people]"
    )
    assert keys(plain) == keys(CAMPAIGN) == keys(sections)
    assert keys(plain) != keys(plain.replace("plain ground", "table"))


@pytest.mark.parametrize(
    ("more", "made"),
    [
        ("market: de", ["on a windowsill. soft daylight"]),
        ("market: fr", ["on a zinc counter. evening light"]),
        ("market: us", ["on a plain ground. soft daylight"]),
        (
            "vary: {market: [de, fr]}",
            ["on a windowsill. soft daylight", "on a zinc counter. evening light"],
        ),
        (
            "vary: {zip: {market: [fr, de], x: [1, 2]}}",
            ["on a zinc counter. evening light", "on a windowsill. soft daylight"],
        ),
        ("vary: {place: [on sand, on snow]}", ["on sand. soft daylight", "on snow. soft daylight"]),
        ("market: fr\nvary: {place: [on sand]}", ["on sand. evening light"]),
    ],
)
def test_markets_and_variants_fill_in_variables(
    more: str, made: list[str], folder: Path, registry: Registry
) -> None:
    brief = read(folder, registry, CAMPAIGN + more)
    assert [draft.prompt.partition("], ")[2] for draft in brief.drafts] == made * 2


def test_whoever_is_nearer_to_the_campaign_goes_first_and_within_a_file_its_market(
    folder: Path, registry: Registry
) -> None:
    middle = """\
use: base.yaml
set: {place: in a loft}
camera: eye level
mood: calm
markets:
  fr: {mood: elegant, camera: ""}
"""

    def prompt(campaign: str) -> str:
        brief = read(folder, registry, campaign.replace("use: base", "use: middle"), middle=middle)
        return brief.drafts[0].prompt.partition("], ")[2]

    assert prompt(CAMPAIGN) == "in a loft. soft daylight. eye level. calm"
    assert prompt(CAMPAIGN + "market: fr") == "in a loft. evening light. elegant"
    assert prompt(CAMPAIGN + "  mood: loud\nmarket: fr") == "in a loft. evening light. loud"
    own = "  mood: loud\n  markets: {fr: {mood: shrill, set: {place: at home}}}\n"
    assert prompt(CAMPAIGN + own + "market: fr") == "at home. evening light. shrill"
    assert prompt(CAMPAIGN + own + "market: de") == "in a loft. soft daylight. eye level. loud"


def test_templates_name_the_market_and_leave_out_what_comes_to_nothing(folder: Path, registry: Registry) -> None:
    text = inline(
        'subject: "[product]"\nscene: "{% if market == \'de\' %}in Ulm{% endif %}"\n'
        'constraints: ["{{ row.none or \'\' }}", "for {{ market }}"]'
    ).replace("noun: mug", "noun: mug, none: ~")
    assert read(folder, registry, text + "market: de").drafts[0].prompt == "[ref#1], in Ulm. for de"
    assert read(folder, registry, text + "market: at").drafts[0].prompt == "[ref#1]. for at"


placed = st.lists(st.sampled_from(["[product]", "[product],", "a mug", "[[new]]", "red;"]), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(told=st.dictionaries(st.sampled_from(list(SECTIONS)), placed, min_size=1))
def test_every_placeholder_of_every_section_survives(
    told: dict[str, list[str]], registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    Image.new("RGB", (16, 16)).save(folder / "product.png")
    campaign = {**yaml.safe_load(CAMPAIGN), "prompt": {name: " ".join(one) for name, one in told.items()}}
    (folder / "placed.json").write_text(json.dumps(campaign))
    prompt = read_brief(folder / "placed.json", Settings(home=folder), registry).drafts[0].prompt
    texts = " ".join(word for one in told.values() for word in one)
    for word, made in (("[product]", "[ref#1]"), ("[[new]]", "[new]"), ("a mug", "a mug")):
        assert prompt.count(made) == texts.count(word)


def test_numbers_and_truth_values_are_values_too(folder: Path, registry: Registry) -> None:
    brief = "variables: {dark: {default: true}, lens: {default: 50}}\n"
    brief += 'subject: "[product] {% if dark %}at night{% else %}by day{% endif %}"\ncamera: "{{ lens }} mm"'
    text = CAMPAIGN.replace('{noun: "{{ row.noun }}"}', "{dark: false, lens: 85}")
    assert read(folder, registry, text, base=brief).drafts[0].prompt == "[ref#1] by day. 85 mm"


def test_what_to_avoid_is_for_models_that_read_negative_prompts(folder: Path, registry: Registry) -> None:
    text = inline('subject: "[product]"\navoid: ["{{ row.noun }}s", text]') + "negative_prompt: blur\n"
    brief = read(folder, registry, text)
    assert brief.drafts[0].negative_prompt == "blur"
    assert "line 7, key prompt.avoid: storyboard makes one pass a step" in brief.warnings[-1]
    (folder / "careful.toml").write_text(
        'name = "careful"\ntitle = "x"\ngenerator = "fake"\ntrue_cfg = 2.0\nsides = [64, 640]\n'
    )
    here = Settings(home=folder, cards=(str(folder),))
    (folder / "campaign.yaml").write_text(text.replace("storyboard", "careful"))
    brief = read_brief(folder / "campaign.yaml", here, registry)
    assert [draft.negative_prompt for draft in brief.drafts] == ["blur, mugs, text", "blur, lamps, text"]
    assert brief.warnings == ()


REFUSED: list[tuple[str, str, str, str, str]] = [
    ("set:", "sett:", "campaign.yaml, line 7, key prompt.sett", "there is no such key", "Did you mean 'set'?"),
    ("use: base", "use: bsae", "campaign.yaml, line 6, key prompt.use", "no file bsae.yaml", "Did you mean 'base"),
    ("{noun:", "{noum:", "line 7, key prompt.set.noum", "no creative brief here has", "Did you mean 'noun'?"),
    (
        '  set: {noun: "{{ row.noun }}"}\n',
        "",
        "line 6, key prompt.use",
        "nothing gives 'noun' (what the",
        "set: {n",
    ),
    ("row.noun }", "row.nuon }", "line 7, key prompt.set.noun", "names the column 'nuon'", "Columns: sku, noun"),
    ("row.noun }", "place }", "line 7, key prompt.set.noun", "names 'place'", "no other variable"),
    ("row.noun }", "row.noun", "line 7, key prompt.set.noun", "is no template", "Mend the braces"),
    ("  use: base.yaml\n", "", "line 6, key prompt.set.noun", "no creative brief", "say use: FILE"),
    ("prompt:\n", "market: dd\nprompt:\n", "line 5, key market", "no market 'dd'", "Markets: de, fr, us"),
    ("prompt:\n", "vary: {market: [de, ff]}\nprompt:\n", "line 5, key vary.market, item 2", "'ff'", "ff: {}"),
    ("prompt:\n", "vary: {noun: [x]}\nprompt:\n", "line 8, key prompt.set.noun", "vary has a list", "Keep one"),
    (
        "prompt:\n",
        "market: de\nvary: {market: [de]}\nprompt:\n",
        "line 6, key vary.market",
        "outside vary",
        "Keep",
    ),
    (
        "prompt:\n",
        "prompt:\n  light: 5\n",
        "line 6, key prompt.light",
        "5 is not a text or a list",
        "How it is lit",
    ),
    ("prompt:\n", "prompt:\n  mod: x\n", "line 6, key prompt.mod", "there is no such key", "'mood'"),
    ("prompt:\n", 'prompt:\n  mood: "[prodct]"\n', "line 6, key prompt.mood", "[prodct] is no", "[product]"),
    (
        "prompt:\n",
        'prompt:\n  avoid: ["[product]"]\n',
        "line 6, key prompt.avoid, item 1",
        "[product] is no",
        "none",
    ),
    (
        "prompt:\n",
        'prompt:\n  mood: "{{ market }}"\n',
        "line 6, key prompt.mood",
        "names the market",
        "market: NAME",
    ),
    (
        "set: {",
        "set: {a b: 1, ",
        "line 7, key prompt.set.a b",
        "'a b' can't be a name here",
        "letters, digits and _",
    ),
    ("prompt:\n", 'prompt:\n  mood: "{{ x"\n', "line 6, key prompt.mood", "is no template", "Mend the braces"),
    ("row.noun }", "market }", "line 7, key prompt.set.noun", "names the market", "market: NAME"),
    ("use: base.yaml", "use: product.png", "product.png, line 1", "is not UTF-8 text", "UTF-8"),
    ("use: base.yaml", "use: .", "line 6, key prompt.use", "there is no file", "Check the path"),
]


@pytest.mark.parametrize(("old", "new", "where", "what", "mend"), REFUSED)
def test_a_mistake_in_the_campaign_is_told_by_its_line_and_key(
    old: str, new: str, where: str, what: str, mend: str, folder: Path, registry: Registry
) -> None:
    assert CAMPAIGN.count(old) == 1
    (found,) = problems(folder, registry, CAMPAIGN.replace(old, new))
    assert where in found.where
    assert what in found.what
    assert mend in found.mend


REFUSED_BRIEFS: list[tuple[str, str, str, str, str]] = [
    (
        "light: soft",
        "ligth: soft",
        "base.yaml, line 8, key ligth",
        "there is no such key",
        "Did you mean 'light'?",
    ),
    ("{{ place }}", "{{ plaec }}", "base.yaml, line 7, key scene", "names 'plaec'", "Did you mean 'place'?"),
    ("{about: what", "{abuot: what", "line 3, key variables.noun.abuot", "no such key", "Did you mean 'about'?"),
    ("{default: on", "{default: [], x: on", "line 4, key variables.place.x", "no such key", "about, default"),
    ("  place: {", "  row: {", "line 4, key variables.row", "'row' can't be a name here", "means nothing else"),
    ("fr: {set: {place:", "fr: {set: {plac:", "key markets.fr.set.plac", "has a variable 'plac'", "'place'"),
    ("fr: {set:", "fr: {sett:", "line 11, key markets.fr.sett", "there is no such key", "Did you mean 'set'?"),
    (
        "light: evening light",
        "light: 7",
        "line 11, key markets.fr.light",
        "7 is not a text or a list",
        "to leave it",
    ),
    ("light: evening light", 'light: "{{"', "line 11, key markets.fr.light", "is no template", "Mend the braces"),
    ("role: product", "role: product [x]", "base.yaml, line 5, key role", "[x] is no reference", "[product]"),
    (
        "us: {}",
        "us: []",
        "line 12, key markets.us",
        "[] is not keys with values",
        "otherwise for a market",
    ),
    ("role:", "light: x\nrole:", "line 9, key light", "stands twice", "line 5"),
]


@pytest.mark.parametrize(("old", "new", "where", "what", "mend"), REFUSED_BRIEFS)
def test_a_mistake_in_a_creative_brief_is_told_by_its_file_line_and_key(
    old: str, new: str, where: str, what: str, mend: str, folder: Path, registry: Registry
) -> None:
    assert BASE.count(old) == 1
    first = problems(folder, registry, base=BASE.replace(old, new))[0]
    assert where in first.where
    assert what in first.what
    assert mend in first.mend


def test_a_name_that_only_the_campaign_varies_has_to_be_declared(folder: Path, registry: Registry) -> None:
    text = CAMPAIGN + "vary: {colour: [red]}\n"
    (found,) = problems(folder, registry, text, base=BASE + 'mood: "{{ colour }}"\n')
    assert (found.where, found.mend.partition(":")[0]) == (
        "base.yaml, line 13, key mood",
        "Declare it in base.yaml",
    )


def test_briefs_that_use_each_other_in_a_circle_are_refused(folder: Path, registry: Registry) -> None:
    (found,) = problems(folder, registry, base="use: other.yaml", other="use: base.yaml")
    assert found.where == "other.yaml, line 1, key use"
    assert found.what == "the files use each other in a circle: base.yaml → other.yaml → base.yaml"
    (itself,) = problems(folder, registry, base="use: base.yaml")
    assert "base.yaml → base.yaml" in itself.what


def test_no_more_briefs_lie_upon_each_other_than_anyone_can_follow(folder: Path, registry: Registry) -> None:
    files = {f"brief{n}": f"use: brief{n + 1}.yaml\nmood: calm" for n in range(12)}
    (found,) = problems(folder, registry, base="use: brief0.yaml", **files)
    assert "more than 8 creative briefs" in found.what


def test_a_brief_may_not_lead_out_of_what_was_uploaded(folder: Path, registry: Registry) -> None:
    inside = folder / "uploaded"
    inside.mkdir()
    (folder / "product.png").rename(inside / "product.png")
    (inside / "campaign.yaml").write_text(CAMPAIGN.replace("base.yaml", "../base.yaml"))
    with pytest.raises(BadInput, match=r"key prompt\.use: \.\./base\.yaml leads out of what was uploaded"):
        read_brief(inside / "campaign.yaml", Settings(home=folder), registry, within=inside)


def test_mistakes_that_rows_make_are_told_by_row_and_column(folder: Path, registry: Registry) -> None:
    (empty,) = problems(folder, registry, CAMPAIGN.replace("noun: lamp", "noun: ~"))
    assert empty.where == "campaign.yaml, line 3, row 2, column noun"
    assert empty.what == "the cell in column 'noun' is empty"
    (named,) = problems(folder, registry, CAMPAIGN.replace("noun: lamp", "noun: '[lamp]'"))
    assert (named.where, named.what) == (empty.where, "[lamp] is no reference")
    nothing = inline("subject: \"{{ row.noun or '' }}\"").replace("noun: lamp", "noun: ~")
    (blank,) = problems(folder, registry, nothing)
    assert (blank.where, blank.what) == (empty.where, "the prompt is empty")
    (without,) = problems(folder, registry, CAMPAIGN.partition("prompt:")[0] + "prompt: {}")
    assert (without.where, without.what) == ("campaign.yaml, line 5, key prompt", "the prompt is empty")


@pytest.mark.parametrize("broken", ["vary: 5", "vary: {market: 5}", "vary: {zip: 5}", "market: [de]", "rows: 5"])
def test_what_follows_from_another_mistake_is_not_told(broken: str, folder: Path, registry: Registry) -> None:
    text = (
        CAMPAIGN.replace("rows: [{sku: a, noun: mug}, {sku: b, noun: lamp}]\n", "")
        if "rows" in broken
        else CAMPAIGN
    )
    (found,) = problems(folder, registry, text + broken)
    assert f"key {broken.partition(':')[0]}" in found.where
    (alone,) = problems(folder, registry, inline("mood: 5"))
    assert alone.where == "campaign.yaml, line 6, key prompt.mood"


def test_what_is_declared_or_given_and_never_used_is_warned_of(folder: Path, registry: Registry) -> None:
    unused = BASE.replace("  place:", "  spare: {default: x}\n  place:")
    (warning,) = read(folder, registry, base=unused).warnings
    assert "base.yaml, line 4, key variables.spare: no template uses this variable" in warning
    text = CAMPAIGN.replace('row.noun }}"}', 'row.noun }}", place: at home}') + "  scene: on sand\n"
    (warning,) = read(folder, registry, text, base=BASE).warnings
    assert "campaign.yaml, line 7, key prompt.set.place: nothing uses this value" in warning


def test_a_variable_is_not_wanted_where_the_section_that_uses_it_is_said_otherwise(
    folder: Path, registry: Registry
) -> None:
    text = inline('use: base.yaml\nsubject: "the [product]"')
    assert read(folder, registry, text).drafts[0].prompt.startswith("product photograph: the [ref#1], on a plain")


leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(
    ("{{ noun }}", "{{ row.noun }}", "[product]", "[x]", "{{ x", "base.yaml", "de")
)  # fmt: skip
tree = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
branches = st.dictionaries(st.sampled_from(["de", "noun", "x y", *Variable.model_fields]), tree, max_size=3)
briefs = st.dictionaries(st.sampled_from([*CreativeBrief.model_fields, "moood"]), tree | branches, max_size=6)


@settings(deadline=None, max_examples=150)
@given(brief=briefs, prompt=briefs, market=st.none() | st.sampled_from(["de", "xx"]))
def test_whatever_a_brief_says_only_bad_input_comes_out(
    brief: dict[str, Any],
    prompt: dict[str, Any],
    market: str | None,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    Image.new("RGB", (16, 16)).save(folder / "product.png")
    (folder / "base.yaml").write_text(json.dumps(brief))
    told = {**yaml.safe_load(CAMPAIGN), "prompt": {"use": "base.yaml", **prompt}}
    told |= {"market": market} if market else {}
    (folder / "campaign.json").write_text(json.dumps(told))
    found: tuple[Problem, ...] = ()
    drafts: tuple[Draft, ...] = ()
    try:
        drafts = read_brief(folder / "campaign.json", Settings(home=folder), registry).drafts
    except BadInput as error:
        found = error.problems
    assert bool(found) != bool(drafts)
    assert all(one.where and one.what and one.mend for one in found)
    assert len(set(found)) == len(found)
    assert all(draft.prompt == assemble(dict(draft.sections)) for draft in drafts)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=120) | st.text("abc:-[]{}&*!|>'\"#% \n\t", max_size=60))
def test_whatever_stands_in_a_brief_only_bad_input_comes_out(
    text: str, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    Image.new("RGB", (16, 16)).save(folder / "product.png")
    (folder / "base.yaml").write_bytes(text.encode("utf-8", "replace"))
    (folder / "campaign.yaml").write_text(CAMPAIGN)
    with pytest.raises(BadInput) as caught:
        read_brief(folder / "campaign.yaml", Settings(home=folder), registry)
    assert all(one.where and one.what and one.mend for one in caught.value.problems)


def test_dreamline_prompt_prints_prompts_with_their_sections(folder: Path, registry: Registry) -> None:
    text = (CAMPAIGN + "vary: {market: [de, fr]}\n").replace("kind: thing", "kind: subject")
    (folder / "campaign.yaml").write_text(text)
    here = Settings(home=folder)

    def run(*more: str) -> Result:
        return CliRunner().invoke(command, [str(folder / "campaign.yaml"), *more], obj=here)

    printed = json.loads(run("--row", "b", "--market", "fr", "--json").output)
    assert printed["of"] == 1
    assert printed["prompts"] == [
        {
            "row": "b",
            "variant": {"market": "fr"},
            "prompt": "product photograph: a lamp from [ref#1], on a zinc counter. evening light",
            "negative_prompt": "",
            "sections": {
                "role": "product photograph",
                "subject": "a lamp from [ref#1]",
                "scene": "on a zinc counter",
                "light": "evening light",
            },
            "changed_by": {},
        }
    ]
    told = run("-n", "1").output
    assert "a (market: de)\n  product photograph: a mug from [ref#1], on a windowsill. soft daylight\n" in told
    assert "    scene:       on a windowsill\n" in told
    assert "1 of 4 prompts" in told
    assert len(json.loads(run("--all", "--json").output)["prompts"]) == 4
    wrong = run("--row", "bb", "--market", "it").exception
    assert isinstance(wrong, BadInput)
    assert [one.where for one in wrong.problems] == ["option --row", "option --market"]
    assert "Did you mean 'b'?" in wrong.problems[0].mend


def test_dreamline_plan_shows_a_prompt_as_the_model_will_read_it(folder: Path) -> None:
    file = folder / "campaign.yaml"
    file.write_text((CAMPAIGN + "negative_prompt: blur\n").replace("kind: thing", "kind: subject"))
    here = Settings(home=folder / "home")
    first = "product photograph: a mug from [ref#1], on a plain ground. soft daylight"
    told = CliRunner().invoke(plan.command, [str(file)], obj=here).output
    assert f"  prompt of a: {first}\n  away from: blur\n" in told
    printed = json.loads(CliRunner().invoke(plan.command, [str(file), "--json"], obj=here).output)
    assert printed["example"] == {"row": "a", "prompt": first, "negative_prompt": "blur"}


def test_dreamline_schema_has_every_key_of_briefs_with_its_description() -> None:
    printed = json.loads(CliRunner().invoke(schema.command, ["--brief"]).output)
    assert printed == brief_schema()
    assert list(printed["properties"]) == list(CreativeBrief.model_fields)
    for keys in (printed["properties"], printed["$defs"]["Variable"]["properties"]):
        assert all(key["description"] for key in keys.values())
    assert "Sections" in printed["$defs"]


def test_the_page_on_briefs_has_every_section_and_the_brief_of_the_page_is_one(
    folder: Path, registry: Registry
) -> None:
    page = PAGE.read_text()
    tables = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert tables == [*SECTIONS, AVOID]
    assert {*SECTIONS, AVOID, "set"} == set(Sections.model_fields)
    brief, campaign = (part.partition("```")[0] for part in page.split("```yaml\n# ")[1:])
    text = CAMPAIGN.partition("prompt:")[0] + campaign.partition("\n")[2]
    (folder / "briefs").mkdir()
    (folder / "briefs" / "catalogue.yaml").write_text(brief.partition("\n")[2])
    assert read(folder, registry, text).drafts[0].prompt == (
        "product photograph for a web shop: a mug from [ref#1], on a zinc counter in a café. candlelight"
    )


def test_the_brief_that_comes_along_suits_the_table_of_another_example(tmp_path: Path) -> None:
    here = Settings(home=tmp_path)
    brief = read_brief(EXAMPLE / "campaign.yaml", here, registries.load(here))
    assert len(brief.drafts) == 4 * 3
    assert [draft.prompt.partition("], ")[2].partition(".")[0] for draft in brief.drafts[:3]] == [
        "on a windowsill with a view of half-timbered houses",
        "on a zinc counter in a Paris café",
        "on a plain ground",
    ]
    assert all("fresh, like a morning in spring" in draft.prompt for draft in brief.drafts)
    assert [warning.partition(": ")[2][:22] for warning in brief.warnings] == ["storyboard makes one p"]


def test_a_brief_is_uploaded_beside_the_campaign_that_uses_it(folder: Path, registry: Registry) -> None:
    text = CAMPAIGN.replace("base.yaml", "briefs/base.yaml").replace("product.png", "images/product.png")
    given = {"base.yaml": BASE.encode(), "mine.yaml": text.encode()}
    given["product.png"] = (folder / "product.png").read_bytes()
    home = Settings(home=folder / "home")
    file = unpack(home, [Uploaded(name, data) for name, data in given.items()])
    assert file.name == "mine.yaml"
    brief = read_brief(file, home, registry, within=bounds(home, file))
    assert brief.drafts[0].prompt.startswith("product photograph: a mug from [ref#1]")
