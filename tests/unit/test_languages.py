"""Words that text encoders do not know are warned of once, and English prompts with foreign names are not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import registry as registries
from core.cards import load_card
from core.languages import LANGUAGES, names_of, strange_language, strange_script
from core.settings import Settings
from core.training.world.captions import NOTHING_GOVERNED, caption
from core.training.world.samples import REFERENCES, choose_scene
from core.training.world.truth import FULL
from orchestrator.cli.generate import tell_strange_words
from orchestrator.planning.expand import read_brief

PROMPTS = Path(__file__).parents[1] / "data" / "prompts"
ENGLISH = (PROMPTS / "english.txt").read_text().splitlines()
OTHER = (PROMPTS / "other.txt").read_text().splitlines()
TASKS = [task for task in REFERENCES if task != "panels"]


def strange(text: str, *known: str) -> str:
    found = strange_script(text, known or ("en",)) or strange_language(text, known or ("en",))
    return found.what if found else ""


def test_no_english_prompt_is_taken_for_another_language_whatever_names_are_in_it() -> None:
    assert len(ENGLISH) >= 100
    assert [text for text in ENGLISH if strange(text)] == []


def test_no_caption_of_the_drawn_world_is_taken_for_another_language() -> None:
    rng = Random(8)
    scenes = [choose_scene(FULL, TASKS[n % len(TASKS)], "train", rng) for n in range(300)]
    assert [said for one in scenes if strange(said := caption(one, NOTHING_GOVERNED, rng))] == []


def test_prompts_in_other_languages_are_told_but_for_the_shortest() -> None:
    told = [(text.partition(" ")[2], strange(text.partition(" ")[2]), text[:2]) for text in OTHER]
    missed = [text for text, what, _ in told if not what]
    assert len(missed) <= len(told) // 10, missed
    wrong = [(text, what) for text, what, code in told if what not in ("", LANGUAGES[code], "another language")]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "what", "words"),
    [
        ("红色的杯子 on a table", "Chinese characters", ("红色的杯子",)),
        ("a bottle of 資生堂 serum", "Chinese characters", ("資生堂",)),
        ("赤いカップ、木のテーブル", "Japanese characters", ("赤いカップ", "木のテーブル")),
        ("빨간 컵", "Korean characters", ("빨간", "컵")),
        ("красная кружка", "Cyrillic characters", ("красная", "кружка")),
        ("κόκκινη κούπα", "Greek characters", ("κόκκινη", "κούπα")),
        ("كوب أحمر", "Arabic characters", ("كوب", "أحمر")),
    ],
)
def test_scripts_are_told_with_words_in_them(text: str, what: str, words: tuple[str, ...]) -> None:
    found = strange_script(text, ("en",))
    assert found is not None
    assert (found.what, found.words) == (what, words)


@pytest.mark.parametrize(
    "text",
    [
        "\u03b1-hydroxy serum",
        "20 Ω, 5 µm",
        "Ærø café, naïve Zürich",
        "½ litre, 30 °C, n° 5",
        "😀 mug",
        "\uff41\uff42\uff43",
    ],
)
def test_letters_and_signs_that_stand_in_names_are_no_script(text: str) -> None:
    assert strange_script(text, ("en",)) is None


@pytest.mark.parametrize(
    "text", ["Crème de la Mer", "Château Margaux Grand Vin de Bordeaux", "Tasse", "Dolce & Gabbana", "", "[] 12"]
)
def test_names_and_short_texts_are_let_pass(text: str) -> None:
    assert strange(text) == ""


def test_known_languages_are_not_strange() -> None:
    german = "eine Kaffeetasse auf einem Holztisch am Fenster"
    assert strange(german, "en") == "German"
    assert strange(german, "de") == strange(german, "en", "de") == ""
    assert strange("a mug with a handle on the kitchen table", "de") == "English"
    assert strange("красная кружка", "ru") == strange("红色的杯子", "zh") == ""
    assert strange(german, "xx") == ""
    assert names_of(("en", "de", "xx")) == "English, German and xx"


@settings(deadline=None)
@given(text=st.text(max_size=80), known=st.lists(st.sampled_from(["en", "de", "ru", "ja", "xx"]), max_size=3))
def test_whatever_a_text_holds_what_is_told_of_it_stands_in_it(text: str, known: list[str]) -> None:
    for found in (strange_script(text, known), strange_language(text, known)):
        assert found is None or (found.words and all(word in text for word in found.words))


ROWS = """\
campaign: test
model: MODEL
rows:
  - {sku: a, noun: mug, text: a mug with a handle}
  - {sku: b, noun: mug, text: rote Kaffeetasse mit einem grossen Henkel und Goldrand}
  - {sku: c, noun: кружка, text: schwarze Tasche aus weichem Leder mit goldenem Verschluss}
prompt: PROMPT
"""


def warnings(folder: Path, prompt: str, model: str = "dreamo-v1.1") -> list[str]:
    path = folder / "campaign.yaml"
    path.write_text(ROWS.replace("MODEL", model).replace("PROMPT", prompt))
    here = Settings(home=folder)
    return [one.replace(f"{folder}/", "") for one in read_brief(path, here, registries.load(here)).warnings]


def test_a_campaign_is_warned_once_a_sort_with_the_row_and_words(tmp_path: Path) -> None:
    mend = "Translate it, or say it otherwise for its market (docs/briefs.md)"
    know = f"and the text encoders of dreamo-v1.1 know English. {mend}"
    sample = "rote Kaffeetasse mit einem grossen"
    assert warnings(tmp_path, '"photo of {{ row.noun }} on a table, {{ row.text }}"') == [
        f"campaign.yaml, line 6, row 3, column noun: holds Cyrillic characters (кружка), {know}",
        f"campaign.yaml, line 5, row 2, column text: looks like German ({sample}; so does one more row), {know}",
    ]


def test_sections_are_looked_at_by_themselves(tmp_path: Path) -> None:
    english = "a large and heavy mug on the table, seen from the left at the window of a house in the mountains"
    prompt = f'{{subject: "{english}", light: "sanftes Fensterlicht von links, ruhige Stimmung"}}'
    (warning,) = warnings(tmp_path, prompt)
    assert "looks like German (sanftes Fensterlicht von links ruhige; so do 2 more rows)" in warning


def test_dreamline_generate_says_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    card = load_card("dreamo-v1.1", Settings())
    tell_strange_words(card, "a mug from [product] on the table, soft light")
    assert capsys.readouterr().err == ""
    tell_strange_words(card, "красная кружка")
    assert capsys.readouterr().err == (
        "option --prompt: Cyrillic characters (красная кружка); the text encoders of dreamo-v1.1 know English\n"
    )
    tell_strange_words(load_card("dreamo-mini", Settings()), "красная кружка")
    assert capsys.readouterr().err == ""


def test_models_that_know_no_language_or_any_are_not_warned_about(tmp_path: Path) -> None:
    for model in ("dreamo-mini", "storyboard"):
        assert warnings(tmp_path, '"{{ row.noun }}, {{ row.text }}"', model) == []
