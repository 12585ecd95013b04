"""Planning: the names of things by what decides them. Same key, same image; another key, another image.

A preparation's key hashes the reference's bytes and all that its preparation depends on. A job's key hashes
the generator, the model card with its files, every field of the request, and the keys of its preparations.
A *pin* says what a worker must have to do the work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.cards import ModelCard
from core.requests import Method, Reference, Request


@dataclass(frozen=True, slots=True)
class ModelPin:
    """A model as a plan pins it: the generator's code, the card and the hashes of its files."""

    card: str
    generator: str
    digest: str

    @property
    def name(self) -> str:
        """What a job asks of its worker."""
        return f"{self.card} {self.generator} {self.digest[:16]}"


def model_pin(card: ModelCard, generator_id: str, files: Mapping[str, str]) -> ModelPin:
    """Pins `card`; `files` are the recorded hashes (`dreamline models check`) by file."""
    return ModelPin(card.name, generator_id, card.digest(files))


def method_pin(kind: str, plugin: str, method: Method) -> str:
    """What a preparation asks of its worker: plugin, kind, method and weights."""
    weights = f" {digest(method.weights)[:16]}" if method.weights else ""
    return f"{plugin} {kind} {method.name}/{method.version}{weights}"


def preparation_key(reference: Reference, area: int, grid: int) -> str:
    """The key of a reference made ready for `area` pixels on `grid`; its name in the prompt plays no part."""
    return digest(
        {
            "sha256": reference.sha256,
            "kind": reference.kind,
            "plugin": reference.plugin,
            "method": reference.method.as_dict(),
            "options": dict(reference.options),
            "area": area,
            "grid": grid,
            **({"mask": reference.mask} if reference.mask else {}),
        }
    )


def job_key(request: Request, model: ModelPin, preparations: Sequence[str]) -> str:
    """The key of an image. `preparations` are the keys of its references made ready, in order."""
    return digest(
        [
            model.generator,
            model.digest,
            request.prompt,
            request.negative_prompt,
            request.width,
            request.height,
            request.seed,
            request.steps,
            request.guidance,
            request.first_step_guidance,
            request.true_cfg,
            request.negative_guidance,
            request.true_cfg_start,
            request.true_cfg_end,
            list(preparations),
        ]
    )


def batch_key(request: Request, model: ModelPin) -> str:
    """Jobs of one batch key can be made together: one model, size, length and number of references."""
    size = f"{request.width}x{request.height}"
    return f"{model.name} {size} {request.steps} {len(request.references)}"


def variant_key(variant: Mapping[str, Any]) -> str:
    """A short name of a variant, stable under the order of its parts."""
    return digest(variant)[:16] if variant else ""


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return _encode(dict(value) if isinstance(value, Mapping) else value)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict).encode
