"""Delivering: a delivery file says where pictures go, and what stands on them there.

    to:
      instagram-portrait:
        headline: "{{ row.noun | capitalize }} for the summer"
        price: "{{ row.price }}"
      lookbook: {size: 1600x2000, fit: pad, ground: "#f4efe6"}
    label: Image made with AI
    logo: brand/logo.png

Texts are templates of the row and the variant, as in campaign files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from PIL import ImageColor
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import BadInput
from core.formats import wanted_size
from orchestrator.delivering.destinations import Destination, Safe, presets
from orchestrator.delivering.items import Item
from orchestrator.delivering.rendering.copy import Copy
from orchestrator.delivering.rendering.lettering import check_logo
from orchestrator.delivering.rendering.typesetting import check_font
from orchestrator.planning.document import Document, Place, read_document
from orchestrator.planning.findings import Findings, shown, suggest
from orchestrator.planning.mistakes import find_mistakes
from orchestrator.planning.names import RESERVED
from orchestrator.planning.rows import Table
from orchestrator.planning.scope import Scope
from orchestrator.planning.templates import Template, TemplateMistake, cells

PARTS = ("seed", "format")
"""What texts may name beside columns and parts of the variant."""

TEXTS = ("headline", "price", "label")
SHOWN_IN = "docs/delivery.md shows a whole delivery file"
FILES: tuple[Literal["logo", "font"], ...] = ("logo", "font")
MOST_BYTES = 30_000_000
"""Of a logo or a font."""

MOST_SIDE, MOST_PIXELS = 16_383, 50_000_000
"""Of a file: WebP takes no longer side, and eight of this size are made beside one another."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

Share = float | int


class SafeEntry(BaseModel):
    """What a channel covers of a picture at each side, in per cent of its height or width."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    top: Share = Field(default=0, ge=0, le=60, description="Per cent of the height.")
    right: Share = Field(default=0, ge=0, le=60, description="Per cent of the width.")
    bottom: Share = Field(default=0, ge=0, le=60, description="Per cent of the height.")
    left: Share = Field(default=0, ge=0, le=60, description="Per cent of the width.")


class Entry(BaseModel):
    """One destination: what differs from the preset of that name, or, with `size`, one of one's own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    size: str | None = Field(default=None, description="Pixels as in 1200x628, or the name of a format.")
    kind: Literal["jpg", "png", "webp"] | None = Field(default=None, description="Of file.")
    fit: Literal["cut", "pad"] | None = Field(
        default=None, description="cut: the middle in these proportions; pad: all of it, on the ground."
    )
    ground: str | None = Field(default=None, description='A colour: white, "#f4efe6".')
    most_kb: int | None = Field(default=None, ge=1, description="Of a file, in 1,000 bytes.")
    safe: SafeEntry | None = Field(default=None, description="What the channel covers at each side.")
    white: bool | None = Field(default=None, description="Whether the ground has to be white.")
    headline: str = Field(default="", description="A template; up to three lines.")
    price: str = Field(default="", description="A template.")
    label: str | None = Field(default=None, description="A template; small, at the bottom; empty: none.")
    logo: str | None = Field(default=None, description="A picture, relative to the delivery file; empty: none.")
    font: str | None = Field(
        default=None, description="A TrueType or OpenType file, relative to the delivery file."
    )


class DeliveryFile(BaseModel):
    """Where pictures go, and what stands on them; label, logo and font of all that have none of their own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    to: dict[str, Entry | None] = Field(min_length=1, description="Destinations by name.")
    label: str = Field(default="", description="A template; small, at the bottom.")
    logo: str = Field(default="", description="A picture, relative to the delivery file.")
    font: str = Field(default="", description="A TrueType or OpenType file, relative to the delivery file.")


@dataclass(frozen=True, slots=True)
class Placement:
    """A destination with what is to stand on its pictures.

    Attributes:
        texts: templates by name, of `TEXTS`; those that are said.
        fixed: values that templates may use and that are the same for all.
    """

    destination: Destination
    texts: Mapping[str, Template]
    logo: bytes = b""
    font: bytes = b""
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def copy(self, item: Item) -> Copy:
        """What stands on an item's picture.

        Raises:
            TemplateMistake: a cell is empty, or does not fit a filter.
        """
        if not self.texts and not self.logo:
            return Copy()
        values = {"seed": item.seed, "format": item.format, **self.fixed, **item.variant}
        row = cells(item.data)
        said = {name: template.fill(row, values).strip() for name, template in self.texts.items()}
        return Copy(**said, logo=self.logo, font=self.font)


def preset(name: str) -> Placement:
    """A destination that ships, with nothing on its pictures.

    Raises:
        BadInput: there is none of that name.
    """
    findings = Findings()
    found = _named(name, None, f"option --to {name}", findings)
    findings.raise_if_any()
    assert found is not None
    return Placement(found, {})


def read_delivery_file(path: Path, items: Sequence[Item], fixed: Mapping[str, Any]) -> tuple[Placement, ...]:
    """Reads and checks a delivery file against what a campaign has.

    Args:
        path: of the file.
        items: of the campaign, whose columns and variants texts may name.
        fixed: names of the campaign file whose values are the same in every variant.

    Raises:
        BadInput: with everything that is wrong in it.
    """
    findings = Findings()
    document = read_document(path, findings, SHOWN_IN)
    try:
        told = DeliveryFile.model_validate(document.value)
    except ValidationError as error:
        for place, what in find_mistakes(document.value, error).items():
            findings.add(document.where(*place), what, _mend(place, what))
        findings.raise_if_any()
        raise
    columns = dict.fromkeys(name for item in items for name in item.data)
    names = dict.fromkeys(name for item in items for name in item.variant)
    table = Table("the campaign", path.parent, tuple(columns), ())
    scope = Scope(document, table, (*names, *PARTS), findings, fixed)
    shared = Shared(
        label=scope.read(told.label, "label") if told.label else None,
        logo=_file("logo", told.logo, document, ("logo",), findings),
        font=_file("font", told.font, document, ("font",), findings),
    )
    placements = [_placement(name, entry or Entry(), shared, scope) for name, entry in told.to.items()]
    findings.raise_if_any()
    return tuple(one for one in placements if one is not None)


@dataclass(frozen=True, slots=True)
class Shared:
    """What destinations have that say nothing else."""

    label: Template | None
    logo: bytes
    font: bytes


def _placement(name: str, entry: Entry, shared: Shared, scope: Scope) -> Placement | None:
    document, findings = scope.document, scope.findings
    found = _named(name, entry, document.where("to", name), findings)
    if found is None:
        return None
    own = [key for key in (*TEXTS, "logo") if getattr(entry, key)]
    if own and not found.copy:
        mend = "Leave it out, or send it to another destination"
        findings.add(document.where("to", name, own[0]), f"{name} allows nothing on its pictures", mend)
        return None
    if not found.copy:
        return Placement(found, {})
    said = {key: scope.read(getattr(entry, key), "to", name, key) for key in TEXTS if getattr(entry, key)}
    if entry.label is None:
        said["label"] = shared.label
    texts = {key: template for key, template in said.items() if template is not None}
    files = {
        key: getattr(shared, key)
        if getattr(entry, key) is None
        else _file(key, getattr(entry, key), document, ("to", name, key), findings)
        for key in FILES
    }
    return Placement(found, texts, **files, fixed=scope.fixed)


def _named(name: str, entry: Entry | None, where: str, findings: Findings) -> Destination | None:
    """The preset of that name with what the entry says, or one of one's own; None with the mistake noted."""
    found = presets().get(name)
    size = None if entry is None or entry.size is None else wanted_size(entry.size)
    if entry is not None and entry.size is not None and not _can_be(size):
        mend = f"Write pixels as in 1200x628, at most {MOST_SIDE:,} each, or the name of a format"
        findings.add(where, f"size {shown(entry.size)} is no size", mend)
        return None
    if found is None and size is None:
        mend = suggest(name, presets(), "There are")
        own = "" if entry is None else "; one of your own needs a size"
        findings.add(where, f"there is no destination {shown(name)}", f"{mend}{own}")
        return None
    if found is None and size is not None:
        if not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            mend = "Use small letters, digits, - and _"
            findings.add(where, f"{shown(name)} can't be the name of a folder", mend)
            return None
        found = Destination(name, size)
    assert found is not None
    if entry is None:
        return found
    said = entry.model_dump(exclude_none=True, include={"kind", "fit", "ground", "most_kb", "white"})
    safe = found.safe if entry.safe is None else Safe(**entry.safe.model_dump())
    found = replace(found, size=size or found.size, safe=safe, **said)
    colour = _colour(found.ground)
    if colour is None:
        findings.add(where, f"ground {shown(found.ground)} is no colour", 'Write white or "#f4efe6"')
    elif found.white and found.fit == "pad" and colour != (255, 255, 255):
        findings.add(
            where, f"ground {shown(found.ground)} is not white, which {name} asks for", "Leave ground out"
        )
    return replace(found, copy=found.copy and not found.white)


def _can_be(size: tuple[int, int] | None) -> bool:
    """Whether every kind of file can have that size, and a machine's memory holds it."""
    return size is not None and max(size) <= MOST_SIDE and size[0] * size[1] <= MOST_PIXELS


def _colour(name: str) -> tuple[int, ...] | None:
    try:
        return ImageColor.getrgb(name)
    except ValueError:
        return None


def _file(key: Literal["logo", "font"], said: str, document: Document, place: Place, findings: Findings) -> bytes:
    """The bytes of a logo or font that can be used; empty where there is none, or with the mistake noted."""
    if not said:
        return b""
    path, where = document.path.parent / said, document.where(*place)
    try:
        data = path.read_bytes()
        if len(data) > MOST_BYTES:
            raise BadInput.at(str(path), f"has {len(data):,} bytes", "Is it the right file?")
        check_logo(data, str(path)) if key == "logo" else check_font(data, str(path))
    except OSError as error:
        findings.add(where, f"{path} can't be read ({error.strerror})", "Give its path, relative to this file")
    except BadInput as error:
        for problem in error.problems:
            findings.add(where, f"{problem.where} {problem.what}", problem.mend)
    else:
        return data
    return b""


def check_copy(placements: Sequence[Placement], items: Sequence[Item], where: str) -> None:
    """Fills in every text for every item.

    Raises:
        BadInput: with the rows that lack what a text names.
    """
    findings = Findings()
    for placement in placements:
        for item in items:
            try:
                placement.copy(item)
            except TemplateMistake as mistake:
                place = f"{where}, row {item.row}, destination {placement.destination.name}"
                findings.add(place, mistake.what, mistake.mend, group=(placement.destination.name, mistake.mend))
    findings.raise_if_any()


def _mend(place: Place, what: str) -> str:
    """What to write there: what the key means, or the keys that there are."""
    if " is not a text" in what:
        return 'Put it into quotes: "19.90"'
    model: type[BaseModel] = Entry if len(place) > 2 else DeliveryFile
    model = SafeEntry if "safe" in place[2:-1] else model
    last = str(place[-1]) if place else ""
    if known := model.model_fields.get(last):
        return str(known.description)
    return suggest(
        last, Entry.model_fields if model is DeliveryFile and len(place) == 2 else model.model_fields, "Keys here"
    )
