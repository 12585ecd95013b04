"""Planning: from a brief to the jobs that it needs, with their keys. Reads no database and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from core.conditions import ConditionType
from core.registry import Registry
from core.requests import Reference
from core.settings import Settings
from orchestrator.planning.expand import Brief
from orchestrator.planning.keys import (
    ModelPin,
    batch_key,
    canonical,
    job_key,
    method_pin,
    model_pin,
    preparation_key,
    variant_key,
)


class PlannedPreparation(NamedTuple):
    """A reference to make ready; `spec` is JSON text that a worker can act on."""

    key: str
    pin: str
    sha256: str
    spec: str


class PlannedJob(NamedTuple):
    """An image to make; `request` and `pinned` are JSON texts."""

    key: str
    pin: str
    batch: str
    request: str
    pinned: str
    preparations: tuple[str, ...]


class PlannedItem(NamedTuple):
    """A cell of the campaign and the key of its job."""

    row_key: str
    variant_key: str
    variant: str
    seed: int
    format: str
    job: str


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour of one worker that makes images costs; 0: not known."""

    hour: float
    currency: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a brief asks for, each distinct image and preparation once; at the price of the day."""

    brief: Brief
    model: ModelPin
    items: tuple[PlannedItem, ...]
    jobs: Mapping[str, PlannedJob]
    preparations: Mapping[str, PlannedPreparation]
    price: Price

    def example(self) -> dict[str, str]:
        """The row and the prompts of the first item, as a model will read them."""
        first = self.items[0]
        request = json.loads(self.jobs[first.job].request)
        return {"row": first.row_key, "prompt": request["prompt"], "negative_prompt": request["negative_prompt"]}


def make_plan(
    brief: Brief, settings: Settings, registry: Registry, files: Mapping[str, str] | None = None
) -> Plan:
    """Expands a brief and names everything in it.

    Args:
        brief: as read from a campaign file.
        settings: where cards and weights are, and what an hour costs.
        registry: asked for kinds, for the generator's id and for changes of requests.
        files: hashes of the model's files that are pinned, by file.

    Raises:
        PluginError: a plugin's `before_generate` failed.
    """
    generator = registry.generator(brief.card, settings, settings.device)
    model = model_pin(brief.card, generator.id, files or {})
    prepared = _Preparations(brief, registry)
    change = registry.changes_requests()
    items, jobs = [], {}
    variants: dict[int, tuple[str, str, Mapping[str, Any]]] = {}
    for item in brief.items():
        request, changed_by = registry.change_request(item.request) if change else (item.request, {})
        keys = prepared.keys(request.references)
        key = job_key(request, model, keys)
        if key not in jobs:
            jobs[key] = PlannedJob(
                key,
                model.name,
                batch_key(request, model),
                canonical(request.as_dict()),
                canonical({**asdict(model), "changed_by": changed_by}),
                keys,
            )
        variant = variants.get(id(item.variant))
        if variant is None:
            variant = variant_key(item.variant), canonical(item.variant), item.variant
            variants[id(item.variant)] = variant
        items.append(PlannedItem(item.row.key, variant[0], variant[1], item.seed, item.shape.name, key))
    price = Price(settings.gpu_hour_cost, settings.currency)
    return Plan(brief, model, tuple(items), jobs, prepared.found, price)


class _Preparations:
    """Keys of references, each computed once: the same value serves every item of a row."""

    def __init__(self, brief: Brief, registry: Registry) -> None:
        self.found: dict[str, PlannedPreparation] = {}
        self._card = brief.card
        self._kinds = {name: offer.condition for name, offer in registry.kinds().items()}
        self._seen: dict[int, tuple[Reference, str]] = {}

    def keys(self, references: Iterable[Reference]) -> tuple[str, ...]:
        return tuple(self._key(reference) for reference in references)

    def _key(self, reference: Reference) -> str:
        seen = self._seen.get(id(reference))
        if seen is None:
            seen = reference, self._plan(reference)
            self._seen[id(reference)] = seen
        return seen[1]

    def _plan(self, reference: Reference) -> str:
        area = area_of(self._kinds[reference.kind], self._card.reference_area)
        key = preparation_key(reference, area, self._card.grid)
        if key not in self.found:
            spec = {**reference.as_dict(), "area": area, "grid": self._card.grid, "model": self._card.name}
            pin = method_pin(reference.kind, reference.plugin, reference.method)
            self.found[key] = PlannedPreparation(key, pin, reference.sha256, canonical(spec))
        return key


def area_of(condition: ConditionType[Any], area: int) -> int:
    """Pixels of a prepared reference: the card's area, cut to the kind's token budget (16 x 16 pixels each)."""
    return area if condition.tokens is None else min(area, condition.tokens * 256)
