"""Languages: whether a text is in a script or a language that a model's text encoders were not trained on.

Scripts are told by the names of characters. Languages are told by py3langid's table of letter sequences, which
comes with the package; most English texts are known by their small words and never reach it. Short texts and names
are let pass: a warning that is wrong is worse than one that is missing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

LANGUAGES: Mapping[str, str] = {
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fi": "Finnish",
    "fr": "French",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sv": "Swedish",
    "tr": "Turkish",
    "vi": "Vietnamese",
}
"""Languages in Latin letters that are told apart, by their ISO 639-1 codes."""

SCRIPTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ARABIC": ("Arabic", ("ar", "fa", "ur")),
    "ARMENIAN": ("Armenian", ("hy",)),
    "BENGALI": ("Bengali", ("bn",)),
    "CJK": ("Chinese", ("zh", "ja")),
    "CYRILLIC": ("Cyrillic", ("ru", "uk", "bg", "sr", "mk", "be", "kk")),
    "DEVANAGARI": ("Devanagari", ("hi", "mr", "ne")),
    "ETHIOPIC": ("Ethiopic", ("am", "ti")),
    "GEORGIAN": ("Georgian", ("ka",)),
    "GREEK": ("Greek", ("el",)),
    "GUJARATI": ("Gujarati", ("gu",)),
    "GURMUKHI": ("Gurmukhi", ("pa",)),
    "HANGUL": ("Korean", ("ko",)),
    "HEBREW": ("Hebrew", ("he", "yi")),
    "HIRAGANA": ("Japanese", ("ja",)),
    "KANNADA": ("Kannada", ("kn",)),
    "KATAKANA": ("Japanese", ("ja",)),
    "KHMER": ("Khmer", ("km",)),
    "LAO": ("Lao", ("lo",)),
    "MALAYALAM": ("Malayalam", ("ml",)),
    "MYANMAR": ("Burmese", ("my",)),
    "SINHALA": ("Sinhala", ("si",)),
    "TAMIL": ("Tamil", ("ta",)),
    "TELUGU": ("Telugu", ("te",)),
    "THAI": ("Thai", ("th",)),
}
"""Scripts by the first word of their characters' Unicode names: what they are called, and who writes in them."""

IN_BLOCKS = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA")
"""Scripts of which one character is a word; of others two make one, for single Greek letters stand in names."""

LEAST_WORDS, LEAST_SMALL = 4, 3
"""Words that a text must have, and those of them that begin with a small letter: names do not."""

UNLIKELY = 0.003
"""Below this probability of a known language a text is another's; English ones measured stay over 0.008."""

SMALL_ENGLISH = frozenset(
    ("a", "above", "against", "and", "at", "beside", "by", "for", "from", "in", "near", "of", "on", "the", "to")
) | {"under", "with", "without"}
ENGLISH_SHARE = 0.2
"""A text of which so many words are among the small ones is English."""

_PLACEHOLDER = re.compile(r"\[[^\[\]]*\]")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Strange:
    """What is strange in a text: `Cyrillic letters`, `German`; and some of its words."""

    what: str
    words: tuple[str, ...]

    @property
    def sample(self) -> str:
        """The words as messages show them, each cut where it is long."""
        return " ".join(word[:24] for word in self.words)


def strange_script(text: str, known: Sequence[str]) -> Strange | None:
    """Words in a script that none of the known languages uses; of several scripts the one with most words."""
    if text.isascii():
        return None
    words: dict[str, list[str]] = {}
    for word in _WORD.findall(text):
        names = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in word)
        for script, letters in names.items():
            title, languages = SCRIPTS.get(script, ("", ()))
            strange = title and not set(languages) & set(known)
            if strange and letters >= (1 if script in IN_BLOCKS else 2):
                words.setdefault(title, []).append(word)
    if not words:
        return None
    title = "Japanese" if "Japanese" in words else max(words, key=lambda one: len(words[one]))
    found = words[title] if title != "Japanese" else [word for each in words.values() for word in each]
    return Strange(f"{title} characters", tuple(dict.fromkeys(found))[:_SAMPLE])


def strange_language(text: str, known: Sequence[str]) -> Strange | None:
    """The language of a text that is plainly in none of the known ones; None for short texts and names."""
    told = [code for code in known if code in LANGUAGES]
    words = _WORD.findall(_PLACEHOLDER.sub(" ", text))
    small = sum(word[0].islower() for word in words)
    if not told or len(words) < LEAST_WORDS or small < LEAST_SMALL:
        return None
    if "en" in told and sum(word.lower() in SMALL_ENGLISH for word in words) >= ENGLISH_SHARE * len(words):
        return None
    ranked: list[tuple[str, float]] = _identifier().rank(" ".join(words))
    likely = dict(ranked)
    if sum(likely[code] for code in told) >= UNLIKELY:
        return None
    code, probability = ranked[0]
    return Strange(LANGUAGES[code] if probability > 0.5 else "another language", tuple(words[:_SAMPLE]))


def names_of(known: Sequence[str]) -> str:
    """Languages in words: `English and German`."""
    titles = [LANGUAGES.get(code, code) for code in known]
    return " and ".join([", ".join(titles[:-1]), titles[-1]]) if len(titles) > 1 else "".join(titles)


@cache
def _identifier() -> Any:
    """py3langid with the languages of ours; reading its table takes about a second, so only those who ask wait."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return identifier
