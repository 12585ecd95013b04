"""Planning: what a structured prompt may say, and a creative brief: a file of one that campaigns share.

A campaign's prompt, a creative brief and an override for a market are one thing in three places: sections by
name, and values for variables. `dreamline schema --brief` and docs/briefs.md are drawn from this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.planning.document import Document, Place, read_document
from orchestrator.planning.findings import Findings
from orchestrator.planning.mistakes import find_mistakes, known_keys, without_mark
from orchestrator.planning.sections import ABOUT_AVOID, AVOID, SECTIONS

Value = str | int | float | bool
Section = str | list[str]
Market = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,39}$")]

_KEYS = ConfigDict(extra="forbid", strict=True, frozen=True)


def _section(name: str) -> Any:
    """A section's key: a text or a list of texts, all of them templates; an empty text leaves it out."""
    return Field(default=None, description=SECTIONS.get(name, ABOUT_AVOID))


class Sections(BaseModel):
    """The parts of a prompt by name, each a template or a list of them; an empty text leaves out what is below."""

    model_config = _KEYS

    role: Section = _section("role")
    subject: Section = _section("subject")
    scene: Section = _section("scene")
    light: Section = _section("light")
    camera: Section = _section("camera")
    mood: Section = _section("mood")
    constraints: Section = _section("constraints")
    avoid: Section = _section(AVOID)
    set: dict[VariableName, Value] = Field(
        default={},
        description="Values for the variables of a creative brief; texts are templates of row and variant.",
        examples=[{"noun": "{{ row.noun }}"}],
    )

    def said(self) -> dict[str, Section]:
        """The sections that are there, `avoid` among them."""
        names = (*SECTIONS, AVOID)
        return {name: told for name in names if (told := getattr(self, name)) is not None}


class StructuredPrompt(Sections):
    """A prompt as named sections, alone or on top of a creative brief."""

    use: str | None = Field(
        default=None,
        min_length=1,
        description="A creative brief to build on: a file relative to this one. What is said here goes before "
        "what it says.",
        examples=["briefs/catalogue.yaml"],
    )
    markets: dict[Market, Sections] = Field(
        default={}, description="What is said otherwise for a market, by its name (`market:` of the campaign)."
    )


class Variable(BaseModel):
    """A name that the templates of a creative brief are filled in with."""

    model_config = _KEYS

    about: str = Field(default="", description="What it is, for whoever uses the brief.")
    default: Value | None = Field(
        default=None, description="Its value where a campaign gives none. Without it, a campaign has to."
    )


class CreativeBrief(StructuredPrompt):
    """Sections of a prompt with variables and with overrides for markets, for many campaigns."""

    model_config = ConfigDict(title="dreamline creative brief")

    about: str = Field(default="", description="What the brief is for.")
    variables: dict[VariableName, Variable] = Field(
        default={}, description="The names that its templates use, each with `about` and `default`."
    )


def brief_schema() -> dict[str, Any]:
    """The JSON schema of creative briefs."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **CreativeBrief.model_json_schema()}


def read_brief_file(path: Path, findings: Findings) -> tuple[Document, CreativeBrief | None]:
    """Reads a creative brief and checks every key; None, with the mistakes noted, where a value is wrong.

    Raises:
        BadInput: it is no file of keys at all.
    """
    document = read_document(path, findings, "docs/briefs.md shows a whole creative brief")
    value, document = name_prompt_keys(document.value, (), CreativeBrief, document, findings)
    try:
        return document, CreativeBrief.model_validate(value)
    except ValidationError as error:
        mistakes = find_mistakes(value, error)
    for place, what in mistakes.items():
        findings.add(document.where(*without_mark(place)), what, describe(place))
    return document, None


def name_prompt_keys(
    value: Any, place: Place, model: type[Sections], document: Document, findings: Findings
) -> tuple[dict[str, Any], Document]:
    """The keys of a structured prompt that there are, in its markets and variables too; others are noted."""
    known, document = known_keys(value, place, model, document, findings)
    below: dict[str, type[BaseModel]] = {"markets": Sections, "variables": Variable}
    for key, inner in below.items():
        if isinstance(entries := known.get(key), dict):
            known[key] = dict(entries)
            for name, entry in entries.items():
                if isinstance(entry, dict):
                    known[key][name], document = known_keys(entry, (*place, key, name), inner, document, findings)
    return known, document


def describe(place: Place) -> str:
    """How to mend what is wrong at a place in a structured prompt."""
    names = [str(part) for part in place if not isinstance(part, int)]
    if "set" in names[:-1] or names[-1:] == ["default"]:
        return "Give a text, a number, true or false, by a name of letters, digits and _"
    fields = CreativeBrief.model_fields | Variable.model_fields
    about = next((fields[name].description for name in reversed(names) if name in fields), None)
    about = about or "Give named sections: " + ", ".join((*SECTIONS, AVOID))
    return f'{about} Say "" to leave it out' if names[-1] in (*SECTIONS, AVOID) else about
