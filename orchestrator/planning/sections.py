"""Planning: the sections of a structured prompt, their order, and how they become one text.

`{role}: {subject}, {scene}. {light}. {camera}. {mood}. {constraints}`: what the picture shows reads as one
sentence, all else as sentences after it. A section that is not said leaves no mark behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SECTIONS: Mapping[str, str] = {
    "role": "What the picture is for, as in `product photograph for a web shop`.",
    "subject": "What it shows. References stand in it by name in square brackets: [product].",
    "scene": "Where that is, as in `on a beach at dusk`.",
    "light": "How it is lit, as in `soft daylight from the left`.",
    "camera": "How it is seen, as in `eye level, 50 mm, shallow depth of field`.",
    "mood": "What it feels like, as in `calm and warm`.",
    "constraints": "What has to hold, said as what is there: `plain background`, not `no clutter`.",
}
"""Every section of the prompt with its meaning, in the order of assembly."""

AVOID = "avoid"
ABOUT_AVOID = (
    "What to keep away from, as in `text, people`. It goes into the negative prompt, for models of which the "
    "model card's true_cfg is over 1; the others never read one."
)

_ENDED = (".", "!", "?", "…")
_LOOSE = re.compile(r"^[\s,;:]+|[\s,;:]+$")


def assemble(sections: Mapping[str, str]) -> str:
    """One text from tidy sections by name; each stands in it once, in the order of `SECTIONS`."""
    role, subject, scene, *others = (sections.get(name, "") for name in SECTIONS)
    shown = _joined(", ", (subject, scene))
    return _joined(". ", (_joined(": ", (role, shown)), *others))


def listed(texts: Iterable[str]) -> str:
    """The entries of a section that is a list, without those that came out empty."""
    return ", ".join(filter(None, map(tidy, texts)))


def tidy(text: str) -> str:
    """A text with single spaces, and without commas, semicolons and colons at its ends."""
    return _LOOSE.sub("", " ".join(text.split()))


def _joined(mark: str, texts: Iterable[str]) -> str:
    """The texts that say something, with `mark` between them; after a full stop a space is enough."""
    made = ""
    for text in filter(None, texts):
        made = f"{made}{' ' if made.endswith(_ENDED) else mark}{text}" if made else text
    return made
