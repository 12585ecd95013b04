"""Planning: from a campaign file to its items: rows x formats x variants x seeds, each with its request.

An item is known by its row's key, its variant, its seed and the name of its format, so that a change anywhere
else in the file leaves it the same item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.asking import FROM_CARD
from core.cards import ModelCard, find_cards, load_card
from core.errors import BadInput
from core.formats import FORMATS, Shape, shape, wanted_size
from core.registry import Registry
from core.requests import Request
from core.settings import Settings
from orchestrator.planning.campaign_file import RowSource, Told, read_campaign_file
from orchestrator.planning.drafts import Draft, write_drafts
from orchestrator.planning.fetching.fetcher import Fetcher, Show
from orchestrator.planning.findings import Findings, suggest
from orchestrator.planning.gates import GRAMMAR, read_gate
from orchestrator.planning.names import Naming, check_names, read_naming
from orchestrator.planning.pictures import LEADS_OUT, leads_out
from orchestrator.planning.references import References, check_combination, read_slots
from orchestrator.planning.rows import Row, Table, read_rows
from orchestrator.planning.scope import Scope
from orchestrator.planning.stops import GRAMMAR as GRAMMAR_OF_STOPS
from orchestrator.planning.stops import read_rule
from orchestrator.planning.variants import Variant, fixed_names, read_variants, variant_names

MAX_ITEMS = 1_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """One image that a campaign asks for."""

    row: Row
    variant: Variant
    seed: int
    shape: Shape
    request: Request


@dataclass(frozen=True, slots=True)
class Brief:
    """A campaign file that can be made: everything in it is checked and filled in.

    Attributes:
        campaign: its name.
        path: of the file.
        text: of the file.
        card: the model that makes it.
        rows: in the file's order.
        shapes: of the formats, in the file's order.
        seeds: the number n stands for 0 to n-1: the same at every run, and more of them leave the first as
            they are.
        steps: of every request.
        guidance: of every request.
        priority: of its images.
        gates: thresholds on scores, as the file says them.
        owner: whose it is; empty where the file doesn't say.
        stop: stop rules by name, as the file says them.
        drafts: rows x variants, in this order.
        warnings: what a person should know though nothing is wrong.
        files: distinct pictures of references by the sha256 of their bytes.
        addresses: where those pictures were that were fetched, by the same.
        naming: what its files are called; None for the usual names.
    """

    campaign: str
    path: Path
    text: str
    card: ModelCard
    rows: tuple[Row, ...]
    shapes: tuple[Shape, ...]
    seeds: tuple[int, ...]
    steps: int
    guidance: float
    priority: int
    gates: Mapping[str, str]
    owner: str
    stop: Mapping[str, str | int | float]
    drafts: tuple[Draft, ...] = field(repr=False)
    warnings: tuple[str, ...]
    files: Mapping[str, Path] = field(repr=False)
    addresses: Mapping[str, str] = field(default_factory=dict, repr=False)
    naming: Naming | None = None

    @property
    def count(self) -> int:
        """How many items there are."""
        return len(self.drafts) * len(self.shapes) * len(self.seeds)

    def items(self) -> Iterator[Item]:
        """Every item: row by row, in it format by format, in it variant by variant, in it seed by seed."""
        variants = len(self.drafts) // len(self.rows)
        fixed: dict[str, Any] = {name: getattr(self.card, name) for name in FROM_CARD}
        fixed |= {"model": self.card.name, "steps": self.steps, "guidance": self.guidance}
        for start in range(0, len(self.drafts), variants):
            for made in self.shapes:
                width, height = made.native
                for draft in self.drafts[start : start + variants]:
                    for seed in self.seeds:
                        request = Request(
                            prompt=draft.prompt,
                            negative_prompt=draft.negative_prompt,
                            references=draft.references,
                            width=width,
                            height=height,
                            seed=seed,
                            **fixed,
                        )
                        yield Item(draft.row, draft.variant, seed, made, request)


def read_brief(
    path: Path, settings: Settings, registry: Registry, within: Path | None = None, show: Show | None = None
) -> Brief:
    """Reads a campaign file with all that it names: rows, pictures, kinds, the model card.

    Args:
        path: the campaign file.
        settings: where cards are, and within which limits pictures are fetched.
        registry: asked for kinds.
        within: the folder that the brief may not lead out of, for one that a stranger sent.
        show: told how many pictures of how many were fetched, where some lie at addresses.

    Raises:
        BadInput: with every mistake in all of them, each with its place and its mend.
        PluginError: a plugin that offers kinds is broken.
    """
    findings = Findings()
    told = read_campaign_file(path, findings)
    card = _read_card(told, settings, findings)
    fetcher = Fetcher(settings, show, strange=within is not None)
    table = _read_table(told, findings, fetcher, within)
    variants = read_variants(told, findings)
    seeds = _read_seeds(told, findings)
    shapes = _read_shapes(told, card, findings)
    _check_gates(told, findings)
    _check_stops(told, settings, findings)
    scope = Scope(told.document, table, variant_names(told), findings, fixed_names(told))
    slots = read_slots(told, scope, settings, registry)
    if card is not None:
        check_combination(told, card, registry, findings)
    references = References(told, scope, slots, fetcher, within)
    count = len(table.rows) * len(variants) * len(told.file.formats) * len(seeds)
    if count > MAX_ITEMS:
        findings.add(str(path), f"asks for {count:,} images", f"{MAX_ITEMS:,} is the most: split the campaign")
        variants = variants[:1]
    drafts = write_drafts(told, scope, references, variants, card)
    naming = read_naming(told, scope)
    if naming is not None and count <= MAX_ITEMS:
        check_names(naming, scope, drafts, told.file.formats, seeds)
    findings.raise_if_any()
    assert card is not None
    file = told.file
    return Brief(
        campaign=file.campaign,
        path=path,
        text=told.document.text,
        card=card,
        rows=table.rows,
        shapes=shapes,
        seeds=seeds,
        steps=card.steps if file.steps is None else file.steps,
        guidance=card.guidance if file.guidance is None else file.guidance,
        priority=file.priority,
        gates=file.gates,
        owner=file.owner.strip(),
        stop=file.stop.rules,
        drafts=drafts,
        warnings=tuple(findings.warnings),
        files=references.files,
        addresses=references.addresses,
        naming=naming,
    )


def _read_card(told: Told, settings: Settings, findings: Findings) -> ModelCard | None:
    if not told.sound("model"):
        return None
    name = told.file.model
    cards = find_cards(settings)
    if name not in cards:
        where = told.document.where("model")
        findings.add(where, f"there is no model card {name!r}", suggest(name, sorted(cards), "Cards here"))
        return None
    try:
        card = load_card(name, settings)
    except BadInput as error:
        for problem in error.problems:
            findings.include(problem)
        return None
    if told.file.negative_prompt and card.true_cfg == 1:
        findings.warn(
            f"{told.document.where('negative_prompt')}: {name} makes one pass a step (true_cfg 1) and never "
            "reads a negative prompt"
        )
    return card


def _read_table(told: Told, findings: Findings, fetcher: Fetcher, within: Path | None) -> Table:
    sound = told.sound("rows")
    rows = told.file.rows if sound else None
    named = (rows.path, rows.pictures) if isinstance(rows, RowSource) else (rows,)
    for name in (one for one in named if isinstance(one, str)):
        if leads_out(told.document.path.parent / name, within):
            findings.add(told.document.where("rows"), f"{name} {LEADS_OUT}", "Upload the table along with it")
            sound = False
    if not sound:
        return Table(str(told.document.path), told.document.path.parent, None, ())
    key = told.file.key if told.sound("key") else None
    return read_rows(told.file.rows, key, told.document, findings, fetcher)


def _read_seeds(told: Told, findings: Findings) -> tuple[int, ...]:
    seeds = told.file.seeds
    if isinstance(seeds, int):
        return tuple(range(seeds))
    for index, seed in enumerate(seeds):
        if (first := seeds.index(seed)) != index:
            where = told.document.where("seeds", index)
            findings.add(where, f"{seed} stands twice", f"It is item {first + 1} too: keep one")
    return tuple(seeds)


def _check_gates(told: Told, findings: Findings) -> None:
    for score, one in told.file.gates.items():
        if told.sound("gates", score) and isinstance(wrong := read_gate(score, one), str):
            findings.add(told.document.where("gates", score), wrong, GRAMMAR)


def _check_stops(told: Told, settings: Settings, findings: Findings) -> None:
    for name, one in told.file.stop.rules.items():
        where = told.document.where("stop", name)
        rule = read_rule(name, one, settings.currency)
        if isinstance(rule, str):
            findings.add(where, rule, GRAMMAR_OF_STOPS[name])
        elif rule.unit == settings.currency and not settings.gpu_hour_cost:
            mend = "Set the variable DREAMLINE_GPU_HOUR_COST, or say a time as in 2 h"
            findings.add(where, f"nobody knows what an hour costs, so {one} can't be watched", mend)


def _read_shapes(told: Told, card: ModelCard | None, findings: Findings) -> tuple[Shape, ...]:
    names = told.file.formats
    for index, name in enumerate(names):
        where = told.document.where("formats", index)
        if wanted_size(name) is None:
            mend = suggest(name, FORMATS, "Formats") + ", or pixels as in 1200x628"
            findings.add(where, f"there is no format {name!r}", mend)
        elif (first := names.index(name)) != index:
            findings.add(where, f"{name!r} stands twice", f"It is item {first + 1} too: keep one")
    made = (shape(name, card) for name in names) if card is not None else ()
    return tuple(one for one in made if one is not None)
