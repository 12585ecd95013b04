"""Working: prepared references, read from the store as generators and scorers want them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from core.registry import Registry
from core.requests import DREAMO_ROLE, Preparation
from orchestrator.records.storage import Storage


def open_references(store: Storage, registry: Registry, payload: Mapping[str, Any]) -> list[Preparation]:
    """The prepared references of a job, in order.

    Raises:
        ContentMissing: the store lacks one.
        Infrastructure: the store can't be reached.
    """
    return [_open_reference(store, registry, one) for one in payload["references"]]


def _open_reference(store: Storage, registry: Registry, prepared: Mapping[str, Any]) -> Preparation:
    from PIL import Image as PillowImage

    mask = prepared["mask"]
    kind = registry.kinds(sound=True).get(prepared["kind"])
    return Preparation(
        picture=PillowImage.open(io.BytesIO(store.get(prepared["result"]))).convert("RGB"),
        mask=PillowImage.open(io.BytesIO(store.get(mask))).convert("L") if mask else None,
        role=kind.condition.role if kind is not None else DREAMO_ROLE,
    )
