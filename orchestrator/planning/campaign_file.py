"""Planning: what a campaign file may say. `dreamline schema` and docs/campaign-file.md are drawn from this.

A file is checked as a whole: what can't be used is noted and replaced by something harmless, so that the
rest is checked too and every mistake comes up once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.planning.brief_file import Market, StructuredPrompt, Value, describe, name_prompt_keys
from orchestrator.planning.document import Document, Place, parse_document, read_document
from orchestrator.planning.findings import Findings
from orchestrator.planning.mistakes import KEY, find_mistakes, known_keys, repair, without_mark
from orchestrator.planning.stops import GRAMMAR

MAX_SEED = 2**63 - 1

Cell = str | int | float | bool | None
Values = Annotated[list[Value], Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]


class ReferenceEntry(BaseModel):
    """A picture of which the images keep something."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: str = Field(
        description="What is kept: subject, identity, style, tryon, or what a plugin brings "
        "(`dreamline plugins`).",
        examples=["subject", "identity", "style", "tryon"],
    )
    image: str = Field(
        min_length=1,
        description="Path of the picture; a template. Relative to the file of rows when it names a column, "
        "else to the campaign file.",
        examples=["{{ row.image }}"],
    )
    mask: str = Field(
        default="",
        description="Path of a second picture, white where the thing is: it is cut out by that. A template; where "
        "it comes to nothing there is no mask.",
        examples=["{{ row.mask }}"],
    )
    options: dict[str, Any] = Field(
        default={},
        description="Options of the kind; texts are templates. `method` chooses how the picture is prepared.",
    )


class RowSource(BaseModel):
    """Where rows come from, and how they are read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source: Literal["table", "shopify", "merchant", "folder", "viton-hd", "dresscode"] | None = Field(
        default=None,
        description="What it is: table (columns as they are), shopify (a product export), merchant (a Google "
        "Merchant feed), folder (of pictures), viton-hd or dresscode (pairs of person and garment).",
        examples=["shopify"],
    )
    path: str = Field(
        min_length=1,
        description="The file or folder, relative to the campaign file.",
        examples=["products_export.csv"],
    )
    per: Literal["sku", "product"] = Field(
        default="sku", description="Of shopify and merchant: a row for each sku, or for each product."
    )
    pictures: str | None = Field(
        default=None,
        description="Of shopify and merchant: a folder in which pictures are looked for by the names that their "
        "addresses end in. Those that are not there are fetched.",
    )
    pattern: str | None = Field(
        default=None,
        description="Of folder: what the names of pictures say, as in {sku}_{view}.jpg; each name in braces is a "
        "column, * is what is not needed.",
        examples=["{sku}_{view}.jpg"],
    )
    pairs: str | None = Field(
        default=None,
        description="Of viton-hd and dresscode: the pairs file, as test_pairs.txt; without it the usual one.",
        examples=["test_pairs.txt"],
    )


class Vary(BaseModel):
    """Names with lists of values: every combination is made."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    __pydantic_extra__: dict[str, Values]

    zip: dict[str, Values] = Field(
        default={},
        description="Names with lists of one length, which go together: the first with the first, and so on.",
    )

    @property
    def lists(self) -> Mapping[str, list[Value]]:
        """The names that are combined freely, in the file's order."""
        return self.__pydantic_extra__


class StopEntry(BaseModel):
    """Rules that pause a campaign and say why."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    budget: str | int | float | None = Field(
        default=None,
        description="Most that may be spent on making images: money (`40 EUR`; an hour costs "
        "DREAMLINE_GPU_HOUR_COST) or time (`2 h`, `90 min`).",
        examples=["40 EUR", "2 h"],
    )
    images: int | None = Field(default=None, ge=1, description="Most images that may be made.", examples=[500])
    failed: str | int | None = Field(
        default=None,
        description="Images that could not be made: a share (`20%`, once 20 have ended; `20% of the last 50`) or "
        "a number.",
        examples=["20%"],
    )
    rejected: str | int | None = Field(
        default=None,
        description="Images that people rejected: a share (`40%`, once 20 were decided; `40% of the last 50`) or "
        "a number.",
        examples=["40% of the last 50"],
    )

    @property
    def rules(self) -> Mapping[str, str | int | float]:
        """Those that are said, by name."""
        return self.model_dump(exclude_none=True)


class CampaignFile(BaseModel):
    """A campaign of dreamline: what to make, of which rows, in which variants."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title="dreamline campaign")

    campaign: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Name of the campaign: letters, digits, dot, hyphen, underscore; 63 at most. The same name "
        "again is the same campaign.",
        examples=["summer-drop"],
    )
    model: str = Field(
        min_length=1,
        description="Name of the model card that makes the images (`dreamline models list`).",
        examples=["dreamo-mini"],
    )
    prompt: Annotated[str, Field(min_length=1)] | StructuredPrompt = Field(
        description="What to make: a template, or named sections (role, subject, scene, light, camera, mood, "
        "constraints, avoid), alone or on top of a creative brief (use). References stand in it by name in square "
        "brackets: [product].",
        examples=[
            "a {{ row.noun }} from [product] {{ scene }}",
            {"use": "briefs/catalogue.yaml", "set": {"noun": "{{ row.noun }}"}, "light": "soft daylight"},
        ],
    )
    market: Market | None = Field(
        default=None,
        description="The market that the images are for: it chooses among the overrides of a structured prompt, "
        "and is {{ market }} in templates. vary may have a list of them instead.",
        examples=["de"],
    )
    rows: str | RowSource | list[Mapping[str, Cell]] | None = Field(
        default=None,
        description="A file of rows (CSV, Excel, JSON, JSON lines, a feed as XML) relative to this one, a source "
        "with its path, or the rows themselves. Without it there is one row without columns.",
        examples=["products.csv", {"source": "shopify", "path": "products_export.csv"}],
    )
    key: str | None = Field(
        default=None,
        description="Column that names a row, each by another name. Without it: sku, id or name, else the row's "
        "number.",
    )
    references: dict[Name, ReferenceEntry] = Field(
        default={}, description="Reference pictures by the names that the prompt calls them."
    )
    vary: Vary = Field(
        default=Vary.model_validate({}),
        description="Names with lists of values, for the templates: every combination is made.",
    )
    seeds: Annotated[int, Field(ge=1, le=1_000_000)] | Annotated[list[Seed], Field(min_length=1)] = Field(
        default=1,
        description="How many images of each (2 means the seeds 0 and 1), or a list of seeds from 0 to 2^63-1.",
        examples=[2, [7, 11]],
    )
    formats: Annotated[list[str], Field(min_length=1)] = Field(
        default=["square"],
        description="Shapes to generate: square, portrait, landscape, story, wide, banner, or pixels as in "
        "1200x628.",
        examples=[["square", "portrait"]],
    )
    steps: int | None = Field(
        default=None, ge=1, le=200, description="Denoising steps, 1 to 200. Without it: the model card's."
    )
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="How closely the prompt is followed, 0 to 100. Without it: the model card's.",
    )
    negative_prompt: str = Field(
        default="",
        description="What to keep away from; a template. Without effect where the model card's true_cfg is 1.",
    )
    gates: dict[str, str] = Field(
        default={},
        description="Thresholds on scores (docs/scores.md), by the score's name: a sign (>, >=, <, <=, =), a "
        "number, and what becomes of images that miss it: `else last` (shown after the others), `else hold` (held "
        "back; without a word too), `else retry` (made again with another seed, twice at most, then held back).",
        examples=[{"sharpness": ">0.2 else retry", "colour": "<25 else last"}],
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="What the files are called that `dreamline run` writes: a template, which may also name "
        "{{ seed }} and {{ format }}; / makes folders, .jpg at its end makes JPEGs. Without it: row, variant, "
        "format and seed.",
        examples=["{{ row.sku }}.jpg"],
    )
    priority: int = Field(
        default=0, ge=-1000, le=1000, description="Images of a campaign with a higher number are made first."
    )
    owner: str = Field(
        default="",
        max_length=100,
        description="Whose campaign it is; owners whose campaigns run at the same time share the workers. Without "
        "it: whoever runs it first.",
        examples=["ana"],
    )
    stop: StopEntry = Field(
        default=StopEntry(),
        description="Rules that pause the campaign and say why: budget, images, failed, rejected.",
    )


@dataclass(frozen=True, slots=True)
class Told:
    """A campaign file as far as it can be used.

    Attributes:
        document: the file with its lines.
        file: its values; what was wrong is replaced.
        references: the names of all references, of wrong ones too.
        broken: places that were wrong or missing: what follows from them is not worth a message.
    """

    document: Document
    file: CampaignFile
    references: tuple[str, ...]
    broken: frozenset[Place] = frozenset()

    def sound(self, *place: str | int) -> bool:
        """Whether nothing was wrong at the place, above or below it."""
        return not any(one[: len(place)] == place[: len(one)] for one in self.broken)


def json_schema() -> dict[str, Any]:
    """The JSON schema of campaign files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **CampaignFile.model_json_schema()}


def read_campaign_file(path: Path, findings: Findings) -> Told:
    """Reads a campaign file and checks every key by itself; mistakes go to `findings`.

    Raises:
        BadInput: it is no file of keys at all.
    """
    return _check(read_document(path, findings), findings)


def read_campaign_text(text: str, path: Path, findings: Findings) -> Told:
    """The same of a campaign file's text, as it was read from `path` before.

    Raises:
        BadInput: it is no text of keys at all.
    """
    return _check(parse_document(text, path, findings), findings)


def _check(document: Document, findings: Findings) -> Told:
    value, document = _name_keys(document, findings)
    entries = value.get("references")
    names = tuple(entries) if isinstance(entries, Mapping) else ()
    try:
        return Told(document, CampaignFile.model_validate(value), names)
    except ValidationError as error:
        mistakes = find_mistakes(value, error)
    for place, what in mistakes.items():
        findings.add(document.where(*without_mark(place)), what, _mend(place))
    for place in sorted(mistakes, key=len, reverse=True):
        value = repair(value, place)
    broken = frozenset(map(without_mark, mistakes))
    return Told(document, CampaignFile.model_validate(value), names, broken)


def _name_keys(document: Document, findings: Findings) -> tuple[dict[str, Any], Document]:
    """Notes unknown keys. One that is plainly another's misspelling is taken for it, so that it is told once."""
    value, document = known_keys(document.value, (), CampaignFile, document, findings)
    entries = value.get("references")
    if isinstance(entries, Mapping):
        known = dict(entries)
        for name, entry in entries.items():
            if isinstance(entry, Mapping):
                known[name], document = known_keys(entry, ("references", name), ReferenceEntry, document, findings)
        value["references"] = known
    if isinstance(value.get("rows"), Mapping):
        value["rows"], document = known_keys(value["rows"], ("rows",), RowSource, document, findings)
    if isinstance(prompt := value.get("prompt"), Mapping):
        value["prompt"], document = name_prompt_keys(prompt, ("prompt",), StructuredPrompt, document, findings)
    if isinstance(value.get("stop"), Mapping):
        value["stop"], document = known_keys(value["stop"], ("stop",), StopEntry, document, findings)
    return value, document


def _mend(place: Place) -> str:
    """The description of the key."""
    if place[0] == "prompt" and len(place) > 1:
        return describe(place[1:])
    if place[0] == "references" and len(place) > 2 and place[2] != KEY:
        return str(ReferenceEntry.model_fields[str(place[2])].description)
    if place[0] == "references" and len(place) > 1:
        return "Give a name of letters, digits, - and _ with kind: and image: below it"
    if place[0] == "rows" and len(place) > 1 and place[1] in RowSource.model_fields:
        return str(RowSource.model_fields[str(place[1])].description)
    if place[0] == "vary" and len(place) > 1:
        return "Give a list of at least one text or number"
    if place[0] == "stop" and len(place) > 1:
        return GRAMMAR[str(place[1])]
    return str(CampaignFile.model_fields[str(place[0])].description)
